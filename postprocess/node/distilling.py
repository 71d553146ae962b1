"""Messages of the second half of a block: reconciliation, verification, amplification, release, abort."""

import struct
import uuid
from dataclasses import dataclass, field
from typing import ClassVar, Self

from faintlink.core.symbols import MAX_INTENSITIES
from faintlink.postprocess.node.wire import Kind, Reader

MAX_REASON = 2048
SEED_BYTES = 32


@dataclass(frozen=True, slots=True)
class Reconcile:
    """Reconciliation begins, with a public seed drawn after sifting."""

    kind: ClassVar[Kind] = Kind.RECONCILE
    seed: bytes
    """`SEED_BYTES` bytes."""

    def encode(self) -> bytes:
        """Return the payload."""
        return self.seed

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the message of a payload."""
        reader = Reader(cls.kind, data)
        message = cls(reader.take(SEED_BYTES))
        reader.end()
        return message


@dataclass(frozen=True, slots=True)
class Opaque:
    """A message whose payload belongs to another codec; `Parities` and `Answer` are its kinds."""

    kind: ClassVar[Kind]
    run: int
    """Which run of Cascade within the block."""
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
    """A request of Cascade."""

    __slots__ = ()
    kind = Kind.PARITIES


class Answer(Opaque):
    """The answer to a request of Cascade."""

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
    """Alice's verification hash, with the seed drawn after the last correction."""

    kind: ClassVar[Kind] = Kind.CHECK
    seed: bytes
    tag: bytes = field(repr=False)

    def encode(self) -> bytes:
        """Return the payload."""
        return struct.pack("<HH", len(self.seed), len(self.tag)) + self.seed + self.tag

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the message of a payload."""
        reader = Reader(cls.kind, data)
        seed_size, tag_size = reader.numbers("HH")
        message = cls(reader.take(seed_size), reader.take(tag_size))
        reader.end()
        return message


@dataclass(frozen=True, slots=True)
class Checked:
    """Whether Bob's hash agrees, and where he had errors."""

    kind: ClassVar[Kind] = Kind.CHECKED
    agrees: bool
    errors: tuple[int, ...]
    """Corrected bits of the key basis by intensity; empty when the hashes differ."""

    def encode(self) -> bytes:
        """Return the payload."""
        return struct.pack(f"<?B{len(self.errors)}I", self.agrees, len(self.errors), *self.errors)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the message of a payload."""
        reader = Reader(cls.kind, data)
        agrees, count = reader.numbers("BB")
        if agrees > 1 or count > MAX_INTENSITIES:
            raise reader.refused(f"flags {agrees}, {count} intensities")
        errors = reader.numbers(f"{count}I")
        reader.end()
        return cls(bool(agrees), errors)


@dataclass(frozen=True, slots=True)
class Amplify:
    """What turns the verified bits into the key."""

    kind: ClassVar[Kind] = Kind.AMPLIFY
    key_id: uuid.UUID
    length: int
    """Bits of the key; Bob computes it himself and must find the same."""
    seed: bytes = field(repr=False)
    """Seed of the Toeplitz hash."""

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
