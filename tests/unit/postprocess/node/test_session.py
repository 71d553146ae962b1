"""A session of two nodes: one key on both sides or none, whatever happens to the line or to a node."""

import contextlib
import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from faintlink.core.errors import (
    AuthenticationError,
    FaintlinkError,
    KeyExhaustedError,
    LocalProtocolError,
    RemoteProtocolError,
)
from faintlink.core.symbols import Party
from faintlink.postprocess.channel.envelope import Direction, Frame, FrameDecoder
from faintlink.postprocess.node.events import Ready
from faintlink.postprocess.node.outbox import MORE
from tests.channel import LINK, key_bytes
from tests.node_blocks import node_block
from tests.node_sessions import SOURCE, Node, keys_of, nodes, small_block, talk


def meet(alice: Node, bob: Node) -> None:
    """Let both greet and become ready."""
    alice.greet()
    bob.greet()
    talk(alice, bob)
    assert alice.session is not None
    assert bob.session is not None
    assert alice.session.is_ready
    assert bob.session.is_ready


def test_blocks_become_equal_keys_and_the_reserve_grows(tmp_path: Path) -> None:
    alice, bob = nodes(tmp_path)
    meet(alice, bob)
    before = [alice.reserve.available(direction) for direction in Direction]
    for number in range(3):
        bob.start(number)
    talk(alice, bob)
    assert [end.number for end in alice.ended] == [0, 1, 2]
    assert len(keys_of(alice)) == 3
    assert keys_of(alice) == keys_of(bob)
    assert [alice.reserve.available(direction) for direction in Direction] > before
    assert alice.reserve.state() == bob.reserve.state()


def test_the_reserves_share_is_not_in_the_users_key(tmp_path: Path) -> None:
    alice, bob = nodes(tmp_path)
    meet(alice, bob)
    bob.start(0)
    talk(alice, bob)
    (end,) = alice.ended
    assert end.settled is not None
    assert end.settled.key is not None
    stored = alice.store.get(end.settled.key.key_id)
    assert stored.data == end.settled.key.data[2 * 64 :]
    assert alice.store.about(stored.key_id)["bits_to_reserve"] == 8 * 2 * 64


def test_both_end_when_bob_is_done(tmp_path: Path) -> None:
    alice, bob = nodes(tmp_path)
    meet(alice, bob)
    bob.start(0)
    talk(alice, bob)
    assert bob.session is not None
    bob.session.finish()
    talk(alice, bob)
    assert alice.session is not None
    assert alice.session.is_over
    assert bob.session.is_over


def test_a_refused_block_costs_only_itself(tmp_path: Path) -> None:
    alice, bob = nodes(tmp_path)
    alice.blocks[1] = bob.blocks[1] = node_block(24_000, qber=0.2, source=SOURCE)
    meet(alice, bob)
    for number in range(3):
        bob.start(number)
    talk(alice, bob)
    for node in (alice, bob):
        refusals = {end.number: type(end.refusal).__name__ for end in node.ended}
        assert refusals == {0: "NoneType", 1: "QberTooHighError", 2: "NoneType"}
    assert len(keys_of(alice)) == 2
    assert keys_of(alice) == keys_of(bob)


def test_a_long_message_goes_in_parts_and_arrives_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faintlink.postprocess.node.outbox.PART_BYTES", 1000)
    alice, bob = nodes(tmp_path)
    meet(alice, bob)
    sizes: list[int] = []

    def watch(party: Party, data: bytes) -> bytes:
        del party
        sizes.extend(len(frame.payload) for frame in frames_of(data))
        return data

    bob.start(0)
    bob.start(1)
    talk(alice, bob, watch)
    assert max(sizes) == 1000
    assert keys_of(alice) == keys_of(bob)
    assert len(keys_of(alice)) == 2


def test_what_waits_for_seals_is_held_back_and_still_arrives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("PART_BYTES", 4000), ("SEAL_EVERY_BYTES", 8000), ("_MAX_WAITING_BYTES", 24_000)):
        monkeypatch.setattr(f"faintlink.postprocess.node.outbox.{name}", value)
    alice, bob = nodes(tmp_path, keys=512)
    meet(alice, bob)
    for number in range(4):
        bob.start(number)
    talk(alice, bob)
    assert len(keys_of(alice)) == 4
    assert keys_of(alice) == keys_of(bob)


def test_nodes_with_different_link_files_do_not_begin(tmp_path: Path) -> None:
    alice, bob = nodes(tmp_path)
    alice.greet()
    bob.greet(link_sha=bytes([1]) * 32)
    with pytest.raises(RemoteProtocolError, match="same link configuration"):
        talk(alice, bob)


def test_a_block_is_never_begun_twice(tmp_path: Path) -> None:
    alice, bob = nodes(tmp_path)
    meet(alice, bob)
    bob.start(0)
    with pytest.raises(LocalProtocolError, match="begun before"):
        bob.start(0)


def test_no_block_begins_before_the_session_is_ready(tmp_path: Path) -> None:
    _, bob = nodes(tmp_path)
    bob.greet()
    with pytest.raises(LocalProtocolError, match="no block can begin"):
        bob.start(0)


def test_an_exhausted_reserve_ends_the_session_with_its_floor_untouched(tmp_path: Path) -> None:
    alice, bob = nodes(tmp_path, keys=4, refill_slots=0)
    meet(alice, bob)

    def exhaust() -> None:
        for number in range(4):
            bob.start(number)
            talk(alice, bob)

    with pytest.raises(KeyExhaustedError):
        exhaust()
    assert keys_of(bob).items() <= keys_of(alice).items()


# -- a node dies

_NEVER = 1 << 30
"""Transmissions; a session takes 174 to 604, as the questions fall."""


def cut_after(sent: int) -> Callable[[Party, bytes], bytes]:
    """Return a wire that dies after ``sent`` transmissions."""
    count = 0

    def wire(party: Party, data: bytes) -> bytes:
        nonlocal count
        del party
        if data:
            count += 1
            if count > sent:
                raise ConnectionError("cut")
        return data

    return wire


def session_with_a_block(alice: Node, bob: Node, wire: Callable[[Party, bytes], bytes]) -> None:
    """Let both meet, distil one block and part, through ``wire``."""
    alice.greet()
    bob.greet()
    talk(alice, bob, wire)
    number = next((event.next_block for event in bob.events if isinstance(event, Ready)), None)
    if number is not None:
        bob.start(number)
        talk(alice, bob, wire)
        if bob.session is not None and not bob.session.in_flight:
            bob.session.finish()
            talk(alice, bob, wire)


def transmissions(folder: Path) -> list[Frame]:
    """Return the frames of an honest session with one block, in order."""
    frames: list[Frame] = []

    def record(party: Party, data: bytes) -> bytes:
        del party
        frames.extend(frames_of(data))
        return data

    folder.mkdir()
    session_with_a_block(*nodes(folder), record)
    return frames


@pytest.mark.parametrize("dies", ["alice", "bob", "both"])
def test_a_death_at_any_transmission_leaves_a_key_on_both_sides_or_on_neither(tmp_path: Path, dies: str) -> None:
    total = len(transmissions(tmp_path / "honest"))
    # Each one at the beginning and the end, every 15th of the many questions between; then one not cut.
    moments = [*range(14), *range(14, total - 14, 15), *range(total - 14, total + 2), _NEVER]
    alice, bob = nodes(tmp_path, keys=1024)
    for sent in moments:
        with contextlib.suppress(ConnectionError):
            session_with_a_block(alice, bob, cut_after(sent))
        for name, node in (("alice", alice), ("bob", bob)):
            if dies in (name, "both"):
                node.restart()
    meet(alice, bob)
    assert keys_of(alice) == keys_of(bob)
    assert 0 < len(keys_of(alice)) < len(moments)
    assert alice.store.prepared() == bob.store.prepared() == []
    numbers = [alice.store.about(key)["block"] for key in keys_of(alice)]
    assert len(numbers) == len(set(numbers))


def test_a_key_that_only_bob_prepared_is_destroyed_at_the_next_meeting(tmp_path: Path) -> None:
    alice, bob = nodes(tmp_path)
    meet(alice, bob)
    bob.start(0)
    assert alice.session is not None
    assert bob.session is not None
    while not bob.store.prepared():
        alice.events += alice.session.receive(bob.session.take_output())
        bob.events += bob.session.receive(alice.session.take_output())
    for node in (alice, bob):
        node.restart()
    meet(alice, bob)
    assert keys_of(alice) == keys_of(bob) == {}
    assert bob.store.prepared() == []
    bob.start(1)
    talk(alice, bob)
    assert len(keys_of(bob)) == 1


def test_a_key_that_alice_released_is_released_by_bob_at_the_next_meeting(tmp_path: Path) -> None:
    alice, bob = nodes(tmp_path)
    meet(alice, bob)
    bob.start(0)
    assert alice.session is not None
    assert bob.session is not None
    while not keys_of(alice):
        alice.events += alice.session.receive(bob.session.take_output())
        if not keys_of(alice):
            bob.events += bob.session.receive(alice.session.take_output())
    assert keys_of(bob) == {}
    for node in (alice, bob):
        node.restart()
    meet(alice, bob)
    assert keys_of(bob) == keys_of(alice)
    assert len(keys_of(bob)) == 1


# -- an adversary on the line


def frames_of(data: bytes) -> list[Frame]:
    """Return the frames in some bytes."""
    decoder = FrameDecoder(known_flags=MORE)
    decoder.feed(data)
    return list(decoder.frames())


class Adversary:
    """Does one thing to one frame of a session: the first of a kind in a direction."""

    def __init__(self, kind: tuple[int, Direction], deed: Callable[[Frame, "Adversary"], list[bytes]]) -> None:
        self.kind = kind
        self.deed = deed
        self.kept: list[Frame] = []
        self.struck: Frame | None = None

    def __call__(self, party: Party, data: bytes) -> bytes:
        del party
        out = []
        for frame in frames_of(data):
            if self.struck is None and (frame.header.kind, frame.header.direction) == self.kind:
                self.struck = frame
                out += self.deed(frame, self)
            else:
                out.append(frame.encode())
            self.kept.append(frame)
        return b"".join(out)


def flip(frame: Frame, byte: int) -> bytes:
    data = bytearray(frame.encode())
    data[byte % len(data)] ^= 1
    return bytes(data)


DEEDS: dict[str, Callable[[Frame, Adversary], list[bytes]]] = {
    "drop": lambda frame, eve: [],
    "repeat": lambda frame, eve: [frame.encode(), frame.encode()],
    "replay the last one instead": lambda frame, eve: [eve.kept[-1].encode()] if eve.kept else [b"x" * 60],
    "reflect": lambda frame, eve: [eve.kept[-1].encode(), frame.encode()] if eve.kept else [frame.encode() * 2],
    "alter the kind": lambda frame, eve: [flip(frame, 5)],
    "alter the block": lambda frame, eve: [flip(frame, 31)],
    "alter the sequence": lambda frame, eve: [flip(frame, 39)],
    "alter the nonce": lambda frame, eve: [flip(frame, 50)],
    "alter the end": lambda frame, eve: [flip(frame, -17)],
    "alter the tag": lambda frame, eve: [flip(frame, -1)],
    "truncate": lambda frame, eve: [frame.encode()[:-5]],
    "forge under another key": lambda frame, eve: [dataclasses.replace(frame, mac=key_bytes(5, 16)).encode()],
}


@pytest.mark.parametrize("deed", DEEDS)
def test_any_deed_on_any_message_makes_no_key_that_differs_and_costs_no_reserve(tmp_path: Path, deed: str) -> None:
    honest = transmissions(tmp_path / "honest")
    kinds = dict.fromkeys((frame.header.kind, frame.header.direction) for frame in honest)
    assert len({kind for kind, _ in kinds}) == 20
    alice, bob = nodes(tmp_path, keys=2048, refill_slots=0)
    for kind in kinds:
        eve = Adversary(kind, DEEDS[deed])
        before = len(keys_of(alice))
        with contextlib.suppress(AuthenticationError, RemoteProtocolError):
            session_with_a_block(alice, bob, eve)
        for node in (alice, bob):
            node.restart()
        assert eve.struck is not None
        assert len(keys_of(alice)) <= before + 1
    meet(alice, bob)
    assert keys_of(alice) == keys_of(bob)
    # An honest session of one block makes four seals each way; a forgery makes nobody spend more.
    for node in (alice, bob):
        for direction in Direction:
            assert 2048 - node.reserve.available(direction) <= 4 * len(kinds) + 2


def test_a_recorded_session_played_again_reaches_no_seal(tmp_path: Path) -> None:
    alice, bob = nodes(tmp_path)
    recorded: list[bytes] = []

    def record(party: Party, data: bytes) -> bytes:
        if party is Party.BOB and data:
            recorded.append(data)
        return data

    alice.greet()
    bob.greet()
    talk(alice, bob, record)
    bob.start(0)
    talk(alice, bob, record)
    alice.restart()
    free = [alice.reserve.available(direction) for direction in Direction]
    session = alice.greet()
    session.take_output()
    with pytest.raises(AuthenticationError):
        session.receive(b"".join(recorded))
    assert not session.has_met_peer
    alice.restart()
    assert [alice.reserve.available(direction) for direction in Direction] == free


@pytest.mark.parametrize(
    "trials", [3_000, pytest.param(1_000_000, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])]
)
def test_mutated_traffic_is_never_accepted_and_never_crashes_a_node(tmp_path: Path, trials: int) -> None:
    # Mutations of genuine frames of one session, each given to the listener in the state in which it was due.
    alice, bob = nodes(tmp_path, keys=64)
    said: list[tuple[Party, bytes]] = []

    def record(party: Party, data: bytes) -> bytes:
        if data:
            said.append((party, data))
        return data

    alice.greet()
    bob.greet()
    talk(alice, bob, record)
    bob.start(0)
    talk(alice, bob, record)
    frames = [frame.encode() for _, data in said for frame in frames_of(data)]
    alice.restart()
    rng = np.random.default_rng(3)
    refused = 0
    for _ in range(trials):
        frame = bytearray(frames[int(rng.integers(len(frames)))])
        for _ in range(int(rng.integers(1, 4))):
            frame[int(rng.integers(min(len(frame), 400)))] = int(rng.integers(256))
        session = alice.greet()
        session.take_output()
        try:
            session.receive(bytes(frame))
        except FaintlinkError:
            refused += 1
        assert not session.has_met_peer
    # The rest are frames that were cut: they wait for more bytes.
    assert refused > 0.9 * trials
    assert len(keys_of(alice)) == 1
    assert LINK.link_id == "test link"
    assert small_block() is small_block()
