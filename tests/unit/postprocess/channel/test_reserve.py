"""The reserve hands out each key once, in step on both sides, and never below its floor."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faintlink.core.errors import (
    AuthenticationError,
    KeyExhaustedError,
    LocalProtocolError,
    RemoteProtocolError,
)
from faintlink.postprocess.channel.envelope import Direction
from faintlink.postprocess.channel.onetime import KeyPosition
from faintlink.postprocess.channel.reserve import KeyReserve
from faintlink.postprocess.channel.reserve_state import MAX_SEGMENTS, ReserveState, SegmentState
from tests.channel import AB, BA, align, key_bytes, raw, reopen, reserves


def test_both_sides_find_the_same_keys_at_the_same_positions(tmp_path: Path) -> None:
    alice, bob = reserves(tmp_path)
    for taker, checker, direction in ((alice, bob, AB), (bob, alice, BA)) * 3:
        key = taker.take(direction)
        assert raw(key) == raw(checker.claim(direction, key.position))


def test_every_key_is_handed_out_once_and_differs(tmp_path: Path) -> None:
    alice, _ = reserves(tmp_path, keys=20)
    keys = [alice.take(direction) for direction in Direction for _ in range(20)]
    assert len({raw(key) for key in keys}) == 40
    assert len({(key.direction, key.position) for key in keys}) == 40


def test_keys_come_from_the_shared_key_behind_the_link_key(tmp_path: Path) -> None:
    shared = key_bytes(99, 32 + 64 * 8)
    alice, _ = reserves(tmp_path)
    assert alice.link.key == shared[:32]
    assert raw(alice.take(AB)) == shared[32:64]
    assert raw(alice.take(BA)) == shared[32 + 8 * 32 :][:32]


def test_nothing_is_handed_out_before_alignment(tmp_path: Path) -> None:
    reserve = KeyReserve.create(tmp_path / "r", link_id="x", shared_key=bytes(96))
    uses: list[Callable[[], object]] = [
        lambda: reserve.take(AB),
        lambda: reserve.claim(AB, KeyPosition(0, 0)),
    ]
    for use in uses:
        with pytest.raises(LocalProtocolError, match="not aligned"):
            use()


@pytest.mark.parametrize("slot", [0, 1, 2, 8, 2**32])
@pytest.mark.parametrize("segment", [0, 1])
def test_used_and_unknown_positions_are_refused(tmp_path: Path, segment: int, slot: int) -> None:
    alice, _ = reserves(tmp_path)
    if segment == 0 and slot <= 2:
        alice.claim(AB, KeyPosition(0, 2))
    with pytest.raises(AuthenticationError, match="used before"):
        alice.claim(AB, KeyPosition(segment, slot))


def test_jumped_keys_are_burnt_and_the_ends_stay_in_step(tmp_path: Path) -> None:
    alice, bob = reserves(tmp_path)
    for _ in range(3):
        alice.take(AB)
    fourth = alice.take(AB)
    assert raw(bob.claim(AB, fourth.position)) == raw(fourth)
    assert bob.state() == alice.state()
    assert bob.available(AB) == 4


def test_a_jump_to_a_later_segment_burns_the_earlier_one(tmp_path: Path) -> None:
    alice, bob = reserves(tmp_path, keys=2)
    for reserve in (alice, bob):
        reserve.refill(7, key_bytes(7, 64 * 3))
    keys = [alice.take(AB) for _ in range(3)]
    assert keys[2].position == KeyPosition(7, 0)
    assert raw(bob.claim(AB, keys[2].position)) == raw(keys[2])
    with pytest.raises(AuthenticationError, match="used before"):
        bob.claim(AB, keys[1].position)
    assert bob.state() == alice.state()
    assert bob.available(BA) == 5


# The floor


def test_the_floor_is_never_handed_out(tmp_path: Path) -> None:
    alice, bob = reserves(tmp_path, keys=5, floor=2)
    for _ in range(3):
        bob.claim(AB, alice.take(AB).position)
    uses: list[Callable[[], object]] = [lambda: alice.take(AB), lambda: bob.claim(AB, KeyPosition(0, 3))]
    for use in uses:
        with pytest.raises(KeyExhaustedError, match="floor of 2") as caught:
            use()
        assert "refill" in caught.value.hint
    assert alice.available(BA) == 3


def test_a_claim_cannot_jump_below_the_floor(tmp_path: Path) -> None:
    alice, _ = reserves(tmp_path, keys=5, floor=2)
    with pytest.raises(KeyExhaustedError, match="below the floor"):
        alice.claim(AB, KeyPosition(0, 3))
    assert alice.claim(AB, KeyPosition(0, 2)).position.slot == 2


def test_a_refill_ends_the_exhaustion(tmp_path: Path) -> None:
    alice, bob = reserves(tmp_path, keys=1, floor=1)
    for reserve in (alice, bob):
        assert reserve.refill(3, key_bytes(3, 64 * 2 + 63)) == 2
    keys = [alice.take(AB) for _ in range(2)]
    assert [key.position for key in keys] == [KeyPosition(0, 0), KeyPosition(3, 0)]
    for key in keys:
        assert raw(bob.claim(AB, key.position)) == raw(key)


@pytest.mark.parametrize("number", [-1, 0, 2**64])
def test_a_refill_needs_a_rising_number(tmp_path: Path, number: int) -> None:
    alice, _ = reserves(tmp_path)
    with pytest.raises(LocalProtocolError, match="number above 0"):
        alice.refill(number, bytes(64))


def test_a_number_that_was_used_up_does_not_come_back(tmp_path: Path) -> None:
    alice, _ = reserves(tmp_path, keys=1)
    alice.refill(5, bytes(64))
    for _ in range(2):
        alice.take(AB)
        alice.take(BA)
    alice = reopen(alice)
    with pytest.raises(LocalProtocolError, match="number above 5"):
        alice.refill(5, bytes(64))


def test_a_short_refill_is_refused(tmp_path: Path) -> None:
    alice, _ = reserves(tmp_path)
    with pytest.raises(LocalProtocolError, match="at least 64 bytes, got 63"):
        alice.refill(1, bytes(63))


# Alignment


def test_an_end_that_fell_behind_moves_forward_and_never_back(tmp_path: Path) -> None:
    alice, bob = reserves(tmp_path)
    for _ in range(3):
        alice.take(AB)
    bob.take(BA)
    alice, bob = reopen(alice), reopen(bob)
    assert align(alice, bob) == [1, 3]
    assert alice.state() == bob.state() == ReserveState((SegmentState(0, 8, 3, 1),))
    assert align(alice, bob) == [0, 0]


def test_a_file_restored_from_a_copy_is_moved_on_by_the_peer(tmp_path: Path) -> None:
    alice, bob = reserves(tmp_path)
    path = alice._file.path
    copy = path.read_bytes()
    used = alice.take(AB)
    bob.claim(AB, used.position)
    alice.close()
    path.write_bytes(copy)
    alice = KeyReserve.open(path)
    align(alice, bob)
    assert alice.take(AB).position > used.position


def test_a_refill_that_one_end_missed_is_burnt(tmp_path: Path) -> None:
    alice, bob = reserves(tmp_path)
    alice.refill(1, key_bytes(1, 64 * 4))
    for reserve in (alice, bob):
        reserve.refill(2, key_bytes(2, 64 * 4))
    assert align(alice, bob) == [8, 0]
    assert alice.state() == bob.state()
    for _ in range(12):
        key = alice.take(AB)
        assert raw(bob.claim(AB, key.position)) == raw(key)


def test_segments_of_different_length_are_burnt_on_both_sides(tmp_path: Path) -> None:
    alice, bob = reserves(tmp_path)
    alice.refill(1, key_bytes(1, 64 * 4))
    bob.refill(1, key_bytes(1, 64 * 5))
    assert align(alice, bob) == [8, 10]
    assert alice.state() == bob.state()


positions = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=12)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(positions, st.booleans())
def test_after_any_history_alignment_makes_both_ends_equal(
    tmp_path_factory: pytest.TempPathFactory, history: list[str], late: bool
) -> None:
    alice, bob = reserves(tmp_path_factory.mktemp("pair"), keys=14)
    used = set()
    for step in history:
        if step in "ab":
            reserve, direction = (alice, AB) if step == "a" else (bob, BA)
            used.add((direction, reserve.take(direction).position))
        elif step == "c":
            alice.refill(alice.last_number + 1, key_bytes(alice.last_number, 64))
        else:
            bob = reopen(bob)
            align(alice, bob)
    align(alice, bob)
    assert alice.state() == bob.state()
    for taker, checker, direction in ((alice, bob, AB), (bob, alice, BA)):
        key = taker.take(direction)
        assert (direction, key.position) not in used
        assert raw(checker.claim(direction, key.position)) == raw(key)
    alice.close()
    bob.close()


@given(st.binary(max_size=100))
def test_a_state_is_decoded_to_what_was_encoded_or_refused(data: bytes) -> None:
    try:
        state = ReserveState.decode(data)
    except RemoteProtocolError:
        return
    assert state.encode() == data


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (bytes(19), "20 bytes a segment"),
        (bytes(20 * (MAX_SEGMENTS + 1)), "20 bytes a segment"),
        (bytes(40), "rising"),
        (ReserveState((SegmentState(0, 3, 4, 0),)).encode(), "beyond"),
    ],
)
def test_a_malformed_state_is_refused_by_name(data: bytes, named: str) -> None:
    with pytest.raises(RemoteProtocolError, match=named):
        ReserveState.decode(data)
