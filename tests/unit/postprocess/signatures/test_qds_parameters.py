"""Epsilons, lengths and search of signature parameters."""

from fractions import Fraction

import pytest

from faintlink.core.errors import ConfigError
from faintlink.postprocess.signatures.parameters import Parameters, Variant, binomial_tail, plan, unseen

PUBLISHED = [
    (80, 66, 14, 24, 47, "8949.930", "8.697431e-11"),
    (800, 60, 19, 23, 47, "10849.413", "9.177400e-11"),
    (80_000, 52, 30, 22, 51, "14591.423", "8.394812e-11"),
    (8_000_000, 52, 36, 22, 58, "17434.423", "9.931754e-11"),
]
"""b_M, n, b_H, e_max, b'_H, l_total, total: block rows of Lim et al., to all printed digits."""


@pytest.mark.parametrize("row", PUBLISHED)
def test_the_published_rows_are_reproduced_to_their_digits(row: tuple[int, int, int, int, int, str, str]) -> None:
    bits, n, hash_bits, errors, tag_bits, length, total = row
    p = Parameters(Variant.BLOCK, bits, hash_bits, tag_bits, n, errors)
    assert (f"{p.total_bits:.3f}", f"{float(p.epsilon):.6e}") == (length, total)


@pytest.mark.parametrize("row", PUBLISHED)
def test_the_search_finds_the_published_rows(row: tuple[int, int, int, int, int, str, str]) -> None:
    bits, n, hash_bits, errors, tag_bits, *_ = row
    assert plan(Variant.BLOCK, bits) == Parameters(Variant.BLOCK, bits, hash_bits, tag_bits, n, errors)


@pytest.mark.parametrize("bits", [8, 80, 8_000_000, 80_000_000])
def test_a_plan_of_one_signature_keeps_its_budget_and_one_bit_less_does_not(bits: int) -> None:
    found = plan(Variant.SEQUENCE, bits)
    budget = Fraction(1, 10**10)
    assert found.epsilon <= budget
    assert found.total_bits == 6 * found.hash_bits + 5 * found.tag_bits
    assert Parameters(Variant.SEQUENCE, bits, found.hash_bits, found.tag_bits - 1).epsilon > budget


def test_the_tail_is_that_of_coins() -> None:
    assert binomial_tail(3, 2, Fraction(1, 2)) == Fraction(1, 2)


def test_the_product_is_the_share_of_halves_that_miss_all_wrong_blocks() -> None:
    assert unseen(4, 2) == Fraction(1, 6)


def test_odd_blocks_are_refused() -> None:
    with pytest.raises(ConfigError, match="even"):
        Parameters(Variant.BLOCK, 80, 14, 47, 65, 24)


def test_a_budget_that_no_hash_keeps_is_refused() -> None:
    with pytest.raises(ConfigError, match="no sequence parameters"):
        plan(Variant.SEQUENCE, 80_000_000, Fraction(1, 10**15))
