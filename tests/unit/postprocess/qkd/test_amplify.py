"""Toeplitz hashing against matrices, carry-less products and all seeds."""

import itertools

import numpy as np
import pytest
import scipy.fft
from hypothesis import given, settings
from hypothesis import strategies as st

from faintlink.core.errors import LocalProtocolError
from faintlink.core.units import Bits
from faintlink.postprocess.kernels.spectra import signs_of, sum_of_products
from faintlink.postprocess.qkd import amplify
from faintlink.postprocess.qkd.amplify import seed_bytes, toeplitz_hash


def drawn(n: int, r: int, seed: int = 1) -> tuple[Bits, bytes]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 2, n, dtype=np.uint8), rng.bytes(seed_bytes(n, r))


def by_matrix(bits: Bits, seed: bytes, r: int) -> Bits:
    columns = bits.size - r
    diagonals = np.unpackbits(np.frombuffer(seed, np.uint8))
    index = np.arange(r)[:, None] - np.arange(columns)[None, :] + columns - 1
    matrix = diagonals[index] if columns and r else np.zeros((r, columns), np.uint8)
    hashed: Bits = ((bits[:r] + matrix.astype(np.int64) @ bits[r:]) % 2).astype(np.uint8)
    return hashed


def by_integers(bits: Bits, seed: bytes, r: int) -> Bits:
    """The same convolution as one product of integers, digits wide enough that nothing carries (Kronecker)."""
    columns = bits.size - r
    diagonals = np.unpackbits(np.frombuffer(seed, np.uint8))[: bits.size - 1]
    digit = 3  # bytes, for sums below 2**24
    spread = [np.zeros((part.size, digit), np.uint8) for part in (bits[r:], diagonals)]
    for target, part in zip(spread, (bits[r:], diagonals), strict=True):
        target[:, 0] = part
    product = int.from_bytes(spread[0].tobytes(), "little") * int.from_bytes(spread[1].tobytes(), "little")
    digits = product.to_bytes(digit * (columns + diagonals.size), "little")
    lowest = np.frombuffer(digits, np.uint8)[::digit]
    return bits[:r] ^ (lowest[columns - 1 : columns - 1 + r] & np.uint8(1))


@given(st.integers(0, 120), st.floats(0, 1), st.integers(0, 2**32), st.sampled_from([1, 2, 3, 7, 16, 1 << 19]))
@settings(max_examples=300, deadline=None)
def test_the_hash_is_the_product_with_the_matrix(n: int, share: float, seed: int, block: int) -> None:
    r = round(share * n)
    bits, diagonals = drawn(n, r, seed)
    hashed = toeplitz_hash(bits, diagonals, r, block=block)
    np.testing.assert_array_equal(hashed, by_matrix(bits, diagonals, r))
    assert hashed.dtype == np.uint8


@pytest.mark.parametrize(("n", "r"), [(10_000, 5_000), (10_007, 1), (10_007, 10_006), (100_000, 30_000)])
@pytest.mark.parametrize("block", [1_000, 4_096, amplify.BLOCK])
def test_long_hashes_equal_the_integer_product(n: int, r: int, block: int) -> None:
    bits, seed = drawn(n, r)
    np.testing.assert_array_equal(toeplitz_hash(bits, seed, r, block=block), by_integers(bits, seed, r))


def rows_by_parity(bits: Bits, seed: bytes, r: int, rows: Bits) -> list[int]:
    columns = bits.size - r
    diagonals = np.unpackbits(np.frombuffer(seed, np.uint8))
    return [int(bits[i] ^ (diagonals[i : i + columns][::-1] & bits[r:]).sum() % 2) for i in rows]


@pytest.mark.parametrize("block", [amplify.BLOCK, 1 << 16])
def test_a_million_bits_are_hashed_exactly(block: int) -> None:
    """300 random rows by direct parity: one wrong row in a hundred would be missed with a chance of 5 %."""
    bits, seed = drawn(1_000_000, 600_000)
    hashed = toeplitz_hash(bits, seed, 600_000, block=block)
    rows = np.append(np.random.default_rng(2).integers(0, 600_000, 300), [0, 599_999])
    assert hashed[rows].tolist() == rows_by_parity(bits, seed, 600_000, rows)


@pytest.mark.slow
def test_a_million_bits_equal_the_integer_product() -> None:
    bits, seed = drawn(1_000_000, 500_000)
    np.testing.assert_array_equal(toeplitz_hash(bits, seed, 500_000), by_integers(bits, seed, 500_000))


def test_the_worst_input_is_exact() -> None:
    """All ones against all ones: the largest sums there are."""
    n, r = 1_000_000, 400_000
    bits, seed = np.ones(n, np.uint8), b"\xff" * seed_bytes(n, r)
    assert np.all(toeplitz_hash(bits, seed, r) == (1 + n - r) % 2)


@pytest.mark.parametrize(("n", "r"), [(1, 1), (2, 1), (3, 1), (3, 2), (4, 1), (4, 2), (5, 2), (5, 3), (6, 4)])
def test_no_pair_collides_for_more_than_its_share_of_all_seeds(n: int, r: int) -> None:
    """Exhaustive: every seed and every pair of keys, so the family is universal_2."""
    seeds = [(s << (-(n - 1) % 8)).to_bytes(seed_bytes(n, r), "big") for s in range(2 ** (n - 1))]
    table = {
        key: [toeplitz_hash(np.array(key, np.uint8), seed, r).tobytes() for seed in seeds]
        for key in itertools.product((0, 1), repeat=n)
    }
    for one, other in itertools.combinations(table, 2):
        collisions = sum(a == b for a, b in zip(table[one], table[other], strict=True))
        assert collisions * 2**r <= len(seeds)


@given(st.integers(2, 300), st.integers(0, 2**32))
@settings(max_examples=100, deadline=None)
def test_the_hash_is_linear(n: int, seed: int) -> None:
    r = n // 2
    one, diagonals = drawn(n, r, seed)
    other, _ = drawn(n, r, seed + 1)
    together = toeplitz_hash(one ^ other, diagonals, r)
    np.testing.assert_array_equal(together, toeplitz_hash(one, diagonals, r) ^ toeplitz_hash(other, diagonals, r))


def test_nothing_is_hashed_to_nothing() -> None:
    bits, _ = drawn(100, 0)
    assert seed_bytes(100, 0) == 0
    assert toeplitz_hash(bits, b"", 0).size == 0
    assert toeplitz_hash(np.zeros(0, np.uint8), b"", 0).size == 0


def test_without_compression_the_key_stays() -> None:
    bits, seed = drawn(100, 100)
    np.testing.assert_array_equal(toeplitz_hash(bits, seed, 100), bits)


@pytest.mark.parametrize("r", [101, -1])
def test_a_key_cannot_grow(r: int) -> None:
    with pytest.raises(LocalProtocolError, match="asked for"):
        toeplitz_hash(np.zeros(100, np.uint8), b"", r)
    with pytest.raises(LocalProtocolError, match="asked for"):
        seed_bytes(100, r)


@pytest.mark.parametrize("change", [-1, 1])
def test_a_seed_of_wrong_size_is_refused(change: int) -> None:
    with pytest.raises(LocalProtocolError, match="bytes of seed"):
        toeplitz_hash(np.zeros(100, np.uint8), bytes(seed_bytes(100, 50) + change), 50)


@pytest.mark.parametrize("bits", [np.full(9, 2, np.uint8), np.zeros(9, np.int64), np.zeros((3, 3), np.uint8)])
def test_what_is_not_bits_is_refused(bits: Bits) -> None:
    with pytest.raises(LocalProtocolError, match="array of bits"):
        toeplitz_hash(bits, bytes(seed_bytes(9, 4)), 4)


@pytest.mark.parametrize("off", [0.3, np.nan, np.inf])
def test_sums_that_are_not_whole_are_refused(off: float) -> None:
    with pytest.raises(LocalProtocolError, match="not computed exactly"):
        amplify._add_exact(np.zeros(2, np.uint8), np.array([2.0, 4.0 + off]), 10)


def test_an_fft_that_errs_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    true_irfft = scipy.fft.irfft
    monkeypatch.setattr(scipy.fft, "irfft", lambda *a, **k: true_irfft(*a, **k) + 0.9)
    bits, seed = drawn(1_000, 500)
    with pytest.raises(LocalProtocolError, match="not computed exactly"):
        toeplitz_hash(bits, seed, 500)


@pytest.mark.parametrize(
    ("ring", "count", "rows", "size", "first"), [(1, 1, 1, 5, 0), (5, 3, 2, 1_500, 2), (4, 4, 3, 128, 1)]
)
def test_spectra_are_multiplied_and_summed_around_the_ring(
    ring: int, count: int, rows: int, size: int, first: int
) -> None:
    rng = np.random.default_rng(4)
    seeds = rng.normal(size=(ring, size)) + 1j * rng.normal(size=(ring, size))
    keys = rng.normal(size=(count, size)) + 1j * rng.normal(size=(count, size))
    out = np.empty((rows, size), np.complex128)
    sum_of_products(seeds, keys, first, out)
    expected = [sum(seeds[(first + i - j) % ring] * keys[j] for j in range(count)) for i in range(rows)]
    np.testing.assert_allclose(out, expected, rtol=1e-11)


@given(st.integers(-20, 60), st.integers(1, 40))
@settings(max_examples=100, deadline=None)
def test_seed_bits_become_signs_and_what_lies_outside_is_zero(first: int, count: int) -> None:
    packed = np.array([0b10010110, 0b00000001, 0xFF, 0], np.uint8)
    padded = np.concatenate([np.zeros(20), 1.0 - 2.0 * np.unpackbits(packed), np.zeros(100)])
    out = np.empty(count)
    signs_of(packed, first, out)
    np.testing.assert_array_equal(out, padded[20 + first : 20 + first + count])


@pytest.mark.parametrize(("group", "row_group"), [(1, 1), (2, 3), (3, 2), (128, 16)])
@pytest.mark.parametrize("r", [1_000, 5_000, 9_000])
def test_the_grouping_of_blocks_does_not_change_the_hash(
    monkeypatch: pytest.MonkeyPatch, group: int, row_group: int, r: int
) -> None:
    monkeypatch.setattr(amplify, "GROUP", group)
    monkeypatch.setattr(amplify, "ROW_GROUP", row_group)
    bits, seed = drawn(10_007, r)
    np.testing.assert_array_equal(toeplitz_hash(bits, seed, r, block=700), by_integers(bits, seed, r))
