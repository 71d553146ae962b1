"""The figures of a verdict.

Vectors: limits and table are those of the facts that this project collected on the protocol, section 4.3; the table was
computed there from the same formula, before this program was written.
"""

import math
from fractions import Fraction
from math import comb

import pytest

from faintlink.core.errors import ConfigError
from faintlink.postprocess.bqc.planning import require_sound, threshold_for
from faintlink.postprocess.bqc.security import (
    certify,
    clopper_pearson,
    greatest_threshold,
    plan_threshold,
    rejection,
    rejection_rate,
    soundness,
    threshold_limit,
)
from tests.bqc import policy_of

LIMITS = {
    1: (0.5, 0.44444, 0.375, 0.25),
    2: (0.25, 0.22222, 0.1875, 0.125),
    3: (0.16667, 0.14815, 0.125, 0.08333),
}
ERRORS = (Fraction(0), Fraction(1, 10), Fraction(1, 5), Fraction(1, 3))
TABLE = [
    (50, 50, 2, Fraction(0), 5, "7.918e-03", "3.78e-02"),
    (100, 100, 2, Fraction(0), 10, "2.859e-04", "1.15e-02"),
    (100, 100, 2, Fraction(0), 15, "1.137e-02", "3.7e-05"),
    (200, 200, 2, Fraction(0), 20, "5.966e-07", "1.16e-03"),
    (200, 200, 2, Fraction(1, 10), 20, "3.107e-05", ""),
    (1000, 1000, 2, Fraction(1, 3), 60, "9.174e-07", ""),
    (100, 200, 3, Fraction(0), 15, "2.702e-04", ""),
]


@pytest.mark.parametrize("k", LIMITS)
def test_the_limit_of_the_threshold_is_the_published_one(k: int) -> None:
    found = [round(float(threshold_limit(Fraction(1, k), p)), 5) for p in ERRORS]
    assert found == list(LIMITS[k])


def test_five_tests_of_three_kinds_with_an_error_of_a_third_allow_no_failure() -> None:
    assert greatest_threshold(5, Fraction(1, 3), Fraction(33, 100)) == 0


@pytest.mark.parametrize(("t", "expected"), [(4, 0), (8, 1), (9, 2), (200, 49), (201, 50)])
def test_the_greatest_threshold_lies_below_the_limit_and_not_on_it(t: int, expected: int) -> None:
    assert greatest_threshold(t, Fraction(1, 2), Fraction(0)) == expected


@pytest.mark.parametrize(("d", "t", "k", "p", "w", "sound", "reject"), TABLE)
def test_soundness_and_rejection_are_those_of_the_table(
    d: int, t: int, k: int, p: Fraction, w: int, sound: str, reject: str
) -> None:
    assert f"{soundness(d, t, Fraction(1, k), p, w):.3e}" == sound
    if reject:
        digits = len(reject.split("e")[0]) - 2
        assert f"{rejection(t, Fraction(1, 20), w):.{digits}e}" == reject


def exact(d: int, t: int, c: Fraction, p: Fraction, w: int) -> Fraction:
    """Return the same maximum in fractions, term by term."""

    def binomial(n: int, q: Fraction, low: int, high: int) -> Fraction:
        return sum((comb(n, j) * q**j * (1 - q) ** (n - j) for j in range(max(0, low), min(n, high) + 1)), Fraction(0))

    worst = Fraction(0)
    for m in range(d + t + 1):
        total = Fraction(0)
        for x in range(max(0, m - d), min(t, m) + 1):
            y = m - x
            chance = Fraction(comb(t, x) * comb(d, y), comb(d + t, m))
            wrong = binomial(d - y, p, math.ceil(Fraction(d, 2)) - y, d - y)
            total += chance * binomial(x, c, 0, w) * wrong
        worst = max(worst, total)
    return worst


@pytest.mark.parametrize(
    ("d", "t", "c", "p", "w"),
    [
        (5, 7, Fraction(1, 2), Fraction(0), 1),
        (8, 8, Fraction(1, 3), Fraction(1, 10), 1),
        (9, 6, Fraction(5, 16), Fraction(1, 4), 0),
        (20, 24, Fraction(1, 2), Fraction(1, 5), 3),
        (1, 1, Fraction(1), Fraction(0), 0),
    ],
)
def test_soundness_is_an_upper_bound_close_to_the_exact_fraction(
    d: int, t: int, c: Fraction, p: Fraction, w: int
) -> None:
    found, true = Fraction(soundness(d, t, c, p, w)), exact(d, t, c, p, w)
    assert found >= min(true, Fraction(1))
    assert found <= true * (1 + Fraction(3, 10**8)) + Fraction(1, 10**280)


def test_soundness_falls_with_more_rounds_and_rises_with_the_threshold() -> None:
    c, p = Fraction(1, 2), Fraction(0)
    assert soundness(100, 100, c, p, 10) < soundness(50, 50, c, p, 5)
    values = [soundness(50, 50, c, p, w) for w in range(13)]
    assert values == sorted(values)


def test_a_soundness_beyond_floats_is_not_zero() -> None:
    assert 0.0 < soundness(8000, 8000, Fraction(1, 2), Fraction(0), 0) < 1e-280


def test_the_interval_of_no_failure_in_thirty_is_the_rule_of_three() -> None:
    low, high = clopper_pearson(0, 30)
    assert low == 0.0
    assert high == pytest.approx(1.0 - 0.025 ** (1 / 30), rel=1e-9)
    assert clopper_pearson(30, 30)[1] == 1.0


def test_clopper_pearson_of_three_in_ten_is_the_textbook_interval() -> None:
    # R: binom.test(3, 10)$conf.int = 0.06673951 0.65245285.
    low, high = clopper_pearson(3, 10)
    assert (round(low, 8), round(high, 8)) == (0.06673951, 0.65245285)


def test_a_planned_threshold_refuses_the_expected_server_as_seldom_as_asked_and_no_seldomer_than_needed() -> None:
    w = plan_threshold(200, 0.05, 49)
    assert rejection_rate(200, 0.05, w) <= 1e-3 < rejection_rate(200, 0.05, w - 1)


def test_a_planned_threshold_never_exceeds_the_limit() -> None:
    assert plan_threshold(50, 0.4, 12) == 12
    assert threshold_for(policy_of(expected_failure=0.4), 40) == 9


def test_a_threshold_that_proves_nothing_is_refused_before_the_session() -> None:
    with pytest.raises(ConfigError, match="at most 12 are allowed"):
        require_sound(policy_of(max_failed_tests=13))


def test_a_session_too_short_for_its_epsilon_is_refused_before_it() -> None:
    with pytest.raises(ConfigError, match=r"soundness error is 0\.00792"):
        require_sound(policy_of(max_eps=1e-3))


def test_the_certificate_carries_both_errors_and_the_measured_interval() -> None:
    found = certify(50, 50, 5, catch=Fraction(1, 2), inherent=0.0, expected=0.05, failed=2)
    assert f"{found.eps_sound:.3e} {found.eps_reject:.2e}" == "7.918e-03 3.78e-02"
    assert found.failure_low < 0.04 < found.failure_high
