import numpy as np
import pytest

from faintlink.postprocess.qkd.clock_filter import ClockFilter


def fresh() -> ClockFilter:
    return ClockFilter.start(rate=1_000.0, sigmas=(100.0, 1_000.0, 1e5))


def test_a_prediction_follows_rate_and_drift() -> None:
    clock = fresh()
    clock.state[2] = 50.0
    clock.advance(2.0)
    assert clock.state.tolist() == [2_000.0 + 0.5 * 50.0 * 4.0, 1_000.0 + 100.0, 50.0]


@pytest.mark.parametrize("step", [0.02, -0.02])
def test_uncertainty_grows_in_either_direction_and_stays_symmetric(step: float) -> None:
    clock = fresh()
    before = clock.phase_sigma_ps
    clock.advance(step)
    assert clock.phase_sigma_ps > before
    assert np.allclose(clock.covariance, clock.covariance.T)
    assert np.all(np.linalg.eigvalsh(clock.covariance) > 0.0)


def test_there_and_back_returns_to_the_state() -> None:
    clock = fresh()
    clock.advance(0.5)
    clock.advance(-0.5)
    assert np.allclose(clock.state, [0.0, 1_000.0, 0.0])


def test_a_measurement_pulls_by_its_weight() -> None:
    clock = fresh()
    clock.correct(10.0, 100.0, 0.0)
    assert clock.state[0] == pytest.approx(5.0)
    assert clock.phase_sigma_ps == pytest.approx(100.0 / np.sqrt(2.0))


def test_repeated_phases_teach_rate_and_drift() -> None:
    rng = np.random.default_rng(1)
    clock = fresh()
    rate, drift, step = 1_500.0, 8e4, 0.02
    for k in range(1, 101):
        clock.advance(step)
        at = k * step
        truth = rate * at + 0.5 * drift * at**2
        clock.correct(truth + rng.normal(0.0, 3.0) - float(clock.state[0]), 3.0, 0.0)
    at = 100 * step
    sigmas = np.sqrt(np.diag(clock.covariance))
    error = clock.state - np.array([rate * at + 0.5 * drift * at**2, rate + drift * at, drift])
    assert np.all(np.abs(error) < 5.0 * sigmas)
    assert sigmas[0] < 3.0
    assert sigmas[2] < 0.5 * 1e5
