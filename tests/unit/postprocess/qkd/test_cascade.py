"""Cascade: two parties, bytes between them."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faintlink.core.entropy import SeededEntropy
from faintlink.core.errors import LocalProtocolError, RemoteProtocolError, VerificationFailedError
from faintlink.core.units import Bits
from faintlink.postprocess.kernels.cascade import ALL_SUBSETS
from faintlink.postprocess.qkd.cascade import CascadeAlice, CascadeBob, CascadeParameters, reconcile
from faintlink.postprocess.qkd.cascade.parameters import first_block, frame_length, public_layout
from faintlink.postprocess.qkd.cascade.parties import disclosure_limit
from faintlink.postprocess.qkd.verify import verify

SEED = b"public"


def keys(n: int, qber: float, seed: int = 1) -> tuple[Bits, Bits]:
    rng = np.random.default_rng(seed)
    alice = rng.integers(0, 2, n, dtype=np.uint8)
    return alice, alice ^ (rng.random(n) < qber).astype(np.uint8)


def talk(
    alice: CascadeAlice, bob: CascadeBob, garble: Callable[[int, bytes], bytes] = lambda _, message: message
) -> list[bytes]:
    """Run to the end; ``garble`` may change message number k (even: requests, odd: answers)."""
    sent: list[bytes] = []
    while (request := bob.next_request()) is not None:
        sent.append(garble(len(sent), request))
        sent.append(garble(len(sent), alice.answer(sent[-1])))
        bob.receive(sent[-1])
        assert len(sent) < 200_000, "does not end"
    return sent


def words(*values: int) -> bytes:
    return np.array(values, "<u2").tobytes()


@pytest.mark.parametrize("n", [1, 2, 3, 7, 63, 64, 65, 127, 500, 1_000, 4_096, 10_001])
@pytest.mark.parametrize("qber", [0.0, 0.03, 0.11])
def test_blocks_of_any_length_come_out_equal(n: int, qber: float) -> None:
    alice, bob = keys(n, qber, seed=n)
    report = reconcile(alice, bob, qber, SeededEntropy(n), frame_bits=4_096)
    np.testing.assert_array_equal(report.bits, alice)
    assert report.corrected_errors == np.count_nonzero(alice != bob)
    assert report.bits.dtype == np.uint8


@given(st.integers(1, 700), st.floats(0, 0.5), st.floats(0, 0.5), st.integers(1, 700), st.integers(0, 2**20))
@settings(max_examples=150, deadline=None)
def test_it_ends_within_the_disclosure_limit_whatever_the_hint(
    n: int, qber: float, hint: float, frame_bits: int, seed: int
) -> None:
    alice, bob = keys(n, qber, seed)
    report = reconcile(alice, bob, hint, SeededEntropy(seed), frame_bits=frame_bits)
    frames, length = frame_length(n, frame_bits)
    assert report.frames == frames
    assert report.leaked_bits <= frames * disclosure_limit(length)


@pytest.mark.parametrize(("qber", "hint"), [(0.05, 0.005), (0.11, 0.01), (0.03, 0.0), (0.01, 0.11), (0.0, 0.05)])
def test_a_wrong_hint_costs_leak_but_still_corrects(qber: float, hint: float) -> None:
    alice, bob = keys(131_072, qber)
    report = reconcile(alice, bob, hint, SeededEntropy(1))
    np.testing.assert_array_equal(report.bits, alice)


def test_keys_without_relation_end_without_agreement() -> None:
    alice, _ = keys(20_000, 0.0, seed=1)
    bob, _ = keys(20_000, 0.0, seed=2)
    report = reconcile(alice, bob, 0.02, SeededEntropy(1))
    assert report.leaked_bits <= disclosure_limit(20_000)


def test_bursts_are_spread_over_the_frame() -> None:
    alice, _ = keys(65_536, 0.0)
    bob = alice.copy()
    bob[1_000:2_310] ^= 1
    report = reconcile(alice, bob, 0.02, SeededEntropy(1))
    np.testing.assert_array_equal(report.bits, alice)
    assert report.efficiency < 1.06


def test_both_counters_equal_the_bits_on_the_wire() -> None:
    alice_bits, bob_bits = keys(30_000, 0.03)
    parameters = CascadeParameters.for_qber(0.03, 10_000)
    alice, bob = CascadeAlice(alice_bits, parameters, SEED), CascadeBob(bob_bits, parameters, SEED)
    counted = 0
    while (request := bob.next_request()) is not None:
        before = alice.leaked_bits
        answer = alice.answer(request)
        asked = alice.leaked_bits - before
        assert len(answer) == math.ceil(asked / 8)
        counted += asked
        bob.receive(answer)
    assert counted == alice.leaked_bits == bob.leaked_bits > 0


def test_bob_needs_nothing_but_the_bytes() -> None:
    alice_bits, bob_bits = keys(20_000, 0.03)
    parameters = CascadeParameters.for_qber(0.03)
    sent = talk(CascadeAlice(alice_bits, parameters, SEED), CascadeBob(bob_bits, parameters, SEED))
    alone = CascadeBob(bob_bits, parameters, SEED)
    for request, answer in zip(sent[::2], sent[1::2], strict=True):
        assert alone.next_request() == request
        alone.receive(answer)
    assert alone.next_request() is None
    np.testing.assert_array_equal(alone.corrected(), alice_bits)


def test_the_keys_handed_in_are_not_changed() -> None:
    alice, bob = keys(5_000, 0.05)
    kept = alice.copy(), bob.copy()
    reconcile(alice, bob, 0.05, SeededEntropy(1))
    np.testing.assert_array_equal(alice, kept[0])
    np.testing.assert_array_equal(bob, kept[1])


def test_the_same_seed_gives_the_same_messages() -> None:
    alice_bits, bob_bits = keys(20_000, 0.03)
    parameters = CascadeParameters.for_qber(0.03)
    first, again, other = (
        talk(CascadeAlice(alice_bits, parameters, seed), CascadeBob(bob_bits, parameters, seed))
        for seed in (SEED, SEED, b"other")
    )
    assert first == again != other


def test_the_public_layout_never_changes() -> None:
    """Golden: SHAKE-256, Philox4x64-10 and Fisher-Yates, recorded from this implementation at its first release."""
    layout, order = public_layout(CascadeParameters.for_qber(0.02), 1_000, SEED)
    assert order[0, :6].tolist() == GOLDEN_INTERLEAVER
    assert layout.maps[1_000:1_006].tolist() == GOLDEN_PASS_1
    assert int(layout.masks[0]) == GOLDEN_MASK
    assert layout.blocks.tolist() == [64, 256, 1_000]


GOLDEN_INTERLEAVER = [893, 925, 541, 257, 573, 237]
GOLDEN_PASS_1 = [430, 384, 268, 937, 541, 611]
GOLDEN_MASK = 0xADD79D487D7DD6CE


@pytest.mark.parametrize(
    ("qber", "size"), [(0.0, 8_192), (1e-4, 8_192), (0.01, 128), (0.02, 64), (0.05, 16), (0.11, 8), (0.5, 2)]
)
def test_the_first_block_is_the_power_of_two_near_one_over_qber(qber: float, size: int) -> None:
    assert first_block(qber) == size


@pytest.mark.parametrize("hint", [-0.01, 0.51, math.nan, math.inf])
def test_a_hint_out_of_range_is_refused(hint: float) -> None:
    with pytest.raises(LocalProtocolError, match="hint"):
        CascadeParameters.for_qber(hint)


@pytest.mark.parametrize("frame_bits", [0, -1, 65_537])
def test_a_frame_length_out_of_range_is_refused(frame_bits: int) -> None:
    with pytest.raises(LocalProtocolError, match="frames must hold"):
        CascadeParameters.for_qber(0.02, frame_bits)


@pytest.mark.parametrize(
    "bits", [np.zeros(0, np.uint8), np.zeros((2, 2), np.uint8), np.zeros(4, np.int64), np.full(4, 2, np.uint8)]
)
def test_what_is_not_bits_is_refused(bits: Bits) -> None:
    for party in (CascadeAlice, CascadeBob):
        with pytest.raises(LocalProtocolError, match="bits"):
            party(bits, CascadeParameters.for_qber(0.02), SEED)


def test_keys_of_two_lengths_are_refused() -> None:
    with pytest.raises(LocalProtocolError, match="one length"):
        reconcile(np.zeros(3, np.uint8), np.zeros(4, np.uint8), 0.02, SeededEntropy(1))


REFUSED = {
    "empty": b"",
    "odd size": b"\x01\x00\x00",
    "no group": words(0),
    "missing group": words(2, 0, 0, 0),
    "trailing words": words(1, 0, 0, 0, 7),
    "frame out of range": words(1, 2, 0, 0),
    "frame twice": words(2, 0, 0, 0, 0, 0, 0),
    "set out of range": words(1, 0, 200, 0),
    "whole single subset": words(1, 0, 3, 0),
    "set far out of range": words(1, 0, ALL_SUBSETS + 1, 0),
    "all subsets with ranges": words(1, 0, ALL_SUBSETS, 1, 0, 1),
    "ranges missing": words(1, 0, 0, 2, 0, 1),
    "backward range": words(1, 0, 0, 1, 5, 4),
    "range beyond the frame": words(1, 0, 0, 1, 0, 1_000),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_malformed_request_is_refused_and_discloses_nothing(name: str) -> None:
    alice = CascadeAlice(keys(2_000, 0.0)[0], CascadeParameters.for_qber(0.02, 1_000), SEED)
    with pytest.raises(RemoteProtocolError):
        alice.answer(REFUSED[name])
    assert alice.leaked_bits == 0


def test_alice_stops_at_the_disclosure_limit() -> None:
    alice = CascadeAlice(keys(1_000, 0.0)[0], CascadeParameters.for_qber(0.02), SEED)
    ask = words(1, 0, 0, 500, *(k for i in range(500) for k in (i, i)))
    for _ in range(disclosure_limit(1_000) // 500):
        alice.answer(ask)
    with pytest.raises(RemoteProtocolError, match="more parities"):
        alice.answer(ask)
    assert alice.leaked_bits <= disclosure_limit(1_000)


def test_alice_answers_the_parities_of_the_ranges_asked() -> None:
    bits = keys(1_000, 0.0)[0]
    alice = CascadeAlice(bits, CascadeParameters.for_qber(0.02), SEED)
    layout, order = public_layout(CascadeParameters.for_qber(0.02), 1_000, SEED)
    mask = np.unpackbits(layout.masks[32:48].view(np.uint8), bitorder="little")[:1_000]  # subset 2, 16 words each
    answer = alice.answer(words(1, 0, 1, 3, 0, 0, 10, 700, 999, 999))
    seen = bits[order[1]]
    assert answer[0] == seen[0] | seen[10:701].sum() % 2 << 1 | seen[999] << 2
    seen = bits[order[0]] & mask
    assert alice.answer(words(1, 0, 5, 1, 3, 900))[0] == seen[3:901].sum() % 2


SPOILERS: dict[str, Callable[[bytes], bytes]] = {
    "short": lambda answer: answer[:-1],
    "long": lambda answer: answer + b"\0",
    "padded with a one": lambda answer: answer[:-1] + bytes([answer[-1] | 0x80]),
    "empty": lambda answer: b"",
}


@pytest.mark.parametrize("name", SPOILERS)
def test_an_answer_of_wrong_size_or_padding_is_refused(name: str) -> None:
    alice_bits, bob_bits = keys(1_100, 0.05)  # 18 blocks of 64: the last byte has six bits of padding
    parameters = CascadeParameters.for_qber(0.02)
    alice, bob = CascadeAlice(alice_bits, parameters, SEED), CascadeBob(bob_bits, parameters, SEED)
    request = bob.next_request()
    assert request is not None
    with pytest.raises(RemoteProtocolError):
        bob.receive(SPOILERS[name](alice.answer(request)))
    assert bob.leaked_bits == 0


def test_turns_are_kept() -> None:
    bob = CascadeBob(keys(1_000, 0.05)[1], CascadeParameters.for_qber(0.02), SEED)
    with pytest.raises(LocalProtocolError, match="no request"):
        bob.receive(b"")
    bob.next_request()
    with pytest.raises(LocalProtocolError, match="not answered"):
        bob.next_request()


@given(st.integers(0, 400), st.integers(0, 2**16), st.integers(1, 255), st.integers(0, 5))
@settings(max_examples=300, deadline=None)
def test_a_garbled_message_ends_in_a_refusal_or_in_keys_to_verify(
    number: int, place: int, flip: int, seed: int
) -> None:
    alice_bits, bob_bits = keys(900, 0.05, seed)
    parameters = CascadeParameters.for_qber(0.05, 450)
    alice, bob = CascadeAlice(alice_bits, parameters, SEED), CascadeBob(bob_bits, parameters, SEED)

    def garble(k: int, message: bytes) -> bytes:
        if k != number:
            return message
        spoiled = bytearray(message)
        spoiled[place % len(message)] ^= flip
        return bytes(spoiled)

    try:
        talk(alice, bob, garble)
    except RemoteProtocolError:
        return
    assert alice.leaked_bits <= 2 * disclosure_limit(450)
    if not np.array_equal(bob.corrected(), alice_bits):
        with pytest.raises(VerificationFailedError):
            verify(alice_bits, bob.corrected(), eps_cor=1e-12, entropy=SeededEntropy(seed))


@given(st.integers(0, 2**32))
@settings(max_examples=100, deadline=None)
def test_an_alice_who_answers_at_random_cannot_hold_bob_for_ever(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bob = CascadeBob(keys(600, 0.0)[0], CascadeParameters.for_qber(0.05, 300), SEED)

    def noise(k: int, message: bytes) -> bytes:
        if k % 2 == 0:
            return message
        return (int.from_bytes(message, "little") & int.from_bytes(rng.bytes(len(message)), "little")).to_bytes(
            len(message), "little"
        )

    try:
        talk(CascadeAlice(keys(600, 0.0)[0], CascadeParameters.for_qber(0.05, 300), SEED), bob, noise)
    except RemoteProtocolError:
        return
    assert bob.leaked_bits <= 2 * disclosure_limit(300)


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_bytes_as_a_request_are_answered_or_refused(request: bytes) -> None:
    alice = CascadeAlice(keys(200, 0.0)[0], CascadeParameters.for_qber(0.05, 100), SEED)
    try:
        alice.answer(request)
    except RemoteProtocolError:
        assert alice.leaked_bits == 0


def test_parties_with_different_seeds_are_told_what_to_check() -> None:
    alice_bits, bob_bits = keys(4_000, 0.02)
    parameters = CascadeParameters.for_qber(0.02)
    alice, bob = CascadeAlice(alice_bits, parameters, b"one"), CascadeBob(bob_bits, parameters, b"two")
    with pytest.raises(RemoteProtocolError, match="same parameters, seed"):
        talk(alice, bob)
    assert not np.array_equal(bob.corrected(), alice_bits)


def test_no_error_rate_is_claimed_for_efficiency_without_errors() -> None:
    alice, _ = keys(2_000, 0.0)
    report = reconcile(alice, alice, 0.0, SeededEntropy(1))
    assert report.error_rate == 0.0
    assert math.isnan(report.efficiency)
