"""Messages come out as they went in; blocks leave after the seals; failures are final."""

import dataclasses
from collections.abc import Callable

import pytest

from faintlink.core.errors import (
    AuthenticationError,
    KeyExhaustedError,
    LocalProtocolError,
    RemoteProtocolError,
)
from faintlink.core.symbols import Party
from faintlink.postprocess.channel.auth import RESERVE_KIND
from faintlink.postprocess.channel.conversation import SEAL_KIND
from faintlink.postprocess.channel.session import GREETING_KIND
from tests.channel import KIND, End, MemoryKeys, decoded, ends, play_block, remade, session, spent


def test_messages_come_out_as_they_went_in() -> None:
    alice, bob = ends()
    frames = bob.hear(alice.sender.protect(KIND, b"one", block=5) + alice.sender.protect(RESERVE_KIND, b""))
    assert [(f.header.kind, f.header.block, f.header.sequence, f.payload) for f in frames] == [
        (KIND, 5, 0, b"one"),
        (RESERVE_KIND, 0, 1, b""),
    ]


def test_a_block_is_released_on_both_sides_after_the_seals() -> None:
    alice, bob = ends()
    for block in range(1, 6):
        play_block(alice, bob, block)
        for end in (alice, bob):
            coverage = end.conversation.release(block)
            assert (coverage.sent, coverage.received) in {(2, 1), (1, 2)}
        assert spent(alice) == spent(bob) == 2 * block


def test_blocks_may_overlap() -> None:
    alice, bob = ends()
    bob.hear(alice.sender.protect(KIND, b"a1", block=1))
    bob.hear(alice.sender.protect(KIND, b"a2", block=2))
    alice.hear(bob.sender.protect(KIND, b"b1", block=1))
    bob.hear(alice.sender.seal_batch())
    alice.hear(bob.sender.seal_batch() + bob.sender.protect(KIND, b"b2", block=2))
    alice.conversation.release(1)
    bob.conversation.release(1)
    with pytest.raises(LocalProtocolError, match="not covered"):
        alice.conversation.release(2)


def test_seals_cross_on_the_way() -> None:
    alice, bob = ends()
    for block in range(1, 4):
        to_bob = alice.sender.protect(KIND, b"a", block=block) + alice.sender.seal_batch()
        to_alice = bob.sender.protect(KIND, b"b", block=block) + bob.sender.seal_batch()
        alice.hear(to_alice)
        bob.hear(to_bob)
        with pytest.raises(LocalProtocolError, match="not covered"):
            alice.conversation.release(block)
        to_bob, to_alice = alice.sender.seal_batch(), bob.sender.seal_batch()
        alice.hear(to_alice)
        bob.hear(to_bob)
        alice.conversation.release(block)
        bob.conversation.release(block)


@pytest.mark.parametrize("step", range(5))
def test_nothing_is_released_before_the_last_seal_that_concerns_it(step: int) -> None:
    alice, bob = ends()
    steps: list[Callable[[], object]] = [
        lambda: bob.hear(alice.sender.protect(KIND, b"frame map", block=1)),
        lambda: alice.hear(bob.sender.protect(KIND, b"detections", block=1)),
        lambda: bob.hear(alice.sender.seal_batch()),
        lambda: bob.conversation.release(1),
        lambda: alice.hear(bob.sender.seal_batch()),
    ]
    for run in steps[:step]:
        run()
    if step < 3:
        with pytest.raises(LocalProtocolError, match="not covered"):
            bob.conversation.release(1)
    with pytest.raises(LocalProtocolError, match="not covered"):
        alice.conversation.release(1)
    for run in steps[step:]:
        run()
    alice.conversation.release(1)


def test_a_silent_block_is_not_released() -> None:
    alice, bob = ends()
    play_block(alice, bob, 1)
    with pytest.raises(LocalProtocolError, match="not covered"):
        alice.conversation.release(2)


def test_a_block_is_released_once_and_then_closed() -> None:
    alice, bob = ends()
    play_block(alice, bob, 1)
    alice.conversation.release(1)
    with pytest.raises(LocalProtocolError, match="released before"):
        alice.conversation.release(1)
    with pytest.raises(LocalProtocolError, match="released"):
        alice.sender.protect(KIND, b"late", block=1)
    with pytest.raises(RemoteProtocolError, match="after the block was released"):
        alice.hear(bob.sender.protect(KIND, b"late", block=1))


def test_frames_are_forgotten_once_both_seals_cover_them() -> None:
    alice, bob = ends()
    for block in range(20):
        play_block(alice, bob, block)
    for end in (alice, bob):
        assert len(end.conversation.sent._frames) < 8
        assert len(end.conversation.received._frames) < 8


def test_after_an_error_the_conversation_is_dead() -> None:
    alice, bob = ends()
    good = alice.sender.protect(KIND, b"good")
    bob.decoder.feed(good)
    (frame,) = bob.decoder.frames()
    with pytest.raises(AuthenticationError, match="is wrong"):
        bob.verifier.accept(dataclasses.replace(frame, mac=bytes(16)))
    uses: list[Callable[[], object]] = [
        lambda: bob.verifier.accept(frame),
        lambda: bob.sender.protect(KIND, b""),
        bob.sender.seal_batch,
        lambda: bob.conversation.release(1),
    ]
    for use in uses:
        with pytest.raises(AuthenticationError, match="the session ended by a failure"):
            use()


@pytest.mark.parametrize("kind", [SEAL_KIND, GREETING_KIND])
def test_kinds_of_the_channel_are_not_for_messages(kind: int) -> None:
    alice, _ = ends()
    with pytest.raises(LocalProtocolError, match="belongs to the channel"):
        alice.sender.protect(kind, b"")


def test_a_greeting_inside_a_session_is_refused() -> None:
    alice, bob = ends()
    (frame,) = decoded(alice.sender.protect(KIND, b""))
    with pytest.raises(RemoteProtocolError, match="greeting"):
        bob.verifier.accept(remade(bob, frame, kind=GREETING_KIND))


def test_a_refused_message_leaves_the_session_as_it_was() -> None:
    alice, bob = ends()
    for refused in ({"kind": 256, "payload": b""}, {"kind": KIND, "payload": bytes(2**24 + 1)}):
        with pytest.raises(LocalProtocolError):
            alice.sender.protect(**refused)  # type: ignore[arg-type]  # two types of value
    (frame,) = bob.hear(alice.sender.protect(KIND, b"next"))
    assert frame.header.sequence == 0


def test_an_exhausted_reserve_leaves_the_session_open_for_a_refill() -> None:
    keys = session()
    source = MemoryKeys(keys=0)
    alice = End.make(Party.ALICE, source, keys)
    bob = End.make(Party.BOB, MemoryKeys(), keys)
    bob.hear(alice.sender.protect(KIND, b"", block=1))
    with pytest.raises(KeyExhaustedError):
        alice.sender.seal_batch()
    source.keys = 1
    (seal,) = bob.hear(alice.sender.seal_batch())
    assert seal.header.sequence == 1


def test_too_much_without_a_seal_is_refused_at_home() -> None:
    alice, bob = ends()
    payload = bytes(2**24)
    for _ in range(7):
        bob.hear(alice.sender.protect(KIND, payload))
    with pytest.raises(LocalProtocolError, match="bytes sent wait for seal"):
        alice.sender.protect(KIND, payload)
    bob.hear(alice.sender.seal_batch())
    with pytest.raises(LocalProtocolError, match="bytes sent wait for the peer's seal"):
        alice.sender.protect(KIND, payload)
    alice.hear(bob.sender.seal_batch())
    bob.hear(alice.sender.protect(KIND, payload))
    assert not bob.conversation.is_dead


def test_the_tally_counts_what_both_sides_sealed() -> None:
    alice, bob = ends()
    play_block(alice, bob, 1)
    for end in (alice, bob):
        tally = end.conversation.tally
        assert (tally.tags, tally.frames) == (2, 5)
        assert tally.longest_bytes > 5 * 60 + 250
    part = alice.conversation.epsilon_part()
    assert part.value == pytest.approx(2 * 2.0**-79)
    assert "2 seals" in part.name


def test_the_conversation_does_not_show_its_keys() -> None:
    alice, _ = ends()
    assert alice.conversation.keys.frame_key.hex() not in repr(alice.conversation)


def test_a_conversation_draws_a_new_nonce_for_each_frame() -> None:
    alice, _ = ends()
    nonces = {decoded(alice.sender.protect(KIND, b""))[0].header.nonce for _ in range(100)}
    assert len(nonces) == 100
