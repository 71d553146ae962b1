"""Whatever is done to the messages of a block, it ends in a refusal or a protocol error, and never in half a key."""

import functools
import signal
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from faintlink.core.config.link import Distillation
from faintlink.core.entropy import SeededEntropy
from faintlink.core.errors import RemoteProtocolError
from faintlink.core.records import SecretKey
from faintlink.postprocess.node.alice import AliceSide, alice_block
from faintlink.postprocess.node.bob import BobSide, bob_block
from faintlink.postprocess.node.keys import MemorySink
from faintlink.postprocess.node.machine import BlockMachine
from faintlink.postprocess.node.messages import Message, decode
from faintlink.postprocess.node.wire import Kind
from faintlink.postprocess.qkd.hash_families import get
from tests.node_blocks import NodeBlock, node_block
from tests.node_sessions import POLICY, SOURCE

SECONDS_A_BLOCK = 20
WANTED = [Distillation(), Distillation(reconciliation="ldpc"), Distillation(hash_family="modular")]


class Sink(MemorySink):
    """Remembers which keys were prepared and released."""

    def __init__(self) -> None:
        self.data: dict[str, bytes] = {}
        self.released: set[str] = set()

    def prepare(self, key: SecretKey, about: dict[str, object]) -> None:
        self.data[key.key_id] = key.data

    def release(self, key_id: str) -> None:
        self.released.add(key_id)


@functools.cache
def block() -> NodeBlock:
    return node_block(6_000, seed=3, source=SOURCE)


def machines(wanted: Distillation) -> tuple[tuple[BlockMachine, Sink], tuple[BlockMachine, Sink]]:
    ours, theirs = Sink(), Sink()
    alice = AliceSide(SOURCE, POLICY, block().lookup, SeededEntropy(5), ours, get(wanted.hash_family), wanted)
    bob = BobSide(SOURCE, POLICY, theirs, get(wanted.hash_family), wanted)
    return (
        (BlockMachine(alice_block(0, alice)), ours),
        (BlockMachine(bob_block(0, block().detections, [], bob)), theirs),
    )


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Fail instead of hanging."""

    def hang(*_: object) -> None:
        raise TimeoutError(f"a block did not end within {seconds} s")

    before = signal.signal(signal.SIGALRM, hang)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def garbled(kind: int, payload: bytes, rng: np.random.Generator) -> tuple[int, bytes]:
    """Return a kind and a payload with something changed, cut off, put in, or made up."""
    data = bytearray(payload)
    how = int(rng.integers(0, 8))
    at = int(rng.integers(0, len(data))) if data else 0
    if how == 0 and data:
        data[at] ^= 1 << int(rng.integers(0, 8))
    elif how == 1 and data:
        data[at] = int(rng.integers(0, 256))
    elif how == 2:
        del data[at:]
    elif how == 3:
        data += rng.bytes(int(rng.integers(1, 9)))
    elif how == 4:
        data[at:at] = rng.bytes(int(rng.integers(1, 9)))
    elif how == 5:
        # Numbers stand at the beginning: the largest and the smallest are the likeliest to be forgotten.
        head = min(len(data), 4 * int(rng.integers(1, 4)))
        data[:head] = bytes([int(rng.choice([0, 0x7F, 0x80, 0xFF]))]) * head
    elif how == 6:
        data = bytearray(rng.bytes(int(rng.integers(0, 80))))
    else:
        kind = int(rng.integers(0, 20))
    return kind, bytes(data)


def talk_with_one_garbled(at: int, wanted: Distillation, rng: np.random.Generator) -> str:
    """Let two machines settle a block whose message number ``at`` is garbled; return how it ended."""
    (alice, ours), (bob, theirs) = machines(wanted)
    queues: dict[str, deque[Message]] = {"alice": deque(bob.start()), "bob": deque(alice.start())}
    of = {"alice": alice, "bob": bob}
    count, changed, end = 0, False, "settled"
    try:
        while any(queues.values()):
            for listener, other in (("alice", "bob"), ("bob", "alice")):
                while queues[listener]:
                    message = queues[listener].popleft()
                    kind, payload = int(message.kind), message.encode()
                    if count == at:
                        kind, payload = garbled(kind, payload, rng)
                        changed = (kind, payload) != (int(message.kind), message.encode())
                    count += 1
                    queues[other].extend(of[listener].receive(decode(kind, payload)))
            if changed and (alice.awaits_vouch or bob.awaits_vouch):
                # The channel vouches for what it passed on unchanged, and for nothing else.
                end = "not vouched for"
                break
            if not any(queues.values()):
                for listener, other in (("alice", "bob"), ("bob", "alice")):
                    if of[listener].awaits_vouch:
                        queues[other].extend(of[listener].vouched())
    except RemoteProtocolError:
        end = "protocol error"
    if alice.aborted or bob.aborted:
        end = "aborted"
    if changed:
        # Only the last word can still be spoiled after the channel has vouched: alice has released by then.
        assert not theirs.released
        assert not ours.released or at == count - 1
    for key_id in ours.released & theirs.released:
        assert ours.data[key_id] == theirs.data[key_id]
    return end


def messages_of_a_block(wanted: Distillation) -> list[tuple[str, int, bytes]]:
    """Return who heard what, message by message, in a block that settles."""
    (alice, _), (bob, _) = machines(wanted)
    queues: dict[str, deque[Message]] = {"alice": deque(bob.start()), "bob": deque(alice.start())}
    of, heard = {"alice": alice, "bob": bob}, []
    while any(queues.values()):
        for listener, other in (("alice", "bob"), ("bob", "alice")):
            while queues[listener]:
                message = queues[listener].popleft()
                heard.append((listener, int(message.kind), message.encode()))
                queues[other].extend(of[listener].receive(decode(message.kind, message.encode())))
        if not any(queues.values()):
            for listener, other in (("alice", "bob"), ("bob", "alice")):
                if of[listener].awaits_vouch:
                    queues[other].extend(of[listener].vouched())
    assert alice.settled is not None
    assert bob.settled is not None
    return heard


def run_mutations(payloads: int, blocks: int, seed: int) -> set[str]:
    """Garble ``payloads`` messages for the decoder, and one message in each of ``blocks`` live blocks."""
    rng = np.random.default_rng(seed)
    ends: set[str] = set()
    talks = [messages_of_a_block(wanted) for wanted in WANTED]
    heard = [message for talk in talks for message in talk]
    for number in range(payloads):
        _, kind, payload = heard[number % len(heard)]
        try:
            message = decode(*garbled(kind, payload, rng))
            assert decode(message.kind, message.encode()).encode() == message.encode()
        except RemoteProtocolError:
            ends.add("refused payload")
    for number in range(blocks):
        which = number % len(WANTED)
        with at_most(SECONDS_A_BLOCK):
            ends.add(talk_with_one_garbled(int(rng.integers(0, len(talks[which]))), WANTED[which], rng))
    return ends


def test_garbled_messages_end_in_a_refusal_or_a_protocol_error_and_in_no_key() -> None:
    ends = run_mutations(20_000, 300, seed=1)
    assert {"refused payload", "protocol error", "not vouched for"} <= ends


@pytest.mark.slow
def test_a_million_garbled_messages_find_nothing_else() -> None:
    ends = run_mutations(1_000_000, 20_000, seed=2)
    assert {"refused payload", "protocol error", "not vouched for", "aborted"} <= ends


def test_every_kind_of_message_is_garbled_here() -> None:
    seen = {kind for wanted in WANTED for _, kind, _ in messages_of_a_block(wanted)}
    assert seen == set(Kind) - {Kind.ABORT, Kind.OPENED, Kind.COUNTED}
