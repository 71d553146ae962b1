"""The bound on answering in both bases: published numbers, and the norms behind the derivation by brute force."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import binom

from faintlink.postprocess.conjugate.estimates import excludes_bias, most_events, rate_at_least, rate_at_most
from faintlink.postprocess.conjugate.guessing import (
    Preparation,
    Pulses,
    allowed_errors,
    forging_bound,
    guessing_error,
)
from faintlink.postprocess.conjugate.tails import lower_tail, upper_tail

FAILURE = Fraction(1, 10**12)
FAINT = Pulses(1000, 0.0)


def state(angle: float) -> np.ndarray:
    """Return the projector on cos(angle)|0> + sin(angle)|1>."""
    vector = np.array([math.cos(angle), math.sin(angle)])
    return np.outer(vector, vector)


def factors(angle_deg: float, basis_bias: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the operators of a right and of a wrong answer (0 in basis 0, 0 in basis 1) of one position."""
    turned = math.pi / 4 - math.radians(angle_deg)
    right = (0.5 + basis_bias) * state(0.0) + (0.5 - basis_bias) * state(turned)
    return right, np.eye(2) - right


def norm_of_winning(n: int, errors: int, right: np.ndarray, wrong: np.ndarray) -> float:
    """Return the largest eigenvalue of the sum over at most ``errors`` wrong ones of n positions."""
    total = np.zeros((2**n, 2**n))
    for choice in itertools.product((0, 1), repeat=n):
        if sum(choice) <= errors:
            product = np.eye(1)
            for is_wrong in choice:
                product = np.kron(product, wrong if is_wrong else right)
            total += product
    return float(np.linalg.eigvalsh(total)[-1])


def test_a_position_is_won_with_cos_squared_of_an_eighth_of_pi() -> None:
    # Upper bound: the largest eigenvalue; the measurement half-way between the bases reaches it (acceptance A7).
    right, _ = factors(0.0, 0.0)
    best = math.cos(math.pi / 8) ** 2
    assert np.linalg.eigvalsh(right)[-1] == pytest.approx(best, abs=1e-12)
    half_way = [state(math.pi / 8), state(math.pi / 8 + math.pi / 2)]
    bases = [[state(0.0), state(math.pi / 2)], [state(math.pi / 4), state(3 * math.pi / 4)]]
    won = sum(np.trace(half_way[bit] @ bases[basis][bit]) / 4 for basis in (0, 1) for bit in (0, 1))
    assert won == pytest.approx(best, abs=1e-12)
    assert 1.0 - float(guessing_error(0.0, 0.0)) == pytest.approx(best, abs=1e-15)


@pytest.mark.parametrize(("angle", "bias", "value"), [(5.0, 0.01, 0.11692), (10.0, 0.0025, 0.09042), (45.0, 0.0, 0.0)])
def test_the_least_error_of_imperfect_preparation(angle: float, bias: float, value: float) -> None:
    # Computed values of the acceptance list; 45 degrees make both bases one.
    assert float(guessing_error(angle, bias)) == pytest.approx(value, abs=5e-6)
    right, _ = factors(angle, bias)
    assert 1.0 - np.linalg.eigvalsh(right)[-1] == pytest.approx(float(guessing_error(angle, bias)), abs=1e-9)


@pytest.mark.parametrize(
    ("n", "rate", "exponent"),
    [
        (1000, 0.05, -21.91), (1000, 0.10, -5.08), (2000, 0.05, -42.90),
        (2000, 0.10, -9.37), (10_000, 0.10, -42.85), (10_000, 0.12, -14.05),
    ],
)  # fmt: skip
def test_ideal_forging_exponents(n: int, rate: float, exponent: float) -> None:
    # Acceptance A8, computed independently.
    tail = lower_tail(n, allowed_errors(rate, n), guessing_error(0.0, 0.0))
    assert math.log10(tail) == pytest.approx(exponent, abs=0.006)


def test_without_errors_the_bound_is_the_power_of_the_game() -> None:
    # Kent et al., equation D1: (1/2 + 1/(2 sqrt 2))**1000 = 10**-68.77.
    bound = forging_bound(positions=1000, errors=0, pulses=FAINT, preparation=Preparation(), failure=FAILURE)
    assert math.log10(bound.guessing) == pytest.approx(-68.77, abs=0.005)


@pytest.mark.parametrize(
    ("n", "error", "rate", "value"),
    [(500, 0.03, 0.06, 1.518e-4), (1000, 0.05, 0.09, 5.065e-8), (5000, 0.06, 0.09, 2.507e-17)],
)
def test_honest_refusals(n: int, error: float, rate: float, value: float) -> None:
    # Acceptance A8, computed independently.
    assert float(upper_tail(n, int(rate * n) + 1, error)) == pytest.approx(value, rel=1e-3)


@pytest.mark.parametrize(("n", "errors"), [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2)])
@pytest.mark.parametrize(("angle", "bias"), [(0.0, 0.0), (7.0, 0.03)])
def test_joint_measurements_win_no_more_than_the_binomial_says(n: int, errors: int, angle: float, bias: float) -> None:
    norm = norm_of_winning(n, errors, *factors(angle, bias))
    assert norm == pytest.approx(float(binom.cdf(errors, n, float(guessing_error(angle, bias)))), rel=1e-6)


def test_a_biased_average_state_has_the_norm_that_the_bias_factor_takes() -> None:
    angle, beta, bias = 7.0, 0.03, 0.02
    turned = math.pi / 4 - math.radians(angle)
    mean = np.zeros((2, 2))
    for share, start in ((0.5 + beta, 0.0), (0.5 - beta, turned)):
        mean += share * ((0.5 + bias) * state(start) + (0.5 - bias) * state(start + math.pi / 2))
    uneven = 2 * beta**2
    length = math.sqrt(0.5 + uneven + (0.5 - uneven) * math.sin(2 * math.radians(angle)))
    assert 2 * np.linalg.eigvalsh(mean)[-1] == pytest.approx(1 + 2 * bias * length, abs=1e-12)


def test_the_bias_factor_is_that_of_reported_and_unreported_photons() -> None:
    pulses = Pulses(100_000, 0.01)
    plain, biased = (
        forging_bound(positions=500, errors=10, pulses=pulses, preparation=Preparation(0.0, 0.0, bias), failure=FAILURE)
        for bias in (0.0, 1e-4)
    )
    singles = most_events(pulses.count, Fraction(pulses.mean_photons), FAILURE)
    expected = 500 * math.log1p(2e-4) + singles * math.log1p(2e-4 * math.sqrt(0.5))
    assert math.log(biased.guessing / plain.guessing) == pytest.approx(expected, rel=1e-6)
    assert biased.excess == 2 * plain.excess


def test_a_bright_source_gives_no_bound() -> None:
    # mu = 0.5 over 23 dB: more pulses of several photons than detections.
    bound = forging_bound(
        positions=10_000, errors=500, pulses=Pulses(4_000_000, 0.5), preparation=Preparation(), failure=FAILURE
    )
    assert bound.conceded > 10_000
    assert bound.epsilon == 1


def test_multi_photon_probability_is_never_below_the_truth() -> None:
    for mean in (1e-6, 1e-3, 0.02, 0.5, 1.5):
        exact = -math.expm1(-mean) - mean * math.exp(-mean)
        assert Pulses(1, mean).multi_photon >= exact
        assert float(Pulses(1, mean).multi_photon) == pytest.approx(exact, rel=1e-3, abs=1e-11)


def test_more_errors_more_conceded_and_fewer_checked_only_help_the_forger() -> None:
    def epsilon(errors: int = 50, mean: float = 0.01, checked: int = 0) -> Fraction:
        return forging_bound(
            positions=1000,
            errors=errors,
            pulses=Pulses(200_000, mean),
            preparation=Preparation(),
            failure=FAILURE,
            checked=checked,
        ).guessing

    assert epsilon() < epsilon(errors=51)
    assert epsilon() < epsilon(mean=0.02)
    assert epsilon() < epsilon(checked=900)


@pytest.mark.parametrize(("angle", "bias"), [(-1.0, 0.0), (46.0, 0.0), (0.0, 0.6)])
def test_impossible_states_are_refused(angle: float, bias: float) -> None:
    with pytest.raises(ValueError, match="theta"):
        guessing_error(angle, bias)


def test_two_points_never_allow_more_than_all_positions_do() -> None:
    for rate in (0.05, 0.07, 0.29, 1 / 3):
        for n in (100, 101, 999):
            assert max(int(rate * m) + int(rate * (n - m)) for m in range(n + 1)) <= allowed_errors(rate, n)


@pytest.mark.parametrize(("events", "trials"), [(0, 50), (3, 50), (50, 50), (1200, 5000), (1, 2_000_000)])
def test_confidence_bounds_hold_with_their_probability(events: int, trials: int) -> None:
    high, low = rate_at_most(events, trials, 1e-6), rate_at_least(events, trials, 1e-6)
    assert low <= Fraction(events, trials) <= high
    assert high == 1 or lower_tail(trials, events, high) <= Fraction(1e-6)
    assert low == 0 or upper_tail(trials, events, low) <= Fraction(1e-6)
    if events < trials:
        # Clopper and Pearson: no wider than needed by more than one part in 10**4.
        assert binom.cdf(events, trials, float(high) * (1 - 1e-4)) > 1e-6


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="3 of 2"):
        rate_at_most(3, 2, 0.1)


@pytest.mark.parametrize(("trials", "rate"), [(100, 0.01), (2_000_000, 2e-4), (2_000_000, 0.02)])
def test_the_quantile_is_the_least_that_is_proven(trials: int, rate: float) -> None:
    most = most_events(trials, Fraction(rate), FAILURE)
    assert upper_tail(trials, most + 1, Fraction(rate)) <= FAILURE < upper_tail(trials, most, Fraction(rate))


def test_only_an_uneven_coin_contradicts_its_bias() -> None:
    assert not excludes_bias(5050, 10_000, 0.0, 1e-9)
    assert excludes_bias(5400, 10_000, 0.0, 1e-9)
    assert not excludes_bias(5400, 10_000, 0.04, 1e-9)
