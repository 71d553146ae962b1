"""What both directions of one session said so far, which of it is sealed, and which blocks may be released.

Shared by the `Authenticator` and the `Verifier` of one party, which alone change it. It keeps each frame until its
own seal and the peer's have covered it, for both are computed over the frames themselves and not over a hash.
"""

import logging
import struct
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from faintlink.core.entropy import Entropy, OsEntropy
from faintlink.core.errors import AuthenticationError, LocalProtocolError
from faintlink.core.symbols import Party
from faintlink.postprocess.channel.envelope import HEADER_BYTES, MAC_BYTES, Direction, Frame
from faintlink.postprocess.channel.epsilon import MAX_SEALED_BYTES, TagTally, authentication_part
from faintlink.postprocess.channel.onetime import KeyPosition, KeySource
from faintlink.postprocess.channel.session import SessionKeys
from faintlink.postprocess.security.ledger import EpsilonPart

SEAL_KIND = 0
"""Kind of the frames that carry a Wegman-Carter tag."""
_DOMAIN = b"faintlink seal 1"
_COUNTS = struct.Struct(">QQ")
_SEAL = struct.Struct(">QQQ")
SEAL_FIELDS_BYTES = _SEAL.size
_HALF = MAX_SEALED_BYTES // 2
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SealFields:
    """What a seal says before its tag."""

    position: KeyPosition
    """The one-time key of the tag."""
    received_end: int
    """The seal covers the peer's frames of lower sequence number that no earlier seal covers."""

    def encode(self) -> bytes:
        """Return the 24 bytes."""
        return _SEAL.pack(self.position.segment, self.position.slot, self.received_end)

    @classmethod
    def decode(cls, data: bytes) -> "SealFields":
        """Return the fields of 24 bytes."""
        segment, slot, received_end = _SEAL.unpack(data)
        return cls(KeyPosition(segment, slot), received_end)


class FrameLog:
    """The frames of one direction, by sequence number, as far as they are still needed."""

    def __init__(self) -> None:
        self._frames: list[Frame] = []
        self._ends: list[int] = []
        self._first = 0
        self._bytes = 0
        self.mac = bytes(MAC_BYTES)
        """Tag of the last frame, to which the next one is chained."""

    @property
    def end(self) -> int:
        """Sequence number of the next frame."""
        return self._first + len(self._frames)

    def append(self, frame: Frame) -> None:
        """Keep the next frame."""
        self._bytes += frame.size
        self._frames.append(frame)
        self._ends.append(self._bytes)
        self.mac = frame.mac

    def between(self, first: int, end: int) -> list[Frame]:
        """Return the frames from number ``first`` to before ``end``."""
        return self._frames[first - self._first : end - self._first]

    def size(self, first: int, end: int) -> int:
        """Return the bytes of headers and payloads of these frames."""
        return self._bytes_before(end) - self._bytes_before(first)

    def reach(self, first: int, limit: int) -> int:
        """Return the greatest ``end`` for which ``size(first, end)`` does not exceed ``limit``."""
        return self._first + max(bisect_right(self._ends, self._bytes_before(first) + limit), first - self._first)

    def forget(self, before: int) -> None:
        """Drop the frames of lower number than ``before``."""
        drop = before - self._first
        if drop > 0:
            del self._frames[:drop], self._ends[:drop]
            self._first = before

    def _bytes_before(self, number: int) -> int:
        index = number - self._first
        if index > 0:
            return self._ends[index - 1]
        return self._ends[0] - self._frames[0].size if self._ends else self._bytes


@dataclass(frozen=True, slots=True)
class BlockCoverage:
    """How far the frames of one block are covered by seals of the peer that were verified."""

    sent: int
    """Frames of the block sent."""
    received: int
    """Frames of the block received."""
    sent_uncovered: int
    """Those sent that the peer has not yet confirmed under a seal as received."""
    received_uncovered: int
    """Those received that the peer has not yet sealed as sent."""

    @property
    def is_complete(self) -> bool:
        """Whether both sides spoke and nothing is uncovered."""
        return self.sent > 0 and self.received > 0 and not (self.sent_uncovered or self.received_uncovered)


class Conversation:
    """The state of one session at one party. Any failure ends it for good."""

    def __init__(self, keys: SessionKeys, *, party: Party, source: KeySource, entropy: Entropy | None = None) -> None:
        """Begin a session.

        Parameters
        ----------
        keys
            What the greetings led to; never the same for two conversations.
        party
            Who we are.
        source
            One-time keys, in step with the peer's.
        entropy
            Source of the nonces; that of the operating system unless given. A nonce that somebody can foresee
            voids the argument of `faintlink.postprocess.channel.auth`.
        """
        self.keys = keys
        self.source = source
        self.entropy: Entropy = entropy or OsEntropy()
        self.outgoing = Direction.sent_by(party)
        """Direction in which we send."""
        self.incoming = self.outgoing.opposite
        """Direction in which the peer sends."""
        self.sent = FrameLog()
        self.received = FrameLog()
        self.sealed_sent = 0
        self.sealed_received = 0
        self.verified_sent = 0
        self.verified_received = 0
        self.tally = TagTally()
        """What was tagged so far."""
        self._failure: str | None = None
        self._said: Counter[tuple[Direction, int]] = Counter()
        self._released: set[int] = set()

    def __repr__(self) -> str:
        state = "dead" if self._failure else "alive"
        return f"Conversation({self.keys!r}, sends {self.outgoing.name}, {state})"

    @property
    def is_dead(self) -> bool:
        """Whether a failure ended the session."""
        return self._failure is not None

    def require_alive(self) -> None:
        """Raise AuthenticationError when a failure ended the session."""
        if self._failure is not None:
            raise AuthenticationError(
                f"the session ended by a failure: {self._failure}", hint="drop its blocks and greet the peer anew"
            )

    def fail(self, reason: str) -> None:
        """End the session for good; the first reason is kept."""
        if self._failure is None:
            self._failure = reason
            _log.info("session %s ends: %s", self.keys.session.hex(), reason)

    def note(self, log: FrameLog, frame: Frame) -> None:
        """Keep a frame that was sent or accepted."""
        log.append(frame)
        self.tally += TagTally(frames=1)
        if frame.header.kind != SEAL_KIND:
            self._said[frame.header.direction, frame.header.block] += 1

    def is_released(self, block: int) -> bool:
        """Whether `release` was called for a block."""
        return block in self._released

    def coverage(self, block: int) -> BlockCoverage:
        """Return how far the frames of a block are covered by verified seals of the peer."""
        return BlockCoverage(
            self._said[self.outgoing, block],
            self._said[self.incoming, block],
            _count(self.sent.between(self.verified_received, self.sent.end), block),
            _count(self.received.between(self.verified_sent, self.received.end), block),
        )

    def release(self, block: int) -> BlockCoverage:
        """Say that a block's key may leave, and close the block to further messages.

        Raises
        ------
        LocalProtocolError
            Something of the block is not covered by a verified seal, or one side said nothing in it, or it was
            released before.
        AuthenticationError
            The session has failed.
        """
        self.require_alive()
        if block in self._released:
            raise LocalProtocolError(f"block {block} was released before")
        coverage = self.coverage(block)
        if not coverage.is_complete:
            raise LocalProtocolError(
                f"block {block} is not covered by verified seals: {coverage}",
                hint="wait for the peer's seal over everything that both sides said in this block",
                block=block,
            )
        self._released.add(block)
        del self._said[self.outgoing, block], self._said[self.incoming, block]
        return coverage

    def epsilon_part(self) -> EpsilonPart:
        """Return the epsilon of all seals and frames of this session so far."""
        return authentication_part(tags=self.tally.tags, frames=self.tally.frames)

    def receivable(self) -> int:
        """Return up to which number a seal made now may cover received frames."""
        return self.received.reach(self.sealed_received, _HALF)

    def require_room(self, size: int) -> None:
        """Raise LocalProtocolError when ``size`` more bytes sent would not fit under the next seals."""
        for what, covered in (("seal", self.sealed_sent), ("the peer's seal", self.verified_received)):
            waiting = self.sent.size(covered, self.sent.end)
            if waiting + size > _HALF - 2**20:
                raise LocalProtocolError(
                    f"{waiting} bytes sent wait for {what}, {size} more exceed {_HALF - 2**20}",
                    hint="seal, and wait for the peer to seal, after every few ten MiB",
                )

    def forget(self) -> None:
        """Drop the frames that the seals of both sides cover."""
        self.sent.forget(min(self.sealed_sent, self.verified_received))
        self.received.forget(min(self.sealed_received, self.verified_sent))


def seal_text(
    link_id: str, head: bytes, fields: SealFields, sent: list[Frame], received: list[Frame]
) -> Iterator[bytes]:
    """Yield, in parts, the text under a seal's tag.

    The joined text says which frames it holds: all lengths stand in it before what they measure.
    """
    name = link_id.encode()
    yield _DOMAIN + bytes([len(name)]) + name + head + fields.encode() + _COUNTS.pack(len(sent), len(received))
    for frames in (sent, received):
        for frame in frames:
            yield frame.head
            yield frame.payload


def seal_text_size(link_id: str, sent: int, received: int) -> int:
    """Return the bytes of a text that covers ``sent`` and ``received`` bytes of frames."""
    fixed = len(_DOMAIN) + 1 + len(link_id.encode()) + HEADER_BYTES + SEAL_FIELDS_BYTES + _COUNTS.size
    return fixed + sent + received


def _count(frames: list[Frame], block: int) -> int:
    return sum(frame.header.block == block and frame.header.kind != SEAL_KIND for frame in frames)
