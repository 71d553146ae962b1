"""Messages of the first half of a block: detections are committed before any basis is spoken of.

Sources: C. Pfister, N. Lütkenhaus, S. Wehner, P. J. Coles, New J. Phys. 18, 053001 (2016) (why the order matters).
"""

import struct
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from faintlink.core.units import Bits, Slots
from faintlink.postprocess.kernels.sifting import add_steps, longest_step, steps_between
from faintlink.postprocess.node.wire import Kind, Reader, pack

MAX_DETECTIONS = 1 << 27
"""Detections of a block; more is no block but an attack on memory."""
_WIDTHS = (1, 2, 4, 8)
"""Bytes that a step between slots may take."""
_LAST_SLOT = (1 << 62) - 1
"""Beyond any that could be played."""


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Slots of all detections of a block."""

    kind: ClassVar[Kind] = Kind.DETECTIONS
    slots: Slots
    """(n,) int64, strictly increasing."""

    def encode(self) -> bytes:
        """Return the payload."""
        first = int(self.slots[0]) if self.slots.size else 0
        longest = longest_step(self.slots)
        width = next(width for width in _WIDTHS if longest < 1 << (8 * width))
        steps = np.empty(max(self.slots.size - 1, 0), f"<u{width}")
        steps_between(self.slots, steps)
        return struct.pack("<IqB", self.slots.size, first, width) + steps.tobytes()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the message of a payload."""
        reader = Reader(cls.kind, data)
        count, first, width = reader.numbers("IqB")
        if count > MAX_DETECTIONS or width not in _WIDTHS or not 0 <= first <= _LAST_SLOT:
            raise reader.refused(f"{count} detections from slot {first}, at most {MAX_DETECTIONS} are taken")
        steps = np.frombuffer(reader.take(width * max(count - 1, 0)), f"<u{width}")
        reader.end()
        slots = np.empty(count, np.int64)
        if not add_steps(first, steps, _LAST_SLOT, slots):
            raise reader.refused("slots do not increase, or go beyond any that could be played")
        return cls(slots)


@dataclass(frozen=True, slots=True)
class Committed:
    """Alice has the slots; their number, for a check."""

    kind: ClassVar[Kind] = Kind.COMMITTED
    count: int

    def encode(self) -> bytes:
        """Return the payload."""
        return struct.pack("<I", self.count)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the message of a payload."""
        reader = Reader(cls.kind, data)
        (count,) = reader.numbers("I")
        reader.end()
        return cls(count)


@dataclass(frozen=True, slots=True, eq=False)
class BitString:
    """A message of one bit string; `Bases` and `Tested` are kinds of it."""

    kind: ClassVar[Kind]
    bits: Bits = field(repr=False)
    """(n,) uint8."""

    def encode(self) -> bytes:
        """Return the payload."""
        return struct.pack("<I", self.bits.size) + pack(self.bits)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the message of a payload."""
        reader = Reader(cls.kind, data)
        (count,) = reader.numbers("I")
        bits = reader.bits(count)
        reader.end()
        return cls(bits)


class Bases(BitString):
    """Bob's basis of each detection."""

    __slots__ = ()
    kind = Kind.BASES


class Tested(BitString):
    """Bob's bits of the test basis."""

    __slots__ = ()
    kind = Kind.TESTED


@dataclass(frozen=True, slots=True, eq=False)
class Sifted:
    """What Alice keeps of the detections."""

    kind: ClassVar[Kind] = Kind.SIFTED
    kept: Bits
    """(n,) uint8, 1 for each detection that is kept."""
    intensities: npt.NDArray[np.uint8]
    """(k,) uint8 of those kept, 0 … 3."""
    test_bits: Bits = field(repr=False)
    """(t,) uint8, Alice's bits of the kept detections in the test basis."""

    def encode(self) -> bytes:
        """Return the payload."""
        head = struct.pack("<III", self.kept.size, self.intensities.size, self.test_bits.size)
        pairs = pack(self.intensities & np.uint8(1)) + pack(self.intensities >> np.uint8(1))
        return head + pack(self.kept) + pairs + pack(self.test_bits)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the message of a payload."""
        reader = Reader(cls.kind, data)
        total, kept_count, test_count = reader.numbers("III")
        if not test_count <= kept_count <= total:
            raise reader.refused(f"it keeps {kept_count} of {total} and tests {test_count}")
        kept = reader.bits(total)
        low, high = reader.bits(kept_count), reader.bits(kept_count)
        test_bits = reader.bits(test_count)
        reader.end()
        if int(kept.sum()) != kept_count:
            raise reader.refused("the mask does not fit the counts")
        return cls(kept, low | (high << np.uint8(1)), test_bits)
