"""Messages of a transfer as bytes: a kind, then columns of sizes that both sides know beforehand.

Sans-I/O. Nothing is read whose size the session does not fix; anything else is refused before it is looked at.

Layout: one byte of `Kind`, then the columns, little-endian: positions uint32 ascending, bits packed eight a byte with
the first one highest and zero padding, everything else as bytes.

Sources: own design.
"""

from enum import IntEnum

import numpy as np
import numpy.typing as npt

from faintlink.core.errors import RemoteProtocolError
from faintlink.core.units import Bits

Places = npt.NDArray[np.int64]


class Kind(IntEnum):
    """What a message is, in the order of the protocol."""

    CHALLENGE = 1
    """Sender: R_0 and R_1 of the commitments."""
    COMMITMENTS = 2
    """Receiver: one per detection."""
    SAMPLE = 3
    """Sender: which to open."""
    OPENINGS = 4
    """Receiver: seeds, bits and bases of these."""
    BASES = 5
    """Sender: its bases of the others."""
    SETS = 6
    """Receiver: I_0 and I_1."""
    SYNDROMES = 7
    """Sender: seeds, and syndrome and check value of both strings."""


def message(kind: Kind, *columns: bytes) -> bytes:
    """Return a message."""
    return bytes([kind]) + b"".join(columns)


def columns_of(data: bytes, kind: Kind, *lengths: int) -> list[bytes]:
    """Return the columns of a message.

    Raises
    ------
    RemoteProtocolError
        It is of another kind or size.
    """
    if not data or data[0] != kind:
        raise RemoteProtocolError(f"expected a message {kind.name}, got {data[:1].hex() or 'nothing'}")
    if len(data) != 1 + sum(lengths):
        raise RemoteProtocolError(f"a message {kind.name} has {1 + sum(lengths)} bytes here, got {len(data)}")
    columns, at = [], 1
    for length in lengths:
        columns.append(data[at : at + length])
        at += length
    return columns


def pack(bits: Bits) -> bytes:
    """Return bits (n,) uint8 as bytes."""
    return np.packbits(bits).tobytes()


def packed_size(count: int) -> int:
    """Return the bytes of ``count`` bits."""
    return (count + 7) // 8


def unpack(data: bytes, count: int) -> Bits:
    """Return ``count`` bits.

    Raises
    ------
    RemoteProtocolError
        The padding is not zero.
    """
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    if bits[count:].any():
        raise RemoteProtocolError("the padding behind packed bits is not zero")
    return bits[:count]


def pack_places(places: Places) -> bytes:
    """Return ascending positions as bytes."""
    return places.astype("<u4").tobytes()


def unpack_places(data: bytes, limit: int) -> Places:
    """Return ascending positions below ``limit``, (n,) int64.

    Raises
    ------
    RemoteProtocolError
        They are out of range or order, or one stands twice.
    """
    places = np.frombuffer(data, "<u4").astype(np.int64)
    if places.size and (int(places[-1]) >= limit or not np.all(np.diff(places) > 0)):
        raise RemoteProtocolError(f"positions must ascend strictly below {limit}")
    return places
