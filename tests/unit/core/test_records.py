"""Counts that add, and keys that do not show themselves."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faintlink.core.records import DecoyCounts, ErrorCount, LossCount, SecretKey

pairs = st.integers(0, 10**12).flatmap(lambda bits: st.tuples(st.just(bits), st.integers(0, bits)))
error_counts = pairs.map(lambda pair: ErrorCount(*pair))
loss_counts = st.builds(LossCount, *[st.integers(0, 10**12)] * 3)


def _decoy(rows: list[tuple[tuple[int, int], tuple[int, int]]]) -> DecoyCounts:
    key, test = zip(*rows, strict=True)
    return DecoyCounts(
        n_key=tuple(n for n, _ in key),
        n_test=tuple(n for n, _ in test),
        m_key=tuple(m for _, m in key),
        m_test=tuple(m for _, m in test),
    )


decoy_counts = st.lists(st.tuples(pairs, pairs), min_size=2, max_size=2).map(_decoy)


@pytest.mark.parametrize(
    ("counts", "zero"),
    [(error_counts, ErrorCount()), (loss_counts, LossCount()), (decoy_counts, DecoyCounts.zero(2))],
)
def test_counts_form_a_monoid(counts: st.SearchStrategy[Any], zero: Any) -> None:
    @given(counts, counts, counts)
    def laws(a: Any, b: Any, c: Any) -> None:
        assert (a + b) + c == a + (b + c)
        assert a + b == b + a
        assert a + zero == zero + a == a

    laws()


@given(decoy_counts, decoy_counts)
def test_the_sum_over_intensities_adds_too(a: DecoyCounts, b: DecoyCounts) -> None:
    assert (a + b).key == a.key + b.key
    assert (a + b).test == a.test + b.test


@pytest.mark.parametrize(("bits", "errors"), [(1, 2), (-1, -1), (3, -1)])
def test_more_errors_than_bits_are_refused(bits: int, errors: int) -> None:
    with pytest.raises(ValueError, match=r"errors must lie in 0\.\.bits"):
        ErrorCount(bits, errors)


def test_the_rate_of_nothing_is_not_a_number() -> None:
    assert math.isnan(ErrorCount().rate)
    assert ErrorCount(200, 3).rate == 0.015


@pytest.mark.parametrize(
    "lists", [((1,), (1, 2), (0,), (0,)), ((), (), (), ()), ((1,) * 5, (1,) * 5, (0,) * 5, (0,) * 5)]
)
def test_lists_of_wrong_length_are_refused(lists: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(ValueError, match="one entry per intensity"):
        DecoyCounts(*lists)


def test_more_errors_than_detections_are_refused_by_basis() -> None:
    with pytest.raises(ValueError, match="test basis"):
        DecoyCounts((5,), (5,), (0,), (6,))


def test_counts_of_different_sources_do_not_add() -> None:
    with pytest.raises(ValueError, match="argument"):
        DecoyCounts.zero(2) + DecoyCounts.zero(3)


def test_a_key_never_shows_its_bits() -> None:
    key = SecretKey("5a0b", 32, b"\xde\xad\xbe\xef", 1e-9)
    for text in (repr(key), str(key), f"{key}", repr([key])):
        assert "dead" not in text.lower()
        assert "\\xde" not in text
        assert "data" not in text
    assert repr(key) == "SecretKey(key_id='5a0b', bits=32, epsilon=1e-09)"


@pytest.mark.parametrize(("bits", "size"), [(9, 1), (8, 2), (0, 1)])
def test_a_key_of_wrong_length_is_refused_without_showing_it(bits: int, size: int) -> None:
    with pytest.raises(ValueError, match="bits need") as caught:
        SecretKey("k", bits, b"Q" * size, 1e-9)
    assert "Q" not in str(caught.value)
