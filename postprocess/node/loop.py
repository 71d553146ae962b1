"""One node over TCP: sessions one after the other until both sides are done, and what a lost line costs.

asyncio carries bytes; `NodeSession` decides everything. A connection that breaks loses the blocks in flight; the next
session goes on with the block after them. Alice listens, Bob calls.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from faintlink.core.errors import ConnectionLostError, FaintlinkError
from faintlink.postprocess.node.events import BlockEnded, Event
from faintlink.postprocess.node.machine import Program, Work
from faintlink.postprocess.node.session import NodeSession

_log = logging.getLogger(__name__)
_READ_BYTES = 1 << 20
_STEP_BYTES = 1 << 13
"""Of what was read, taken at a time: a few questions of a reconciliation."""
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 5.0
_GREETING_S = 10.0
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3))


def _keep_alive(writer: asyncio.StreamWriter) -> None:
    """Let the system notice a dead line also while nobody has anything to say."""
    line: socket.socket = writer.get_extra_info("socket")
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for option, value in _KEEPALIVE:
        line.setsockopt(socket.IPPROTO_TCP, option, value)


class Feed(Protocol):
    """Bob's blocks, as they become ready."""

    def next_block(self) -> tuple[int, Callable[[], Program]] | None:
        """Return the number of the next block and what makes its program; None after the last. May take long."""
        ...


@dataclass(frozen=True, slots=True)
class Line:
    """Where the peer is, and how patient we are."""

    host: str
    """To listen on, or to call."""
    port: int
    """0 lets the system choose one to listen on."""
    tls: ssl.SSLContext | None
    """None sends frames bare: they are authenticated all the same, but everybody can read them."""
    timeout_s: float
    """Silence that is too long while something is due."""
    most_failures: int = 5
    """Sessions in a row that may fail without a block having ended; then the node gives up."""


def _ignore(port: int) -> None:
    del port


def _outcome(work: asyncio.Future[Any]) -> dict[str, Any]:
    error = work.exception()
    return {"result": work.result()} if error is None else {"error": error}


class NodeLoop:
    """Runs one node until both sides are done.

    Parameters
    ----------
    line
        The connection.
    new_session
        Makes a session.
    feed
        Bob's blocks; None for Alice.
    blocks_in_flight
        Blocks that Bob has open at once.
    on_block
        Called when a block has ended.
    """

    def __init__(
        self,
        line: Line,
        new_session: Callable[[], NodeSession],
        *,
        feed: Feed | None,
        blocks_in_flight: int,
        on_block: Callable[[BlockEnded], None],
    ) -> None:
        self._line = line
        self._new_session = new_session
        self._feed = feed
        self._in_flight = blocks_in_flight
        self._on_block = on_block
        self._fetching: asyncio.Task[tuple[int, Callable[[], Program]] | None] | None = None
        # One thread: blocks look up their settings in the order of their numbers.
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="block")
        self._is_fed = False
        self._is_over = False
        self._failures = 0
        self._ended = 0
        self._said_all = 0.0
        self.port = line.port
        """Port that is listened on, once it is."""

    async def call(self) -> None:
        """Be Bob: call until both sides are done.

        Raises
        ------
        FaintlinkError
            Sessions failed too often in a row, with the last one's error.
        """
        pause_s = _FIRST_PAUSE_S
        try:
            while not self._is_over:
                try:
                    reader, writer = await asyncio.open_connection(
                        self._line.host, self._line.port, ssl=self._line.tls, limit=_READ_BYTES
                    )
                except (OSError, ssl.SSLError) as error:
                    if self._said_all and time.monotonic() - self._said_all > self._line.timeout_s:
                        _log.warning("the peer is gone before it confirmed the end; all blocks had ended")
                        return
                    _log.info("no connection to %s:%d: %s", self._line.host, self._line.port, error)
                    await asyncio.sleep(pause_s)
                    pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                    continue
                pause_s = _FIRST_PAUSE_S
                await self._converse(reader, writer)
        finally:
            if self._fetching is not None:
                self._fetching.cancel()
            self._worker.shutdown(wait=False, cancel_futures=True)

    async def listen(self, on_listening: Callable[[int], None] = _ignore) -> None:
        """Be Alice: answer calls, one at a time, until both sides are done; ``on_listening`` is told the port.

        Raises
        ------
        FaintlinkError
            As `call`.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        busy = asyncio.Lock()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if busy.locked():
                _log.warning("a second caller was turned away")
                writer.close()
                return
            async with busy:
                try:
                    await self._converse(reader, writer)
                except BaseException as error:
                    if not done.done():
                        done.set_exception(error)
                    return
            if self._is_over and not done.done():
                done.set_result(None)

        server = await asyncio.start_server(
            answer, self._line.host, self._line.port, ssl=self._line.tls, limit=_READ_BYTES
        )
        async with server:
            self.port = server.sockets[0].getsockname()[1]
            on_listening(self.port)
            try:
                await done
            finally:
                self._worker.shutdown(wait=False, cancel_futures=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hold one session; count it as a failure when it breaks before any block ended."""
        _keep_alive(writer)
        session = self._new_session()
        self._ended = 0
        try:
            await self._drive(session, reader, writer)
        except (FaintlinkError, OSError, asyncio.IncompleteReadError) as error:
            if self._ended:
                self._failures = 0
            elif session.has_met_peer:
                # A stranger's calls do not count: nobody shall stop a node by knocking.
                self._failures += 1
            _log.warning("a session broke after %d blocks: %s", self._ended, str(error).splitlines()[0])
            if self._failures >= self._line.most_failures:
                raise
        finally:
            writer.close()
            session.close()

    async def _drive(self, session: NodeSession, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reading = asyncio.create_task(reader.read(_READ_BYTES))
        working: dict[asyncio.Future[Any], int] = {}
        try:
            while not session.is_over:
                fetching = self._fetch(session)
                working |= {self._begin(work): number for number, work in session.take_work()}
                writer.write(session.take_output())
                waits = {reading, *working} if fetching is None else {reading, *working, fetching}
                # A feed may rest for as long as nothing is detected; a peer that owes an answer may not.
                is_due = (not session.is_ready or session.in_flight > 0) and not working
                patience_s = self._patience_s(session) if is_due else None
                done, _ = await asyncio.wait(waits, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
                for work in [one for one in working if one in done]:
                    self._note(session.worked(working.pop(work), **_outcome(work)))
                if reading.done():
                    self._take(session, reading.result(), writer)
                    reading = asyncio.create_task(reader.read(_READ_BYTES))
                elif not done:
                    raise ConnectionLostError(
                        f"the peer said nothing for {patience_s:g} s", hint="check the line and the peer"
                    )
                if fetching is not None and fetching.done():
                    self._start(session, fetching.result())
            writer.write(session.take_output())
            self._is_over = True
            with contextlib.suppress(OSError):
                # The peer may have heard enough and be gone.
                await writer.drain()
        finally:
            for future in (reading, *working):
                future.cancel()

    def _begin(self, work: Work) -> asyncio.Future[Any]:
        return asyncio.get_running_loop().run_in_executor(self._worker, work.run)

    def _patience_s(self, session: NodeSession) -> float:
        # A stranger must not keep the line from the peer.
        return self._line.timeout_s if session.has_met_peer else min(_GREETING_S, self._line.timeout_s)

    def _take(self, session: NodeSession, data: bytes, writer: asyncio.StreamWriter) -> None:
        """Give the session what came, and the peer each answer at once: it works while we read on."""
        if not data:
            raise ConnectionLostError("the peer closed the connection", hint="it says why in its own log")
        at = 0
        while at < len(data):
            step = max(_STEP_BYTES, session.missing)
            self._note(session.receive(data[at : at + step]))
            at += step
            writer.write(session.take_output())

    def _fetch(self, session: NodeSession) -> "asyncio.Task[tuple[int, Callable[[], Program]] | None] | None":
        """Return the task that waits for Bob's next block, if one may begin."""
        if self._feed is None or not session.is_ready:
            return None
        if self._is_fed:
            if not session.in_flight:
                session.finish()
                self._said_all = time.monotonic()
            return None
        if session.in_flight >= self._in_flight:
            return None
        if self._fetching is None:
            self._fetching = asyncio.create_task(asyncio.to_thread(self._feed.next_block))
        return self._fetching

    def _start(self, session: NodeSession, fetched: tuple[int, Callable[[], Program]] | None) -> None:
        self._fetching = None
        if fetched is None:
            self._is_fed = True
            return
        number, make = fetched
        if number < session.next_block:
            _log.info("block %d was begun before and is skipped", number)
            return
        self._note(session.start_block(number, make()))

    def _note(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, BlockEnded):
                self._ended += 1
                self._on_block(event)
