"""Messages of the second half of a block: reconciliation, verification, amplification, release, abort."""

import struct
import uuid
from dataclasses import dataclass, field
from typing import ClassVar, Self

from faintlink.core.symbols import MAX_INTENSITIES
from faintlink.core.units import Bits
from faintlink.postprocess.node.sifting import BitString
from faintlink.postprocess.node.wire import Kind, Reader, pack
from faintlink.postprocess.qkd.reconciliation import Reconciler

MAX_REASON = 2048
SEED_BYTES = 32


@dataclass(frozen=True, slots=True)
class Reconcile:
    """Reconciliation begins, with a public seed drawn after sifting."""

    kind: ClassVar[Kind] = Kind.RECONCILE
    reconciler: Reconciler
    """Who corrects; Bob chooses by the same rule and must come to the same."""
    seed: bytes
    """`SEED_BYTES` bytes."""

    def encode(self) -> bytes:
        """Return the payload."""
        return bytes((self.reconciler,)) + self.seed

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the message of a payload."""
        reader = Reader(cls.kind, data)
        (code,) = reader.numbers("B")
        if code not in Reconciler.__members__.values():
            raise reader.refused(f"no reconciler has the code {code}")
        message = cls(Reconciler(code), reader.take(SEED_BYTES))
        reader.end()
        return message


@dataclass(frozen=True, slots=True)
class Opaque:
    """A message whose payload belongs to another codec; `Parities` and `Answer` are its kinds."""

    kind: ClassVar[Kind]
    run: int
    """Which run of the reconciliation within the block."""
    data: bytes = field(repr=False)

    def encode(self) -> bytes:
        """Return the payload."""
        return struct.pack("<I", self.run) + self.data

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the message of a payload."""
        reader = Reader(cls.kind, data)
        (run,) = reader.numbers("I")
        return cls(run, data[4:])


class Parities(Opaque):
    """A request of the reconciliation."""

    __slots__ = ()
    kind = Kind.PARITIES


class Answer(Opaque):
    """The answer to a request of the reconciliation."""

    __slots__ = ()
    kind = Kind.ANSWER


@dataclass(frozen=True, slots=True)
class Corrected:
    """Bob has no more questions."""

    kind: ClassVar[Kind] = Kind.CORRECTED
    errors: int
    """Bits he flipped."""

    def encode(self) -> bytes:
        """Return the payload."""
        return struct.pack("<I", self.errors)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the message of a payload."""
        reader = Reader(cls.kind, data)
        (errors,) = reader.numbers("I")
        reader.end()
        return cls(errors)


@dataclass(frozen=True, slots=True)
class Check:
    """Alice's verification tags of all frames, with the seed drawn after the last correction."""

    kind: ClassVar[Kind] = Kind.CHECK
    seed: bytes
    tags: bytes = field(repr=False)
    """One after another, all of one size."""

    def encode(self) -> bytes:
        """Return the payload."""
        return struct.pack("<HI", len(self.seed), len(self.tags)) + self.seed + self.tags

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the message of a payload."""
        reader = Reader(cls.kind, data)
        seed_size, tag_size = reader.numbers("HI")
        message = cls(reader.take(seed_size), reader.take(tag_size))
        reader.end()
        return message


@dataclass(frozen=True, slots=True, eq=False)
class Checked:
    """Which frames agree, by Bob's tags, and where he had errors, once all agree."""

    kind: ClassVar[Kind] = Kind.CHECKED
    agreeing: Bits
    """(m,) uint8, one bit a frame."""
    errors: tuple[int, ...] = ()
    """As in `Counted`; empty while a frame disagrees."""

    def encode(self) -> bytes:
        """Return the payload."""
        return struct.pack("<I", self.agreeing.size) + pack(self.agreeing) + _packed_errors(self.errors)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the message of a payload."""
        reader = Reader(cls.kind, data)
        (count,) = reader.numbers("I")
        agreeing, errors = reader.bits(count), _read_errors(reader)
        reader.end()
        return cls(agreeing, errors)


class Opened(BitString):
    """Alice's bits of the frames that were given up; they count as disclosed, all of them."""

    __slots__ = ()
    kind = Kind.OPENED


@dataclass(frozen=True, slots=True)
class Counted:
    """Where Bob had errors, after frames were opened to him."""

    kind: ClassVar[Kind] = Kind.COUNTED
    errors: tuple[int, ...]
    """Wrong bits of the key basis by intensity."""

    def encode(self) -> bytes:
        """Return the payload."""
        return _packed_errors(self.errors)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the message of a payload."""
        reader = Reader(cls.kind, data)
        message = cls(_read_errors(reader))
        reader.end()
        return message


def _packed_errors(errors: tuple[int, ...]) -> bytes:
    return struct.pack(f"<B{len(errors)}I", len(errors), *errors)


def _read_errors(reader: Reader) -> tuple[int, ...]:
    (count,) = reader.numbers("B")
    if count > MAX_INTENSITIES:
        raise reader.refused(f"{count} intensities")
    return reader.numbers(f"{count}I")


@dataclass(frozen=True, slots=True)
class Amplify:
    """What turns the verified bits into the key."""

    kind: ClassVar[Kind] = Kind.AMPLIFY
    key_id: uuid.UUID
    length: int
    """Bits of the key; Bob computes it himself and must find the same."""
    seed: bytes = field(repr=False)
    """Seed of the hash that amplifies."""

    def encode(self) -> bytes:
        """Return the payload."""
        return self.key_id.bytes + struct.pack("<I", self.length) + self.seed

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the message of a payload."""
        reader = Reader(cls.kind, data)
        key_id = uuid.UUID(bytes=reader.take(16))
        (length,) = reader.numbers("I")
        return cls(key_id, length, data[20:])


@dataclass(frozen=True, slots=True)
class Prepared:
    """Bob's key is on disk and waits for Alice's word."""

    kind: ClassVar[Kind] = Kind.PREPARED
    key_id: uuid.UUID

    def encode(self) -> bytes:
        """Return the payload."""
        return self.key_id.bytes

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the message of a payload."""
        reader = Reader(cls.kind, data)
        key_id = uuid.UUID(bytes=reader.take(16))
        reader.end()
        return cls(key_id)


class Release(Prepared):
    """Both keys are on disk and may be used."""

    __slots__ = ()
    kind = Kind.RELEASE


@dataclass(frozen=True, slots=True)
class Abort:
    """No key of this block."""

    kind: ClassVar[Kind] = Kind.ABORT
    error: str
    """Name of the error class."""
    reason: str
    """In words, without anything of the bits."""

    def encode(self) -> bytes:
        """Return the payload."""
        error, reason = self.error.encode()[:64], self.reason.encode()[:MAX_REASON]
        return struct.pack("<BH", len(error), len(reason)) + error + reason

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the message of a payload."""
        reader = Reader(cls.kind, data)
        name_size, reason_size = reader.numbers("BH")
        error, reason = reader.take(name_size), reader.take(reason_size)
        reader.end()
        return cls(error.decode(errors="replace"), reason.decode(errors="replace"))
