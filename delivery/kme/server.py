"""The two listeners of a site, each behind TLS with certificates on both sides: one for applications, one for sites.

Who calls is decided anew with every request, from the certificate of the connection. The port for applications speaks
ETSI GS QKD 014 and nothing else; the port for sites carries frames of the ledger and of the relay.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from aiohttp import web
from aiohttp.http import HttpProcessingError

from faintlink.core.errors import AccessDeniedError, FaintlinkError
from faintlink.delivery.etsi014.service import Api014
from faintlink.delivery.etsi014.web import respond
from faintlink.delivery.keystore.model import Role
from faintlink.delivery.ledger.messages import MOST_BYTES
from faintlink.delivery.pki.identity import Gate
from faintlink.delivery.witness import Event, Fact

_log = logging.getLogger(__name__)
_ROLES = {"enc_keys": Role.MASTER.value, "dec_keys": Role.SLAVE.value}
_HEADERS = {"Cache-Control": "no-store"}

Receiver: TypeAlias = Callable[[str, bytes], Awaitable[bytes]]
"""Takes the name of a site and its frame, and returns the frame that answers it."""
Handler: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Count: TypeAlias = Callable[[str, int, float], None]
"""Told the role of who asked for keys, the status of the answer, and how long it took, s."""
Deny: TypeAlias = Callable[[Fact], Awaitable[None]]
"""Keeps a note of somebody who was turned away."""


def application_handler(api: Api014, gate: Gate, deny: Deny, count: Count) -> Handler:
    """Return what answers on the port for applications."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        start = time.perf_counter()
        response = await respond(request, api, await _caller(request, gate, "application", deny))
        role = _ROLES.get(request.path.rpartition("/")[2])
        if role is not None:
            count(role, response.status, time.perf_counter() - start)
        return response

    return handle


def site_handler(receivers: Mapping[str, Receiver], gate: Gate, deny: Deny) -> Handler:
    """Return what answers on the port for sites; ``receivers`` by path."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        peer = await _caller(request, gate, "site", deny)
        if peer is None:
            return web.Response(status=401, headers=_HEADERS)
        receive = receivers.get(request.path)
        if receive is None or request.method != "POST":
            return web.Response(status=404, headers=_HEADERS)
        frame = await read_limited(request, MOST_BYTES)
        if frame is None:
            return web.Response(status=413, headers=_HEADERS)
        try:
            answer = await receive(peer, frame)
        except FaintlinkError as error:
            # The other site must take this for no answer at all, and does.
            _log.error("cannot answer %s: %s: %s", peer, type(error).__name__, error.message)
            return web.Response(status=503, headers=_HEADERS)
        return web.Response(body=answer, content_type="application/octet-stream", headers=_HEADERS)

    return handle


class WithoutTraces(logging.Filter):
    """Says in one line what is no request: the server's own way is a traceback with the bytes that were sent."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, shortened where a caller is to blame."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            record.msg, record.args = "no HTTP request: %s", (type(error).__name__,)
            record.exc_info = None
            record.levelno, record.levelname = logging.INFO, "INFO"
        return True


HTTP_LOG = logging.getLogger(f"{__name__}.http")
"""What the HTTP server itself has to say."""
HTTP_LOG.addFilter(WithoutTraces())


async def read_limited(request: web.BaseRequest, most: int) -> bytes | None:
    """Return the body of a request, or None if it is longer than ``most`` bytes."""
    body = bytearray()
    async for part in request.content.iter_chunked(1 << 16):
        body += part
        if len(body) > most:
            return None
    return bytes(body)


async def _caller(request: web.BaseRequest, gate: Gate, what: str, deny: Deny) -> str | None:
    tls = request.get_extra_info("ssl_object")
    try:
        return gate.name(tls.getpeercert(True) if tls is not None else None)
    except AccessDeniedError as error:
        _log.warning("turned away at the port for %ss: %s", what, error.message)
        await deny(Fact(Event.ACCESS_DENIED, what, {"reason": error.message[:200]}))
        return None
