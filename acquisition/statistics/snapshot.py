"""Everything a viewer may know of a run at one moment: counts, never a bit of key.

A `Snapshot` holds totals since the start of the run, so that a viewer that missed some loses nothing: what happened
between two of them is their difference. Rates and error rates are derived, never sent. Made by `faintlink.acquisition.
statistics.tally` and `status`, drawn by `faintlink.acquisition.live`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from faintlink.core.records import DecoyCounts

BINS: Final = 125
"""Bins of the arrival histogram of a snapshot."""

PLANNED: Final = "planned dead time"
"""Cause of gaps that are no fault."""

Phase: TypeAlias = Literal["waiting", "recording", "sealed"]

Counts: TypeAlias = Mapping[str, int]


def _no_clicks() -> npt.NDArray[np.int64]:
    return np.zeros((4, BINS), np.int64)


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What hardly changes during a run."""

    run_id: str = ""
    """Of the run."""
    link: str = ""
    """Name of the link."""
    origin: str = ""
    """Where the data came from: hardware, simulation, or the recording's own word."""
    max_qber: float = 0.11
    """Above it a block makes no key."""
    bound: str = ""
    """Security bound of the link."""
    block_s: float = 0.0
    """Length of a key block."""
    intensities: tuple[float, ...] = ()
    """Mean photon numbers, brightest first; empty for a pair source."""
    axis: str = ""
    """What the arrival histogram is over; empty without one."""
    first_ps: float = 0.0
    """Left edge of the histogram."""
    bin_ps: float = 1.0
    """Width of a bin."""
    gate_ps: tuple[float, float] = (0.0, 0.0)
    """First and last time that counts."""
    calibrations: tuple[str, ...] = ()
    """One line per calibration, oldest first."""
    events: tuple[str, ...] = ()
    """Last lines of the event log, oldest first."""


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """Totals of a run since its start, at one moment."""

    phase: Phase = "waiting"
    """Whether tags have come, and whether the run is over."""
    state: str = ""
    """The clock's state in words."""
    elapsed_s: float = 0.0
    """From the first tag to the last, on the receiver's clock."""
    sifted_s: float = 0.0
    """Up to where error rates are known, on the same clock."""
    tags: int = 0
    """Tags of all receivers."""
    lost: int = 0
    """Tags known to be missing."""
    gaps: Counts = field(default_factory=dict)
    """Gap records by cause."""
    clicks: Counts = field(default_factory=dict)
    """Tags of each detector, before any gate."""
    spans_s: Mapping[str, float] = field(default_factory=dict)
    """Time that the tags of each detector span, on its receiver's clock."""
    counts: DecoyCounts = field(default_factory=lambda: DecoyCounts.zero(1))
    """Sifted detections and errors by basis and intensity."""
    matrix: tuple[int, ...] = (0,) * 8
    """Sifted detections by basis, sent bit and measured bit."""
    histogram: npt.NDArray[np.int64] = field(default_factory=_no_clicks)
    """(4, `BINS`) int64 clicks by outcome over the time in the slot, or over the delay of pairs."""
    arrival: tuple[int, int] = (0, 0)
    """Clicks in the gate, and the sum of their times in ps."""
    clock_ppm: float | None = None
    """Frequency of the sender (or of the other receiver) against the receiver; None without a lock."""
    key_rate_bps: float | None = None
    """Secret bits per second that the last seconds promise, see `faintlink.acquisition.statistics.keyrate`."""
    pool_bits: int | None = None
    """Bits of finished keys in the key store; None if none is watched."""
    rates_hz: Mapping[str, float] = field(default_factory=dict)
    """Rates by channel, from sources that measure rates instead of counting clicks."""
    made_ns: int = 0
    """Wall clock at which it was made, UTC."""
    facts: RunFacts | None = None
    """Sent now and then."""

    @property
    def is_over(self) -> bool:
        """Whether nothing more can come."""
        return self.phase == "sealed"

    @property
    def gaps_unplanned(self) -> int:
        """Gap records of what should not have happened."""
        return sum(count for cause, count in self.gaps.items() if cause != PLANNED)

    def since(self, earlier: "Snapshot") -> "Snapshot":
        """Return what came after an earlier snapshot of the same run; what does not add is that of this one."""
        return self._merged(earlier, -1)

    def __add__(self, later: "Snapshot") -> "Snapshot":
        """Merge a stretch that follows; what does not add is that of the later one."""
        return later._merged(self, 1)

    def _merged(self, other: "Snapshot", sign: int) -> "Snapshot":
        return replace(
            self,
            elapsed_s=self.elapsed_s + sign * other.elapsed_s,
            sifted_s=self.sifted_s + sign * other.sifted_s,
            tags=self.tags + sign * other.tags,
            lost=self.lost + sign * other.lost,
            gaps=_joined(self.gaps, other.gaps, sign),
            clicks=_joined(self.clicks, other.clicks, sign),
            spans_s={name: span + sign * other.spans_s.get(name, 0.0) for name, span in self.spans_s.items()},
            counts=_summed(self.counts, other.counts, sign),
            matrix=tuple(a + sign * b for a, b in zip(self.matrix, other.matrix, strict=True)),
            histogram=self.histogram + sign * other.histogram,
            arrival=(self.arrival[0] + sign * other.arrival[0], self.arrival[1] + sign * other.arrival[1]),
        )


def _joined(a: Counts, b: Counts, sign: int) -> Counts:
    return {name: a.get(name, 0) + sign * b.get(name, 0) for name in {**a, **b}}


def _summed(a: DecoyCounts, b: DecoyCounts, sign: int) -> DecoyCounts:
    size = max(len(a.n_key), len(b.n_key))

    def row(name: str) -> tuple[int, ...]:
        # A source that has not sifted yet knows one entry only.
        left, right = (getattr(one, name) + (0,) * (size - len(getattr(one, name))) for one in (a, b))
        return tuple(x + sign * y for x, y in zip(left, right, strict=True))

    return DecoyCounts(row("n_key"), row("n_test"), row("m_key"), row("m_test"))
