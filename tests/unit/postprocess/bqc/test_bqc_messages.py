"""Messages between clients and server, and the commitment to the order of rounds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faintlink.core.errors import RemoteProtocolError
from faintlink.postprocess.bqc import messages
from faintlink.postprocess.bqc.order import Opening, joined_seed, require_opening, round_types

OPENING = Opening(bytes(range(32)), bytes(range(32, 64)))


@given(st.lists(st.integers(0, 7), max_size=50), st.integers(0, 2**32 - 1), st.integers(0, 9))
def test_angles_come_back_as_they_were_sent(angles: list[int], batch: int, vertex: int) -> None:
    sent = np.array(angles, np.uint8)
    data = messages.pack_angles(batch, vertex, sent)
    assert messages.unpack_angles(data, batch=batch, vertex=vertex, attempts=sent.size).tolist() == angles


@given(st.lists(st.integers(0, 2), max_size=50), st.integers(0, 9))
def test_outcomes_come_back_as_they_were_told(outcomes: list[int], vertex: int) -> None:
    told = np.array(outcomes, np.uint8)
    data = messages.pack_report(7, vertex, told)
    assert messages.unpack_outcomes(data, batch=7, vertex=vertex, attempts=told.size).tolist() == outcomes


@given(st.integers(0, 6), st.integers(1, 4), st.integers(0, 2**24))
def test_arrivals_come_back_as_they_were_told(attempts: int, vertices: int, bits: int) -> None:
    arrived = np.array([1 + (bits >> at & 1) for at in range(attempts * vertices)], np.uint8)
    data = messages.pack_report(1, messages.PREPARATION, arrived.reshape(attempts, vertices))
    found = messages.unpack_arrivals(data, batch=1, attempts=attempts, vertices=vertices)
    assert found.tolist() == arrived.reshape(attempts, vertices).tolist()


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused_by_name(data: bytes) -> None:
    for read in (
        lambda: messages.unpack_angles(data, batch=0, vertex=0, attempts=4),
        lambda: messages.unpack_outcomes(data, batch=0, vertex=0, attempts=4),
        lambda: messages.unpack_arrivals(data, batch=0, attempts=2, vertices=3),
        lambda: messages.unpack_commitment(data),
        lambda: messages.unpack_opening(data),
    ):
        try:
            read()
        except RemoteProtocolError:
            continue
        assert len(data) in (14, 16, 33, 65)


GOOD = messages.pack_angles(3, 2, np.array([0, 7, 4], np.uint8))


@pytest.mark.parametrize(
    "data",
    [
        GOOD[:-1],
        GOOD + b"\0",
        messages.pack_angles(4, 2, np.array([0, 7, 4], np.uint8)),
        messages.pack_angles(3, 1, np.array([0, 7, 4], np.uint8)),
        messages.pack_report(3, 2, np.array([0, 1, 1], np.uint8)),
        messages.pack_angles(3, 2, np.array([0, 8, 4], np.uint8)),
        b"",
    ],
)
def test_angles_that_are_not_due_are_refused(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        messages.unpack_angles(data, batch=3, vertex=2, attempts=3)


def test_an_outcome_that_is_none_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="from 0 to 2 are due, got 3"):
        messages.unpack_outcomes(messages.pack_report(0, 1, np.array([3], np.uint8)), batch=0, vertex=1, attempts=1)


def test_an_arrival_of_zero_is_refused() -> None:
    data = messages.pack_report(0, messages.PREPARATION, np.zeros((1, 2), np.uint8))
    with pytest.raises(RemoteProtocolError, match="from 1 to 2"):
        messages.unpack_arrivals(data, batch=0, attempts=1, vertices=2)


def test_commitment_and_opening_come_back_as_messages() -> None:
    commitment = OPENING.commitment("s", "alice")
    assert messages.unpack_commitment(messages.pack_commitment(commitment)) == commitment
    assert messages.unpack_opening(messages.pack_opening(OPENING)) == OPENING


def test_an_opening_fits_its_commitment_only() -> None:
    commitment = OPENING.commitment("s", "alice")
    require_opening(OPENING, commitment, "s", "alice")
    other = Opening(bytes(32), OPENING.nonce)
    for opening, session, client in ((other, "s", "alice"), (OPENING, "t", "alice"), (OPENING, "s", "charlie")):
        with pytest.raises(RemoteProtocolError, match="is not what it committed to"):
            require_opening(opening, commitment, session, client)


def test_a_commitment_is_fixed_for_ever() -> None:
    # Own vector: records of earlier versions must stay verifiable.
    digest = OPENING.commitment("session", "alice").hex()
    assert digest == "76cd2758a3ecb4f88463489f244192eb7a45e00a1668789ac1fe12977c9c5bd3"


def test_a_seed_and_nonce_of_other_lengths_open_nothing() -> None:
    short = Opening(OPENING.seed[:31], OPENING.nonce + b"x")
    with pytest.raises(RemoteProtocolError):
        require_opening(short, short.commitment("s", "alice"), "s", "alice")


def test_one_honest_seed_makes_the_joined_one() -> None:
    other = Opening(bytes(31) + b"\x01", bytes(32))
    assert joined_seed([OPENING, other]) == OPENING.seed[:31] + b"\x1e"


@given(st.binary(min_size=32, max_size=32), st.integers(1, 40), st.integers(1, 40), st.integers(1, 5))
def test_an_order_holds_each_kind_of_round_in_its_number(seed: bytes, d: int, t: int, kinds: int) -> None:
    types = round_types(seed, computations=d, tests=t, kinds=kinds)
    assert types.size == d + t
    assert np.count_nonzero(types == 0) == d
    assert types.max(initial=0) <= kinds


def test_tests_stand_everywhere_and_their_kinds_are_drawn_evenly() -> None:
    places, kinds = np.zeros(20), np.zeros(4)
    for seed in range(2000):
        types = round_types(seed.to_bytes(32, "big"), computations=12, tests=8, kinds=3)
        places += types > 0
        kinds += np.bincount(types, minlength=4)
    # 2000 draws of 8 of 20, and of 16000 kinds: 5 sigma.
    assert np.abs(places - 800).max() < 5 * np.sqrt(2000 * 0.4 * 0.6)
    assert np.abs(kinds[1:] - 16_000 / 3).max() < 5 * np.sqrt(16_000 * 2 / 9)
