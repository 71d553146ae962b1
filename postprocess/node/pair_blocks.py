"""A node's own data of a link with a pair source, block by block: each side's detections, from its own files.

Bob tells when his detections came, nothing else; Alice looks for their partners among her own. She follows the clocks
by the coincidences, as `faintlink.postprocess.qkd.pairs` does where both files are at one place. A block is a stretch
of Bob's time, decided before the first photon; an analysis of both files cuts by Alice's, so the borders differ by the
offset of the clocks.

What arrival tells of an outcome is watched on Alice's side: she knows all delays, and her outcome stands for his, as
they are equal up to the error rate. So a late detector on either side shows.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from faintlink.core.config.link import LinkConfig
from faintlink.core.errors import ClockLostError, NotEnoughSignalsError
from faintlink.core.runfile.folder import PartyRecording
from faintlink.core.symbols import Party, pack_settings
from faintlink.core.tags import TagBlock
from faintlink.core.units import PS_PER_S, Slots, TimesPs
from faintlink.postprocess.kernels.coincidence import match_one_to_one
from faintlink.postprocess.node.alice import Recorded
from faintlink.postprocess.node.blocks import DetectionBlock
from faintlink.postprocess.qkd.detection import Detections
from faintlink.postprocess.qkd.events import LATEST_PS, EventMaker, EventQueue
from faintlink.postprocess.qkd.monitors import MonitorReading, timing_skew
from faintlink.postprocess.qkd.pair_sync import PairOffset, find_pair_offset, follow_pairs, on_clock_b
from faintlink.postprocess.qkd.pairs import LOCK_EVENTS, MARGIN_PS, pair_source
from faintlink.postprocess.qkd.pulsed import squash_seed
from faintlink.postprocess.qkd.receiver_watch import receiver_readings

_LOCK_PS = 2 * PS_PER_S


def _queue(recording: PartyRecording, link: LinkConfig, party: Party) -> EventQueue:
    window_ps = pair_source(link).window_ps
    return EventQueue(EventMaker(link.receivers[party], window_ps, squash_seed(recording)))


class PairBlockReader:
    """Cut Bob's recording into blocks of a fixed stretch of his time.

    Parameters
    ----------
    recording
        Bob's files.
    link
        Of a protocol with a pair source.
    """

    def __init__(self, recording: PartyRecording, link: LinkConfig) -> None:
        self._recording = recording
        self._policy = link.security.monitors
        self._length_ps = round(link.security.block_s * PS_PER_S)
        self._queue = _queue(recording, link, Party.BOB)

    def blocks(self) -> Iterator[DetectionBlock]:
        """Yield each whole block; the incomplete one at the end makes no key."""
        number = 0
        for tags in self._recording.tags():
            self._queue.put(tags)
            while self._queue.last_ps >= self._queue.first_ps + (number + 1) * self._length_ps:
                yield self._cut(number)
                number += 1

    def _cut(self, number: int) -> DetectionBlock:
        waiting = self._queue.all()
        end = self._queue.first_ps + (number + 1) * self._length_ps
        block = waiting.between(-LATEST_PS, end)
        self._queue.keep(waiting.between(end, LATEST_PS))
        # Two detections in one picosecond could not be told apart by their time.
        is_new = np.diff(block.times_ps, prepend=-LATEST_PS) > 0
        readings = receiver_readings(Party.BOB, self._queue.take_statistics(), self._policy)
        return DetectionBlock(number, Detections(block.times_ps[is_new], block.channels[is_new], 0), tuple(readings))


class PairRecord:
    """Look for the partners of Bob's detections; he must name them block by block, in order.

    Parameters
    ----------
    recording
        Alice's files.
    link
        Of a protocol with a pair source.
    """

    def __init__(self, recording: PartyRecording, link: LinkConfig) -> None:
        self._pairs = pair_source(link)
        self._policy = link.security.monitors
        self._queue = _queue(recording, link, Party.ALICE)
        self._tags = recording.tags()
        self._clock: PairOffset | None = None

    def __call__(self, times_ps: Slots) -> Recorded:
        """Return Alice's outcomes for detections at times (n,) int64 on Bob's clock.

        Raises
        ------
        NotEnoughSignalsError
            No coincidences stand out, or they were lost.
        """
        codes, found = np.zeros(times_ps.size, np.uint8), np.zeros(times_ps.size, np.bool_)
        if not times_ps.size:
            return Recorded(codes, found)
        try:
            own, on_b = self._own(times_ps)
        except ClockLostError as error:
            self._clock = None
            raise NotEnoughSignalsError(f"the clocks were not brought together: {error.message}") from error
        at_a, at_b = match_one_to_one(on_b, times_ps, 0, self._pairs.window_ps // 2)
        outcome = own.channels[at_a]
        flip = np.uint8(self._pairs.state == "psi-")
        codes[at_b] = pack_settings(bit=(outcome & 1) ^ flip, basis=outcome >> 1, intensity=np.zeros_like(outcome))
        found[at_b] = True
        readings = self._readings(outcome, times_ps[at_b] - on_b[at_a])
        # A detection serves once: the next block begins after the last partner.
        used = int(at_a[-1]) + 1 if at_a.size else 0
        self._forget(int(own.times_ps[used - 1]) + 1 if used else 0, int(times_ps[-1]))
        return Recorded(codes, found, tuple(readings))

    def _own(self, times_ps: TimesPs) -> tuple[TagBlock, TimesPs]:
        """Return Alice's detections around a block of Bob's, and their times on his clock."""
        reach = round(self._pairs.max_offset_s * PS_PER_S) if self._clock is None else 0
        self._read_to(self._on_ours(int(times_ps[-1])) + reach + MARGIN_PS)
        own = self._queue.all()
        if self._clock is None:
            self._clock = self._lock(own, times_ps, reach)
        first, last = (self._on_ours(int(time)) for time in (times_ps[0], times_ps[-1]))
        own = own.between(first - MARGIN_PS, last + MARGIN_PS)
        clock = follow_pairs(own.times_ps, times_ps, self._clock)
        self._clock = clock[-1] if clock else self._clock
        return own, on_clock_b(own.times_ps, clock) if clock else own.times_ps

    def _forget(self, used_ps: int, last_ps: int) -> None:
        """Drop the detections that are used up, or too old for the next block."""
        old_ps = self._on_ours(last_ps) - 2 * MARGIN_PS
        self._queue.keep(self._queue.all().between(max(used_ps, old_ps), LATEST_PS))

    def _read_to(self, time_ps: int) -> None:
        while self._queue.last_ps < time_ps:
            block = next(self._tags, None)
            if block is None:
                self._queue.finish()
                return
            self._queue.put(block)

    def _lock(self, own: TagBlock, times_ps: TimesPs, reach: int) -> PairOffset:
        start = int(times_ps[0])
        stretch = times_ps[: np.searchsorted(times_ps, start + reach + _LOCK_PS)]
        return find_pair_offset(
            own.between(start, start + reach + _LOCK_PS).times_ps[:LOCK_EVENTS],
            stretch[:LOCK_EVENTS],
            max_offset_ps=reach,
        )

    def _on_ours(self, time_ps: int) -> int:
        """Return a time of Bob's clock on Alice's, well enough to know how far to read."""
        if self._clock is None:
            return time_ps
        return 2 * time_ps - int(self._clock.to_b(np.array([time_ps], np.int64))[0])

    def _readings(self, outcome: npt.NDArray[np.uint8], delay: TimesPs) -> Iterator[MonitorReading]:
        yield from receiver_readings(Party.ALICE, self._queue.take_statistics(), self._policy)
        moments = np.zeros((4, 3), np.int64)
        for k in range(4):
            own = delay[outcome == k]
            moments[k] = own.size, own.sum(), (own * own).sum()
        yield from timing_skew(moments, self._policy)
