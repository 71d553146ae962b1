"""Cards, their database, and their messages: what is minted, and what is refused."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faintlink.core.errors import (
    LocalProtocolError,
    NotEnoughSignalsError,
    RecordMismatchError,
    RecordReplayedError,
    RecordSealError,
    RemoteProtocolError,
    RunExistsError,
    SchemaError,
)
from faintlink.postprocess.money.card import CardDatabase, mint
from faintlink.postprocess.money.memory import Memory
from faintlink.postprocess.money.messages import Answer, Challenge
from faintlink.postprocess.money.wallet import Wallet, fresh_wallet
from tests.money import KEY, table

SERIAL, DIGEST = bytes(range(16)), bytes(range(16, 32))
# Bit + 2 basis: pairs (Z0,X1) (Z1,Z0) (X0,Z1) (X1,X1) (X1,Z0).
SETTINGS = np.array([0, 3, 1, 0, 2, 1, 3, 3, 3, 0], np.uint8)


def test_pairs_of_different_bases_count_in_their_order() -> None:
    card = mint(SETTINGS, serial=SERIAL, first_slot=100, pairs=3)
    assert card.pair.tolist() == [0, 2, 4]
    assert card.order.tolist() == [0, 1, 1]
    assert card.z_bit.tolist() == [0, 1, 0]
    assert card.x_bit.tolist() == [1, 0, 1]
    assert mint(SETTINGS, serial=SERIAL, first_slot=100, pairs=2).pair.tolist() == [0, 2]


def test_a_question_checks_the_pulse_that_was_sent_in_its_basis() -> None:
    card = mint(SETTINGS, serial=SERIAL, first_slot=100, pairs=3)
    slots, bits = card.checked(np.array([0, 0, 1], np.uint8))
    assert slots.tolist() == [100, 105, 108]
    assert bits.tolist() == [0, 1, 1]
    slots, bits = card.checked(np.array([1, 1, 0], np.uint8))
    assert slots.tolist() == [101, 104, 109]
    assert bits.tolist() == [1, 0, 0]


def test_too_few_pairs_make_no_card() -> None:
    with pytest.raises(NotEnoughSignalsError, match="3 pairs"):
        mint(SETTINGS, serial=SERIAL, first_slot=0, pairs=4)


def test_both_orders_are_as_frequent_however_biased_the_bases_are() -> None:
    rng = np.random.default_rng(4)
    settings = (2 * (rng.random(400_000) < 0.2) + rng.integers(0, 2, 400_000)).astype(np.uint8)
    card = mint(settings, serial=SERIAL, first_slot=0, pairs=60_000)
    # 5 sigma.
    assert abs(int(card.order.sum()) - 30_000) < 5 * np.sqrt(15_000)


def test_a_card_comes_back_from_the_database(tmp_path: Path) -> None:
    card, database = mint(SETTINGS, serial=SERIAL, first_slot=100, pairs=3), CardDatabase(tmp_path, KEY)
    path = database.issue(card)
    assert path.stat().st_mode & 0o077 == 0
    found = database.card(SERIAL)
    assert (found.first_slot, found.pulses) == (100, 10)
    for name in ("pair", "order", "z_bit", "x_bit"):
        assert np.array_equal(getattr(found, name), getattr(card, name))
    with pytest.raises(RunExistsError):
        database.issue(card)


def test_a_card_shows_no_states(tmp_path: Path) -> None:
    assert "z_bit" not in repr(table(tmp_path, 1).card)


def test_unknown_and_malformed_numbers_are_refused(tmp_path: Path) -> None:
    database = CardDatabase(tmp_path, KEY)
    for serial in (SERIAL, b"../../etc/passwd"[:15], b""):
        with pytest.raises(RecordMismatchError):
            database.card(serial)


def test_a_tampered_card_is_refused(tmp_path: Path) -> None:
    database = CardDatabase(tmp_path, KEY)
    path = database.issue(mint(SETTINGS, serial=SERIAL, first_slot=100, pairs=3))
    with h5py.File(path, "r+") as file:
        file["bank_secret/z_bit"][0] ^= 1
    with pytest.raises(RecordSealError):
        database.card(SERIAL)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SchemaError):
        database.card(SERIAL)


def test_records_of_two_cards_that_were_exchanged_are_refused(tmp_path: Path) -> None:
    database = CardDatabase(tmp_path, KEY)
    first = database.issue(mint(SETTINGS, serial=SERIAL, first_slot=100, pairs=3))
    second = database.issue(mint(SETTINGS, serial=DIGEST, first_slot=200, pairs=2))
    first.write_bytes(second.read_bytes())
    with pytest.raises(RecordMismatchError, match="session"):
        database.card(SERIAL)


def test_a_branch_spends_a_card_once_and_others_do_not_know(tmp_path: Path) -> None:
    database = CardDatabase(tmp_path, KEY)
    database.spend(SERIAL, "north")
    assert database.is_spent(SERIAL, "north")
    assert not database.is_spent(SERIAL, "south")
    with pytest.raises(RecordReplayedError, match="north has taken"):
        CardDatabase(tmp_path, KEY).spend(SERIAL, "north")
    database.spend(SERIAL, "south")


@given(st.integers(1, 400), st.integers(0, 2**32 - 1))
def test_answers_survive_their_bytes(pulses: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    detected = rng.integers(0, 2, pulses, dtype=np.uint8)
    bit = rng.integers(0, 2, int(detected.sum()), dtype=np.uint8)
    found = Answer.decode(Answer(SERIAL, DIGEST, detected, bit).encode())
    assert (found.serial, found.challenge) == (SERIAL, DIGEST)
    assert np.array_equal(found.detected, detected)
    assert np.array_equal(found.bit, bit)


@given(st.binary(max_size=80))
def test_what_is_no_message_is_refused(data: bytes) -> None:
    for kind in (Answer, Challenge):
        with pytest.raises(RemoteProtocolError):
            kind.decode(data)


def test_every_truncation_and_addition_is_refused() -> None:
    good = Answer(SERIAL, DIGEST, np.array([1, 0, 1] * 10, np.uint8), np.ones(20, np.uint8)).encode()
    for size in range(len(good)):
        with pytest.raises(RemoteProtocolError):
            Answer.decode(good[:size])
    with pytest.raises(RemoteProtocolError, match="too long"):
        Answer.decode(good + b"\0")


def test_bits_behind_the_last_are_refused() -> None:
    good = bytearray(Answer(SERIAL, DIGEST, np.array([1], np.uint8), np.array([1], np.uint8)).encode())
    good[-1] |= 1
    with pytest.raises(RemoteProtocolError, match="behind the last"):
        Answer.decode(bytes(good))


def test_a_gigantic_answer_is_refused_before_it_is_read() -> None:
    with pytest.raises(RemoteProtocolError, match="more than any card"):
        Answer.decode(bytes(2**25))


def test_bits_that_do_not_fit_the_detections_are_not_sent() -> None:
    with pytest.raises(LocalProtocolError, match="2 pulses detected"):
        Answer(SERIAL, DIGEST, np.array([1, 1], np.uint8), np.array([1], np.uint8)).encode()


def test_a_challenge_survives_and_is_named_by_all_of_it() -> None:
    challenge = Challenge(SERIAL, bytes(32))
    assert Challenge.decode(challenge.encode()) == challenge
    assert (
        len({challenge.digest, Challenge(SERIAL, bytes(31) + b"\1").digest, Challenge(DIGEST, bytes(32)).digest}) == 3
    )
    assert bytes(32).hex() not in repr(challenge)


def test_a_memory_forgets_exponentially() -> None:
    memory = Memory(efficiency=0.9, lifetime_us=100.0, coherence_us=200.0)
    assert memory.transmission(0.0) == 0.9
    assert memory.transmission(100.0) == pytest.approx(0.9 / np.e)
    assert memory.contrast(200.0) == pytest.approx(1 / np.e)
    assert memory.loss_db(0.0) == pytest.approx(0.4576, abs=1e-4)


def test_a_wallet_is_written_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    wallet = fresh_wallet(3.0)
    wallet.write(tmp_path)
    assert (tmp_path / "card.json").stat().st_mode & 0o077 == 0
    with pytest.raises(RunExistsError):
        wallet.write(tmp_path)
    assert wallet.seed.hex() not in repr(wallet)
    assert Wallet(SERIAL, bytes(32), 0.0).challenge.serial == SERIAL
