"""Modular hashing against Python's integers and all seeds of small sizes."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faintlink.core.errors import LocalProtocolError
from faintlink.core.units import Bits
from faintlink.postprocess.qkd import hash_families, modular_hash
from faintlink.postprocess.qkd.modular_hash import has_fast_integers, seed_bytes

ENGINES = [pytest.param(True, marks=pytest.mark.skipif(not has_fast_integers(), reason="needs gmpy2")), False]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run with gmpy2 and with Python's integers."""
    monkeypatch.setattr(modular_hash, "has_fast_integers", lambda: request.param)


def by_definition(bits: Bits, seed: bytes, r: int) -> Bits:
    n, width = bits.size, bits.size + r - 1
    x = sum(int(bit) << k for k, bit in enumerate(bits))
    a, b = (int.from_bytes(part, "little") % 2**width for part in (seed[: len(seed) // 2], seed[len(seed) // 2 :]))
    hashed = ((a * x + b) % 2**width) >> (n - 1)
    return np.array([hashed >> k & 1 for k in range(r)], np.uint8)


@given(st.integers(1, 200), st.floats(0, 1), st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_both_engines_follow_the_definition(n: int, share: float, number: int) -> None:
    r = max(1, round(share * n))
    rng = np.random.default_rng(number)
    bits, seed = rng.integers(0, 2, n, dtype=np.uint8), rng.bytes(seed_bytes(n, r))
    expected = by_definition(bits, seed, r)
    hashed = modular_hash.modular_hash(bits, seed, r)
    np.testing.assert_array_equal(hashed, expected)
    assert hashed.dtype == np.uint8
    half = len(seed) // 2
    key = np.packbits(bits, bitorder="little").tobytes()
    raw = modular_hash._by_python(key, seed[:half], seed[half:], n=n, r=r)
    np.testing.assert_array_equal(np.unpackbits(np.frombuffer(raw, np.uint8), bitorder="little")[:r], expected)


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(("n", "r"), [(10_000, 5_000), (10_007, 1), (10_007, 10_007), (65_537, 65_536), (100_000, 64)])
@pytest.mark.parametrize("kind", ["random", "ones", "zeros", "lowest", "highest"])
def test_long_and_extreme_inputs_are_exact(n: int, r: int, kind: str) -> None:
    """All ones meet all ones: every carry there can be."""
    rng = np.random.default_rng(n + r)
    bits = rng.integers(0, 2, n, dtype=np.uint8) if kind == "random" else np.zeros(n, np.uint8)
    bits[{"ones": slice(None), "lowest": slice(0, 1), "highest": slice(n - 1, n)}.get(kind, slice(0, 0))] = 1
    for seed in (rng.bytes(seed_bytes(n, r)), b"\xff" * seed_bytes(n, r)):
        np.testing.assert_array_equal(modular_hash.modular_hash(bits, seed, r), by_definition(bits, seed, r))


def collisions(n: int, r: int, offsets: range) -> Fraction:
    """The largest share of seeds (a, b), b from ``offsets``, under which a pair of keys collides, times 2**r."""
    width = n + r - 1
    size = seed_bytes(n, r) // 2
    keys = [np.array([x >> k & 1 for k in range(n)], np.uint8) for x in range(2**n)]
    worst = np.zeros((2**n, 2**n), np.int64)
    for a, b in itertools.product(range(2**width), offsets):
        seed = a.to_bytes(size, "little") + b.to_bytes(size, "little")
        hashed = np.array([int.from_bytes(modular_hash.modular_hash(key, seed, r).tobytes(), "little") for key in keys])
        worst += hashed[:, None] == hashed[None, :]
    np.fill_diagonal(worst, 0)
    return Fraction(int(worst.max()) * 2**r, 2**width * len(offsets))


@pytest.mark.parametrize(("n", "r"), [(1, 1), (2, 2), (3, 2), (4, 1), (4, 2)])
def test_no_pair_collides_for_more_than_its_share_of_all_seeds(n: int, r: int) -> None:
    assert collisions(n, r, range(2 ** (n + r - 1))) == 1


@pytest.mark.slow
@pytest.mark.parametrize(("n", "r"), [(4, 3), (5, 2)])
def test_no_pair_collides_for_more_than_its_share_at_larger_sizes(n: int, r: int) -> None:
    assert collisions(n, r, range(2 ** (n + r - 1))) == 1


@pytest.mark.parametrize(("n", "r"), [(4, 1), (4, 2), (4, 3), (5, 2)])
def test_the_definition_is_universal_by_counting_all_seeds(n: int, r: int) -> None:
    width = n + r - 1
    a, b = np.arange(2**width)[:, None, None], np.arange(2**width)[None, :, None]
    table = (((a * np.arange(2**n) + b) % 2**width) >> (n - 1)).reshape(-1, 2**n)
    worst = max(np.mean(table[:, x] == table[:, y]) for x, y in itertools.combinations(range(2**n), 2))
    assert worst * 2**r == 1.0


@pytest.mark.parametrize(("n", "r"), [(4, 2), (4, 3)])
def test_without_the_offset_the_family_would_not_be_universal(n: int, r: int) -> None:
    assert collisions(n, r, range(1)) >= Fraction(3, 2)


def test_nothing_is_hashed_to_nothing() -> None:
    assert seed_bytes(10, 0) == 0
    assert modular_hash.modular_hash(np.ones(10, np.uint8), b"", 0).size == 0
    assert modular_hash.modular_hash(np.zeros(0, np.uint8), b"", 0).size == 0


@pytest.mark.parametrize("r", [101, -1])
def test_a_key_cannot_grow(r: int) -> None:
    with pytest.raises(LocalProtocolError, match="asked for"):
        modular_hash.modular_hash(np.zeros(100, np.uint8), b"", r)


def test_wrong_seeds_and_wrong_bits_are_refused() -> None:
    with pytest.raises(LocalProtocolError, match="bytes of seed"):
        modular_hash.modular_hash(np.zeros(100, np.uint8), bytes(seed_bytes(100, 50) - 1), 50)
    with pytest.raises(LocalProtocolError, match="array of bits"):
        modular_hash.modular_hash(np.full(9, 2, np.uint8), bytes(seed_bytes(9, 4)), 4)


def test_a_long_key_without_gmpy2_is_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modular_hash, "has_fast_integers", lambda: False)
    monkeypatch.setattr(modular_hash, "FALLBACK_BITS", 999)
    with pytest.raises(LocalProtocolError, match="gmpy2") as refused:
        modular_hash.modular_hash(np.zeros(1_000, np.uint8), bytes(seed_bytes(1_000, 10)), 10)
    assert "faintlink[fast]" in str(refused.value)


@pytest.mark.parametrize("name", ["toeplitz", "modular"])
def test_a_family_hashes_by_its_name(name: str) -> None:
    family = hash_families.get(name)
    rng = np.random.default_rng(1)
    bits, seed = rng.integers(0, 2, 1_000, dtype=np.uint8), rng.bytes(family.seed_bytes(1_000, 300))
    assert family.hash(bits, seed, 300).shape == (300,)
    assert "universal_2" in family.epsilon_statement
    assert family.name == name


def test_an_unknown_family_is_refused_with_the_known_ones() -> None:
    with pytest.raises(LocalProtocolError, match="no hash family") as refused:
        hash_families.get("sha")
    assert "modular, toeplitz" in str(refused.value)
