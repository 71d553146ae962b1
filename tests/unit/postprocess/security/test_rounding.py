"""Directed rounding: intervals hold the true value, floats go to the safe side."""

import math
from fractions import Fraction

import mpmath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faintlink.postprocess.security.result import rounded_terms, whole_bits
from faintlink.postprocess.security.rounding import (
    FLOATS,
    INTERVALS,
    Interval,
    clip,
    float_above,
    float_below,
    log2,
    lower_end,
    upper_end,
)

positive = st.floats(1e-300, 1e300)


def _exact(value: mpmath.mpf) -> Fraction:
    return Fraction(*mpmath.libmp.to_rational(value._mpf_))


def _holds(interval: Interval, truth: mpmath.mpf) -> bool:
    # The truth is known to 400 bits, the interval to 160: a hair is left for its own last digit.
    hair = abs(_exact(truth)) / 2**390
    return lower_end(interval) - hair <= _exact(truth) <= upper_end(interval) + hair


@given(positive)
def test_logarithm_and_root_lie_in_their_interval(x: float) -> None:
    with mpmath.workprec(400):
        exact = mpmath.mpf(repr(x))
        assert _holds(INTERVALS.ln(INTERVALS.number(x)), mpmath.log(exact))
        assert _holds(INTERVALS.sqrt(INTERVALS.number(x)), mpmath.sqrt(exact))
        assert _holds(log2(INTERVALS, INTERVALS.number(x)), mpmath.log(exact) / mpmath.log(2))


@given(st.floats(1e-30, 0.5))
def test_the_binary_entropy_lies_in_its_interval(x: float) -> None:
    with mpmath.workprec(400):
        p = mpmath.mpf(repr(x))
        truth = -(p * mpmath.log(p) + (1 - p) * mpmath.log(1 - p)) / mpmath.log(2)
        assert _holds(INTERVALS.entropy(INTERVALS.number(x)), truth)


@given(st.floats(0, 0.5), st.floats(0, 0.5))
def test_the_entropy_of_a_wide_interval_holds_that_of_both_ends(x: float, y: float) -> None:
    a = INTERVALS
    low, high = sorted((x, y))
    wide = a._join(Fraction(low), Fraction(high))
    assert float(lower_end(a.entropy(wide))) == pytest.approx(FLOATS.entropy(low), abs=1e-12)
    assert float(upper_end(a.entropy(wide))) == pytest.approx(FLOATS.entropy(high), abs=1e-12)


@pytest.mark.parametrize(("x", "h"), [(0.0, 0.0), (0.5, 1.0), (0.7, 1.0), (-0.1, 0.0), (0.11, 0.499915958164528)])
def test_the_entropy_is_clipped_to_where_it_rises(x: float, h: float) -> None:
    assert FLOATS.entropy(x) == pytest.approx(h, abs=1e-15)
    assert float(upper_end(INTERVALS.entropy(INTERVALS.number(x)))) == pytest.approx(h, abs=1e-15)


@given(st.floats(0, 0.25), st.floats(0, 0.25), st.floats(-30, 60))
def test_x_ln_never_falls_with_x_even_beyond_its_maximum(x: float, y: float, ln_c: float) -> None:
    low, high = sorted((x, y))
    assert FLOATS.x_ln(low, ln_c) <= FLOATS.x_ln(high, ln_c) * (1 + 1e-12) + 1e-300


@given(st.floats(0, 0.25), st.floats(-30, 60))
def test_x_ln_in_intervals_agrees_with_floats(x: float, ln_c: float) -> None:
    a = INTERVALS
    interval = a.x_ln(a.number(x), a.number(ln_c))
    assert float(upper_end(interval)) == pytest.approx(FLOATS.x_ln(x, ln_c), rel=1e-9, abs=1e-300)
    assert lower_end(interval) <= upper_end(interval)


def test_a_float_stands_for_the_decimal_that_it_prints_as() -> None:
    tenth = INTERVALS.number(0.1)
    assert lower_end(tenth) <= Fraction(1, 10) <= upper_end(tenth)
    assert upper_end(tenth) < Fraction(0.1)


def test_another_user_of_mpmath_cannot_lower_the_precision() -> None:
    before = mpmath.iv.prec
    try:
        mpmath.iv.prec = 10
        third = INTERVALS.number(Fraction(1, 3))
        assert upper_end(third) - lower_end(third) < Fraction(1, 2**150)
    finally:
        mpmath.iv.prec = before


@given(st.fractions())
def test_float_ends_enclose_any_fraction(value: Fraction) -> None:
    assert Fraction(float_below(value)) <= value <= Fraction(float_above(value))
    assert math.nextafter(float_below(value), math.inf) >= float_above(value)


def test_fractions_beyond_the_floats_go_to_the_safe_side() -> None:
    huge = Fraction(10) ** 400
    assert float_above(huge) == math.inf
    assert float_below(huge) < math.inf
    assert float_above(-huge) > -math.inf
    assert float_below(-huge) == -math.inf


def test_a_length_whose_interval_straddles_an_integer_loses_the_bit() -> None:
    straddling = INTERVALS._join(5 - Fraction(1, 2**120), 5 + Fraction(1, 2**120))
    assert whole_bits(straddling) == 4


def test_a_negative_length_is_no_bits() -> None:
    assert whole_bits(INTERVALS.number(-3.5)) == 0


def test_terms_are_rounded_to_the_side_that_shortens_the_key() -> None:
    third = INTERVALS.number(Fraction(1, 3))
    terms = rounded_terms({"x_upper": third, "y_lower": third})
    assert Fraction(terms["y_lower"]) < Fraction(1, 3) < Fraction(terms["x_upper"])


def test_clipping_works_on_both_arithmetics() -> None:
    assert clip(FLOATS, 2.0, 0.0, 1.0) == 1.0
    a = INTERVALS
    assert upper_end(clip(a, a.number(-2), a.number(0), a.number(1))) == 0
