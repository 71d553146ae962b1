"""What the epoch files of S-Fifteen's qcrypto chain hold; `qcrypto` reads and writes them.

Times are in units of 125 ps, of which an epoch has 2**32. Nothing here knows bytes.

Sources: see `qcrypto`.
"""

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from faintlink.core.units import TimesPs

UNIT_PS = 125
EPOCH_UNITS = 2**32
EPOCH_MASK = 2**17 - 1
"""A 49-bit time holds 17 bits of the epoch."""

Integers: TypeAlias = npt.NDArray[np.int64]
Small: TypeAlias = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Type1Epoch:
    """All events of one side."""

    epoch: int
    """Number of the epoch: the upper bits of the times."""
    units: Integers
    """(n,) int64 times in units of 125 ps, 49 bits."""
    patterns: Small
    """(n,) uint8 detector patterns."""

    @property
    def times_ps(self) -> TimesPs:
        """Times (n,) int64 in ps."""
        return self.units * UNIT_PS


@dataclass(frozen=True, slots=True, eq=False)
class Type2Epoch:
    """Times and bases that the low-count side sends."""

    epoch: int
    """Number of the epoch."""
    units: Integers
    """(n,) int64 times in units of 125 ps since the start of the epoch."""
    bases: Small
    """(n,) uint8 basis of each event."""
    code_bits: int
    """Bits of a difference."""
    base_bits: int
    """Bits of a basis."""
    protocol: int
    """Protocol number of the chain."""

    @property
    def times_ps(self) -> TimesPs:
        """Times (n,) int64 in ps, counted as in type 1."""
        return (((self.epoch & EPOCH_MASK) << 32) + self.units) * UNIT_PS


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Type3Epoch:
    """Bits, or both sides' detectors in the service protocol. Its ``repr`` shows none of them."""

    epoch: int
    """Number of the epoch."""
    values: Small = field(repr=False)
    """(n,) uint8, one entry each."""
    bits_per_entry: int
    """1 for key, 8 for the service protocol (own detectors in one nibble, the other side's in the other)."""

    def __repr__(self) -> str:
        return f"Type3Epoch(epoch={self.epoch:#x}, {len(self.values)} entries of {self.bits_per_entry} bits)"


@dataclass(frozen=True, slots=True, eq=False)
class Type4Epoch:
    """Which events of a type-2 epoch are coincidences of matching protocol."""

    epoch: int
    """Number of the epoch."""
    indices: Integers
    """(n,) int64 indices into the type-2 epoch."""
    bases: Small
    """(n,) uint8 bases; zeros where ``base_bits`` is 0."""
    code_bits: int
    """Bits of a difference."""
    base_bits: int
    """Bits of a basis."""


@dataclass(frozen=True, slots=True, repr=False)
class Type7Key:
    """A final key. Its ``repr`` never shows the bits."""

    epoch: int
    """First epoch."""
    epochs: int
    """Number of epochs."""
    bits: int
    """Length."""
    data: bytes = field(repr=False, compare=True)
    """The key, most significant bit first, padded with zeros to a whole byte."""

    def __repr__(self) -> str:
        return f"Type7Key(epoch={self.epoch:#x}, epochs={self.epochs}, bits={self.bits})"
