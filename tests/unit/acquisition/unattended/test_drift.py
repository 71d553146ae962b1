"""A line through noisy figures, and when it meets an alarm."""

import numpy as np
import pytest

from faintlink.acquisition.unattended.drift import Point, fit_line


def points(slope: float, *, sigma: float, count: int = 8, seed: int = 1, level: float = 0.02) -> list[Point]:
    noise = np.random.default_rng(seed).normal(scale=sigma, size=count)
    return [Point(600.0 * k, level + slope * 600.0 * k + noise[k], sigma) for k in range(count)]


def test_slope_and_level_are_those_of_the_figures_within_their_uncertainty() -> None:
    off = []
    for seed in range(200):
        line = fit_line(points(1e-6, sigma=1e-3, seed=seed))
        assert line is not None
        off.append((line.slope - 1e-6) / line.slope_sigma)
    # 200 standardised deviations: their mean has a standard deviation of 0.07, here allowed four times; so has
    # their spread of 1, which the scaling by chi2 makes a little smaller.
    assert abs(np.mean(off)) < 0.28
    assert 0.75 < np.std(off) < 1.2


def test_a_line_without_noise_meets_the_alarm_when_it_should() -> None:
    line = fit_line(points(1e-6, sigma=1e-9))
    assert line is not None
    expected_s = (0.11 - 0.02) / 1e-6
    assert line.meets(0.11) == pytest.approx(expected_s, rel=1e-3)


def test_doubt_brings_the_alarm_nearer() -> None:
    line = fit_line(points(1e-6, sigma=1e-3))
    assert line is not None
    sure, careful = line.meets(0.11), line.meets(0.11, sigmas=2.0)
    assert sure is not None
    assert careful is not None
    assert line.origin_s < careful < sure


def test_what_does_not_drift_never_meets_it() -> None:
    line = fit_line(points(-1e-6, sigma=1e-9, level=0.05))
    assert line is not None
    assert line.meets(0.11) is None


def test_what_is_there_already_meets_it_now() -> None:
    line = fit_line(points(0.0, sigma=1e-9, level=0.2))
    assert line is not None
    assert line.meets(0.11) == line.origin_s


@pytest.mark.parametrize("count", [0, 1, 2])
def test_two_points_are_no_drift(count: int) -> None:
    assert fit_line(points(1e-6, sigma=1e-3, count=count)) is None
