"""Messages of a verification as bytes: the branch's challenge and the terminal's answer.

Sans-I/O. Layout: ``fM``, version, kind, 16 bytes of the card's number, then the fields; integers little-endian, bits
packed eight a byte with the first one highest and zeros behind the last. A challenge must stay unknown until the card
lies in the terminal; the line between both must be authenticated by whoever carries it.

Sources: own design; BLAKE2, RFC 7693.
"""

import hashlib
import struct
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from faintlink.core.basis_pattern import SEED_BYTES
from faintlink.core.errors import LocalProtocolError, RemoteProtocolError
from faintlink.core.units import Bits
from faintlink.postprocess.conjugate.fields import Fields, packed_size
from faintlink.postprocess.money.card import SERIAL_BYTES

MAGIC = b"fM\x01"
DIGEST_BYTES = 16
MAX_PULSES = 2**26
_PERSON = b"faintlink money"


class Kind(IntEnum):
    """What a message is."""

    CHALLENGE = 1
    """Branch to terminal: in which basis to measure each pair."""
    ANSWER = 2
    """Terminal to branch: which pulses were detected, and the bits."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """The questions to a card, as a seed of `faintlink.core.basis_pattern` with two slots a basis."""

    serial: bytes
    seed: bytes = field(repr=False)

    def encode(self) -> bytes:
        """Return the message."""
        return _head(Kind.CHALLENGE, self.serial) + self.seed

    @classmethod
    def decode(cls, data: bytes) -> "Challenge":
        """Return the challenge of a message, or raise `RemoteProtocolError`."""
        fields = _fields(data, Kind.CHALLENGE)
        found = cls(fields.take(SERIAL_BYTES), fields.take(SEED_BYTES))
        fields.end()
        return found

    @property
    def digest(self) -> bytes:
        """Names the challenge in its answer."""
        return hashlib.blake2b(self.encode(), person=_PERSON, digest_size=DIGEST_BYTES).digest()


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a terminal measured."""

    serial: bytes
    challenge: bytes
    """`Challenge.digest`."""
    detected: Bits = field(repr=False)
    """(pulses,) uint8: 1 where the pulse was detected."""
    bit: Bits = field(repr=False)
    """(n,) uint8: of the detected pulses in their order."""

    def encode(self) -> bytes:
        """Return the message."""
        if int(np.count_nonzero(self.detected)) != self.bit.size:
            raise LocalProtocolError(f"{np.count_nonzero(self.detected)} pulses detected, but {self.bit.size} bits")
        head = _head(Kind.ANSWER, self.serial) + self.challenge + struct.pack("<I", self.detected.size)
        return head + np.packbits(self.detected).tobytes() + np.packbits(self.bit).tobytes()

    @classmethod
    def decode(cls, data: bytes) -> "Answer":
        """Return the answer of a message, or raise `RemoteProtocolError`."""
        if len(data) > 64 + 2 * packed_size(MAX_PULSES):
            raise RemoteProtocolError(f"an answer has {len(data)} bytes, more than any card")
        fields = _fields(data, Kind.ANSWER)
        serial, challenge = fields.take(SERIAL_BYTES), fields.take(DIGEST_BYTES)
        pulses = int(fields.number("<I", 1, MAX_PULSES))
        detected = _unpacked(fields.bits(pulses), pulses)
        count = int(np.count_nonzero(detected))
        bit = _unpacked(fields.bits(count), count) if count else np.empty(0, np.uint8)
        fields.end()
        return cls(serial, challenge, detected, bit)


def _head(kind: Kind, serial: bytes) -> bytes:
    return MAGIC + bytes([kind]) + serial


def _fields(data: bytes, kind: Kind) -> Fields:
    return Fields(data, MAGIC + bytes([kind]), kind.name)


def _unpacked(packed: bytes, count: int) -> Bits:
    return np.unpackbits(np.frombuffer(packed, np.uint8), count=count)
