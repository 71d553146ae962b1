"""The epsilon ledger: every way in which a key may fail to be perfect, named, with its source, and added up.

One ledger goes with each key and is printed with it. Ledgers add, so that the epsilon of many keys accumulates.
Sums are exact; only the total is rounded, and always up.

Sources
-------
R. Renner, PhD thesis, ETH 2005, arXiv:quant-ph/0512258 (composable security: failure probabilities add).
"""

import math
from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction

from faintlink.core.errors import ConfigError
from faintlink.postprocess.security.rounding import float_above


class EpsilonKind(StrEnum):
    """What fails when the event of an epsilon happens."""

    SECRECY = "secrecy"
    """Somebody else knows something about the key."""
    CORRECTNESS = "correctness"
    """The two keys differ and nobody noticed."""
    AUTHENTICATION = "authentication"
    """A message of somebody else was taken for the peer's."""


@dataclass(frozen=True, slots=True)
class EpsilonPart:
    """One failure probability of a proof."""

    name: str
    """What fails, with its multiplicity."""
    value: float
    """Its probability, all multiplicities included, rounded up."""
    source: str
    """Paper and equation."""
    kind: EpsilonKind = EpsilonKind.SECRECY
    """What it spoils."""
    exact: Fraction | None = field(default=None, repr=False)
    """The probability before rounding; None when ``value`` is it."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.value) and 0.0 <= self.value <= 1.0):
            raise ConfigError(
                f"epsilon of {self.name} must lie in 0..1, got {self.value}",
                hint="an epsilon is a failure probability, for example 1e-10",
            )
        if self.exact is not None and self.exact > Fraction(self.value):
            raise ConfigError(f"epsilon of {self.name}: {self.value} is below the exact value, round up")

    @classmethod
    def share(
        cls, name: str, *, whole: float, count: int, of: int, source: str, kind: EpsilonKind = EpsilonKind.SECRECY
    ) -> "EpsilonPart":
        """Return the part that takes ``count`` of ``of`` equal shares of ``whole``."""
        exact = Fraction(whole) * count / of
        return cls(name, float_above(exact), source, kind, exact)

    @property
    def amount(self) -> Fraction:
        """The probability as an exact fraction."""
        return Fraction(self.value) if self.exact is None else self.exact


@dataclass(frozen=True, slots=True)
class EpsilonLedger:
    """The parts of one key, or of all keys so far."""

    parts: tuple[EpsilonPart, ...] = ()
    """Each failure probability, in the order in which it was spent."""

    def __add__(self, other: "EpsilonLedger") -> "EpsilonLedger":
        return EpsilonLedger(self.parts + other.parts)

    @property
    def total(self) -> float:
        """Sum of all parts, rounded up."""
        return self._sum(*EpsilonKind)

    @property
    def secrecy(self) -> float:
        """Sum of the secrecy parts, rounded up."""
        return self._sum(EpsilonKind.SECRECY)

    @property
    def correctness(self) -> float:
        """Sum of the correctness parts, rounded up."""
        return self._sum(EpsilonKind.CORRECTNESS)

    @property
    def authentication(self) -> float:
        """Sum of the authentication parts, rounded up."""
        return self._sum(EpsilonKind.AUTHENTICATION)

    def exact_total(self) -> Fraction:
        """Return the sum of all parts without any rounding."""
        return sum((part.amount for part in self.parts), Fraction(0))

    def merged(self) -> "EpsilonLedger":
        """Return a ledger of the same total with one part per name, source and kind."""
        sums: dict[tuple[str, str, EpsilonKind], Fraction] = defaultdict(Fraction)
        for part in self.parts:
            sums[part.name, part.source, part.kind] += part.amount
        return EpsilonLedger(
            tuple(
                EpsilonPart(name, float_above(amount), source, kind, amount)
                for (name, source, kind), amount in sums.items()
            )
        )

    def as_rows(self) -> tuple[tuple[str, str, float, str], ...]:
        """Return (name, kind, value, source) of each part, for printing."""
        return tuple((part.name, part.kind.value, part.value, part.source) for part in self.parts)

    def _sum(self, *kinds: EpsilonKind) -> float:
        return float_above(sum((part.amount for part in self.parts if part.kind in kinds), Fraction(0)))
