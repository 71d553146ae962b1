"""What a node has to say, cut into frames and held back while too much waits for the peer's seal.

Seals of our own are made when asked for, and whenever much was sent or received since the last one, so that the
frames that both sides must keep stay few.
"""

from collections import Counter, deque

from faintlink.postprocess.channel.auth import Authenticator
from faintlink.postprocess.channel.conversation import Conversation

MORE = 1
"""Flag of a frame whose message goes on in the next frame of its block."""
PART_BYTES = 4 << 20
SEAL_EVERY_BYTES = 32 << 20
_MAX_WAITING_BYTES = 96 << 20


class Outbox:
    """Messages of one side of a session on their way out.

    Parameters
    ----------
    conversation, authenticator
        Of this side.
    """

    def __init__(self, conversation: Conversation, authenticator: Authenticator) -> None:
        self._conversation = conversation
        self._authenticator = authenticator
        self._queue: deque[tuple[int, bytes, int, int]] = deque()
        self._queued: Counter[int] = Counter()
        self._out = bytearray()

    @property
    def is_empty(self) -> bool:
        """Whether every message has become frames."""
        return not self._queue

    def say(self, kind: int, payload: bytes, *, block: int = 0) -> None:
        """Queue a message; `pump` makes frames of it."""
        last = max(len(payload) - 1, 0) // PART_BYTES
        for part in range(last + 1):
            data = payload[part * PART_BYTES : (part + 1) * PART_BYTES]
            self._queue.append((kind, data, block, MORE if part < last else 0))
            self._queued[block] += 1
        self.pump()

    def pump(self) -> None:
        """Make frames of what is queued, as far as the channel has room."""
        if self._unsealed() > SEAL_EVERY_BYTES:
            self.seal()
        while self._queue and self._has_room():
            kind, data, block, flags = self._queue.popleft()
            self._queued[block] -= 1
            self._out += self._authenticator.protect(kind, data, block=block, flags=flags)
            if self._unsealed() > SEAL_EVERY_BYTES:
                self.seal()

    def seal(self) -> None:
        """Seal all that was sent and received so far; it spends one one-time key."""
        self._out += self._authenticator.seal_batch()

    def lacks_seal(self, block: int) -> bool:
        """Return whether a message of a block was sent, received or queued that no seal of ours covers."""
        conversation = self._conversation
        sent = conversation.sent.between(conversation.sealed_sent, conversation.sent.end)
        received = conversation.received.between(conversation.sealed_received, conversation.received.end)
        return self._queued[block] > 0 or any(frame.header.block == block for frame in (*sent, *received))

    def take(self) -> bytes:
        """Return, once, the bytes to send."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def _unsealed(self) -> int:
        conversation = self._conversation
        sent = conversation.sent.size(conversation.sealed_sent, conversation.sent.end)
        return max(sent, conversation.received.size(conversation.sealed_received, conversation.received.end))

    def _has_room(self) -> bool:
        conversation = self._conversation
        waiting = conversation.sent.size(conversation.verified_received, conversation.sent.end)
        return waiting + PART_BYTES < _MAX_WAITING_BYTES
