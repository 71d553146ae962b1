"""Frozen results that add: counts are kept, rates and QBERs are derived, never averaged.

Every class here is a monoid under ``+`` where adding makes sense, so that the statistics of two stretches of a
run, or of two runs, merge without loss.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from faintlink.core.symbols import MAX_INTENSITIES


@dataclass(frozen=True, slots=True)
class ErrorCount:
    """Bits compared and bits that differed."""

    bits: int = 0
    """Number of compared bits."""
    errors: int = 0
    """Number of those that differed."""

    def __post_init__(self) -> None:
        if not 0 <= self.errors <= self.bits:
            raise ValueError(f"errors must lie in 0..bits, got {self.errors} of {self.bits}")

    def __add__(self, other: "ErrorCount") -> "ErrorCount":
        return ErrorCount(self.bits + other.bits, self.errors + other.errors)

    @property
    def rate(self) -> float:
        """Fraction of differing bits; nan when nothing was compared."""
        return self.errors / self.bits if self.bits else float("nan")


@dataclass(frozen=True, slots=True)
class DecoyCounts:
    """Sifted detections and errors of one block, by intensity (brightest first) and basis.

    All four tuples have one entry per intensity. ``key`` is the basis that makes key, ``test`` the other.
    A source without intensities (entangled pairs, single photons) uses one entry.
    """

    n_key: tuple[int, ...]
    """Detections in the key basis."""
    n_test: tuple[int, ...]
    """Detections in the test basis."""
    m_key: tuple[int, ...]
    """Errors among ``n_key``."""
    m_test: tuple[int, ...]
    """Errors among ``n_test``."""

    def __post_init__(self) -> None:
        lengths = {len(self.n_key), len(self.n_test), len(self.m_key), len(self.m_test)}
        if len(lengths) != 1 or not 1 <= len(self.n_key) <= MAX_INTENSITIES:
            raise ValueError(f"the four lists need one entry per intensity, 1..{MAX_INTENSITIES}; got {lengths}")
        for label, events, errors in (("key", self.n_key, self.m_key), ("test", self.n_test, self.m_test)):
            for n, m in zip(events, errors, strict=True):
                if not 0 <= m <= n:
                    raise ValueError(f"{label} basis: errors must lie in 0..detections, got {m} of {n}")

    def __add__(self, other: "DecoyCounts") -> "DecoyCounts":
        return DecoyCounts(
            _add(self.n_key, other.n_key),
            _add(self.n_test, other.n_test),
            _add(self.m_key, other.m_key),
            _add(self.m_test, other.m_test),
        )

    @classmethod
    def zero(cls, intensities: int) -> "DecoyCounts":
        """Return the counts of nothing, for ``intensities`` intensities."""
        none = (0,) * intensities
        return cls(none, none, none, none)

    @property
    def key(self) -> ErrorCount:
        """Bits and errors in the key basis, over all intensities."""
        return ErrorCount(sum(self.n_key), sum(self.m_key))

    @property
    def test(self) -> ErrorCount:
        """Bits and errors in the test basis, over all intensities."""
        return ErrorCount(sum(self.n_test), sum(self.m_test))


def _add(a: Sequence[int], b: Sequence[int]) -> tuple[int, ...]:
    return tuple(x + y for x, y in zip(a, b, strict=True))


@dataclass(frozen=True, slots=True)
class LossCount:
    """What a stretch of a stream held and what it lost."""

    tags: int = 0
    """Tags present."""
    lost: int = 0
    """Tags known to be missing."""
    gaps: int = 0
    """Number of gap records, of known and unknown size."""

    def __add__(self, other: "LossCount") -> "LossCount":
        return LossCount(self.tags + other.tags, self.lost + other.lost, self.gaps + other.gaps)


@dataclass(frozen=True, slots=True, repr=False)
class SecretKey:
    """A finished key. Its ``repr`` never shows the bits."""

    key_id: str
    """UUID, equal on both sides."""
    bits: int
    """Length in bits."""
    data: bytes = field(repr=False, compare=False)
    """The key, most significant bit first; the last byte is padded with zeros."""
    epsilon: float
    """Total security parameter: the key is epsilon-close to a perfect one."""

    def __post_init__(self) -> None:
        if len(self.data) != (self.bits + 7) // 8:
            raise ValueError(f"{self.bits} bits need {(self.bits + 7) // 8} bytes, got {len(self.data)}")

    def __repr__(self) -> str:
        return f"SecretKey(key_id={self.key_id!r}, bits={self.bits}, epsilon={self.epsilon:.3g})"
