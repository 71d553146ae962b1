"""The secure region: sound against every rehearsed cheater, tight, and honest about 7/8."""

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from faintlink.core.config.applications.money import MoneyPolicy
from faintlink.core.records import ErrorCount
from faintlink.postprocess.money.adversaries import BREIDBART_ERROR, Cheater, expected, lossy_share
from faintlink.postprocess.money.cloning import differing, growth, same
from faintlink.postprocess.money.messages import Challenge
from faintlink.postprocess.money.region import ASYMPTOTIC, answered_at, loss_at, rates
from faintlink.postprocess.money.security import (
    allowed_errors,
    certify,
    clone_bound,
    honest_refusal,
    ln_clone,
)
from tests.money import small_policy, table

SHIPPED = MoneyPolicy(pulses=3_000_000, pairs=735_000, min_answered=60_000, max_error_rate=0.018)


def test_the_shipped_policy_is_safe_with_and_without_a_solver() -> None:
    with_solver = clone_bound(SHIPPED, 0.1)
    without = clone_bound(SHIPPED, 0.1, optimise=False)
    assert not without.is_optimised
    assert with_solver.ln_epsilon <= without.ln_epsilon < math.log(1e-13)


@pytest.mark.parametrize("optimise", [False, True])
def test_the_region_excludes_every_rehearsed_cheater_and_comes_close(optimise: bool) -> None:
    if optimise:
        pytest.importorskip("cvxpy")
    exact = SHIPPED.model_copy(update={"mean_photon_uncertainty": 0.0, "bit_bias": 0.0})
    grid = rates(exact, 0.1, optimise=optimise)
    for share in np.linspace(0.0, 1.0, 9):
        answered, error = expected(0.1, float(share))
        proven = float(grid.greatest_error(np.array([answered]), ASYMPTOTIC, 0.0)[0])
        assert proven <= error + 1e-9
        assert error - proven < 0.006


def test_the_region_of_a_finite_card_is_smaller() -> None:
    grid = rates(SHIPPED, 0.1, optimise=False)
    answered = answered_at(np.linspace(0.0, 0.3, 31), 0.1)
    finite = grid.greatest_error(answered, 735_000, math.log(1e-9))
    endless = grid.greatest_error(answered, ASYMPTOTIC, 0.0)
    assert (finite <= endless).all()
    assert finite[0] > 0.05
    assert finite[-1] < 0.0


def test_with_ideal_pulses_the_limit_is_that_of_a_single_qubit() -> None:
    # Without losses and vacuum: half of 14.64 %. t small, weight at the kink of lambda_max.
    t, weight = 1e-4, 1 / (2 * BREIDBART_ERROR)
    single = (math.exp(2 * t) + 4 * _top(t, weight)) / 2
    most = (1 - math.log(single) / (2 * t)) / weight
    assert most == pytest.approx(BREIDBART_ERROR / 2, abs=1e-3)


def _top(t: float, weight: float) -> float:
    from faintlink.postprocess.money.states import exponential, operators

    return float(np.linalg.eigvalsh(operators((1, 1), exponential(t, weight))).max())


def test_a_quarter_of_the_light_may_not_be_lost() -> None:
    # A cheater who divides the single photons between two branches makes no error.
    answered, error = expected(0.01, 0.0)
    assert error == 0.0
    assert loss_at(answered, 0.01) == pytest.approx(0.25, abs=2e-3)
    policy = SHIPPED.model_copy(update={"min_answered": int(735_000 * expected(0.1, 0.0)[0])})
    assert clone_bound(policy, 0.1, optimise=False).epsilon == 1.0


def test_two_branches_that_each_ask_for_seven_eighths_accept_clones(tmp_path: Path) -> None:
    policy = small_policy(max_error_rate=0.125)
    assert clone_bound(policy, 0.2, optimise=False).epsilon == 1.0
    stage = table(tmp_path, 5, policy=policy)
    first, second = stage.branch("north"), stage.branch("south")
    other = Challenge(stage.card.serial, bytes(32))
    first.ask(stage.challenge)
    second.ask(other)
    rng = np.random.default_rng(1)
    answers = Cheater(stage.card, 0.2).answers(stage.challenge, other, rng)
    assert first.verify(answers[0]).is_accepted
    assert second.verify(answers[1]).is_accepted


def test_the_growth_covers_what_cheaters_reach() -> None:
    t, weight, mu = 0.3, 3.5, 0.4
    none, one = math.exp(-mu), mu * math.exp(-mu)
    right, wrong = math.exp(t), math.exp(t * (1 - weight))
    qubit = (1 - BREIDBART_ERROR) * right + BREIDBART_ERROR * wrong
    check = none + one * max(qubit, (right + 1) / 2) + (1 - none - one) * right
    assert differing(mu, t, weight, optimise=False) >= check**2 * (1 - 1e-9)
    assert same(mu, t, weight) >= none + (1 - none) * right**2


def test_growth_rises_with_light_and_bias() -> None:
    values = [growth(mu, 0.1, 3.5, optimise=False) for mu in (0.0, 0.05, 0.1, 0.5, 2.0)]
    assert values == sorted(values)
    assert growth(0.1, 0.1, 3.5, bit_bias=1e-3, optimise=False) > values[2]


@pytest.mark.parametrize(("mu", "t", "weight"), [(-0.1, 0.1, 3.0), (0.1, 0.0, 3.0), (0.1, 0.1, 1.0)])
def test_growth_refuses_what_has_no_meaning(mu: float, t: float, weight: float) -> None:
    with pytest.raises(ValueError, match="need mu"):
        growth(mu, t, weight)


def test_a_weight_that_eats_the_score_proves_nothing() -> None:
    assert ln_clone(SHIPPED, 0.1, 0.1, 100.0, optimise=False) == math.inf


def test_more_branches_cost_their_pairs() -> None:
    many = SHIPPED.model_copy(update={"branches": 5})
    two, five = (ln_clone(policy, 0.1, 0.03, 3.5, optimise=False) for policy in (SHIPPED, many))
    assert five - two == pytest.approx(math.log(10))


def test_the_certificate_says_what_falls_short() -> None:
    good = certify(SHIPPED, 0.1, ErrorCount(63_000, 500))
    assert good.shortcomings(SHIPPED) == []
    assert good.eps_honest < 1e-3
    bad = certify(SHIPPED, 0.1, ErrorCount(60_010, 1_050))
    assert any("eps_honest" in text for text in bad.shortcomings(SHIPPED))


def test_honest_refusals_are_no_rarer_than_bounded() -> None:
    policy = small_policy(min_answered=9_300, max_error_rate=0.0145)
    bound = float(honest_refusal(policy, Fraction(17, 100), Fraction(12, 1000)))
    rng = np.random.default_rng(9)
    answered = rng.binomial(policy.pairs, 0.17, 20_000)
    wrong = rng.binomial(answered, 0.012)
    refused = (answered < 9_300) | (wrong > [allowed_errors(policy, int(n)) for n in answered])
    # 5 sigma above the bound would disprove it.
    assert refused.mean() <= bound + 5 * math.sqrt(bound / 20_000)
    assert bound < 0.1


def test_a_lossy_cheater_gives_just_enough_answers() -> None:
    share = lossy_share(SHIPPED, 0.1)
    assert 0.0 < share < 1.0
    assert expected(0.1, share)[0] * SHIPPED.pairs == pytest.approx(1.01 * SHIPPED.min_answered)


@pytest.mark.parametrize("changes", [{"pairs": 200_000}, {"min_answered": 60_000}, {"branches": 1}])
def test_a_policy_that_does_not_add_up_is_refused(changes: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        small_policy(**changes)
