"""Two ends of a classical channel, with one-time keys from memory, for tests and benchmarks."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from faintlink.core.entropy import SeededEntropy
from faintlink.core.errors import AuthenticationError, KeyExhaustedError
from faintlink.core.symbols import Party
from faintlink.postprocess.channel.auth import Authenticator, Verifier
from faintlink.postprocess.channel.conversation import Conversation
from faintlink.postprocess.channel.envelope import Direction, Frame, FrameDecoder
from faintlink.postprocess.channel.onetime import KeyPosition, KeySource, OneTimeKey
from faintlink.postprocess.channel.reserve import KeyReserve
from faintlink.postprocess.channel.session import LinkIdentity, SessionKeys, frame_mac

LINK = LinkIdentity("test link", bytes(range(32)))
KIND = 40
AB, BA = Direction.ALICE_TO_BOB, Direction.BOB_TO_ALICE


def key_bytes(seed: int, size: int) -> bytes:
    """Return repeatable bytes that look random."""
    return SeededEntropy(seed).draw(size, "test key")


class MemoryKeys:
    """Endless one-time keys without a file; counts what was handed out."""

    def __init__(self, keys: int = 2**32) -> None:
        self.keys = keys
        self.next = dict.fromkeys(Direction, 0)

    @property
    def spent(self) -> int:
        """Keys handed out."""
        return sum(self.next.values())

    def take(self, direction: Direction) -> OneTimeKey:
        """Return the next key."""
        return self.claim(direction, KeyPosition(0, self.next[direction]))

    def claim(self, direction: Direction, position: KeyPosition) -> OneTimeKey:
        """Return the key at a position, once."""
        if position.segment != 0 or position.slot < self.next[direction]:
            raise AuthenticationError("used before")
        if position.slot >= self.keys:
            raise KeyExhaustedError("no key left", hint="refill")
        self.next[direction] = position.slot + 1
        key = key_bytes(position.slot, 64)[(direction - 1) * 32 :][:32]
        return OneTimeKey(bytearray(key), direction=direction, position=position)


@dataclass
class End:
    """One party: its conversation, both tools and a decoder."""

    conversation: Conversation
    sender: Authenticator
    verifier: Verifier
    decoder: FrameDecoder

    @classmethod
    def make(cls, party: Party, source: KeySource, keys: SessionKeys) -> "End":
        """Return the end of a party in a session."""
        conversation = Conversation(keys, party=party, source=source)
        return cls(conversation, Authenticator(conversation), Verifier(conversation), FrameDecoder())

    def hear(self, data: bytes) -> list[Frame]:
        """Decode and accept bytes."""
        self.decoder.feed(data)
        return [self.verifier.accept(frame) for frame in self.decoder.frames()]


def session(seed: int = 0, link: LinkIdentity = LINK) -> SessionKeys:
    """Return the keys of a session."""
    return SessionKeys.agree(link, alice_nonce=key_bytes(seed, 16), bob_nonce=key_bytes(seed + 1, 16))


def ends(seed: int = 0) -> tuple[End, End]:
    """Return Alice's and Bob's ends of one session with keys from memory."""
    keys = session(seed)
    return End.make(Party.ALICE, MemoryKeys(), keys), End.make(Party.BOB, MemoryKeys(), keys)


def reserves(folder: Path, *, keys: int = 8, floor: int = 0) -> tuple[KeyReserve, KeyReserve]:
    """Return Alice's and Bob's aligned reserves of ``keys`` one-time keys in each direction."""
    shared = key_bytes(99, 32 + 64 * keys)
    pair = [
        KeyReserve.create(folder / f"{name}.reserve", link_id="test link", shared_key=shared, floor=floor)
        for name in ("alice", "bob")
    ]
    pair[0].align(pair[1].state())
    pair[1].align(pair[0].state())
    return pair[0], pair[1]


def decoded(data: bytes) -> list[Frame]:
    """Return the frames in some bytes, unverified."""
    decoder = FrameDecoder()
    decoder.feed(data)
    return list(decoder.frames())


def raw(key: OneTimeKey) -> bytes:
    """Return the bits of a key that was not used."""
    assert key._key is not None
    return bytes(key._key)


def reopen(reserve: KeyReserve, *, floor: int = 0) -> KeyReserve:
    """Close a reserve and open its file again."""
    path = reserve._file.path
    reserve.close()
    return KeyReserve.open(path, floor=floor)


def align(*pair: KeyReserve) -> list[int]:
    """Let two reserves align, and return what each burnt."""
    states = [reserve.state() for reserve in pair]
    return [pair[0].align(states[1]), pair[1].align(states[0])]


def spent(end: End) -> int:
    """Return the one-time keys that an end with keys from memory handed out."""
    source = end.conversation.source
    assert isinstance(source, MemoryKeys)
    return source.spent


def play_block(alice: End, bob: End, block: int) -> None:
    """Let both speak in a block and seal: Bob last."""
    bob.hear(alice.sender.protect(KIND, b"frame map", block=block))
    alice.hear(bob.sender.protect(KIND + 1, b"detections", block=block))
    bob.hear(alice.sender.protect(KIND + 2, b"bases" * 50, block=block))
    bob.hear(alice.sender.seal_batch(block=block))
    alice.hear(bob.sender.seal_batch(block=block))


def hear_to_the_end(end: End, data: bytes) -> None:
    """Hear bytes after which no more come: a frame that claims more is noticed by that."""
    end.hear(data)
    end.decoder.finish()


def remade(end: End, frame: Frame, **changes: object) -> Frame:
    """Return an altered frame with the right frame tag: what an adversary of unbounded power can make."""
    payload = changes.pop("payload", frame.payload)
    assert isinstance(payload, bytes)
    header = dataclasses.replace(frame.header, length=len(payload), **changes)  # type: ignore[arg-type]
    head = header.encode()
    mac = frame_mac(end.conversation.keys.frame_key, end.conversation.received.mac, head, payload)
    return Frame(header, head, payload, mac)
