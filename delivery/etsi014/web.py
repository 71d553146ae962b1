"""The aiohttp shell around `Api014`: reads a request within its limits, sends the answer, overwrites its keys.

Who the caller is comes from the server, which has looked at the certificate. The server hands over every request
(`aiohttp.web.Server`, or a middleware): a router would answer for paths that it does not know, and decode the others.
"""

import asyncio
import logging

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

from faintlink.delivery.etsi014.messages import encode_error
from faintlink.delivery.etsi014.service import JSON, NO_STORE, Api014, ApiRequest, ApiResponse, is_packed

logger = logging.getLogger(__name__)


async def respond(request: web.BaseRequest, api: Api014, caller: str | None) -> web.StreamResponse:
    """Return the answer to one HTTP request; its keys are overwritten when aiohttp has sent it, or cannot.

    Parameters
    ----------
    request
        As aiohttp got it.
    api
        The methods.
    caller
        Name of the application, or None if its certificate is none of the site's.
    """
    try:
        async with asyncio.timeout(api.settings.body_within_s):
            body = await _body(request, api.settings.max_body_bytes + 1, is_stranger=caller is None)
    except TimeoutError:
        return web.Response(status=408, headers=NO_STORE)
    except (web.RequestPayloadError, ConnectionError):
        return web.Response(status=400, body=encode_error("the body is broken"), content_type=JSON, headers=NO_STORE)
    path, _, query = request.raw_path.partition("?")
    answer = await api.answer(
        ApiRequest(
            method=request.method,
            path=path,
            query=query,
            caller=caller,
            body=body,
            content_type=request.headers.get("Content-Type"),
            content_encoding=request.headers.get("Content-Encoding"),
        )
    )
    return _Sent(answer, caller)


class _Sent(web.Response):
    """An answer that overwrites its keys."""

    def __init__(self, answer: ApiResponse, caller: str | None) -> None:
        super().__init__(
            status=answer.status, body=answer.body, content_type=answer.content_type, headers=answer.headers
        )
        self._answer = answer
        self._caller = caller

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        try:
            return await super().prepare(request)
        except BaseException:
            self._lost()
            raise

    async def write_eof(self, data: bytes = b"") -> None:
        transport = self._req.transport if self._req is not None else None
        try:
            await super().write_eof(data)
        except BaseException:
            self._lost()
            raise
        # A transport may still hold the body itself and would send the zeros.
        if transport is None or not transport.get_write_buffer_size():
            self._answer.wipe()

    def _lost(self) -> None:
        if isinstance(self._answer.body, bytearray):
            logger.warning("%r left before its keys were sent: they are lost to it", self._caller)
        self._answer.wipe()


async def _body(request: web.BaseRequest, most: int, *, is_stranger: bool) -> bytes:
    # Nothing of a stranger's body is read, and nothing is unpacked that is refused for being packed.
    if is_stranger or is_packed(request.headers.get("Content-Encoding")):
        return b""
    if request.headers.get("Expect", "").lower() == "100-continue" and request.version == HttpVersion11:
        # Older curl waits for this word before it sends a body of more than 1 KiB.
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
    body = bytearray()
    while len(body) < most and (part := await request.content.read(most - len(body))):
        body += part
    return bytes(body)
