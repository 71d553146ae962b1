"""Greetings, sessions, seals and reserves together, over restarts and against recordings."""

from pathlib import Path

import pytest

from faintlink.core.errors import (
    AuthenticationError,
)
from faintlink.core.symbols import Party
from faintlink.postprocess.channel.auth import RESERVE_KIND
from faintlink.postprocess.channel.reserve import KeyReserve
from faintlink.postprocess.channel.reserve_state import ReserveState, SegmentState
from faintlink.postprocess.channel.session import SessionKeys, greeting, read_greeting
from tests.channel import AB, BA, KIND, LINK, End, decoded, key_bytes, reopen, reserves


def meet(alice: KeyReserve, bob: KeyReserve, seed: int) -> tuple[End, End]:
    """Greet, agree on a session and align, as a node does."""
    nonces = key_bytes(seed, 16), key_bytes(seed + 1, 16)
    heard = []
    for reserve, direction, nonce in ((alice, AB, nonces[0]), (bob, BA, nonces[1])):
        (frame,) = decoded(greeting(reserve.link, direction, nonce))
        heard.append(read_greeting(reserve.link, frame, direction))
    keys = SessionKeys.agree(alice.link, alice_nonce=heard[0], bob_nonce=heard[1])
    pair = End.make(Party.ALICE, alice, keys), End.make(Party.BOB, bob, keys)
    states = [
        end.sender.protect(RESERVE_KIND, reserve.state().encode())
        for end, reserve in zip(pair, (alice, bob), strict=True)
    ]
    for end, reserve, data in zip(pair, (alice, bob), states[::-1], strict=True):
        (frame,) = end.hear(data)
        reserve.align(ReserveState.decode(frame.payload))
    return pair


def play(alice: End, bob: End, block: int) -> list[tuple[str, bytes]]:
    """Play one block and return what went over the line."""
    line = []
    for speaker, hearer, seals in ((alice, bob, False), (bob, alice, False), (alice, bob, True), (bob, alice, True)):
        data = speaker.sender.seal_batch() if seals else speaker.sender.protect(KIND, b"some", block=block)
        hearer.hear(data)
        line.append(("bob" if hearer is bob else "alice", data))
    alice.conversation.release(block)
    bob.conversation.release(block)
    return line


def test_sessions_go_on_over_restarts_and_refuse_everything_recorded(tmp_path: Path) -> None:
    alice, bob = reserves(tmp_path, keys=40)
    recorded: list[tuple[str, bytes]] = []
    for restart in range(4):
        alice, bob = reopen(alice), reopen(bob)
        ends = meet(alice, bob, 10 * restart)
        before = alice.state(), bob.state()
        for whom, data in recorded:
            victims = meet(alice, bob, 10 * restart + 5)
            with pytest.raises(AuthenticationError):
                victims[whom == "bob"].hear(data)
        assert (alice.state(), bob.state()) == before
        for block in range(3):
            recorded += play(*ends, block)
    assert alice.state() == bob.state() == ReserveState((SegmentState(0, 40, 12, 12),))


def test_a_hundred_thousand_forged_session_starts_touch_no_key(tmp_path: Path) -> None:
    _, bob = reserves(tmp_path)
    data, state = bob._file.path.read_bytes(), bob.state()
    (frame,) = decoded(greeting(LINK, AB, bytes(16)))
    accepted = 0
    for _ in range(100_000):
        try:
            read_greeting(bob.link, frame, AB)
        except AuthenticationError:
            continue
        accepted += 1
    assert accepted == 0
    assert (bob._file.path.read_bytes(), bob.state()) == (data, state)
