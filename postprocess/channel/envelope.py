"""The one binary frame in which every classical message travels, and its incremental decoder.

A frame is a header of 60 bytes, the payload and a tag of 16 bytes, integers big-endian::

    0   4  magic "FLCH"           16  16  session           48  ... nonce ends at 56
    4   1  version (1)            24   8  block number      56   4  length of the payload
    5   1  kind of message        32   8  sequence number   60   n  payload
    6   1  flags                  40  16  nonce             60+n 16 tag of the frame
    7   1  direction

(offset, size, meaning). The decoder gives the same frames however the bytes are cut. It judges only the form: who
made a frame is decided by `faintlink.postprocess.channel.auth`. It never acts on a claimed length before checking
it, and holds no more bytes than it was fed.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

from faintlink.core.errors import LocalProtocolError, RemoteProtocolError
from faintlink.core.symbols import Party

MAGIC = b"FLCH"
VERSION = 1
MAX_PAYLOAD = 16 * 2**20
"""Bytes of the longest payload."""
SESSION_BYTES = 16
NONCE_BYTES = 16
MAC_BYTES = 16
_HEADER = struct.Struct(">4sBBBB16sQQ16sI")
HEADER_BYTES = _HEADER.size
_U64 = 2**64


class Direction(IntEnum):
    """Who speaks to whom."""

    ALICE_TO_BOB = 1
    BOB_TO_ALICE = 2

    @classmethod
    def sent_by(cls, party: Party) -> "Direction":
        """Return the direction in which ``party`` sends.

        Raises
        ------
        LocalProtocolError
            The party is neither Alice nor Bob.
        """
        if party is Party.ALICE:
            return cls.ALICE_TO_BOB
        if party is Party.BOB:
            return cls.BOB_TO_ALICE
        raise LocalProtocolError(f"the channel joins alice and bob, got {party.value}")

    @property
    def opposite(self) -> "Direction":
        """The other direction."""
        return Direction(3 - self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What stands before a payload."""

    kind: int
    """Kind of message, 0 … 255; see `faintlink.postprocess.channel.auth.FIRST_FREE_KIND`."""
    direction: Direction
    """Who sent it."""
    session: bytes
    """Name of the session, 16 bytes."""
    block: int
    """Number of the block that the message belongs to; 0 by custom for what belongs to none."""
    sequence: int
    """Number of the frame in its session and direction, from 0."""
    nonce: bytes
    """16 random bytes that nobody knew before the sender made the frame."""
    length: int
    """Bytes of the payload."""
    flags: int = 0
    """Free for the kind of message; 0 unless the decoder was told otherwise."""

    def encode(self) -> bytes:
        """Return the 60 bytes.

        Raises
        ------
        LocalProtocolError
            A field does not fit its place.
        """
        self._check()
        fixed = (MAGIC, VERSION, self.kind, self.flags, self.direction)
        return _HEADER.pack(*fixed, self.session, self.block, self.sequence, self.nonce, self.length)

    def _check(self) -> None:
        for name, value, top in (
            ("kind", self.kind, 256),
            ("flags", self.flags, 256),
            ("block", self.block, _U64),
            ("sequence", self.sequence, _U64),
            ("length", self.length, MAX_PAYLOAD + 1),
        ):
            if not 0 <= value < top:
                raise LocalProtocolError(f"{name} of a frame must lie in 0..{top - 1}, got {value}")
        if len(self.session) != SESSION_BYTES or len(self.nonce) != NONCE_BYTES:
            raise LocalProtocolError(
                f"session and nonce have 16 bytes each, got {len(self.session)} and {len(self.nonce)}"
            )


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame: header, payload and the tag that came with it."""

    header: Header
    """Its parsed header."""
    head: bytes = field(repr=False)
    """The header as it travels."""
    payload: bytes = field(repr=False)
    """The message."""
    mac: bytes = field(repr=False)
    """The frame's tag, unchecked as long as only the decoder has seen it."""

    @property
    def size(self) -> int:
        """Bytes of header and payload."""
        return HEADER_BYTES + len(self.payload)

    def encode(self) -> bytes:
        """Return the bytes that travel."""
        return b"".join((self.head, self.payload, self.mac))


class FrameDecoder:
    """Bytes in, frames out; after the first malformed frame it refuses everything."""

    def __init__(self, *, max_payload: int = MAX_PAYLOAD, known_flags: int = 0) -> None:
        """Make a decoder that takes payloads of at most ``max_payload`` bytes and the bits of ``known_flags``."""
        if not 0 <= max_payload <= MAX_PAYLOAD:
            raise LocalProtocolError(f"max_payload must lie in 0..{MAX_PAYLOAD}, got {max_payload}")
        self.max_payload = max_payload
        """May be raised once the peer is known, so that a stranger cannot make us hold 16 MiB."""
        self._known_flags = known_flags
        self._buffer = bytearray()
        self._header: Header | None = None
        self._failure: str | None = None

    @property
    def buffered(self) -> int:
        """Bytes fed and not yet given out."""
        return len(self._buffer)

    @property
    def missing(self) -> int:
        """Bytes without which no further frame can be given out."""
        wanted = HEADER_BYTES + (self._header.length + MAC_BYTES if self._header else 0)
        return max(wanted - len(self._buffer), 0)

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes as they came; after a malformed frame they are dropped."""
        if self._failure is None:
            self._buffer += data

    def next_frame(self) -> Frame | None:
        """Return the next frame, or None as long as it is not complete.

        Raises
        ------
        RemoteProtocolError
            The bytes at this place are no frame. The same error comes again at each further call.
        """
        if self._failure is not None:
            raise RemoteProtocolError(self._failure, hint="close the connection; a new session needs a new decoder")
        header = self._header or self._read_header()
        if header is None or len(self._buffer) < HEADER_BYTES + header.length + MAC_BYTES:
            return None
        end = HEADER_BYTES + header.length
        with memoryview(self._buffer) as view:
            head, payload = bytes(view[:HEADER_BYTES]), bytes(view[HEADER_BYTES:end])
            mac = bytes(view[end : end + MAC_BYTES])
        del self._buffer[: end + MAC_BYTES]
        self._header = None
        return Frame(header, head, payload, mac)

    def frames(self) -> Iterator[Frame]:
        """Yield all complete frames, then stop, or raise as `next_frame` does."""
        while (frame := self.next_frame()) is not None:
            yield frame

    def finish(self) -> None:
        """Say that no more bytes will come.

        Raises
        ------
        RemoteProtocolError
            The stream ended inside a frame, or was malformed before.
        """
        if self.next_frame() is not None:
            raise LocalProtocolError("frames are left in the decoder: take them all before the end")
        if self._buffer:
            self._fail(f"the stream ended inside a frame, {len(self._buffer)} bytes into it")

    def _read_header(self) -> Header | None:
        buffer = self._buffer
        if len(buffer) >= len(MAGIC) and buffer[: len(MAGIC)] != MAGIC:
            self._fail(f"a frame begins with {MAGIC!r}, got {bytes(buffer[: len(MAGIC)])!r}")
        if len(buffer) < HEADER_BYTES:
            return None
        _, version, kind, flags, direction, session, block, sequence, nonce, length = _HEADER.unpack_from(buffer)
        if version != VERSION:
            self._fail(f"frames of version {VERSION} are understood, got version {version}")
        if flags & ~self._known_flags:
            self._fail(f"flags 0x{self._known_flags:02x} are known, got 0x{flags:02x}")
        if direction not in (1, 2):
            self._fail(f"direction is 1 or 2, got {direction}")
        if length > self.max_payload:
            self._fail(f"a payload has at most {self.max_payload} bytes, the frame claims {length}")
        self._header = Header(
            kind=kind,
            flags=flags,
            direction=Direction(direction),
            session=session,
            block=block,
            sequence=sequence,
            nonce=nonce,
            length=length,
        )
        return self._header

    def _fail(self, reason: str) -> None:
        self._failure = reason
        self._buffer.clear()
        raise RemoteProtocolError(reason, hint="close the connection; a new session needs a new decoder")
