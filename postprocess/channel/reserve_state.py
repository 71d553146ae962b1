"""Where a reserve stands, as the parties tell each other at the start of a session. It holds no key."""

import struct
from dataclasses import dataclass

from faintlink.core.errors import RemoteProtocolError

MAX_SEGMENTS = 4096
"""Segments of a reserve at a time, at most."""
_STATE = struct.Struct(">QIII")


@dataclass(frozen=True, slots=True)
class SegmentState:
    """Where one segment stands; it holds no key."""

    number: int
    slots: int
    """One-time keys of each direction at the start."""
    next_alice: int
    """Next slot for tags from Alice to Bob."""
    next_bob: int
    """Next slot for tags from Bob to Alice."""

    @property
    def next(self) -> tuple[int, int]:
        """Next slot by direction."""
        return self.next_alice, self.next_bob


@dataclass(frozen=True, slots=True)
class ReserveState:
    """Where a reserve stands: public, exchanged at the start of each session."""

    segments: tuple[SegmentState, ...]
    """By number, rising."""

    def encode(self) -> bytes:
        """Return 20 bytes for each segment."""
        return b"".join(_STATE.pack(s.number, s.slots, s.next_alice, s.next_bob) for s in self.segments)

    @classmethod
    def decode(cls, data: bytes) -> "ReserveState":
        """Return the state that `encode` made these bytes of.

        Raises
        ------
        RemoteProtocolError
            The bytes are no such state.
        """
        if len(data) % _STATE.size or len(data) > MAX_SEGMENTS * _STATE.size:
            raise RemoteProtocolError(f"a reserve state has {_STATE.size} bytes a segment, got {len(data)} bytes")
        segments = tuple(SegmentState(*fields) for fields in _STATE.iter_unpack(data))
        numbers = [segment.number for segment in segments]
        if numbers != sorted(set(numbers)):
            raise RemoteProtocolError("the segments of a reserve state must have rising numbers")
        if any(max(segment.next) > segment.slots for segment in segments):
            raise RemoteProtocolError("a reserve state names a slot beyond its segment")
        return cls(segments)
