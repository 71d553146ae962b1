"""What a bound is: a formula with its paper, its equations and its assumptions.

Each bound module offers one `Bound`; the registry keeps them by name. The checks of inputs and options that all
bounds share are here too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from faintlink.postprocess.security.inputs import BoundInput, raise_all
from faintlink.postprocess.security.ledger import EpsilonPart
from faintlink.postprocess.security.result import BoundResult
from faintlink.postprocess.security.rounding import Interval

OptionCheck: TypeAlias = Callable[[object], str]
"""Takes an option's value and returns what is wrong with it, or an empty string."""


class BoundKind(StrEnum):
    """What the proof behind a bound says of the length."""

    FIXED = "fixed"
    """The length and the conditions for it are agreed before the block."""
    VARIABLE = "variable"
    """The length may be taken from the block's own counts."""
    PLANNING = "planning"
    """No proof for finite blocks; never makes key."""


@dataclass(frozen=True, slots=True)
class AcceptanceTerms:
    """Where a bound's terms stand for what a fixed length is agreed on."""

    single: str
    """Term that counts the events which hold secret bits."""
    phase: str
    """Term that bounds their phase error rate."""
    cost: Callable[[float, float], Interval]
    """Bits that any key pays, from ``eps_sec`` and ``eps_cor``."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A lower bound of the length of a secret key, with what a reader needs to judge it."""

    name: str
    """Name in the registry, author and year."""
    paper: str
    """Where it was published."""
    kind: BoundKind
    """What its proof says of the length."""
    equations: tuple[str, ...]
    """The equations that are evaluated, with what each gives."""
    assumptions: tuple[str, ...]
    """What must hold of the devices and the protocol."""
    key_basis: str
    """Which basis makes key in the paper, and which field of the counts that is here."""
    intensities: int
    """How many intensities the source has; 1 for a source without intensities, 0 for any number."""
    evaluate: Callable[[BoundInput], BoundResult]
    """Computes the length from the counts."""
    epsilon_parts: Callable[[BoundInput], tuple[EpsilonPart, ...]]
    """Lists how the proof spends ``eps_sec`` and ``eps_cor``."""
    acceptance: AcceptanceTerms | None = None
    """What a fixed length is agreed on; None where none can be."""


def require(
    given: BoundInput, *, bound: str, intensities: int, options: Mapping[str, OptionCheck], faults: list[str]
) -> None:
    """Refuse an input that a bound cannot be computed from.

    Parameters
    ----------
    given
        The input.
    bound
        Name of the bound, for the message.
    intensities
        How many intensities its formula has; 1 stands for a source without intensities, 0 for any number.
    options
        The options that it knows, each with its check.
    faults
        What the bound itself found wrong, reported together with the rest.

    Raises
    ------
    ConfigError
        A wrong number of intensities, an unknown or wrong option, or ``faults`` is not empty.
    """
    found = list(faults)
    entries = len(given.counts.n_key)
    if intensities and entries != intensities:
        noun = "intensity" if intensities == 1 else "intensities"
        found.append(f"it is a bound for {intensities} {noun}, the counts have {entries}")
    elif entries > 1 and not given.intensities:
        found.append(f"it needs {entries} intensities and their probabilities, none are given")
    for name, value in given.options.items():
        if name not in options:
            found.append(f"unknown option {name}; known: {', '.join(sorted(options)) or 'none'}")
        elif fault := options[name](value):
            found.append(f"option {name} {fault}, got {value!r}")
    raise_all(f"bound {bound}", found)


def flag(value: object) -> str:
    """Check an option that is true or false."""
    return "" if isinstance(value, bool) else "must be true or false"


def choice(*known: str) -> OptionCheck:
    """Return a check for an option that is one of ``known``."""
    return lambda value: "" if value in known else f"must be one of {', '.join(known)}"


def between(low: float, high: float) -> OptionCheck:
    """Return a check for an option that is a number in low..high, both included."""

    def check(value: object) -> str:
        inside = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
        return "" if inside else f"must be a number in {low:g}..{high:g}"

    return check
