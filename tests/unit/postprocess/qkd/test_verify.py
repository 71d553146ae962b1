"""Verification tags: cost, collisions, comparison."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faintlink.core.entropy import SeededEntropy
from faintlink.core.errors import LocalProtocolError, VerificationFailedError
from faintlink.core.units import Bits
from faintlink.postprocess.kernels.polynomial import PRIME, evaluate, multiply
from faintlink.postprocess.qkd.verify import (
    VerificationCost,
    _toeplitz_tag,
    tag_bits,
    tags_agree,
    verification_tag,
    verify,
)

EPS = 1e-15


def reference_tag(bits: Bits, seed: bytes, eps_cor: float) -> bytes:
    """The tag by Python integers alone."""
    cost = VerificationCost.for_key(eps_cor, bits.size)
    padded = [*bits.tolist(), *[0] * (-bits.size % 32)]
    coefficients = [bits.size] + [
        sum(bit << k for k, bit in enumerate(padded[at : at + 32])) for at in range(0, len(padded), 32)
    ]
    word = 0
    for index in range(cost.points):
        point = int.from_bytes(seed[8 * index : 8 * index + 8], "little") % 2**61 % PRIME
        degree = len(coefficients) - 1
        word = word * 2**61 + sum(c * pow(point, degree - k, PRIME) for k, c in enumerate(coefficients)) % PRIME
    stretch = int.from_bytes(seed[8 * cost.points :], "little")
    width = 61 * cost.points
    tag = sum(
        (sum((stretch >> row + column & 1) * (word >> column & 1) for column in range(width)) % 2) << row
        for row in range(cost.bits)
    )
    return tag.to_bytes(math.ceil(cost.bits / 8), "big")


@given(st.integers(0, PRIME - 1), st.integers(0, PRIME - 1))
@settings(max_examples=500, deadline=None)
def test_field_products_are_those_of_integers(a: int, b: int) -> None:
    assert int(multiply(np.uint64(a), np.uint64(b))) == a * b % PRIME


@pytest.mark.parametrize("a", [0, 1, 2**32 - 1, 2**32, PRIME - 1])
@pytest.mark.parametrize("b", [0, 1, 2**32 - 1, 2**32, PRIME - 1])
def test_field_products_at_the_edges(a: int, b: int) -> None:
    assert int(multiply(np.uint64(a), np.uint64(b))) == a * b % PRIME


def test_a_polynomial_is_evaluated_as_by_integers() -> None:
    coefficients = np.array([2**32 - 1, 0, 7], np.uint32)
    x = PRIME - 2
    expected = (5 * x**3 + (2**32 - 1) * x**2 + 7) % PRIME
    assert int(evaluate(np.uint64(5), coefficients, np.uint64(x))) == expected


@given(st.integers(0, 200), st.integers(0, 2**32), st.sampled_from([1e-3, 1e-10, 1e-15, 1e-30]))
@settings(max_examples=60, deadline=None)
def test_the_tag_is_that_of_plain_integers(n: int, seed: int, eps_cor: float) -> None:
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2, n, dtype=np.uint8)
    drawn = rng.bytes(VerificationCost.for_key(eps_cor, n).seed_bytes)
    assert verification_tag(bits, drawn, eps_cor=eps_cor) == reference_tag(bits, drawn, eps_cor)


@pytest.mark.parametrize("n", [0, 1, 10**4, 10**6, 10**8, 2**40])
@pytest.mark.parametrize("eps_cor", [0.5, 1e-6, 1e-10, 1e-15, 1e-30])
def test_the_collision_bound_is_at_most_eps_cor_and_the_tag_the_papers_term(n: int, eps_cor: float) -> None:
    cost = VerificationCost.for_key(eps_cor, n)
    assert cost.collision_bound <= eps_cor
    assert cost.bits == tag_bits(eps_cor, n) == math.ceil(math.log2(2 / eps_cor))
    assert cost.collision_bound == ((math.ceil(n / 32) + 2) / 2**61) ** cost.points + 2.0**-cost.bits


def test_one_point_is_not_enough_for_a_million_bits_at_1e_minus_15() -> None:
    assert VerificationCost.for_key(EPS, 10**6).points == 2


def test_the_second_hash_collides_with_a_chance_of_two_to_the_minus_bits() -> None:
    """Exhaustive over all seeds of the matrix: 61 columns do not fit, so only differences in the lowest bits."""
    cost = VerificationCost(bits=3, points=1, collision_bound=0.0)
    for difference in range(1, 2**5):
        used = difference.bit_length() + cost.bits - 1
        zeros = sum(_toeplitz_tag(difference, s.to_bytes(8, "little"), cost) == b"\0" for s in range(2**used))
        assert zeros * 2**cost.bits == 2**used


def test_short_tags_collide_as_often_as_promised() -> None:
    """Of 4000 seeds at 2**-6 plus nothing, 62.5 collisions are expected; 5 sigma is 39."""
    rng = np.random.default_rng(5)
    ours = rng.integers(0, 2, 1_000, dtype=np.uint8)
    theirs = ours.copy()
    theirs[123] ^= 1
    cost = VerificationCost.for_key(2.0**-5, ours.size)
    assert cost.bits == 6
    collisions = 0
    for _ in range(4_000):
        seed = rng.bytes(cost.seed_bytes)
        same = verification_tag(ours, seed, eps_cor=2.0**-5) == verification_tag(theirs, seed, eps_cor=2.0**-5)
        collisions += same
    assert abs(collisions - 62.5) < 39


@pytest.mark.parametrize("n", [1, 31, 32, 33, 1_000])
def test_every_single_flip_is_seen(n: int) -> None:
    rng = np.random.default_rng(n)
    bits = rng.integers(0, 2, n, dtype=np.uint8)
    for place in range(n):
        other = bits.copy()
        other[place] ^= 1
        with pytest.raises(VerificationFailedError, match="differ"):
            verify(bits, other, eps_cor=EPS, entropy=SeededEntropy(place))


def test_equal_keys_verify_and_say_their_cost() -> None:
    bits = np.random.default_rng(1).integers(0, 2, 10_000, dtype=np.uint8)
    assert verify(bits, bits.copy(), eps_cor=EPS, entropy=SeededEntropy(1)).bits == 51


@pytest.mark.parametrize("zeros", [1, 32, 40])
def test_keys_that_differ_by_trailing_zeros_do_not_verify(zeros: int) -> None:
    bits = np.zeros(64, np.uint8)
    with pytest.raises(VerificationFailedError):
        verify(bits, np.zeros(64 + zeros, np.uint8), eps_cor=EPS, entropy=SeededEntropy(1))


def test_the_failure_tells_no_key() -> None:
    bits = np.ones(64, np.uint8)
    with pytest.raises(VerificationFailedError) as caught:
        verify(bits, np.zeros(64, np.uint8), eps_cor=EPS, entropy=SeededEntropy(1))
    assert "1, 1" not in str(caught.value)
    assert caught.value.fields == {"bits": 64}


@pytest.mark.parametrize("eps_cor", [0.0, 1.0, -1e-9, math.nan])
def test_an_eps_out_of_range_is_refused(eps_cor: float) -> None:
    with pytest.raises(LocalProtocolError, match="eps_cor"):
        tag_bits(eps_cor, 100)


@pytest.mark.parametrize("n", [-1, 2**40 + 1])
def test_a_key_length_out_of_range_is_refused(n: int) -> None:
    with pytest.raises(LocalProtocolError, match="key to verify"):
        tag_bits(EPS, n)


def test_a_seed_of_wrong_size_is_refused() -> None:
    with pytest.raises(LocalProtocolError, match="seed"):
        verification_tag(np.zeros(8, np.uint8), bytes(3), eps_cor=EPS)


def test_tags_agree_only_when_equal() -> None:
    assert tags_agree(b"abc", b"abc")
    assert not tags_agree(b"abc", b"abd")
    assert not tags_agree(b"abc", b"ab")
