"""Signatures between three parties: honest ones, and every dishonest one."""

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faintlink.core.entropy import SeededEntropy
from faintlink.core.errors import (
    AuthenticationError,
    FaintlinkError,
    KeyExhaustedError,
    KeyUnknownError,
    LocalProtocolError,
    MonitorVetoError,
    RecordReplayedError,
    RemoteProtocolError,
    SchemaError,
)
from faintlink.core.recordfile import read_record
from faintlink.postprocess.signatures.keys import JOURNAL, KeyPool, KeySlice
from faintlink.postprocess.signatures.messages import decode_signed, encode_signed
from faintlink.postprocess.signatures.parameters import Parameters, Variant, binomial_tail, unseen
from faintlink.postprocess.signatures.parties import Verifier, is_signed, sign_one
from faintlink.postprocess.signatures.sealed import opened, sealed
from faintlink.postprocess.signatures.session import sign_document, tampered, verify_both, write_results
from tests.unit.postprocess.signatures.conftest import fill_homes

DOCUMENT = b"ten bytes!"
BLOCK = Parameters(Variant.BLOCK, 80, 14, 47, 66, 24)
SEQUENCE = Parameters(Variant.SEQUENCE, 80, 41, 44)
BOTH = pytest.mark.parametrize("parameters", [BLOCK, SEQUENCE], ids=["block", "sequence"])


def signed_by(homes: Path, parameters: Parameters, seed: int = 3) -> bytes:
    return sign_document(DOCUMENT, parameters, homes, SeededEntropy(seed), is_rehearsal=False)


@BOTH
def test_receiver_and_verifier_accept_what_the_signer_signed(homes: Path, parameters: Parameters) -> None:
    done = verify_both(signed_by(homes, parameters), homes, SeededEntropy(4), is_rehearsal=False)
    assert done.receiver.is_accepted
    assert done.verifier.is_accepted
    assert done.receiver.checked == (99 if parameters is BLOCK else 1)


@BOTH
@pytest.mark.parametrize("attack", ["forge-document", "alter-signature", "repudiate"])
def test_an_altered_document_or_signature_is_refused(homes: Path, parameters: Parameters, attack: str) -> None:
    message = signed_by(homes, parameters)
    arrived = tampered(message, attack)
    done = verify_both(message, homes, SeededEntropy(4), is_rehearsal=False, delivered=arrived)
    if attack == "alter-signature" and parameters is BLOCK:
        # One of the verifier's blocks: the receiver sees it if it holds that block, the verifier puts up with it.
        assert done.verifier.wrong == 1
    else:
        assert not done.receiver.is_accepted
    assert done.verifier.is_accepted <= done.receiver.is_accepted


@BOTH
def test_a_signature_with_used_key_bits_is_a_replay(homes: Path, parameters: Parameters) -> None:
    message = signed_by(homes, parameters)
    verify_both(message, homes, SeededEntropy(4), is_rehearsal=False)
    with pytest.raises(RecordReplayedError, match="used before"):
        verify_both(message, homes, SeededEntropy(5), is_rehearsal=False)


def test_keys_that_are_too_short_sign_nothing(tmp_path: Path) -> None:
    homes = fill_homes(tmp_path, 1, bits=800)
    with pytest.raises(KeyExhaustedError, match="2772 are needed"):
        signed_by(homes, BLOCK)
    assert KeyPool(homes / "signer" / "receiver").unused_bits() == 1600


def test_a_receiver_whose_key_is_cut_short_refuses(homes: Path, tmp_path: Path) -> None:
    message = signed_by(homes, BLOCK)
    short = fill_homes(tmp_path / "short", 1, bits=800)
    with pytest.raises(KeyUnknownError, match="no bits"):
        verify_both(message, short, SeededEntropy(4), is_rehearsal=False)


@BOTH
def test_a_receiver_with_other_keys_refuses_the_document(homes: Path, tmp_path: Path, parameters: Parameters) -> None:
    message = signed_by(homes, parameters)
    others = fill_homes(tmp_path / "others", 2)
    done = verify_both(message, others, SeededEntropy(4), is_rehearsal=False)
    assert not done.receiver.is_accepted
    assert not done.verifier.is_accepted


def test_keys_of_simulated_runs_are_for_rehearsals_only(tmp_path: Path) -> None:
    homes = fill_homes(tmp_path, 1, usable=False)
    with pytest.raises(KeyExhaustedError):
        sign_document(DOCUMENT, SEQUENCE, homes, SeededEntropy(1), is_rehearsal=False)
    message = sign_document(DOCUMENT, SEQUENCE, homes, SeededEntropy(1), is_rehearsal=True)
    with pytest.raises(MonitorVetoError, match="unusable"):
        verify_both(message, homes, SeededEntropy(2), is_rehearsal=False)
    assert verify_both(message, homes, SeededEntropy(2), is_rehearsal=True).verifier.is_accepted


def test_the_verifiers_key_does_not_leave_before_the_document_came(homes: Path) -> None:
    names = decode_signed(signed_by(homes, SEQUENCE)).verifier_key
    pools = (KeyPool(homes / "verifier" / "signer"), KeyPool(homes / "verifier" / "receiver"))
    with pytest.raises(LocalProtocolError, match="only after the document"):
        Verifier(SEQUENCE, names, *pools).distribute(SeededEntropy(1))


def test_a_document_of_another_length_is_not_signed(homes: Path) -> None:
    with pytest.raises(LocalProtocolError, match="80 bits"):
        sign_document(b"short", SEQUENCE, homes, SeededEntropy(1), is_rehearsal=False)


def test_no_two_documents_share_key_bits(homes: Path) -> None:
    first, second = (decode_signed(signed_by(homes, SEQUENCE, seed)) for seed in (1, 2))
    assert first.receiver_key[0].end == second.receiver_key[0].first_bit
    assert first.receiver_key[0].key_id == second.receiver_key[0].key_id


def test_a_damaged_journal_stops_everything(homes: Path) -> None:
    (homes / "signer" / "receiver" / JOURNAL).write_text("{\n")
    with pytest.raises(SchemaError, match="no booking"):
        signed_by(homes, SEQUENCE)


def test_key_bits_named_twice_in_one_message_are_a_replay(homes: Path) -> None:
    part = KeySlice("key-signer-receiver-0", 0, 10)
    with pytest.raises(RecordReplayedError):
        KeyPool(homes / "signer" / "receiver").take_named((part, part), "test")


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_cut_or_lengthened_message_is_refused(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    message = MESSAGES.setdefault(0, b"") or MESSAGES.setdefault(1, _message(tmp_path_factory.mktemp("codec")))
    cut = data.draw(st.integers(0, len(message) - 1))
    for wrong in (message[:cut], message + b"\0"):
        with pytest.raises(RemoteProtocolError):
            decode_signed(wrong)


MESSAGES: dict[int, bytes] = {}


def _message(root: Path) -> bytes:
    return signed_by(fill_homes(root, 1), SEQUENCE)


@settings(max_examples=100, deadline=None)
@given(noise=st.binary(max_size=200))
def test_noise_is_no_signed_document(noise: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_signed(noise)


def test_a_message_reads_back_as_it_was(homes: Path) -> None:
    message = signed_by(homes, BLOCK)
    assert encode_signed(decode_signed(message)) == message


@pytest.mark.parametrize("place", [0, 40, -1])
def test_a_sealed_message_that_was_touched_is_refused(homes: Path, place: int) -> None:
    one, other = KeyPool(homes / "receiver" / "verifier"), KeyPool(homes / "verifier" / "receiver")
    message = bytearray(sealed(one, b"half of the blocks", 47, "blocks", SeededEntropy(1), is_secret=True))
    message[place] ^= 1
    with pytest.raises(FaintlinkError):
        opened(other, bytes(message), 47, "blocks", is_secret=True)


def test_a_sealed_message_for_another_purpose_is_refused(homes: Path) -> None:
    one, other = KeyPool(homes / "receiver" / "verifier"), KeyPool(homes / "verifier" / "receiver")
    message = sealed(one, b"half of the blocks", 47, "blocks", SeededEntropy(1), is_secret=True)
    with pytest.raises(AuthenticationError, match="tag"):
        opened(other, message, 47, "document", is_secret=True)


def test_forging_single_signatures_succeeds_less_often_than_the_bound_says() -> None:
    # A toy of b_H = 6: the forger flips a document's bits and keeps the signature. 4000 keys, 5 sigma.
    entropy, hits, trials = SeededEntropy(11), 0, 4000
    for _ in range(trials):
        key = int.from_bytes(entropy.draw(3, "key"), "big") & (1 << 18) - 1
        signature = sign_one(b"\x01", key, 6, entropy)
        hits += is_signed(b"\x81", signature, key, 6)
    bound = 8 / 2**5
    assert hits / trials <= bound + 5 * math.sqrt(bound * (1 - bound) / trials)


def test_forging_blocks_succeeds_less_often_than_the_tail() -> None:
    # n/2 = 3 unknown blocks of b_H = 6 with one error allowed; 1500 documents, 5 sigma.
    entropy, hits, trials = SeededEntropy(12), 0, 1500
    for _ in range(trials):
        right = 0
        for _ in range(3):
            key = int.from_bytes(entropy.draw(3, "key"), "big") & (1 << 18) - 1
            right += is_signed(b"\x81", sign_one(b"\x01", key, 6, entropy), key, 6)
        hits += right >= 2
    bound = float(binomial_tail(3, 2, Parameters(Variant.SEQUENCE, 8, 6, 10).eps_forge))
    assert hits / trials <= bound + 5 * math.sqrt(bound * (1 - bound) / trials)


def test_repudiation_succeeds_as_often_as_wrong_blocks_stay_unseen(tmp_path: Path) -> None:
    # n = 8, e_max = 1: the signer spoils two of the verifier's blocks. It wins if the receiver holds neither:
    # 4/8 * 3/7 = 3/14. 120 sessions, 4 sigma.
    homes = fill_homes(tmp_path, 1, bits=262_144)
    parameters, wins, trials = Parameters(Variant.BLOCK, 80, 14, 47, 8, 1), 0, 120
    for seed in range(trials):
        message = signed_by(homes, parameters, seed)
        arrived = tampered(message, "repudiate")
        done = verify_both(message, homes, SeededEntropy(1000 + seed), is_rehearsal=False, delivered=arrived)
        wins += done.receiver.is_accepted and done.verifier.wrong > 1
    expected = float(unseen(8, 2))
    assert abs(wins / trials - expected) <= 4 * math.sqrt(expected * (1 - expected) / trials)


def test_the_record_says_that_it_is_a_rehearsal(homes: Path, tmp_path: Path) -> None:
    done = verify_both(signed_by(homes, SEQUENCE), homes, SeededEntropy(4), is_rehearsal=True)
    folder = tmp_path / "out"
    folder.mkdir()
    outcome = write_results(done, folder, session="s", is_rehearsal=True, key_epsilon=2e-10)
    assert outcome.is_accepted
    assert "rehearsal" in outcome.verdict
    key = (folder / "receiver" / "seal.key").read_bytes()
    record = read_record(folder / "receiver" / "verdict.h5", key, kind="signature-verdict", owner="receiver")
    assert record.header["rehearsal"] is True
    assert record.column("public", "bits").sum() == SEQUENCE.link_bits
