"""A line between two sites that a test can cut, in the ways in which lines are cut."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Literal

Mode = Literal["open", "cut", "silent", "deaf"]
"""``cut`` closes and refuses connections, ``silent`` swallows both ways, ``deaf`` swallows what comes back."""


class Proxy:
    """Forwards connections to a port."""

    def __init__(self) -> None:
        self.target = 0
        self.mode: Mode = "open"
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def set(self, mode: Mode) -> None:
        """Change how connections fare; one that was disturbed does not recover."""
        if mode != self.mode and (mode == "cut" or self.mode != "open"):
            self._drop()
        self.mode = mode

    def _drop(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection."""
        self._writers.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if self.mode == "cut":
                writer.transport.abort()
                return
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
            self._writers.add(far_writer)
            try:
                await asyncio.gather(
                    self._pump(reader, far_writer, ("open", "deaf")), self._pump(far_reader, writer, ("open",))
                )
            finally:
                far_writer.transport.abort()
                self._writers.discard(far_writer)
        except OSError:
            pass
        finally:
            writer.transport.abort()
            self._writers.discard(writer)
            self._tasks.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, modes: tuple[Mode, ...]) -> None:
        while data := await reader.read(1 << 16):
            if self.mode in modes:
                writer.write(data)
                await writer.drain()
        writer.transport.abort()

    async def close(self) -> None:
        """End all connections."""
        self._drop()
        for task in list(self._tasks):
            task.cancel()
            with suppress(asyncio.CancelledError, OSError):
                await task


@asynccontextmanager
async def proxy(port: int) -> AsyncIterator[Proxy]:
    """Run a proxy on a port; its target is set later."""
    made = Proxy()
    server = await asyncio.start_server(made.serve, "127.0.0.1", port)
    try:
        yield made
    finally:
        server.close()
        await made.close()
        await server.wait_closed()
