"""Whatever somebody does to the frames of a conversation is noticed, before a block is released."""

import dataclasses
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faintlink.core.errors import (
    AuthenticationError,
    LocalProtocolError,
    ProtocolError,
    RemoteProtocolError,
)
from faintlink.core.symbols import Party
from faintlink.postprocess.channel.auth import RESERVE_KIND
from faintlink.postprocess.channel.conversation import SEAL_KIND, SealFields, seal_text, seal_text_size
from faintlink.postprocess.channel.onetime import KeyPosition
from tests.channel import KIND, End, MemoryKeys, decoded, ends, hear_to_the_end, remade, spent

# What an adversary without the frame key can do to a stream of messages and a seal.

Attack = Callable[[list[bytes]], list[bytes]]


def flip(place: int) -> Attack:
    def attack(frames: list[bytes]) -> list[bytes]:
        changed = bytearray(frames[1])
        changed[place] ^= 1
        return [frames[0], bytes(changed), *frames[2:]]

    return attack


ATTACKS: dict[str, Attack] = {
    "change the kind": flip(5),
    "change the direction": flip(7),  # 1 -> 0: the decoder refuses it
    "change the session": flip(8),
    "change the block": flip(31),
    "change the sequence": flip(39),
    "change the nonce": flip(40),
    "change the payload": flip(60),
    "change the tag": flip(-1),
    "replay": lambda frames: [frames[0], frames[0], *frames[1:]],
    "swap": lambda frames: [frames[1], frames[0], *frames[2:]],
    "drop": lambda frames: [frames[0], *frames[2:]],
    "drop the first": lambda frames: frames[1:],
    "drop all but the seal": lambda frames: frames[-1:],
    "truncate and go on": lambda frames: [frames[0], frames[1][:-1], *frames[2:]],
    "insert": lambda frames: [frames[0], frames[1][:60] + b"forged!" + bytes(16), *frames[1:]],
}


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("kind", [RESERVE_KIND, KIND, 255, SEAL_KIND])
def test_an_attack_on_any_kind_of_message_ends_the_session_and_spends_no_key(name: str, kind: int) -> None:
    alice, bob = ends()
    protect = alice.sender.protect

    def message(payload: bytes) -> bytes:
        return alice.sender.seal_batch() if kind == SEAL_KIND else protect(kind, payload, block=1)

    frames = [protect(KIND, b"first", block=1), message(b"second!"), protect(KIND, b"third", block=1)]
    before = spent(bob)
    with pytest.raises(ProtocolError):
        bob.hear(b"".join(ATTACKS[name]([*frames, alice.sender.seal_batch()])))
    assert spent(bob) == before
    if not bob.conversation.is_dead:
        with pytest.raises(RemoteProtocolError):
            bob.decoder.next_frame()
    with pytest.raises(ProtocolError):
        bob.conversation.release(1)


def test_dropping_the_end_leaves_the_block_unreleased() -> None:
    alice, bob = ends()
    alice.hear(bob.sender.protect(KIND, b"detections", block=1))
    bob.hear(alice.sender.protect(KIND, b"first", block=1))
    alice.sender.protect(KIND, b"dropped", block=1)
    alice.sender.seal_batch()
    with pytest.raises(LocalProtocolError, match="not covered"):
        bob.conversation.release(1)


def test_a_reflected_frame_is_refused() -> None:
    alice, _ = ends()
    data = alice.sender.protect(KIND, b"mine")
    with pytest.raises(AuthenticationError, match="came back"):
        alice.hear(data)


def test_a_recording_of_another_session_is_refused_whole() -> None:
    alice, bob = ends(0)
    recorded = [alice.sender.protect(KIND, b"x", block=1), alice.sender.seal_batch(), bob.sender.seal_batch()]
    for data in recorded:
        fresh_alice, fresh_bob = ends(10)
        for end in (fresh_alice, fresh_bob):
            with pytest.raises(AuthenticationError, match="another session"):
                end.hear(data)
            assert spent(end) == 0


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 3), st.integers(0, 2**31), st.integers(1, 255))
def test_any_changed_byte_is_noticed(number: int, place: int, change: int) -> None:
    alice, bob = ends()
    frames = [bytearray(alice.sender.protect(KIND + i, bytes(i * 30), block=i)) for i in range(3)]
    frames.append(bytearray(alice.sender.seal_batch()))
    frames[number][place % len(frames[number])] ^= change
    with pytest.raises(ProtocolError):
        hear_to_the_end(bob, b"".join(frames))
    assert spent(bob) == 0


# What an adversary who can forge frame tags can do: the seals alone have to notice.


@pytest.mark.parametrize(
    "changes",
    [{"payload": b"forged"}, {"payload": b""}, {"block": 2}, {"kind": KIND + 5}, {"nonce": bytes(16)}, {"flags": 1}],
)
def test_a_seal_notices_a_message_whose_frame_tag_was_forged(changes: dict[str, object]) -> None:
    alice, bob = ends()
    (frame,) = decoded(alice.sender.protect(KIND, b"genuine", block=1))
    bob.verifier.accept(remade(bob, frame, **changes))
    (seal,) = decoded(alice.sender.seal_batch())
    with pytest.raises(AuthenticationError, match="the seal of frame 1 is wrong"):
        bob.verifier.accept(remade(bob, seal))
    assert bob.conversation.is_dead


def test_a_seal_notices_that_the_peer_received_something_else() -> None:
    alice, bob = ends()
    (frame,) = decoded(bob.sender.protect(KIND, b"detections", block=1))
    alice.verifier.accept(remade(alice, frame, payload=b"forged"))
    with pytest.raises(AuthenticationError, match="the seal of frame 0 is wrong"):
        bob.hear(alice.sender.seal_batch())


def test_a_message_made_up_before_it_was_sent_is_noticed_by_its_nonce() -> None:
    # The adversary guesses everything that Bob will say, except his nonce, and learns Alice's answer early.
    alice, bob = ends()
    stolen = bob.sender.protect(KIND, b"all slots", block=1)
    (guess,) = decoded(stolen)
    alice.verifier.accept(remade(alice, guess, nonce=b"guessed a nonce!"))
    bob.hear(alice.sender.protect(KIND + 1, b"bases", block=1))
    with pytest.raises(AuthenticationError, match="seal"):
        bob.hear(alice.sender.seal_batch())


@pytest.mark.parametrize("swap", [False, True])
def test_a_seal_notices_frames_that_were_dropped_or_swapped_by_a_forger(swap: bool) -> None:
    alice, bob = ends()
    frames = decoded(alice.sender.protect(KIND, b"one") + alice.sender.protect(KIND, b"two"))
    kept = frames[::-1] if swap else frames[:1]
    for sequence, frame in enumerate(kept):
        bob.verifier.accept(remade(bob, frame, sequence=sequence))
    (seal,) = decoded(alice.sender.seal_batch())
    with pytest.raises(AuthenticationError, match="seal"):
        bob.verifier.accept(remade(bob, seal, sequence=len(kept)))


def test_a_seal_that_confirms_unsent_frames_is_refused() -> None:
    alice, bob = ends()
    (seal,) = decoded(alice.sender.seal_batch())
    payload = SealFields(KeyPosition(0, 0), 1).encode() + seal.payload[-16:]
    with pytest.raises(RemoteProtocolError, match="confirms 1 frames of 0 sent"):
        bob.verifier.accept(remade(bob, seal, payload=payload))
    assert spent(bob) == 0


def test_a_seal_of_wrong_size_is_refused_before_a_key_is_spent() -> None:
    alice, bob = ends()
    (seal,) = decoded(alice.sender.seal_batch())
    with pytest.raises(RemoteProtocolError, match="a seal has 40 bytes, got 39"):
        bob.verifier.accept(remade(bob, seal, payload=seal.payload[1:]))
    assert spent(bob) == 0


@pytest.mark.parametrize("place", [0, 8, 16])
def test_the_fields_of_a_seal_are_under_its_tag(place: int) -> None:
    alice, bob = ends()
    alice.hear(bob.sender.protect(KIND, b""))
    (seal,) = decoded(alice.sender.seal_batch())
    payload = bytearray(seal.payload)
    payload[place + 7] ^= 1
    with pytest.raises(AuthenticationError):
        bob.verifier.accept(remade(bob, seal, payload=bytes(payload)))


@given(st.lists(st.binary(max_size=4), max_size=3), st.lists(st.binary(max_size=4), max_size=3))
def test_the_text_of_a_seal_has_the_counted_size_and_depends_on_the_party(a: list[bytes], b: list[bytes]) -> None:
    alice, _ = ends()
    sent, received = ([decoded(alice.sender.protect(KIND, payload))[0] for payload in payloads] for payloads in (a, b))
    fields = SealFields(KeyPosition(1, 2), 3)
    text = b"".join(seal_text("link", bytes(60), fields, sent, received))
    assert len(text) == seal_text_size("link", sum(f.size for f in sent), sum(f.size for f in received))
    other = b"".join(seal_text("link", bytes(60), fields, received, sent))
    assert (text == other) == (not a and not b)


# Floods


def flood(count: int) -> tuple[int, int]:
    """Offer forged frames, each to a fresh session, and return how many were accepted and the keys spent."""
    alice, bob = ends()
    source, keys = MemoryKeys(), bob.conversation.keys
    genuine = [alice.sender.protect(KIND, b"x" * 20, block=1), alice.sender.seal_batch()]
    templates = [decoded(data)[0] for data in genuine]
    accepted = 0
    for number in range(count):
        mac = number.to_bytes(16, "big")
        victim = End.make(Party.BOB, source, keys)
        forged = dataclasses.replace(templates[number % 2], mac=mac)
        try:
            victim.verifier.accept(forged)
        except AuthenticationError:
            continue
        accepted += 1
    return accepted, source.spent


def test_a_hundred_thousand_forged_frames_are_refused_for_no_key() -> None:
    assert flood(100_000) == (0, 0)


@pytest.mark.slow
def test_a_million_forged_frames_are_refused_for_no_key() -> None:
    assert flood(1_000_000) == (0, 0)
