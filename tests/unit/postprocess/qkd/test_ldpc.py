"""LDPC reconciliation: two parties, bytes between them."""

import contextlib
import gc
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faintlink.core.entropy import SeededEntropy
from faintlink.core.errors import LocalProtocolError, RemoteProtocolError
from faintlink.core.units import Bits
from faintlink.postprocess.qkd.ldpc import LdpcAlice, LdpcBob, LdpcParameters, reconcile_ldpc
from faintlink.postprocess.qkd.ldpc.codes import base_matrix
from faintlink.postprocess.qkd.ldpc.decoder import Batch, check_values, frame_syndromes
from faintlink.postprocess.qkd.ldpc.parameters import MAX_FRAME_BITS, frame_length, public_order, public_point
from faintlink.postprocess.qkd.ldpc.parties import POSITIONS, SYNDROMES

SEED = b"public"


def keys(n: int, qber: float, seed: int = 1) -> tuple[Bits, Bits]:
    rng = np.random.default_rng(seed)
    alice = rng.integers(0, 2, n, dtype=np.uint8)
    return alice, alice ^ (rng.random(n) < qber).astype(np.uint8)


def parties(n: int, qber: float, frame_bits: int, seed: int = 1, efficiency: float = 1.1) -> tuple[LdpcAlice, LdpcBob]:
    alice, bob = keys(n, qber, seed)
    length = frame_length(n, frame_bits)[1]
    parameters = LdpcParameters.for_qber(qber, length, efficiency)
    return LdpcAlice(alice, parameters, SEED), LdpcBob(bob, parameters, SEED)


def talk(
    alice: LdpcAlice, bob: LdpcBob, garble: Callable[[int, bytes], bytes] = lambda _, message: message
) -> list[bytes]:
    """Run to the end; ``garble`` may change message number k (even: requests, odd: answers)."""
    sent: list[bytes] = []
    while (request := bob.next_request()) is not None:
        sent.append(garble(len(sent), request))
        sent.append(garble(len(sent), alice.answer(sent[-1])))
        bob.receive(sent[-1])
        assert len(sent) < 1_000, "does not end"
    return sent


def words(*values: int) -> bytes:
    return np.array(values, "<u4").tobytes()


@pytest.mark.parametrize("n", [20_000, 25_600, 51_201, 100_003])
@pytest.mark.parametrize("qber", [0.005, 0.02, 0.05, 0.11])
def test_blocks_come_out_equal(n: int, qber: float) -> None:
    alice, bob = keys(n, qber, seed=n)
    report = reconcile_ldpc(alice, bob, qber, SeededEntropy(n))
    np.testing.assert_array_equal(report.bits, alice)
    assert report.exhausted_frames == 0
    assert report.corrected_errors == np.count_nonzero(alice != bob)
    assert report.bits.dtype == np.uint8


@pytest.mark.parametrize("n", [1, 2, 63, 801, 5_000, 12_801])
@pytest.mark.parametrize("qber", [0.0, 0.03, 0.11])
def test_short_blocks_are_corrected_or_reported(n: int, qber: float) -> None:
    alice, bob = keys(n, qber, seed=n)
    report = reconcile_ldpc(alice, bob, qber, SeededEntropy(n))
    assert report.frames == 1
    assert np.array_equal(report.bits, alice if report.exhausted_frames == 0 else bob)


@pytest.mark.parametrize(("n", "frame_bits"), [(90_001, 30_000), (64_007, 8_000)])
def test_a_block_of_several_frames_comes_out_equal(n: int, frame_bits: int) -> None:
    alice, bob = keys(n, 0.03, seed=n)
    report = reconcile_ldpc(alice, bob, 0.03, SeededEntropy(1), frame_bits)
    np.testing.assert_array_equal(report.bits, alice)
    assert report.frames == math.ceil(n / frame_bits)


@pytest.mark.parametrize("qber", [0.01, 0.04, 0.09])
def test_both_sides_count_the_same_leak_and_it_is_what_crossed(qber: float) -> None:
    alice, bob = parties(60_000, qber, 20_000, efficiency=1.0)
    sent = talk(alice, bob)
    assert alice.leaked_bits == bob.leaked_bits
    assert 8 * sum(map(len, sent[1::2])) - 7 * len(sent) < alice.leaked_bits <= 8 * sum(map(len, sent[1::2]))
    assert len(sent) > 2, "the case must need a round of positions"


def test_rounds_of_positions_save_a_frame_whose_code_is_too_weak() -> None:
    alice_bits, bob_bits = keys(25_600, 0.034, seed=4)
    parameters = LdpcParameters.for_qber(0.03, 25_600, 1.05)
    alice, bob = LdpcAlice(alice_bits, parameters, SEED), LdpcBob(bob_bits, parameters, SEED)
    sent = talk(alice, bob)
    assert len(sent) > 2
    assert bob.exhausted_frames == 0
    np.testing.assert_array_equal(bob.corrected(), alice_bits)


def test_a_frame_without_relation_is_given_up_and_keeps_its_bits() -> None:
    alice_bits, bob_bits = keys(40_000, 0.02, seed=1)
    bob_bits[20_000:] = np.random.default_rng(9).integers(0, 2, 20_000, dtype=np.uint8)
    report = reconcile_ldpc(alice_bits, bob_bits, 0.02, SeededEntropy(1), 20_000)
    assert report.exhausted_frames == 1
    np.testing.assert_array_equal(report.bits[:20_000], alice_bits[:20_000])
    np.testing.assert_array_equal(report.bits[20_000:], bob_bits[20_000:])
    assert report.leaked_bits <= 40_000


def test_the_lost_frames_are_named() -> None:
    alice_bits, bob_bits = keys(30_000, 0.02)
    bob_bits[10_000:20_000] ^= 1
    parameters = LdpcParameters.for_qber(0.02, 10_000)
    alice, bob = LdpcAlice(alice_bits, parameters, SEED), LdpcBob(bob_bits, parameters, SEED)
    talk(alice, bob)
    assert bob.lost_frames == (1,)


@given(st.integers(1, 30_000), st.floats(0, 0.5), st.floats(0, 0.5), st.integers(0, 2**20))
@settings(max_examples=25, deadline=None)
def test_a_frame_is_equal_or_reported_whatever_the_hint(n: int, qber: float, hint: float, seed: int) -> None:
    alice, bob = keys(n, qber, seed)
    report = reconcile_ldpc(alice, bob, hint, SeededEntropy(seed), 10_000)
    own = frame_length(n, 10_000)[1]
    limit = LdpcParameters.for_qber(hint, own).disclosure_limit
    assert report.leaked_bits <= report.frames * limit
    if report.exhausted_frames == 0:
        np.testing.assert_array_equal(report.bits, alice)


def test_a_frame_counts_as_corrected_only_if_its_syndrome_is_met() -> None:
    parameters = LdpcParameters.for_qber(0.03, 25_600)
    matrix = base_matrix(parameters.row_count)
    alice, bob = keys(51_200, 0.03)
    bob[25_600:] = 0
    codes = np.ascontiguousarray(bob.reshape(2, -1).T)
    target = frame_syndromes(matrix.lifted(32, 2), np.ascontiguousarray(alice.reshape(2, -1).T))
    point = public_point(SEED)
    checks = check_values(np.ascontiguousarray(alice.reshape(2, -1).T), point)
    batch = Batch(parameters, codes, target, checks, point, np.zeros(0, np.int64))
    batch.decode()
    reached = frame_syndromes(matrix.lifted(32, 2), batch.decided)
    assert (batch.unmet == 0).tolist() == [True, False]
    assert (reached == target).all(axis=0).tolist() == [True, False]
    np.testing.assert_array_equal(batch.decided[:, 1], codes[:, 1])


def _reachable_arrays(root: object) -> list[npt.NDArray[np.generic]]:
    seen, stack, found = set[int](), [root], []
    while stack:
        thing = stack.pop()
        if id(thing) in seen or isinstance(thing, type) or callable(thing):
            continue
        seen.add(id(thing))
        if isinstance(thing, np.ndarray):
            found.append(thing)
        stack.extend(gc.get_referents(thing))
    return found


def test_no_party_can_reach_the_other_ones_bits() -> None:
    alice_bits, bob_bits = keys(30_000, 0.03)
    parameters = LdpcParameters.for_qber(0.03, 30_000)
    alice, bob = LdpcAlice(alice_bits, parameters, SEED), LdpcBob(bob_bits, parameters, SEED)
    bob.receive(alice.answer(bob.next_request() or b""))
    own_of_alice = _reachable_arrays(alice)
    own_of_bob = {id(array) for array in _reachable_arrays(bob)}
    shared = [array for array in own_of_alice if id(array) in own_of_bob]
    # Only the public order, frozen, may be common.
    assert all(not array.flags.writeable for array in shared)
    secrets = (alice_bits, bob_bits, alice._codes, alice._bits)
    assert not any(np.shares_memory(a, b) for a in secrets[2:] for b in _reachable_arrays(bob))
    assert not any(np.shares_memory(bob_bits, array) for array in own_of_alice)


def test_bob_learns_of_alice_only_by_messages() -> None:
    # Same syndrome, other key: Bob's requests depend on nothing else of hers.
    parameters = LdpcParameters.for_qber(0.02, 12_800)
    _, bob_bits = keys(12_800, 0.02)
    first, second = (LdpcBob(bob_bits, parameters, SEED) for _ in range(2))
    answer = LdpcAlice(keys(12_800, 0.0, seed=5)[0], parameters, SEED).answer(words(SYNDROMES))
    for bob in (first, second):
        bob.next_request()
        bob.receive(answer)
    assert first.next_request() == second.next_request()


@pytest.mark.parametrize(
    "request_",
    [
        b"",
        b"\x01",
        b"\x01\x00\x00",
        words(0),
        words(3),
        words(POSITIONS),
        words(SYNDROMES, 0),
        words(POSITIONS, 0, 1, 5),
    ],
)
def test_a_first_request_must_ask_for_syndromes_and_nothing_else(request_: bytes) -> None:
    alice, _ = parties(12_000, 0.03, 12_000)
    with pytest.raises(RemoteProtocolError):
        alice.answer(request_)
    assert alice.leaked_bits == 0


@pytest.mark.parametrize(
    "request_",
    [
        words(SYNDROMES),
        words(POSITIONS),
        words(POSITIONS, 0),
        words(POSITIONS, 0, 0),
        words(POSITIONS, 0, 2, 1),
        words(POSITIONS, 0, 0xFFFFFFFF, 1),
        words(POSITIONS, 2, 1, 1),
        words(POSITIONS, 0xFFFFFFFF, 1, 1),
        words(POSITIONS, 0, 1, 6_000),
        words(POSITIONS, 0, 2, 7, 7),
        words(POSITIONS, 0, 2, 8, 7),
        words(POSITIONS, 1, 1, 5, 0, 1, 5),
        words(POSITIONS, 0, 1, 5, 0, 1, 6),
        words(POSITIONS, 0, 1, 5, 1, 2, 6),
        words(POSITIONS, 0, 6_000, *range(6_000)),
    ],
)
def test_a_malformed_request_for_positions_is_refused_and_discloses_nothing(request_: bytes) -> None:
    alice, _ = parties(12_000, 0.03, 6_000)
    alice.answer(words(SYNDROMES))
    before = alice.leaked_bits
    with pytest.raises(RemoteProtocolError):
        alice.answer(request_)
    assert alice.leaked_bits == before
    alice.answer(words(POSITIONS, 0, 1, 5, 1, 1, 6))
    assert alice.leaked_bits == before + 2


def test_a_position_is_not_disclosed_twice_nor_padding() -> None:
    alice, _ = parties(11_999, 0.03, 6_000)
    alice.answer(words(SYNDROMES))
    alice.answer(words(POSITIONS, 0, 2, 5, 9))
    for request in (words(POSITIONS, 0, 1, 9), words(POSITIONS, 1, 1, 5_999)):
        with pytest.raises(RemoteProtocolError, match="twice"):
            alice.answer(request)


@given(st.binary(max_size=400))
@settings(max_examples=150, deadline=None)
def test_any_bytes_as_a_request_are_answered_or_refused_in_the_promised_way(request: bytes) -> None:
    alice, _ = parties(2_000, 0.03, 1_000)
    alice.answer(words(SYNDROMES))
    with contextlib.suppress(RemoteProtocolError):
        alice.answer(request)


@given(st.binary(max_size=2_000), st.booleans())
@settings(max_examples=60, deadline=None)
def test_any_bytes_as_an_answer_are_taken_or_refused_in_the_promised_way(answer: bytes, fit: bool) -> None:
    _, bob = parties(2_000, 0.03, 1_000)
    bob.next_request()
    size = (bob._asked + 7) // 8
    try:
        bob.receive((answer * size)[:size] if fit and answer else answer)
    except RemoteProtocolError:
        return
    assert bob.corrected().size == 2_000


@given(st.integers(0, 12), st.integers(0, 2**32 - 1))
@settings(max_examples=12, deadline=None)
def test_a_flipped_bit_anywhere_never_ends_in_another_error(number: int, chosen: int) -> None:
    def garble(index: int, message: bytes) -> bytes:
        if index != number:
            return message
        changed = bytearray(message)
        changed[chosen // 8 % len(changed)] ^= 1 << chosen % 8
        return bytes(changed)

    alice, bob = parties(6_000, 0.05, 3_000, efficiency=1.0)
    try:
        talk(alice, bob, garble)
    except RemoteProtocolError:
        return
    assert bob.leaked_bits == alice.leaked_bits


def test_answers_of_a_wrong_size_or_padding_are_refused() -> None:
    alice, bob = parties(60_000, 0.09, 20_000, efficiency=1.0)
    bob.receive(alice.answer(bob.next_request() or b""))
    request = bob.next_request()
    assert request is not None
    answer = alice.answer(request)
    for wrong in (answer + b"\0", answer[:-1]):
        with pytest.raises(RemoteProtocolError, match="bits"):
            bob.receive(wrong)


def test_the_parties_keep_the_order_of_messages() -> None:
    alice, bob = parties(12_000, 0.02, 12_000)
    with pytest.raises(LocalProtocolError, match="no request"):
        bob.receive(b"")
    request = bob.next_request()
    with pytest.raises(LocalProtocolError, match="not answered"):
        bob.next_request()
    assert request is not None
    bob.receive(alice.answer(request))


def test_a_frame_that_meets_all_parities_but_not_its_check_value_is_not_taken_for_corrected() -> None:
    alice, bob = parties(12_800, 0.02, 12_800)
    answer = bytearray(alice.answer(bob.next_request() or b""))
    answer[-1] ^= 1  # a bit of the check value
    before = bob.corrected()
    bob.receive(bytes(answer))
    assert bob.next_request() is not None
    np.testing.assert_array_equal(bob.corrected(), before)


@pytest.mark.parametrize("qber", [-0.1, 0.51, math.nan])
def test_a_hint_out_of_range_is_refused(qber: float) -> None:
    with pytest.raises(LocalProtocolError, match="QBER"):
        LdpcParameters.for_qber(qber)


@pytest.mark.parametrize("frame_bits", [0, MAX_FRAME_BITS + 1])
def test_frames_out_of_range_are_refused(frame_bits: int) -> None:
    with pytest.raises(LocalProtocolError, match="frames must hold"):
        reconcile_ldpc(*keys(10, 0.1), 0.1, SeededEntropy(1), frame_bits)


def test_keys_of_different_lengths_are_refused() -> None:
    with pytest.raises(LocalProtocolError, match="one length"):
        reconcile_ldpc(np.zeros(5, np.uint8), np.zeros(6, np.uint8), 0.1, SeededEntropy(1))


def test_an_efficiency_below_the_limit_is_refused() -> None:
    with pytest.raises(LocalProtocolError, match="Shannon"):
        LdpcParameters.for_qber(0.03, 1_000, 0.99)


def test_the_order_is_a_permutation_that_follows_the_seed() -> None:
    first = public_order(12_800, b"a")
    np.testing.assert_array_equal(np.sort(first), np.arange(12_800))
    assert not np.array_equal(first, public_order(12_800, b"b"))


def test_bursts_of_errors_are_spread() -> None:
    alice, _ = keys(102_400, 0.0)
    bob = alice.copy()
    bob[40_000:42_000] ^= 1
    report = reconcile_ldpc(alice, bob, 0.02, SeededEntropy(3))
    np.testing.assert_array_equal(report.bits, alice)


def test_the_inputs_are_not_changed() -> None:
    alice, bob = keys(12_800, 0.03)
    copies = alice.copy(), bob.copy()
    reconcile_ldpc(alice, bob, 0.03, SeededEntropy(1))
    np.testing.assert_array_equal(alice, copies[0])
    np.testing.assert_array_equal(bob, copies[1])
