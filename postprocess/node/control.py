"""Messages about a session as a whole: who we are, what became of old keys, and the end.

They travel in frames of block 0 and have codes of their own, above those of a block's messages.
"""

import struct
import uuid
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

from faintlink.core.errors import RemoteProtocolError

PROTOCOL_VERSION = 1
CONTROL_BLOCK = 0
"""Block number in frames about the session; those of block n bear n + 1."""
MAX_PREPARED = 4096
"""Keys that may wait for the other side's word, at most."""
_HELLO = struct.Struct("<H32sQQI")
_RELEASED = struct.Struct("<Q")
_HINT = "both nodes must run the same program version"


class Control(IntEnum):
    """Kind of a message about the session; the number is the code on the wire."""

    HELLO = 200
    VERDICTS = 201
    RELEASED = 202
    DONE = 203


@dataclass(frozen=True, slots=True)
class Hello:
    """The first words of a session, under a seal before anything follows from them."""

    link_sha256: bytes
    """32 bytes, of the whole link configuration."""
    next_block: int
    """First block that this side never began."""
    last_refill: int
    """Greatest number of a refill of the reserve."""
    prepared: tuple[uuid.UUID, ...]
    """Keys that wait for the other side's word."""

    def encode(self) -> bytes:
        """Return the payload."""
        fixed = (PROTOCOL_VERSION, self.link_sha256, self.next_block, self.last_refill, len(self.prepared))
        return _HELLO.pack(*fixed) + b"".join(one.bytes for one in self.prepared)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the message of a payload.

        Raises
        ------
        RemoteProtocolError
            It is malformed, or of another version.
        """
        if len(data) < 2 or int.from_bytes(data[:2], "little") != PROTOCOL_VERSION:
            seen = int.from_bytes(data[:2], "little")
            raise RemoteProtocolError(
                f"the peer speaks version {seen} of the nodes' protocol, here is {PROTOCOL_VERSION}", hint=_HINT
            )
        if len(data) < _HELLO.size:
            raise RemoteProtocolError(f"a HELLO has at least {_HELLO.size} bytes, got {len(data)}", hint=_HINT)
        _, sha, next_block, last_refill, count = _HELLO.unpack_from(data)
        if count > MAX_PREPARED:
            raise RemoteProtocolError(f"at most {MAX_PREPARED} keys may wait, the peer names {count}")
        return cls(sha, next_block, last_refill, _uuids(data[_HELLO.size :], count))


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What became of the keys that the other side has prepared."""

    released: tuple[uuid.UUID, ...]
    """Those that may be used; all others are to be destroyed."""

    def encode(self) -> bytes:
        """Return the payload."""
        return struct.pack("<I", len(self.released)) + b"".join(one.bytes for one in self.released)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the message of a payload.

        Raises
        ------
        RemoteProtocolError
            It is malformed.
        """
        count = int.from_bytes(data[:4], "little")
        if len(data) < 4 or count > MAX_PREPARED:
            raise RemoteProtocolError(f"VERDICTS on {count} keys in {len(data)} bytes is malformed", hint=_HINT)
        return cls(_uuids(data[4:], count))


def encode_released(number: int, payload: bytes) -> bytes:
    """Return the payload of a block's last word, which travels outside its block: that is closed by then."""
    return _RELEASED.pack(number) + payload


def decode_released(data: bytes) -> tuple[int, bytes]:
    """Return block number and payload of a block's last word.

    Raises
    ------
    RemoteProtocolError
        It is malformed.
    """
    if len(data) < _RELEASED.size:
        raise RemoteProtocolError(f"a RELEASED of {len(data)} bytes is malformed", hint=_HINT)
    (number,) = _RELEASED.unpack_from(data)
    return number, data[_RELEASED.size :]


def _uuids(data: bytes, count: int) -> tuple[uuid.UUID, ...]:
    if len(data) != 16 * count:
        raise RemoteProtocolError(f"{count} key names take {16 * count} bytes, got {len(data)}", hint=_HINT)
    return tuple(uuid.UUID(bytes=data[at : at + 16]) for at in range(0, len(data), 16))
