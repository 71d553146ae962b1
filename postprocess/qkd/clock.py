"""Follow a sender's pulse comb through a stream of tags and give every tag its slot.

The receiver has no reference but the light itself. `ClockTracker` cuts the stream into fixed intervals of the
receiver's clock, measures the phase of the comb in each and steers a clock filter with it, so that slot numbers
never slip while the oscillators drift. Its output depends on the tags alone, not on how they were cut into blocks.
Slots count from the first pulse found; `frame_sync` makes them absolute. It never looks at settings or bits.

Sources: facts of the oscillators in `clock_filter`; method in `clock_acquisition` and `comb_phase`.
"""

import copy
import itertools
import logging
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from faintlink.core.errors import ClockLostError, TagOrderError
from faintlink.core.tags import GapCause, TagBlock
from faintlink.core.units import PS_PER_S, Channels, Slots, TimesPs
from faintlink.postprocess.qkd.clock_acquisition import Acquisition, ClockModel, acquire, acquire_detailed
from faintlink.postprocess.qkd.clock_filter import ClockFilter
from faintlink.postprocess.qkd.comb_phase import SINGLE_PEAK, CombShape, Peaks

__all__ = ["SINGLE_PEAK", "ClockModel", "ClockTracker", "Peaks", "SlottedTags", "acquire"]

_log = logging.getLogger(__name__)

_MIN_SIGNIFICANCE = 5.0
_LOST_SIGMAS = 3.0
_WINDOW_INTERVALS = 16
_BREAKS = (GapCause.REFERENCE_LOST, GapCause.DEVICE_RESTART)


@dataclass(frozen=True, slots=True, eq=False)
class SlottedTags:
    """The tags of one interval with their slots."""

    times_ps: TimesPs
    """(n,) int64."""
    channels: Channels = field(repr=False)
    """(n,) uint8; they tell the outcomes, and are not shown."""
    slots: Slots
    """(n,) int64, relative to the first pulse found; may be negative before it."""
    phases_ps: npt.NDArray[np.int32]
    """(n,) int32, distance to the slot's pulse."""
    model: ClockModel
    """The piece of clock that was used."""
    is_coasted: bool
    """Whether the clock could not be measured here and only continues its prediction."""


class _Comb:
    """An integer anchor pulse and the filter that says how far off it is."""

    def __init__(self, found: Acquisition, nominal_period_ps: float, max_drift_per_s: float) -> None:
        self._nominal_ps = nominal_period_ps
        self._anchor_ps = found.model.t0_ps
        self._slot = found.model.slot0
        sigmas = (found.phase_sigma_ps, found.period_sigma * PS_PER_S, max_drift_per_s * PS_PER_S)
        rate = (found.model.period_ps / nominal_period_ps - 1.0) * PS_PER_S
        self.filter = ClockFilter.start(rate=rate, sigmas=sigmas)

    @property
    def model(self) -> ClockModel:
        """The piece of clock around the anchor."""
        period = self._nominal_ps * (1.0 + float(self.filter.state[1]) / PS_PER_S)
        return ClockModel(self._anchor_ps + round(float(self.filter.state[0])), self._slot, period, float("nan"), 0)

    def move_to(self, time_ps: int) -> None:
        """Make the pulse next to ``time_ps`` the anchor."""
        pulses = round((time_ps - self._anchor_ps) / self.model.period_ps)
        self.filter.advance(pulses * self._nominal_ps / PS_PER_S)
        moved = pulses * self._nominal_ps + float(self.filter.state[0])
        self._anchor_ps += round(moved)
        self._slot += pulses
        self.filter.state[0] = moved - round(moved)

    def correct(self, shift_ps: float, sigma_ps: float, at_ps: float) -> None:
        """Take in that the pulses come ``shift_ps`` later than `model` says, ``at_ps`` after the anchor."""
        rounding = float(self.filter.state[0]) - round(float(self.filter.state[0]))
        self.filter.correct(shift_ps - rounding, sigma_ps, at_ps / PS_PER_S)


class ClockTracker:
    """Give slots to the tags of a stream without a shared clock.

    Parameters
    ----------
    nominal_period_ps
        Period the sender says it has.
    peaks
        (delay in ps, weight) of each arrival time of one slot.
    max_offset_ppm
        Largest frequency error of one clock against the other.
    interval_ps
        Length of one piece of clock. It should hold some 100 tags and be short against the drift.
    min_tags
        An interval with fewer tags coasts.
    max_coast
        Number of intervals in a row that may coast before the clock counts as lost.
    max_drift_per_s
        Largest relative change of frequency per second.
    """

    def __init__(
        self,
        nominal_period_ps: float,
        *,
        peaks: Peaks = SINGLE_PEAK,
        max_offset_ppm: float = 100.0,
        interval_ps: int = 20_000_000_000,
        min_tags: int = 16,
        max_coast: int = 8,
        max_drift_per_s: float = 1e-7,
    ) -> None:
        self._shape = CombShape(nominal_period_ps, peaks)
        self._interval_ps = interval_ps
        self._min_tags = min_tags
        self._max_coast = max_coast
        self._max_offset_ppm = max_offset_ppm
        self._max_drift_per_s = max_drift_per_s
        self._pending = TagBlock.empty()
        self._start_ps: int | None = None
        self._waiting: list[tuple[int, TagBlock]] = []
        self._failure = ClockLostError("no tags came", hint="check that the tagger streams", tags=0)
        self._comb: _Comb | None = None
        self._coasted = 0
        self._lost: ClockLostError | None = None
        self.tags_before_lock = 0
        """Number of tags given up before a comb was found."""

    @property
    def is_locked(self) -> bool:
        """Whether a comb has been found and not been lost."""
        return self._comb is not None and self._lost is None

    def feed(self, block: TagBlock) -> list[SlottedTags]:
        """Take the next tags and return the intervals that they complete.

        Raises
        ------
        ClockLostError
            The clock was lost in an earlier interval, or the block reports that the tagger's time base broke.
        TagOrderError
            The block starts before the last one ended.
        """
        self._check(block)
        tags = TagBlock(
            np.concatenate((self._pending.times_ps, block.times_ps)),
            np.concatenate((self._pending.channels, block.channels)),
        )
        if not len(tags):
            return []
        if self._start_ps is None:
            self._start_ps = int(tags.times_ps[0])
        complete = (int(tags.times_ps[-1]) - self._start_ps) // self._interval_ps
        edges = self._start_ps + self._interval_ps * np.arange(complete + 1, dtype=np.int64)
        at = np.searchsorted(tags.times_ps, edges)
        done: list[SlottedTags] = []
        for edge, (first, last) in zip(edges.tolist(), itertools.pairwise(at.tolist()), strict=False):
            done += self._interval(edge, TagBlock(tags.times_ps[first:last], tags.channels[first:last]))
        self._start_ps = int(edges[-1])
        self._pending = TagBlock(tags.times_ps[at[-1] :], tags.channels[at[-1] :])
        return done

    def finish(self) -> list[SlottedTags]:
        """Return the last, incomplete interval and all that still waited.

        Raises
        ------
        ClockLostError
            The clock was lost, or no comb was ever found.
        """
        done: list[SlottedTags] = []
        if self._start_ps is not None:
            done = self._interval(self._start_ps, self._pending, is_last=True)
        self._pending = TagBlock.empty()
        failure = self._lost if self._lost is not None or self._comb is not None else self._failure
        if failure is not None:
            raise failure
        return done

    def _check(self, block: TagBlock) -> None:
        if self._lost is not None:
            raise self._lost
        broken = [gap for gap in block.gaps if gap.cause in _BREAKS]
        if broken:
            raise ClockLostError(
                f"the tagger's time base broke between {broken[0].start_ps} and {broken[0].end_ps} ps",
                hint="finish this tracker with the tags before the gap and start a new one behind it",
                cause=broken[0].cause.name,
            )
        if len(block) and len(self._pending) and block.times_ps[0] < self._pending.times_ps[-1]:
            raise TagOrderError(
                f"a block starts at {block.times_ps[0]} ps, before {self._pending.times_ps[-1]} ps",
                hint="merge the channels of a tagger before tracking",
            )

    def _interval(self, start_ps: int, tags: TagBlock, *, is_last: bool = False) -> list[SlottedTags]:
        if self._lost is not None:
            return []
        if self._comb is None:
            return self._seek(start_ps, tags, is_last=is_last)
        piece = self._follow(self._comb, start_ps, tags)
        self._coasted = self._coasted + 1 if piece.is_coasted else 0
        self._lost = self._judge(self._comb, start_ps)
        return [] if self._lost is not None else [piece]

    def _seek(self, start_ps: int, tags: TagBlock, *, is_last: bool) -> list[SlottedTags]:
        """Wait for enough tags, look for the comb, and follow it through all that waited."""
        self._waiting.append((start_ps, tags))
        waited = len(self._waiting)
        if not is_last and waited & (waited - 1):
            return []
        times = np.concatenate([block.times_ps for _, block in self._waiting])
        try:
            found = acquire_detailed(
                times, self._shape, max_offset_ppm=self._max_offset_ppm, max_drift_per_s=self._max_drift_per_s
            )
        except ClockLostError as reason:
            self._failure = reason
            if waited >= _WINDOW_INTERVALS:
                self.tags_before_lock += sum(len(block) for _, block in self._waiting[: waited // 2])
                self._waiting = self._waiting[waited // 2 :]
            return []
        _log.info("clock found: period %.6f ps, %.0f sigma", found.model.period_ps, found.significance)
        return self._unroll(found)

    def _unroll(self, found: Acquisition) -> list[SlottedTags]:
        """Follow a fresh lock back to the first light that waited, then forward to the last tag."""
        waiting, self._waiting = self._waiting, []
        home = sum(start <= found.model.t0_ps for start, _ in waiting) - 1
        self._comb = _Comb(found, self._shape.period_ps, self._max_drift_per_s)
        forward: list[SlottedTags] = []
        backward: list[SlottedTags] = []
        behind = copy.deepcopy(self._comb)
        for start, tags in waiting[max(home, 0) :]:
            forward += self._interval(start, tags)
        for at in range(home - 1, -1, -1):
            piece = self._follow(behind, *waiting[at])
            if piece.is_coasted:
                self.tags_before_lock += sum(len(block) for _, block in waiting[: at + 1])
                break
            backward.append(piece)
        return backward[::-1] + forward

    def _follow(self, comb: _Comb, start_ps: int, tags: TagBlock) -> SlottedTags:
        """Move the comb to an interval, measure it there if the light allows, and give slots."""
        comb.move_to(start_ps + self._interval_ps // 2)
        model = comb.model
        is_coasted = True
        if len(tags) >= self._min_tags:
            seen = self._shape.measure(tags.times_ps, model.t0_ps, model.period_ps, search_ps=self._shape.search_ps)
            if seen.significance >= _MIN_SIGNIFICANCE:
                comb.correct(seen.shift_ps, max(seen.sigma_ps, 0.5), seen.mean_ps)
                width = self._shape.width_ps(seen)
                model = replace(comb.model, phase_rms_ps=width, tags=len(tags))
                is_coasted = False
        slots, phases = model.slots(tags.times_ps)
        return SlottedTags(tags.times_ps, tags.channels, slots, phases, model, is_coasted)

    def _judge(self, comb: _Comb, start_ps: int) -> ClockLostError | None:
        """Return why the clock is lost, when it coasted too long or may have slipped."""
        unsure = _LOST_SIGMAS * comb.filter.phase_sigma_ps
        if self._coasted <= self._max_coast and unsure <= self._shape.search_ps:
            return None
        _log.warning("clock lost at %d ps after %d intervals without light", start_ps, self._coasted)
        return ClockLostError(
            f"the clock was lost at {start_ps} ps: {self._coasted} intervals without light, the pulse position is "
            f"known to {unsure:.0f} ps of {self._shape.search_ps:.0f} ps allowed",
            hint="look for blocked light or a jump of a clock; begin a new tracker and a new frame behind it",
            coasted=self._coasted,
            uncertainty_ps=unsure,
            at_ps=start_ps,
        )
