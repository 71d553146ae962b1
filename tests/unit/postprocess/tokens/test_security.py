"""The certificate of a token: its four epsilons, what they are refused for, and the published form beside them."""

import math
from fractions import Fraction

import pytest
from pydantic import ValidationError

from faintlink.core.config.applications.token import TokenPolicy
from faintlink.core.errors import NotEnoughSignalsError
from faintlink.core.records import ErrorCount
from faintlink.postprocess.conjugate.guessing import Preparation
from faintlink.postprocess.conjugate.tails import lower_tail, upper_tail
from faintlink.postprocess.tokens.chernoff import Inputs, chernoff
from faintlink.postprocess.tokens.planning import Link, Target, plan_token
from faintlink.postprocess.tokens.security import Measured, certify, crosscheck_us, refusal_bound

POLICY = TokenPolicy(pulses=2_400_000, positions=10_000, max_error_rate=0.05)
GOOD = Measured(2_400_000, 5800, 5850, ErrorCount(5000, 50))


def test_the_shipped_policy_is_certified() -> None:
    certificate = certify(POLICY, 0.02, GOOD)
    assert certificate.shortcomings(POLICY) == []
    assert certificate.eps_unforgeable <= 1e-9
    assert certificate.eps_private == 0.0
    assert certificate.detection_z < 5800 / 2_400_000 < certificate.detection_x + 1e-3
    assert certificate.error_rate > 0.01


def test_the_bright_pulses_of_a_key_link_are_not() -> None:
    found = certify(POLICY, 0.5, GOOD).shortcomings(POLICY)
    assert found == ["eps_unf 1 exceeds 1e-09"]


def test_a_link_that_errs_too_often_is_not() -> None:
    found = certify(POLICY, 0.02, Measured(2_400_000, 5800, 5850, ErrorCount(5000, 200))).shortcomings(POLICY)
    assert len(found) == 1
    assert found[0].startswith("eps_rob + eps_cor")


def test_a_link_that_detects_too_seldom_in_one_basis_is_not() -> None:
    certificate = certify(POLICY, 0.02, Measured(2_400_000, 5010, 9000, ErrorCount(5000, 50)))
    assert certificate.eps_robust > 0.1


def test_copies_add_up() -> None:
    one = certify(POLICY, 0.02, GOOD)
    three = certify(POLICY.model_copy(update={"pulses": 7_200_000, "point_bits": 3}), 0.02, GOOD)
    assert three.eps_robust == pytest.approx(3 * one.eps_robust, rel=1e-9)
    assert three.eps_unforgeable <= 3 * one.eps_unforgeable


def test_a_refusal_is_the_sum_of_too_few_and_too_many() -> None:
    policy = TokenPolicy(pulses=10**6, positions=1000, max_error_rate=0.09, basis_bias=0.0)
    few = lower_tail(1000, 429, 0.5)
    most = max(upper_tail(m, int(0.09 * m) + 1, 0.05) for m in range(430, 443))
    assert refusal_bound(policy, Fraction(0.05), 430) == few + most


def test_light_needs_98_microseconds_for_ten_kilometres_and_back() -> None:
    # 2 * 10 km * 1.468 / 299792.458 km/s.
    assert crosscheck_us(10.0, 1.468) == pytest.approx(97.9344, abs=1e-4)


def test_the_published_form_is_weaker_than_the_exact_one() -> None:
    exact = certify(POLICY, 0.02, GOOD)
    multi = 1 - math.exp(-0.021) * 1.021
    form = chernoff(
        Inputs(
            pulses=2_400_000,
            detection=11_650 / 2_400_000,
            error_rate=exact.error_rate,
            multi_photon=multi,
            gamma_det=10_000 / 2_400_000,
            gamma_err=0.05,
            nu_cor=exact.least_checked / 2_400_000,
            nu_unf=exact.forging.conceded / 2_400_000,
            preparation=Preparation(5.0, 1e-3, 0.0),
        )
    )
    guessing = -math.log10(exact.forging.guessing)
    assert 0.0 < form.unforgeable < guessing
    assert form.robust > 0.0
    assert form.correct > 0.0


def test_the_published_form_by_hand() -> None:
    # theta = beta = 0, nothing conceded but for form: f = gamma_det lambda/2 (1 - gamma/lambda)**2.
    given = Inputs(1000, 0.5, 0.02, 1e-9, 0.4, 0.05, 0.15, 1e-4)
    lam = 0.5 - 1 / (2 * math.sqrt(2))
    share = 0.4 - 1e-4
    f = share * lam / 2 * (1 - 0.4 * 0.05 / share / lam) ** 2
    multi = 1e-9 * 1000 / 3 * (1e5 - 1) ** 2
    expected = -math.log10(math.exp(-1000 * f) + math.exp(-multi))
    assert chernoff(given).unforgeable == pytest.approx(expected, rel=1e-9)
    assert chernoff(given).robust == pytest.approx(250 * 0.2**2 / math.log(10), rel=1e-9)


def test_a_condition_that_fails_gives_no_exponent() -> None:
    assert chernoff(Inputs(1000, 0.3, 0.02, 1e-9, 0.4, 0.05, 0.1, 0.5)).robust == 0.0
    assert chernoff(Inputs(1000, 0.3, 0.02, 1e-9, 0.4, 0.05, 0.1, 0.5)).unforgeable == 0.0


def test_a_plan_meets_its_targets_and_its_policy_is_certified() -> None:
    link, target = Link(6.2, 0.01, Preparation(5.0, 1e-3, 1e-5)), Target(1e-9, 1e-3, 2)
    plan = plan_token(link, target, 0.02)
    assert plan.eps_unforgeable <= 1e-9
    assert plan.eps_robust + plan.eps_correct <= 1e-3
    policy = TokenPolicy(
        pulses=plan.pulses,
        positions=plan.positions,
        max_error_rate=plan.max_error_rate,
        point_bits=2,
        mean_photon_uncertainty=0.0,
    )
    long = 10**9
    chance = -math.expm1(-0.02 * 10**-0.62)
    seen = round(long * chance / 2)
    certificate = certify(policy, 0.02, Measured(long, seen, seen, ErrorCount(10**8, 10**6)))
    assert certificate.eps_unforgeable <= 1.01e-9
    assert certificate.eps_robust + certificate.eps_correct <= 1.5e-3


def test_a_plan_with_less_loss_needs_fewer_pulses_and_the_best_mean_is_no_worse() -> None:
    near, far = (plan_token(Link(loss, 0.02), Target(), 0.005) for loss in (6.0, 9.0))
    assert near.pulses < far.pulses
    assert plan_token(Link(6.0, 0.02), Target()).pulses <= near.pulses


def test_no_plan_where_an_honest_user_errs_like_a_forger() -> None:
    with pytest.raises(NotEnoughSignalsError, match=r"14\.64 %"):
        plan_token(Link(3.0, 0.16), Target(), 0.01)


@pytest.mark.parametrize(
    "changes", [{"point_bits": 7}, {"positions": 11}, {"pulses": 2_400_001, "point_bits": 2}, {"positions": 2_500_000}]
)
def test_a_policy_that_does_not_add_up_is_refused(changes: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        TokenPolicy.model_validate({**POLICY.model_dump(), **changes})
