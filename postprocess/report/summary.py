"""What an analysis comes to, in figures and plain words, shared by the picture, the page and the JSON document.

It reads finished analyses and never touches the bits of a key.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from faintlink.core.runfile.folder import SIMULATION
from faintlink.postprocess.security.rounding import float_above

if TYPE_CHECKING:
    from faintlink.core.errors import SecurityAbort
    from faintlink.postprocess.node.distil import BlockResult
    from faintlink.postprocess.pipeline import Analysis

OUTCOMES = ("Z0", "Z1", "X0", "X1")
"""Names of the outcomes 2*basis + bit."""

_PROTECT_NOTHING = "These keys protect nothing:"
_SIMULATED = f"{_PROTECT_NOTHING} the run is a simulation."
_NO_VETO = f"{_PROTECT_NOTHING} the link file sets security: monitors: vetoes to false."
_REHEARSED = f"{_PROTECT_NOTHING} the random bits came from a seed, or parameters were changed for this analysis."

_REASONS = {
    "QberTooHighError": "The error rate is too high",
    "NotEnoughSignalsError": "There are too few signals",
    "MonitorVetoError": "A monitor objected",
    "VerificationFailedError": "The two keys still differ",
}
_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
_THIN_SPACE = "\N{NARROW NO-BREAK SPACE}"
MISSING = "\N{EN DASH}"
"""Stands where there is no figure."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The headline of an analysis."""

    duration_s: float
    """Length of the recorded stretch that was analysed."""
    key_bits: int
    """Secret bits of all blocks."""
    key_rate_hz: float
    """Secret bits per second of the run; nan for a run of no length."""
    blocks: int
    """Whole blocks."""
    with_key: int
    """Blocks that made key."""
    refused: int
    """Blocks that made none."""
    is_usable: bool
    """Whether there is key and every bit of it may be used."""
    epsilon: float
    """Total security parameter of all keys together, rounded up."""

    @property
    def has_unusable_keys(self) -> bool:
        """Whether keys were made of which some must not be used."""
        return self.with_key > 0 and not self.is_usable

    @property
    def sentence(self) -> str:
        """The result in one line."""
        made = f"{whole(self.key_bits)} bits of key" if self.key_bits else "No key"
        rate = f" at {per_second(self.key_rate_hz, 'bit')}" if self.key_bits else ""
        counted = f"{self.with_key} of {plural(self.blocks, 'block')} with key"
        refused = f", {self.refused} refused" if self.refused else ""
        return f"{made}{rate} from {self.duration_s:.4g} s; {counted}{refused}"


def summarise(analysis: "Analysis") -> Summary:
    """Return the headline of an analysis."""
    made = [block for block in analysis.blocks if block.key_bits]
    duration = duration_s(analysis)
    return Summary(
        duration_s=duration,
        key_bits=analysis.key_bits,
        key_rate_hz=analysis.key_bits / duration if duration else math.nan,
        blocks=len(analysis.blocks),
        with_key=len(made),
        refused=len(analysis.blocks) - len(made),
        is_usable=bool(made) and all(block.is_usable for block in made),
        epsilon=float_above(sum((block.ledger.exact_total() for block in made), Fraction(0))),
    )


def why_unusable(analysis: "Analysis") -> str:
    """Return the first reason for which keys of an analysis must not be used, if some must not."""
    if analysis.origin == SIMULATION:
        return _SIMULATED
    return _NO_VETO if lacks_veto(analysis) else _REHEARSED


def duration_s(analysis: "Analysis") -> float:
    """Return the length of the run in seconds, to the width of a bin; without bins, that of its whole blocks."""
    points = analysis.series.points()
    if points:
        return points[-1].time_s + analysis.series.bin_s
    return len(analysis.blocks) * analysis.link.security.block_s


def shown_block(blocks: "Sequence[BlockResult]") -> "BlockResult | None":
    """Return the block whose derivation is shown: the first with key, else the last refused one with terms."""
    for block in blocks:
        if block.key_bits:
            return block
    return next((block for block in reversed(blocks) if block.bound is not None and block.bound.terms), None)


def reason(refusal: "SecurityAbort") -> str:
    """Return in plain words why a block was refused, without the figures."""
    kind = type(refusal).__name__
    return _REASONS.get(kind, kind)


def lacks_veto(analysis: "Analysis") -> bool:
    """Return whether the monitors only reported."""
    return not analysis.link.security.monitors.vetoes


def intensity_names(analysis: "Analysis") -> tuple[str, ...]:
    """Return the mean photon numbers of the link as text, brightest first; one empty text for a pair source."""
    source = analysis.link.source
    if source is None:
        return ("",)
    return tuple(f"{mu:.4g}" for mu in source.intensities)


def whole(number: int) -> str:
    """Return a whole number with its digits in threes."""
    return f"{number:,}".replace(",", _THIN_SPACE)


def percent(rate: float) -> str:
    """Return a rate as per cent with three digits; a dash when it is nan."""
    return f"{100 * rate:.3g} %" if math.isfinite(rate) else MISSING


def per_second(rate_hz: float, unit: str) -> str:
    """Return a rate with an SI prefix, for example ``12.3 kbit/s``; a dash when it is nan."""
    if not math.isfinite(rate_hz):
        return MISSING
    factor, prefix = next(((f, p) for f, p in _PREFIXES if abs(rate_hz) >= f), (1.0, ""))
    return f"{rate_hz / factor:.3g} {prefix}{unit}/s"


def plural(count: int, noun: str) -> str:
    """Return a count with its noun."""
    return f"{whole(count)} {noun}" if count == 1 else f"{whole(count)} {noun}s"


def figure(value: object) -> str:
    """Return any fact as text: whole numbers in full, others to six digits, a dash for nothing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return whole(value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def total_seconds(blocks: "Iterable[BlockResult]") -> dict[str, tuple[int, float]]:
    """Return how often each stage ran and its time in seconds over all blocks, in the order of first use."""
    totals: dict[str, tuple[int, float]] = {}
    for block in blocks:
        for report in block.stages:
            runs, seconds = totals.get(report.stage, (0, 0.0))
            totals[report.stage] = (runs + 1, seconds + report.seconds)
    return totals
