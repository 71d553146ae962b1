"""The tail of a binomial distribution is never reported too small, and not much too large."""

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faintlink.postprocess.security.rounding import FLOATS, INTERVALS, upper_end
from faintlink.postprocess.security.tail import excess, least_count, tail_at_most


def exact_tail(n: int, k: int, p: Fraction) -> Fraction:
    """Return P[Bin(n, p) >= k] by the definition."""
    return sum((math.comb(n, j) * p**j * (1 - p) ** (n - j) for j in range(k, n + 1)), Fraction(0))


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 200), st.integers(0, 210), st.integers(1, 999))
def test_the_bound_lies_above_the_exact_tail_and_close_to_it(n: int, k: int, thousandths: int) -> None:
    p = Fraction(thousandths, 1000)
    exact, bound = exact_tail(n, k, p), tail_at_most(n, k, p)
    assert bound >= exact
    if k > n * p + 1:
        assert bound <= exact * (1 + Fraction(1, 500))


@pytest.mark.parametrize("failure", [Fraction(1, 100), Fraction(1, 10**8), Fraction(1, 10**16)])
def test_the_least_count_is_the_one_of_the_definition(failure: Fraction) -> None:
    n, p = 300, Fraction(3, 100)
    k = least_count(n, p, failure)
    assert exact_tail(n, k, p) <= failure < exact_tail(n, k - 1, p)


def test_a_large_sample_agrees_with_the_normal_limit() -> None:
    n, p = 10**9, Fraction(1, 25)
    k = least_count(n, p, Fraction(1, 10**8))
    sigmas = (k - n * float(p)) / math.sqrt(n * float(p * (1 - p)))
    # The one-sided quantile of 1e-8 is 5.612 sigma; the skewness adds a little.
    assert 5.61 < sigmas < 5.63


@pytest.mark.parametrize(("n", "k"), [(5, 6), (5, 0), (5, 5)])
def test_the_edges_are_exact_enough(n: int, k: int) -> None:
    assert tail_at_most(n, k, Fraction(1, 2)) == pytest.approx(exact_tail(n, k, Fraction(1, 2)), rel=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.integers(50, 400), st.integers(0, 400), st.integers(1, 200))
def test_the_excess_holds_for_its_number_of_events_and_for_all_larger_ones(n: int, more: int, thousandths: int) -> None:
    p, failure = Fraction(thousandths, 1000), Fraction(1, 10**6)
    ln_inverse = INTERVALS.ln(INTERVALS.number(10**6))
    c = upper_end(excess(INTERVALS, INTERVALS.number(n), INTERVALS.number(p), ln_inverse=ln_inverse))
    larger = n + more
    assert exact_tail(larger, math.ceil(larger * (p + c)), p) <= failure


def test_nothing_misbehaves_where_nothing_can() -> None:
    zero = INTERVALS.number(0)
    assert upper_end(excess(INTERVALS, INTERVALS.number(100), zero, ln_inverse=INTERVALS.number(50))) == 0


def test_tiny_failure_probabilities_take_hoeffding() -> None:
    c = excess(FLOATS, 1e6, 0.01, ln_inverse=2 * math.log(1e12))
    assert c == pytest.approx(math.sqrt(math.log(1e12) / 1e6))
