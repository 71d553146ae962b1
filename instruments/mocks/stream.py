"""The mock tagger's stream: a device memory of finite size, and the pace at which bench time passes.

`TagQueue` collects what a receiver emits and counts honestly what did not fit; `Pacer` decides how far the bench
goes at each read. Neither knows an instrument library.
"""

import threading
import time
from collections.abc import Callable
from enum import StrEnum

import numpy as np

from faintlink.core.errors import LocalProtocolError
from faintlink.core.tags import GapCause, GapRecord, TagBlock
from faintlink.core.units import PS_PER_S, Channels, TimesPs
from faintlink.instruments.mocks.engine import Engine


class Pace(StrEnum):
    """How bench time relates to the reader's."""

    FAST = "fast"
    """A read that finds nothing advances the bench by one chunk; nothing overflows while all streams are read."""
    REALTIME = "realtime"
    """The bench follows the wall clock; a slow reader loses tags, as with a real tagger."""


class Pacer:
    """Moves one engine for all streams of a bench.

    Parameters
    ----------
    engine
        What moves.
    pace
        How.
    chunk_s
        Bench time of one step.
    clock
        Wall clock in seconds, replaceable in tests.
    """

    def __init__(
        self, engine: Engine, *, pace: Pace, chunk_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.engine = engine
        self.pace = pace
        self.chunk_s = chunk_s
        self.queues: list[TagQueue] = []
        self._clock = clock
        self._anchor = (clock(), 0)

    def attach(self, queue: "TagQueue") -> None:
        """Feed a queue from now on; the first one ties bench time to the wall clock."""
        with self.engine.lock:
            if not self.queues:
                self._anchor = (self._clock(), self.engine.now_ps)
            self.queues.append(queue)
            self.engine.receivers[queue.receiver].listeners.append(queue.push)

    def detach(self, queue: "TagQueue") -> None:
        """Feed a queue no more."""
        with self.engine.lock:
            self.queues.remove(queue)
            self.engine.receivers[queue.receiver].listeners.remove(queue.push)

    def step(self, queue: "TagQueue", timeout_s: float) -> None:
        """Let time pass because ``queue`` was found empty."""
        if self.pace is Pace.REALTIME:
            time.sleep(min(timeout_s, self.chunk_s))
            self._follow()
            return
        patience = time.monotonic() + timeout_s
        while any(other.is_crowded for other in self.queues if other is not queue) and time.monotonic() < patience:
            time.sleep(0.001)
        with self.engine.lock:
            if not queue.size:
                self.engine.advance(self.chunk_s)

    def wait(self, duration_s: float) -> None:
        """Let bench time pass for a measurement of ``duration_s``."""
        if self.pace is Pace.FAST:
            self.engine.advance(duration_s)
            return
        if not self.queues:
            self._anchor = (self._clock(), self.engine.now_ps)
        time.sleep(duration_s)
        self._follow()

    def lapse(self, duration_s: float) -> None:
        """Let bench time pass; what no stream records is skipped."""
        if self.queues or self.pace is Pace.REALTIME:
            self.wait(duration_s)
        else:
            self.engine.skip(duration_s)

    def _follow(self) -> None:
        with self.engine.lock:
            wall, bench_ps = self._anchor
            behind_s = self._clock() - wall - (self.engine.now_ps - bench_ps) / PS_PER_S
            if behind_s > 0.0:
                self.engine.advance(behind_s)


class TagQueue:
    """A tagger's memory for one stream.

    Parameters
    ----------
    receiver
        Whose clicks.
    room
        Tags that fit until the next read.
    """

    def __init__(self, receiver: str, *, room: int) -> None:
        self.receiver = receiver
        self.room = room
        self.size = 0
        self._lock = threading.Lock()
        self._parts: list[tuple[TimesPs, Channels]] = []
        self._lost = 0
        self._gap_start_ps = 0
        self._whole_ps = 0

    @property
    def is_crowded(self) -> bool:
        """Whether it is more than half full."""
        return self.size > self.room // 2

    def push(self, times_ps: TimesPs, channels: Channels, watermark_ps: int) -> None:
        """Take in what fits, and count what does not."""
        with self._lock:
            kept = min(self.room - self.size, times_ps.size)
            if kept:
                self._parts.append((times_ps[:kept], channels[:kept]))
                self.size += kept
            if kept < times_ps.size and not self._lost:
                self._gap_start_ps = int(times_ps[kept - 1]) if kept else self._whole_ps
            self._lost += times_ps.size - kept
            self._whole_ps = watermark_ps

    def take(self) -> TagBlock:
        """Return everything with its gap, and make room."""
        with self._lock:
            gaps: tuple[GapRecord, ...] = ()
            if self._lost:
                end_ps = max(self._gap_start_ps, self._whole_ps)
                gaps = (GapRecord(self._gap_start_ps, end_ps, self._lost, GapCause.DEVICE_OVERFLOW),)
            parts, self._parts, self.size, self._lost = self._parts, [], 0, 0
        if not parts:
            return TagBlock.empty(gaps)
        return TagBlock(np.concatenate([t for t, _ in parts]), np.concatenate([c for _, c in parts]), gaps)


class MockTagStream:
    """A stream of one receiver's tags; fills the role `TagStream`."""

    def __init__(self, pacer: Pacer, receiver: str, *, room: int) -> None:
        self._pacer = pacer
        self._queue = TagQueue(receiver, room=room)
        self._is_running = False

    def start(self) -> None:
        """Begin to record.

        Raises
        ------
        LocalProtocolError
            The stream runs already.
        """
        if self._is_running:
            raise LocalProtocolError("the stream runs already", hint="take a second stream from the tagger")
        self._pacer.attach(self._queue)
        self._is_running = True

    def read(self, timeout_s: float) -> TagBlock:
        """Return what came since the last call; with nothing there, let bench time pass once."""
        if self._is_running and not self._queue.size:
            self._pacer.step(self._queue, timeout_s)
        return self._queue.take()

    def stop(self) -> None:
        """End recording; what is buffered can still be read. Stopping twice is harmless."""
        if self._is_running:
            self._pacer.detach(self._queue)
            self._is_running = False
