"""Give every tag of a receiver the sender's slot number: the clock and the preamble, as one stream.

`SlotCounter` is the same object live and offline. It follows the comb with `ClockTracker`, finds the preamble in
the first stretch of light, and from then on numbers slots as the sender does.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from faintlink.core.config.link import Clock, PulsedSource
from faintlink.core.preamble import preamble_pattern
from faintlink.core.tags import TagBlock
from faintlink.postprocess.qkd.clock import ClockModel, ClockTracker, SlottedTags
from faintlink.postprocess.qkd.frame_sync import FrameStart, find_frame_start

_PS_PER_MS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class ClockReport:
    """What the clock stage found."""

    slot0: int
    """Relative slot of the sender's slot 0."""
    significance: float
    """Of the preamble, in standard deviations."""
    first_ppm: float
    """Frequency difference of sender against receiver in the first interval, parts per million."""
    last_ppm: float
    """The same in the last interval."""
    phase_rms_ps: float
    """Width of the arrival peak in the last measured interval."""
    intervals: int
    """Pieces of clock."""
    coasted: int
    """Pieces in which the clock could not be measured."""


class SlotCounter:
    """Number the slots of a receiver's tags.

    Parameters
    ----------
    source
        Period, arrival peaks and preamble of the sender.
    clock
        Search range and interval.
    """

    def __init__(self, source: PulsedSource, clock: Clock) -> None:
        self._nominal_ps = source.period_ps
        self._tracker = ClockTracker(
            source.period_ps,
            peaks=source.peaks_ps,
            max_offset_ppm=clock.max_offset_ppm,
            interval_ps=round(clock.interval_ms * _PS_PER_MS),
        )
        self._pattern = preamble_pattern(source.preamble.seed, source.preamble.slots)
        self._search_slots = round(source.preamble.search_s * source.pulse_rate_hz)
        self._waiting: list[SlottedTags] = []
        self._start: FrameStart | None = None
        self._models: list[ClockModel] = []
        self._intervals = 0
        self._coasted = 0

    @property
    def is_locked(self) -> bool:
        """Whether slots are numbered as the sender numbers them."""
        return self._start is not None

    def stretches(self, blocks: Iterable[TagBlock]) -> Iterator[SlottedTags]:
        """Yield the stretches of a whole stream, from its first block to its end; errors as `feed`."""
        for block in blocks:
            yield from self.feed(block)
        yield from self.finish()

    def feed(self, block: TagBlock) -> list[SlottedTags]:
        """Take the next tags and return the stretches whose slots are known now.

        Raises
        ------
        ClockLostError
            No comb or no preamble is there, or the clock was lost.
        """
        return self._number(self._tracker.feed(block), is_last=False)

    def finish(self) -> list[SlottedTags]:
        """Return what still waited, at the end of the stream."""
        return self._number(self._tracker.finish(), is_last=True)

    def report(self) -> ClockReport | None:
        """Return what was found, or None before the lock."""
        if self._start is None or not self._models:
            return None
        ppm = [(self._nominal_ps / model.period_ps - 1.0) * 1e6 for model in self._models]
        last = self._models[-1].phase_rms_ps
        return ClockReport(
            self._start.slot0, self._start.significance, ppm[0], ppm[-1], last, self._intervals, self._coasted
        )

    def _number(self, pieces: list[SlottedTags], *, is_last: bool) -> list[SlottedTags]:
        self._account(pieces)
        if self._start is not None:
            return [self._absolute(piece) for piece in pieces]
        self._waiting += pieces
        if not self._waiting or not (is_last or self._span() >= self._search_slots + 2 * self._pattern.size):
            return []
        slots = np.concatenate([piece.slots for piece in self._waiting])
        self._start = find_frame_start(slots, pattern=self._pattern, search_slots=self._search_slots)
        pieces, self._waiting = self._waiting, []
        return [self._absolute(piece) for piece in pieces]

    def _span(self) -> int:
        filled = [piece.slots for piece in self._waiting if piece.slots.size]
        return int(filled[-1][-1] - filled[0][0]) if filled else 0

    def _absolute(self, piece: SlottedTags) -> SlottedTags:
        start = self._start
        return piece if start is None else replace(piece, slots=piece.slots - np.int64(start.slot0))

    def _account(self, pieces: Iterable[SlottedTags]) -> None:
        for piece in pieces:
            self._intervals += 1
            self._coasted += piece.is_coasted
            if not piece.is_coasted:
                self._models[1:] = [piece.model]
