"""Whether a site works, for whoever asks over HTTP on the machine itself: ``/health``, ``/live`` and ``/metrics``.

`Monitoring` answers requests and opens no sockets; `serve_monitoring` puts it on a port with aiohttp. It holds nothing
secret, and it answers on loopback only unless somebody says otherwise: numbers about keys are of use to an attacker.
"""

import ipaddress
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from faintlink.core.errors import ConfigError, FaintlinkError
from faintlink.delivery.metrics.registry import CONTENT_TYPE

if TYPE_CHECKING:
    from aiohttp import web

_log = logging.getLogger(__name__)

Probe = Callable[[], None]
"""Returns if all is well; raises a `FaintlinkError` that says what is not."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must work."""

    probe: Probe
    is_vital: bool = True
    """Whether the site hands out nothing without it; otherwise it is degraded."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer over HTTP."""

    status: int
    content_type: str
    body: bytes


class Monitoring:
    """Answers requests about a site.

    Parameters
    ----------
    site
        Its name.
    checks
        What must work, by name.
    render
        Returns the metrics' text, after it brought the gauges up to date.
    """

    def __init__(self, site: str, checks: Mapping[str, Check], render: Callable[[], bytes]) -> None:
        self._site, self._checks, self._render = site, dict(checks), render

    def reply(self, method: str, path: str) -> Reply:
        """Return the answer to a request; it never raises."""
        if method not in ("GET", "HEAD"):
            return _text(405, "read only\n")
        try:
            match path:
                case "/health":
                    return self._health()
                case "/live":
                    return _text(200, "alive\n")
                case "/metrics":
                    return Reply(200, CONTENT_TYPE, self._render())
        except Exception:
            # A fault of the monitoring must neither end the process nor show its insides.
            _log.exception("the answer to a request for %s failed", path)
            return _text(500, "see the log\n")
        return _text(404, "try /health, /live or /metrics\n")

    def _health(self) -> Reply:
        found = {name: _failure(check) for name, check in self._checks.items()}
        failed = [name for name, reason in found.items() if reason]
        is_down = any(self._checks[name].is_vital for name in failed)
        status = "down" if is_down else "degraded" if failed else "ok"
        checks = {name: reason or "ok" for name, reason in found.items()}
        body = json.dumps({"site": self._site, "status": status, "checks": checks})
        return Reply(503 if is_down else 200, "application/json", body.encode())


async def serve_monitoring(
    monitoring: Monitoring, *, host: str, port: int, is_remote_allowed: bool = False
) -> "web.ServerRunner":
    """Answer on a port until the runner's ``cleanup`` is awaited; its ``addresses`` say where.

    Raises
    ------
    ConfigError
        The address is not loopback and nobody allowed that, or cannot be used.
    """
    import asyncio

    from aiohttp import web

    if not is_remote_allowed and not ipaddress.ip_address(host).is_loopback:
        raise ConfigError(
            f"monitoring would be open to others on {host}",
            hint="listen on 127.0.0.1 and scrape there",
        )

    async def handle(request: web.BaseRequest) -> web.Response:
        reply = await asyncio.to_thread(monitoring.reply, request.method, request.path)
        headers = {"Content-Type": reply.content_type, "Cache-Control": "no-store"}
        return web.Response(status=reply.status, body=reply.body, headers=headers)

    runner = web.ServerRunner(web.Server(handle, access_log=None))
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror}", hint="choose another port") from None
    return runner


def _failure(check: Check) -> str:
    try:
        check.probe()
    except FaintlinkError as error:
        return error.message
    return ""


def _text(status: int, text: str) -> Reply:
    return Reply(status, "text/plain; charset=utf-8", text.encode())
