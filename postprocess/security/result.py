"""The answer of a bound: a length, every term that led to it, and plain words when it is zero."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from faintlink.postprocess.security.rounding import Interval, float_above, float_below, lower_end, upper_end


@dataclass(frozen=True, slots=True)
class BoundResult:
    """A key length with its derivation."""

    bound: str
    """Name of the bound in the registry."""
    length: int
    """Length of the secret key in bits; 0 when no key can be made."""
    terms: dict[str, float]
    """Every intermediate term in the order of evaluation, each rounded to the side that shortens the key."""
    refusal: str
    """Why the length is 0 and what would help; empty when it is not."""
    paper: str
    """Where the bound was published."""
    equations: tuple[str, ...]
    """The equations evaluated."""
    assumptions: tuple[str, ...]
    """What must hold for the length to mean anything."""
    label: str = ""
    """In what sense the length is proven, where it was decided on; empty for a mere calculation."""

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain lists, dicts, strings and numbers, for JSON."""
        return {
            "bound": self.bound,
            "length": self.length,
            "terms": dict(self.terms),
            "refusal": self.refusal,
            "paper": self.paper,
            "equations": list(self.equations),
            "assumptions": list(self.assumptions),
            "label": self.label,
        }


def rounded_terms(terms: Mapping[str, Interval]) -> dict[str, float]:
    """Return each term as a float: names ending in ``_upper`` rounded up, all others down."""
    return {
        name: float_above(upper_end(term)) if name.endswith("_upper") else float_below(lower_end(term))
        for name, term in terms.items()
    }


def whole_bits(length: Interval) -> int:
    """Return the bits that surely can be kept: the floor of the lower end, at least 0."""
    return max(0, math.floor(lower_end(length)))
