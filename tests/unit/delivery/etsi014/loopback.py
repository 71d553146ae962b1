"""A small web server around `Api014` on the loopback, in a thread; the caller's name comes in a header, not by mTLS."""

import asyncio
import ssl
import threading
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from aiohttp import web

from faintlink.delivery.etsi014.service import Api014
from faintlink.delivery.etsi014.web import respond

CALLER = "X-Test-Caller"
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Loopback:
    """Serves within a ``with`` block; ``url`` is where, ``statuses`` what was answered."""

    def __init__(
        self,
        api: Api014,
        *,
        caller: str | None = None,
        context: ssl.SSLContext | None = None,
        handler: Handler | None = None,
    ) -> None:
        self._api = api
        self._caller = caller
        self._context = context
        self._handler = handler or self._handle
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._transports: list[asyncio.WriteTransport] = []
        self.statuses: list[int] = []
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        self.url = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> str:
        self._runner = web.ServerRunner(web.Server(self._keep, access_log=None), shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._context)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        return f"{'https' if self._context else 'http'}://{host}:{port}"

    async def _stop(self) -> None:
        await self._runner.cleanup()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        # TLS would wait for the client to say good-bye; a transport is closed a turn after it is told to.
        for transport in self._transports:
            transport.abort()
        await asyncio.sleep(0.01)

    async def _keep(self, request: web.BaseRequest) -> web.StreamResponse:
        if isinstance(request.transport, asyncio.WriteTransport):
            self._transports.append(request.transport)
        return await self._handler(request)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        response = await respond(request, self._api, request.headers.get(CALLER) or self._caller)
        self.statuses.append(response.status)
        return response
