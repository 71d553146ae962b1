"""The alphabet of the nodes' messages, and the careful reading of payloads.

Layout: little-endian; bit strings are packed eight a byte, the first bit lowest, padded with zeros.
"""

import struct
from enum import IntEnum

import numpy as np

from faintlink.core.errors import RemoteProtocolError
from faintlink.core.units import Bits


class Kind(IntEnum):
    """Kind of a message; the number is the code on the wire."""

    DETECTIONS = 1
    COMMITTED = 2
    BASES = 3
    SIFTED = 4
    TESTED = 5
    RECONCILE = 6
    PARITIES = 7
    ANSWER = 8
    CORRECTED = 9
    CHECK = 10
    CHECKED = 11
    AMPLIFY = 12
    PREPARED = 13
    RELEASE = 14
    ABORT = 15
    OPENED = 16
    COUNTED = 17


def pack(bits: Bits) -> bytes:
    """Return bits (n,) uint8 packed, the first one lowest."""
    return np.packbits(bits, bitorder="little").tobytes()


class Reader:
    """Takes a payload apart and notices what is too short or left over."""

    def __init__(self, kind: Kind, data: bytes) -> None:
        self._kind = kind
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        """Return the next ``size`` bytes."""
        if size < 0 or self._at + size > len(self._data):
            raise self.refused(f"{len(self._data)} bytes are too few")
        part = self._data[self._at : self._at + size]
        self._at += size
        return part

    def numbers(self, layout: str) -> tuple[int, ...]:
        """Return the next numbers, laid out as `struct` says."""
        return struct.unpack("<" + layout, self.take(struct.calcsize("<" + layout)))

    def bits(self, count: int) -> Bits:
        """Return the next bit string of ``count`` bits."""
        packed = np.frombuffer(self.take((count + 7) // 8), np.uint8)
        if count % 8 and packed[-1] >> (count % 8):
            raise self.refused("a bit string is not padded with zeros")
        return np.unpackbits(packed, count=count, bitorder="little")

    def end(self) -> None:
        """Refuse what is left over."""
        if self._at != len(self._data):
            raise self.refused(f"{len(self._data) - self._at} bytes are left over")

    def refused(self, why: str) -> RemoteProtocolError:
        """Return the error for a payload that is malformed."""
        return RemoteProtocolError(
            f"a message {self._kind.name} is malformed: {why}", hint="both nodes must run the same program version"
        )
