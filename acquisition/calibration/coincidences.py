"""Coincidences of two receivers over a short stretch, for calibrations of pair links.

The delay between the clocks is found once with the functions that make the key and followed from point to point;
only arrival times are used for that, so that a misaligned polarization does not hide the peak. Accidentals are
counted beside the peak and not computed from the singles.

Sources: D. Klyshko, Sov. J. Quantum Electron. 10, 1112 (1980) (heralded efficiency).
"""

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from faintlink.core.calibration.records import Scan
from faintlink.core.errors import ClockLostError, NotEnoughSignalsError, TagOverflowError
from faintlink.core.symbols import Party
from faintlink.core.tags import TagBlock, concatenate
from faintlink.core.units import PS_PER_S
from faintlink.instruments.calibration.lab import OUTCOMES
from faintlink.instruments.calibration.session import Session
from faintlink.postprocess.kernels.coincidence import delay_histogram, match_one_to_one
from faintlink.postprocess.qkd.pair_search import PairOffset, find_pair_offset, measured
from faintlink.postprocess.qkd.pairs import pair_source

Floats = npt.NDArray[np.float64]
_PARTIES = (Party.ALICE, Party.BOB)
_READ_S = 0.2
_PATIENCE_S = 10.0
_LOCK_S = 0.6
_REACH_PS = 50_000
_BIN_PS = 1_000
_LEAST_SIGNIFICANCE = 6.0
_SIDE_WINDOWS = 40
_SIDE_DISTANCE_PS = 100_000


@dataclass(frozen=True, slots=True)
class Stretch:
    """What both receivers recorded in one stretch, Alice's times on Bob's clock."""

    alice: TagBlock
    """Alice's tags, times shifted onto Bob's clock, outcomes 0..3 as channels."""
    bob: TagBlock
    """Bob's tags, outcomes 0..3 as channels."""
    live_s: float
    """Length of the common stretch."""
    clock: PairOffset
    """The clock that shifted them."""


class PairCounter:
    """Counts coincidences of a pair link.

    Parameters
    ----------
    session
        Of the routine; both taggers are taken from its laboratory.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._lab = session.lab
        self.pairs = pair_source(self._lab.link)
        self._clock: PairOffset | None = None

    def stretch(self, duration_s: float) -> Stretch:
        """Return what both record, brought onto one clock.

        Raises
        ------
        ClockLostError
            No coincidences stand out.
        TagOverflowError
            A tagger lost tags.
        """
        if self._clock is None:
            self._lock()
        alice, bob = self._record(duration_s)
        try:
            return self._aligned(alice, bob)
        except ClockLostError:
            # A tagger may start its clock anew with each stream.
            self._lock()
            return self._aligned(*self._record(duration_s))

    def point(
        self, scan: str, set_points: dict[str, float], duration_s: float, *, windows: int = 1
    ) -> dict[str, float]:
        """Count, and add set points, coincidences, accidentals and singles as a row of a scan; return the row.

        ``windows`` is the width of the coincidence window in units of the link's.
        """
        row = {**set_points, **count_row(self.stretch(duration_s), windows * self.pairs.window_ps)}
        self._session.add(scan, row)
        return row

    def singles(self, scan: str, duration_s: float) -> None:
        """Add a row of single counts, which needs no coincidences."""
        alice, bob = self._record(duration_s)
        spans = {"alice": _span_s(alice), "bob": _span_s(bob)}
        row: dict[str, float] = {"singles_alice": len(alice), "singles_bob": len(bob)}
        self._session.add(scan, row | {f"live_{name}_s": span for name, span in spans.items()})

    def _lock(self) -> None:
        reach_ps = round(self.pairs.max_offset_s * PS_PER_S)
        alice, bob = self._record(_LOCK_S + self.pairs.max_offset_s)
        self._clock = find_pair_offset(alice.times_ps, bob.times_ps, max_offset_ps=reach_ps, resolution_ps=_BIN_PS)

    def _aligned(self, alice: TagBlock, bob: TagBlock) -> Stretch:
        if self._clock is None or not len(alice) or not len(bob):
            raise NotEnoughSignalsError("a receiver counts nothing", hint="check the source and both receivers")
        moved = self._clock.to_b(alice.times_ps)
        first, last = int(bob.times_ps[0]) + _SIDE_DISTANCE_PS, int(bob.times_ps[-1]) - _SIDE_DISTANCE_PS
        inside = slice(*np.searchsorted(moved, (first, last)))
        if inside.stop - inside.start < 2:
            raise ClockLostError("the receivers' stretches do not overlap", hint="check max_offset_s of the link file")
        peak = measured(moved[inside], bob.times_ps, _REACH_PS, _BIN_PS)
        if peak.significance < _LEAST_SIGNIFICANCE:
            raise ClockLostError(
                f"no coincidence peak within {_REACH_PS} ps: {peak.significance:.1f} sigma",
                hint="check that the source emits pairs into both arms",
            )
        middle = (inside.start + inside.stop) // 2
        at = int(alice.times_ps[middle])
        offset = int(moved[middle]) - at + round(peak.delay_ps)
        self._clock = replace(self._clock, reference_ps=at, offset_ps=offset, significance=peak.significance)
        times = self._clock.to_b(alice.times_ps[inside])
        live_s = (int(times[-1]) - int(times[0])) / PS_PER_S
        return Stretch(TagBlock(times, alice.channels[inside]), bob, live_s, self._clock)

    def _record(self, duration_s: float) -> tuple[TagBlock, TagBlock]:
        """Return the tags of both receivers, channels as outcomes; they record at one time."""
        self._session.check_time()
        streams = [self._lab.taggers[party].stream() for party in _PARTIES]
        parts: list[list[TagBlock]] = [[], []]
        deadline = time.monotonic() + _PATIENCE_S + 20.0 * duration_s
        try:
            for stream in streams:
                stream.start()
            while min(_span_s(*blocks) for blocks in parts) < duration_s:
                if time.monotonic() > deadline:
                    break
                for stream, blocks in zip(streams, parts, strict=True):
                    self._take(stream, blocks)
        finally:
            for stream in streams:
                stream.stop()
        return self._outcomes(Party.ALICE, parts[0]), self._outcomes(Party.BOB, parts[1])

    def _take(self, stream: Any, blocks: list[TagBlock]) -> None:
        block = stream.read(_READ_S)
        if block.gaps:
            raise TagOverflowError(
                f"tags were lost during a calibration: {block.gaps[0]}", hint="lower the pump, and calibrate again"
            )
        if len(block):
            blocks.append(block)

    def _outcomes(self, party: Party, blocks: list[TagBlock]) -> TagBlock:
        if not blocks:
            return TagBlock.empty()
        block = concatenate(blocks)
        lookup = np.full(256, 255, np.uint8)
        for channel, meaning in self._lab.link.receivers[party].channels.items():
            lookup[channel] = 2 * meaning.basis_code + meaning.bit
        outcomes = lookup[block.channels]
        known = outcomes < len(OUTCOMES)
        return TagBlock(block.times_ps[known], outcomes[known])


def _span_s(*blocks: TagBlock) -> float:
    filled = [block for block in blocks if len(block)]
    return (int(filled[-1].times_ps[-1]) - int(filled[0].times_ps[0])) / PS_PER_S if filled else 0.0


def count_row(stretch: Stretch, window_ps: int) -> dict[str, float]:
    """Return coincidences by outcomes, counts of side windows, singles and live time of a stretch."""
    alice, bob = stretch.alice, stretch.bob
    at_a, at_b = match_one_to_one(alice.times_ps, bob.times_ps, 0, window_ps // 2)
    table = np.bincount(4 * alice.channels[at_a].astype(np.int64) + bob.channels[at_b], minlength=16)
    row: dict[str, float] = {
        f"counts_{OUTCOMES[k // 4]}_{OUTCOMES[k % 4]}": int(count) for k, count in enumerate(table)
    }
    side = 0
    for sign in (-1, 1):
        start = sign * _SIDE_DISTANCE_PS // 2 - (_SIDE_WINDOWS // 4) * window_ps
        side += int(delay_histogram(alice.times_ps, bob.times_ps, start, window_ps, _SIDE_WINDOWS // 2).sum())
    row |= {"side_counts": side, "side_windows": _SIDE_WINDOWS, "live_s": stretch.live_s}
    own = slice(*np.searchsorted(bob.times_ps, (alice.times_ps[0], alice.times_ps[-1])))
    for party, channels in ((Party.ALICE, alice.channels), (Party.BOB, bob.channels[own])):
        row[f"singles_{party}"] = int(channels.size)
        for name, count in zip(OUTCOMES, np.bincount(channels, minlength=4), strict=True):
            row[f"singles_{party}_{name}"] = int(count)
    return row


def coincidence_totals(scan: Scan) -> tuple[Floats, Floats, Floats, Floats]:
    """Return (n,) true coincidences, accidentals in the window, and the standard deviations of both."""
    total = sum((scan[f"counts_{a}_{b}"] for a in OUTCOMES for b in OUTCOMES), np.zeros(len(scan)))
    accidental = scan["side_counts"] / scan["side_windows"]
    doubt = np.sqrt(np.maximum(scan["side_counts"], 1.0)) / scan["side_windows"]
    return total - accidental, accidental, np.sqrt(np.maximum(total, 1.0) + doubt**2), doubt


def correlation(scan: Scan, basis_a: str, basis_b: str) -> tuple[Floats, Floats]:
    """Return (n,) correlations -1..1 of equal against opposite bits in a pair of bases, and standard deviations.

    Raises
    ------
    NotEnoughSignalsError
        A point has no coincidences in these bases.
    """
    equal, opposite = (
        sum((scan[f"counts_{basis_a}{bit}_{basis_b}{bit ^ flip}"] for bit in (0, 1)), np.zeros(len(scan)))
        for flip in (0, 1)
    )
    total = equal + opposite
    if not np.all(total > 0.0):
        raise NotEnoughSignalsError(
            f"scan {scan.name}: no coincidences in bases {basis_a.upper()} and {basis_b.upper()}",
            hint="count for longer, or raise the pump",
        )
    value: Floats = (equal - opposite) / total
    # One coincidence more of each: a perfect correlation has an uncertainty too.
    sigma: Floats = 2.0 * np.sqrt((equal + 1.0) * (opposite + 1.0) / (total + 2.0) ** 3)
    return value, sigma


def pair_errors(scan: Scan, basis: str, *, sign: float) -> tuple[Floats, Floats]:
    """Return (n,) QBER of a basis and standard deviations; ``sign`` is -1 for a state of opposite bits."""
    value, sigma = correlation(scan, basis, basis)
    error: Floats = 0.5 - 0.5 * sign * value
    return error, 0.5 * sigma
