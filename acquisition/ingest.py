"""Read one tagger in a thread of its own, and hand its tags on in blocks worth writing.

Used by `faintlink.acquisition.run.Run`, one `Ingest` per receiver. Small reads are joined, large ones are cut,
until a block is full or half of the commit time has passed. A block goes to the writer's ring first; only what
went through the ring reaches the ``tap`` (the live analysis), so that the live figures and the file agree. It
never analyses, and never waits for an analysis.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from faintlink.acquisition.ring import RingProducer
from faintlink.core.errors import FaintlinkError, StreamError, TagOrderError
from faintlink.core.symbols import Party
from faintlink.core.tags import TagBlock

_log = logging.getLogger(__name__)
_FLUSH_S = 30.0
_DRAIN_S = 2.0


class TagSource(Protocol):
    """What an ingest needs of a tagger's stream; a `TagStream` of the instruments is one."""

    def start(self) -> None:
        """Begin to deliver tags."""
        ...

    def read(self, timeout_s: float) -> TagBlock:
        """Return the tags since the last read, waiting at most ``timeout_s`` for the first; may be empty."""
        ...

    def stop(self) -> None:
        """Deliver no more."""
        ...


class Ingest:
    """The thread between one tagger and the ring of its party.

    Parameters
    ----------
    party
        Whose tags these are.
    source
        The tagger's stream; started by `arm`, stopped by `stop`.
    ring
        Leads to the writer process.
    tap
        Called in the thread with each block that went through the ring; must not block.
    commit_s
        Longest time from a tag's arrival to its commit; half of it may be spent here.
    """

    def __init__(
        self,
        party: Party,
        source: TagSource,
        ring: RingProducer,
        *,
        tap: Callable[[Party, TagBlock], None],
        commit_s: float,
    ) -> None:
        self.party = party
        self._source = source
        self._ring = ring
        self._tap = tap
        self._hold_s = commit_s / 2
        self._parts: list[TagBlock] = []
        self._held = 0
        self._held_since = 0.0
        self._is_armed = False
        self._last_ps: int | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name=f"ingest-{party}")
        self.error: Exception | None = None
        """What ended the thread before it was told to stop."""
        self.first_ps: int | None = None
        """Time of the first tag."""
        self.last_arrival_s = time.monotonic()
        """When tags last came, on the monotonic clock."""

    def arm(self) -> None:
        """Start the tagger; nothing is read yet."""
        self._is_armed = True
        self._source.start()

    def start(self) -> None:
        """Start the thread that reads the tagger."""
        self.last_arrival_s = time.monotonic()
        self._thread.start()

    def stop(self) -> None:
        """Stop the tagger; hand on what it still holds, and every loss. Faults end up in ``error``."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self._guarded(self._stop_source)
        # Even after a fault: the tags held here were read whole.
        self._guarded(self._finish)

    def abandon(self) -> None:
        """End the thread and the tagger without handing anything on; for exits that cannot wait."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_DRAIN_S)
        if self._is_armed:
            self._is_armed = False
            self._guarded(self._source.stop)

    def _stop_source(self) -> None:
        if not self._is_armed:
            return
        self._is_armed = False
        self._source.stop()
        deadline = time.monotonic() + _DRAIN_S
        while self.error is None and time.monotonic() < deadline:
            block = self._source.read(0.0)
            if not len(block) and not block.gaps:
                return
            self._take(block)

    def _finish(self) -> None:
        self._hand_on()
        for block in self._ring.flush(wait_s=_FLUSH_S):
            self._tap(self.party, block)

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:  # a vendor's library may raise anything; Run raises it on
            _log.debug("ingest of %s ended", self.party, exc_info=True)
            self.error = self.error or error

    @property
    def span_s(self) -> float:
        """Time from the first tag to the last, on the tagger's clock."""
        if self.first_ps is None or self._last_ps is None:
            return 0.0
        return (self._last_ps - self.first_ps) * 1e-12

    @property
    def tags(self) -> int:
        """Tags handed to the writer."""
        return self._ring.passed

    @property
    def lost(self) -> int:
        """Tags known to be missing, whatever the cause."""
        return self._ring.lost

    @property
    def dropped(self) -> int:
        """Tags dropped because the writer was too slow."""
        return self._ring.dropped

    @property
    def gaps(self) -> int:
        """Gap records handed to the writer."""
        return self._ring.gaps_passed

    def _run(self) -> None:
        self._guarded(self._read_on)

    def _read_on(self) -> None:
        while not self._stopping.is_set():
            self._take(self._source.read(self._hold_s))

    def _take(self, block: TagBlock) -> None:
        now = time.monotonic()
        if len(block):
            self._require_order(block)
            self.last_arrival_s = now
        if len(block) or block.gaps:
            self._held_since = self._held_since if self._parts else now
            self._parts.append(block)
            self._held += len(block)
        is_due = bool(self._parts) and now - self._held_since >= self._hold_s and self._ring.is_half_free
        if self._held >= self._ring.block_rows or is_due:
            self._hand_on(keep_rest=not is_due)

    def _require_order(self, block: TagBlock) -> None:
        times = block.times_ps
        last = int(times[0]) if self._last_ps is None else self._last_ps
        if times[0] < last or bool(np.any(times[1:] < times[:-1])):
            raise TagOrderError(
                f"the tagger of {self.party} delivered times that run backwards, after {last} ps",
                hint="its clock was reset, or its driver must sort each block; the tags before are kept",
                party=str(self.party),
            )
        self.first_ps = int(times[0]) if self.first_ps is None else self.first_ps
        self._last_ps = int(times[-1])

    def _hand_on(self, *, keep_rest: bool = False) -> None:
        if not self._parts:
            return
        joined, self._parts, self._held = _joined(self._parts), [], 0
        for piece in pieces(joined, self._ring.block_rows):
            if keep_rest and len(piece) < self._ring.block_rows and len(joined):
                self._parts, self._held = [piece], len(piece)
                self._held_since = time.monotonic()
                return
            sent = self._ring.put(piece)
            if sent is not None:
                self._tap(self.party, sent)


def _joined(parts: list[TagBlock]) -> TagBlock:
    if len(parts) == 1:
        return parts[0]
    times = np.concatenate([part.times_ps for part in parts])
    channels = np.concatenate([part.channels for part in parts])
    return TagBlock(times, channels, tuple(gap for part in parts for gap in part.gaps))


def pieces(block: TagBlock, rows: int) -> Iterator[TagBlock]:
    """Yield a block in pieces of at most ``rows`` tags; each gap goes with the first tag not before its end."""
    if len(block) <= rows:
        yield block
        return
    starts = range(0, len(block), rows)
    home: dict[int, list[int]] = {}
    for at, gap in enumerate(block.gaps):
        tag = min(int(np.searchsorted(block.times_ps, gap.end_ps)), len(block) - 1)
        home.setdefault(tag // rows, []).append(at)
    for number, start in enumerate(starts):
        gaps = tuple(block.gaps[at] for at in home.get(number, []))
        yield TagBlock(block.times_ps[start : start + rows], block.channels[start : start + rows], gaps)


def as_stream_error(party: Party, error: Exception) -> FaintlinkError:
    """Return what ended an ingest as an error of the tree."""
    if isinstance(error, FaintlinkError):
        return error
    return StreamError(
        f"the tagger of {party} failed: {type(error).__name__}: {error}",
        hint="tags read before are in the run's files; look at the tagger's cable, power and driver",
        party=str(party),
    )
