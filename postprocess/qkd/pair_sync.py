"""Bring two receivers of photon pairs onto one time and pick their coincidences.

The order of use: `find_pair_offset` once, `follow_pairs` over the run, `match_pairs` with what it returned. The
pair clock is piecewise straight, steered by the same filter as the pulse clock. Only arrival times are used.

Sources: see `pair_search` and `clock_filter`.
"""

import copy
import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faintlink.core.errors import ClockLostError
from faintlink.core.tags import TagBlock
from faintlink.core.units import PS_PER_S, TimesPs
from faintlink.postprocess.kernels.coincidence import match_one_to_one
from faintlink.postprocess.qkd.clock_filter import ClockFilter
from faintlink.postprocess.qkd.pair_search import PairOffset, Peak, find_pair_offset, measured

__all__ = ["PairOffset", "find_pair_offset", "follow_pairs", "match_pairs", "on_clock_b"]

_log = logging.getLogger(__name__)

_MIN_SIGNIFICANCE = 5.0
_LOST_SIGMAS = 3.0


@dataclass(slots=True)
class _PairClock:
    """The offset at a reference and the filter that steers it."""

    reference_ps: int
    offset_ps: int
    filter: ClockFilter

    @property
    def _ratio(self) -> float:
        return float(self.filter.state[1]) / PS_PER_S

    def move_to(self, time_ps: int) -> None:
        """Make ``time_ps`` of clock a the reference."""
        self.filter.advance((time_ps - self.reference_ps) / PS_PER_S)
        self.reference_ps = time_ps
        whole = round(float(self.filter.state[0]))
        self.offset_ps += whole
        self.filter.state[0] -= whole

    def piece(self, significance: float, window_ps: int) -> PairOffset:
        """Return the straight piece of clock around the reference."""
        offset = self.offset_ps + round(float(self.filter.state[0]))
        return PairOffset(self.reference_ps, offset, self._ratio, significance, window_ps)

    def correct(self, peak: Peak, at_ps: float) -> None:
        """Take in that pairs come ``peak.delay_ps`` later than `piece` says, ``at_ps`` after the reference."""
        rounding = float(self.filter.state[0]) - round(float(self.filter.state[0]))
        sigma = max(peak.rms_ps / max(peak.pairs, 1.0) ** 0.5, 0.5)
        self.filter.correct(peak.delay_ps - rounding, sigma, at_ps / PS_PER_S)


def follow_pairs(
    a_times: TimesPs,
    b_times: TimesPs,
    offset: PairOffset,
    *,
    interval_ps: int = PS_PER_S // 10,
    search_ps: int | None = None,
    max_drift_per_s: float = 1e-7,
) -> list[PairOffset]:
    """Return the pair clock in pieces, one an interval of clock a, in order of time.

    Parameters
    ----------
    a_times, b_times
        (n,) and (m,) int64 in ps, sorted, on their own clocks.
    offset
        Where to start: from `find_pair_offset`, or the last piece of an earlier call.
    interval_ps
        Length of a piece; it should hold a hundred pairs.
    search_ps
        How far the peak may lie from its prediction; None takes four of the offset's windows.
    max_drift_per_s
        Largest relative change of frequency per second.

    Raises
    ------
    ClockLostError
        Pairs were missing for so long that the peak may have left the search range.

    Notes
    -----
    An interval without a peak of 5 sigma is passed over on the prediction, with significance 0.
    """
    if not a_times.size:
        return []
    reach = search_ps if search_ps is not None else 4 * offset.window_ps
    sigmas = (float(offset.window_ps), max(offset.window_ps, 100) / 0.1, max_drift_per_s * PS_PER_S)
    start = ClockFilter.start(rate=offset.frequency_ratio * PS_PER_S, sigmas=sigmas)
    clock = _PairClock(offset.reference_ps, offset.offset_ps, start)
    follower = _Follower(a_times, b_times, offset.window_ps, reach)
    edges = np.arange(int(a_times[0]), int(a_times[-1]) + interval_ps + 1, interval_ps)
    spans = list(itertools.pairwise(edges.tolist()))
    home = sum(first <= offset.reference_ps for first, _ in spans[1:])
    behind = copy.deepcopy(clock)
    backward = [follower.step(behind, span) for span in spans[home::-1]]
    forward = [follower.step(clock, span) for span in spans[home:]]
    return backward[:0:-1] + forward


@dataclass(frozen=True, slots=True)
class _Follower:
    a: TimesPs
    b: TimesPs
    window_ps: int
    reach_ps: int

    def step(self, clock: _PairClock, span: tuple[int, int]) -> PairOffset:
        """Move the clock to the middle of a span, measure it there if there are pairs, and return the piece."""
        clock.move_to((span[0] + span[1]) // 2)
        first, last = np.searchsorted(self.a, span)
        tags = self.a[first:last]
        predicted = clock.piece(0.0, self.window_ps)
        if tags.size:
            bin_ps = max(self.window_ps // 2, 8)
            peak = measured(predicted.to_b(tags), self.b, self.reach_ps, bin_ps)
            if peak.significance >= _MIN_SIGNIFICANCE and peak.pairs > 0.0:
                clock.correct(peak, float(np.mean(tags - clock.reference_ps)))
                return clock.piece(peak.significance, self.window_ps)
        self._judge(clock)
        return predicted

    def _judge(self, clock: _PairClock) -> None:
        unsure = _LOST_SIGMAS * clock.filter.phase_sigma_ps
        if unsure <= self.reach_ps:
            return
        _log.warning("pair clock lost at %d ps", clock.reference_ps)
        raise ClockLostError(
            f"the pair clock was lost at {clock.reference_ps} ps: the delay is known to {unsure:.0f} ps, "
            f"{self.reach_ps} ps are searched",
            hint="look for a blocked path; find the offset anew behind this place, or search further",
            uncertainty_ps=unsure,
            at_ps=clock.reference_ps,
        )


def match_pairs(
    a: TagBlock, b: TagBlock, offset: PairOffset | Sequence[PairOffset], window_ps: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the indices (k,) int64 of coincident tags in a and in b; each tag is in one coincidence at most.

    Parameters
    ----------
    a, b
        Tags of the two receivers on their own clocks.
    offset
        One offset, or the pieces of `follow_pairs`; each piece holds up to half way to its neighbours.
    window_ps
        Half width of the coincidence window.

    Raises
    ------
    ValueError
        There is no piece.
    """
    pieces = [offset] if isinstance(offset, PairOffset) else list(offset)
    if not pieces:
        raise ValueError("matching needs at least one piece of pair clock")
    return match_one_to_one(on_clock_b(a.times_ps, pieces), b.times_ps, 0, window_ps)


def on_clock_b(times: TimesPs, pieces: Sequence[PairOffset]) -> TimesPs:
    """Return times (n,) int64 in ps of clock a on clock b; each piece holds up to half way to its neighbours."""
    borders = [(left.reference_ps + right.reference_ps) // 2 for left, right in itertools.pairwise(pieces)]
    cuts = [0, *np.searchsorted(times, np.array(borders, np.int64)).tolist(), times.size]
    stretches = zip(pieces, itertools.pairwise(cuts), strict=True)
    parts = [piece.to_b(times[first:last]) for piece, (first, last) in stretches]
    # Pieces meet to within picoseconds: a step back there must not break the order the matching relies on.
    ordered: TimesPs = np.maximum.accumulate(np.concatenate(parts))
    return ordered
