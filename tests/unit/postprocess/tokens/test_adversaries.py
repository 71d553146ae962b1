"""Dishonest users: each is refused as often as predicted, and never accepted more often than the bound allows."""

import math
from fractions import Fraction

import pytest
from scipy.stats import binom

from faintlink.postprocess.conjugate.guessing import allowed_errors, guessing_error
from faintlink.postprocess.conjugate.tails import lower_tail
from faintlink.postprocess.tokens.adversaries import (
    BREIDBART_ERROR,
    BreidbartUser,
    GuessingUser,
    LossyUser,
    error_rates,
    orders,
    user_kind,
)
from faintlink.postprocess.tokens.issue import TokenUser
from faintlink.postprocess.tokens.network import Order
from tests.tokens import issued, small_policy

POLICY = small_policy(pulses=400, positions=24, max_error_rate=0.13, has_commitments=True)
SEEDS = 1500


def passes(checked: int, error: float) -> float:
    return float(binom.cdf(int(POLICY.max_error_rate * checked), checked, error))


def over_splits(probability: object, n: int = 24) -> float:
    """Return the mean of a function of |Delta_0| over its distribution."""
    return sum(binom.pmf(m, n, 0.5) * probability(m) for m in range(1, n))  # type: ignore[operator]


def accepted(kind: type[TokenUser], places: list[Order], *, error: float = 0.01) -> int:
    count = 0
    for seed in range(SEEDS):
        session = issued(POLICY, seed, kind=kind, error=error)
        decisions = [session.present(order) for order in places]
        count += all(decision.is_accepted for decision in decisions)
    return count


def agrees(count: int, expected: float) -> bool:
    """Return whether a count of `SEEDS` lies within 4.5 sigma of what was predicted."""
    return abs(count - SEEDS * expected) <= 4.5 * math.sqrt(SEEDS * expected * (1 - expected)) + 1


def test_breidbart_at_two_points_passes_as_often_as_predicted() -> None:
    expected = over_splits(lambda m: passes(m, BREIDBART_ERROR) * passes(24 - m, BREIDBART_ERROR))
    count = accepted(BreidbartUser, orders("breidbart", 0, 2))
    assert agrees(count, expected)
    # All splits allow at most the whole part of gamma n errors: the proved bound is above.
    bound = float(lower_tail(24, allowed_errors(0.13, 24), guessing_error(0.0, 0.0)))
    assert expected <= bound
    assert count <= SEEDS * bound + 5 * math.sqrt(SEEDS * bound)


def test_double_spending_passes_as_often_as_a_coin_at_the_second_point() -> None:
    expected = over_splits(lambda m: passes(m, 0.01) * passes(24 - m, 0.5))
    assert agrees(accepted(TokenUser, orders("double-spend", 0, 2)), expected)


def test_guessing_passes_as_often_as_a_coin() -> None:
    assert agrees(accepted(GuessingUser, orders("guess", 0, 2)), over_splits(lambda m: passes(m, 0.5)))


def test_a_wrong_point_passes_as_often_as_a_coin() -> None:
    assert agrees(accepted(TokenUser, orders("wrong-point", 0, 2)), over_splits(lambda m: passes(m, 0.5)))


def test_a_replay_never_passes() -> None:
    assert accepted(TokenUser, orders("replay", 0, 2)) == 0


def test_an_honest_user_passes_as_often_as_predicted() -> None:
    assert agrees(accepted(TokenUser, orders("none", 0, 2), error=0.05), over_splits(lambda m: passes(m, 0.05)))


def test_breidbart_errs_alike_in_both_sets() -> None:
    # 14.64 % in Delta_0 and in Delta_1; N = 2000 as in the reproduction that found .1462 +- .0117.
    policy = small_policy(pulses=6000, positions=2000, max_error_rate=0.05)
    bits, errors = [0, 0], [0, 0]
    for seed in range(20):
        session = issued(policy, seed, kind=BreidbartUser)
        for point in (0, 1):
            decision = session.present(Order(point))
            assert not decision.is_accepted
            ((checked, wrong),) = decision.counts
            bits[point], errors[point] = bits[point] + checked, errors[point] + wrong
    for checked, wrong in zip(bits, errors, strict=True):
        sigma = math.sqrt(BREIDBART_ERROR * (1 - BREIDBART_ERROR) / checked)
        assert abs(wrong / checked - BREIDBART_ERROR) < 5 * sigma
    assert pytest.approx(0.14644661) == BREIDBART_ERROR


def test_multi_photon_pulses_lower_the_errors_by_their_share_and_no_more() -> None:
    policy = small_policy(pulses=6000, positions=2000, max_error_rate=0.05)
    mean = 0.3

    class Bright(LossyUser):
        mean_photons = mean

    known = 6000 * (1 - math.exp(-mean) * (1 + mean)) / 2000
    wrong = 0
    for seed in range(30):
        session = issued(policy, seed, kind=Bright)
        wrong += sum(session.present(Order(point)).counts[0][1] for point in (0, 1))
    expected = BREIDBART_ERROR * (1 - known)
    assert abs(wrong / (30 * 2000) - expected) < 5 * math.sqrt(expected / (30 * 2000)) * 1.1


def test_every_attack_has_a_user_and_a_prediction() -> None:
    for attack in ("double-spend", "breidbart", "guess", "lossy", "wrong-point", "replay", "none"):
        assert issubclass(user_kind(attack, 0.1), TokenUser)
        assert len(error_rates(attack, 0.01, 0.1)) == len(orders(attack, 1, 4))
    assert orders("wrong-point", 1, 4) == [Order(2)]
    assert Fraction(error_rates("lossy", 0.0, 1.0)[0]) == 0
