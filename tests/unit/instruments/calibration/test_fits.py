from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from faintlink.core.errors import NotEnoughSignalsError
from faintlink.instruments.calibration.fits import fit_fringes, fit_peak, weighted_fit
from faintlink.instruments.calibration.polarization import best_angle_deg, coordinate_search, newton_search, wrap_deg
from faintlink.instruments.calibration.statistics import afterpulse_probability, allan_deviation, dead_time_ps
from faintlink.instruments.mocks.polarization import controller, retarder, rotator


def _pulls(seeds: int) -> tuple[np.ndarray, np.ndarray]:
    x = np.linspace(-6.0, 7.0, 25)
    pulls, peaks = [], []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        curves = []
        for top in (1.2, 3.7):
            y = 0.1 + 0.45 * np.cos(np.pi * (x - top) / 5.3)
            curves.append((y + rng.normal(scale=0.02, size=x.size), np.full(x.size, 0.02)))
        fit = fit_fringes("f", x, curves, half_wave=(2.5, 11.0))
        pulls.append((fit["half_wave_v"] - 5.3) / fit.sigma("half_wave_v"))
        peaks.append((fit["maximum_1_v"] - 3.7) / fit.sigma("maximum_1_v"))
    return np.array(pulls), np.array(peaks)


def test_fringes_come_back_with_honest_errors() -> None:
    # 200 fits: the pulls' mean has an error of 0.07 and their spread one of 0.05; four sigmas are allowed.
    for pulls in _pulls(200):
        assert abs(pulls.mean()) < 0.28
        assert 0.75 < pulls.std() < 1.2


def test_a_fringe_of_a_shape_that_the_model_lacks_gets_larger_errors() -> None:
    x = np.linspace(0.0, 10.0, 30)
    pure = np.cos(np.pi * x / 5.0)
    sigma = np.full(x.size, 0.01)
    clean = fit_fringes("f", x, [(pure, sigma)], half_wave=(2.0, 10.0))
    bent = fit_fringes("f", x, [(pure + 0.2 * pure**3 * np.sign(np.sin(7 * x)), sigma)], half_wave=(2.0, 10.0))
    assert bent.sigma("half_wave_v") > 5.0 * clean.sigma("half_wave_v")


def test_a_line_has_the_textbook_covariance() -> None:
    x = np.array([-1.0, 0.0, 1.0])
    fit = weighted_fit("l", "a + b x", ("a", "b"), np.stack([np.ones(3), x], 1), 2.0 + 3.0 * x, np.full(3, 0.5))
    assert fit.values == pytest.approx((2.0, 3.0))
    # var(mean) = s^2 / 3, var(slope) = s^2 / sum x^2.
    assert fit.sigma("a") == pytest.approx(0.5 / np.sqrt(3.0))
    assert fit.sigma("b") == pytest.approx(0.5 / np.sqrt(2.0))


def test_a_peak_comes_back_with_honest_errors() -> None:
    edges = np.linspace(-500, 500, 81)
    x = 0.5 * (edges[1:] + edges[:-1])
    pulls = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        clicks = np.concatenate([rng.normal(31.0, 60.0, 5000), rng.uniform(-500, 500, 800)])
        fit = fit_peak("p", x, np.histogram(clicks, edges)[0].astype(float))
        pulls.append((fit["centre_ps"] - 31.0) / fit.sigma("centre_ps"))
        assert fit["sigma_ps"] == pytest.approx(60.0, rel=0.08)
    # The mean pull of 100 has an error of 0.1; the bins add a bias far below one sigma.
    assert abs(np.mean(pulls)) < 0.4
    assert 0.7 < np.std(pulls) < 1.3


def _gaps(seed: int, chance: float, rate_hz: float = 20e3, n: int = 40_000) -> np.ndarray:
    """Gaps of a detector with 100 ns dead time and afterpulses of 2 us."""
    rng = np.random.default_rng(seed)
    light = rng.exponential(1e12 / rate_hz, n)
    after = np.where(rng.random(n) < chance, rng.exponential(2e6, n), np.inf)
    return (100_000 + np.minimum(light, after)).astype(np.int64)


@pytest.mark.parametrize("chance", [0.0, 0.02])
def test_the_afterpulse_probability_comes_back_with_honest_errors(chance: float) -> None:
    pulls = []
    for seed in range(60):
        seen, sigma = afterpulse_probability(_gaps(seed, chance), dead_ps=100_000, window_ps=20e6)
        pulls.append((seen - chance) / sigma)
    assert abs(np.mean(pulls)) < 0.55
    assert 0.6 < np.std(pulls) < 1.4


def test_too_few_long_gaps_are_refused() -> None:
    with pytest.raises(NotEnoughSignalsError, match="100 are needed"):
        afterpulse_probability(_gaps(1, 0.0, rate_hz=10e6), dead_ps=100_000, window_ps=20e6)


def test_the_shortest_gaps_bracket_the_dead_time() -> None:
    dead, error = dead_time_ps(_gaps(3, 0.02))
    assert dead - 3.0 * error <= 100_000 <= dead


def test_too_few_gaps_give_no_dead_time() -> None:
    with pytest.raises(NotEnoughSignalsError, match="5 gaps"):
        dead_time_ps(np.arange(5))


def test_the_allan_deviation_of_white_noise_falls_with_the_root_of_time() -> None:
    noise = np.random.default_rng(5).normal(scale=2.0, size=40_000)
    times, deviations, _ = allan_deviation(noise, 0.1)
    assert times[0] == pytest.approx(0.1)
    expected = 2.0 / np.sqrt(times / 0.1)
    assert deviations[:7] == pytest.approx(expected[:7], rel=0.06)


def test_the_allan_deviation_of_a_drift_grows_with_time() -> None:
    times, deviations, _ = allan_deviation(0.3 * np.arange(64.0), 1.0)
    # A line of slope s has the Allan deviation s t / sqrt(2).
    assert deviations == pytest.approx(0.3 * times / np.sqrt(2.0))


def test_the_best_angle_of_a_retarder_is_found_between_the_points() -> None:
    grid = np.linspace(0.0, 162.0, 10)
    off = np.radians(grid - 23.7)
    error: npt.NDArray[np.float64] = 0.5 - 0.3 * np.cos(4 * off) - 0.1 * np.cos(2 * off)
    assert best_angle_deg(grid, error) == pytest.approx(23.7, abs=0.06)


def _fibre(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return retarder(0.0, rng.uniform(-180, 180)) @ rotator(rng.uniform(-180, 180))


@pytest.mark.parametrize("noise", [0.0, 0.005])
def test_one_round_and_newton_steps_undo_any_fibre(noise: float) -> None:
    errors = []
    for seed in range(100):
        fibre, rng = _fibre(seed), np.random.default_rng(seed)

        def contrasts(angles: Any) -> np.ndarray:
            turned = controller(tuple(float(a) for a in angles)) @ fibre  # noqa: B023 - used within the round
            return np.array([turned[0, 0], turned[1, 0], turned[0, 1], turned[1, 1]]) + noise * rng.normal(size=4)  # noqa: B023

        def error(angles: Any) -> float:
            seen = contrasts(angles)
            return float(0.5 - 0.25 * (seen[0] + seen[3]))

        start = coordinate_search(error, (0.0, 0.0, 0.0), sweeps=1)
        found = newton_search(contrasts, start, steps=8, step_deg=6.0)
        turned = controller(tuple(found)) @ fibre
        errors.append(0.5 - 0.25 * (turned[0, 0] + turned[1, 1]))
    # Noise may end one in a hundred early; the routine sees that and goes on from there.
    assert sum(error > 0.01 for error in errors) <= (0 if noise == 0.0 else 3)
    assert np.median(errors) < 0.001


def test_the_coordinate_search_ends_when_nothing_moves_any_more() -> None:
    calls = []

    def error(angles: object) -> float:
        calls.append(angles)
        assert isinstance(angles, list)
        return float(sum(1.0 - np.cos(np.radians(2 * (a - b))) for a, b in zip(angles, (10, -40, 70), strict=True)))

    found = coordinate_search(error, (0.0, 0.0, 0.0), sweeps=9)
    assert [wrap_deg(a) for a in found] == pytest.approx([10, -40, 70], abs=0.1)
    assert len(calls) == 60
