"""The overlapping Allan deviation against published values and against noise of known law."""

import numpy as np
import pytest

from faintlink.core.errors import ConfigError
from faintlink.postprocess.campaign.allan import doubling, longest_stretch, of_phase, of_rate

NINE = np.array([892.0, 809.0, 823.0, 798.0, 671.0, 644.0, 883.0, 903.0, 677.0])
"""Frequency data of NIST SP 1065, table 30 (after NBS Monograph 140)."""


def thousand() -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Return the frequency data of NIST SP 1065, section 12.4."""
    numbers = [1234567890]
    while len(numbers) < 1000:
        numbers.append(16807 * numbers[-1] % 2147483647)
    return np.array(numbers, np.float64) / 2147483647


def test_nine_points_give_the_values_of_table_30() -> None:
    assert of_rate(NINE, 1.0, [1, 2]).deviation == pytest.approx([91.22945, 85.95287], abs=5e-6)


def test_a_thousand_points_give_the_values_of_table_31() -> None:
    curve = of_rate(thousand(), 1.0, [1, 10, 100])
    assert curve.deviation == pytest.approx([2.922319e-01, 9.159953e-02, 3.241343e-02], rel=2e-7)


def test_white_noise_falls_with_the_root_of_the_averaging_time() -> None:
    # For white frequency noise of variance s^2 the Allan variance over m intervals is s^2 / m.
    rate = np.random.default_rng(3).normal(0.0, 2.0, 200_000)
    curve = of_rate(rate, 0.5, [1, 4, 16, 64])
    assert curve.deviation == pytest.approx(2.0 / np.sqrt([1, 4, 16, 64]), rel=0.04)
    assert curve.tau_s.tolist() == [0.5, 2.0, 8.0, 32.0]


def test_a_random_walk_rises_as_its_exact_law_says() -> None:
    # Steps of variance s^2: m-averages of a discrete walk have Allan variance s^2 (2 m^2 + 1) / (6 m).
    steps = np.array([1, 4, 16, 64])
    rate = np.cumsum(np.random.default_rng(4).normal(0.0, 1.0, 400_000))
    curve = of_rate(rate, 1.0, steps.tolist())
    assert curve.deviation == pytest.approx(np.sqrt((2 * steps**2 + 1) / (6 * steps)), rel=0.04)


def test_a_constant_drift_of_frequency_shows_as_tau_over_root_two() -> None:
    curve = of_phase(0.5 * 3.0 * np.arange(101.0) ** 2, 1.0, [1, 8])
    assert curve.deviation == pytest.approx([3.0 / np.sqrt(2), 24.0 / np.sqrt(2)])


def test_a_constant_rate_has_no_deviation() -> None:
    assert of_rate(np.full(50, 0.02), 1.0).deviation.max() < 1e-15


def test_phase_and_rate_of_the_same_data_agree() -> None:
    phase = np.concatenate(([0.0], np.cumsum(NINE)))
    assert of_phase(phase, 1.0, [1, 2, 3]).deviation == pytest.approx(of_rate(NINE, 1.0, [1, 2, 3]).deviation)


def test_the_number_of_terms_is_told() -> None:
    assert of_rate(NINE, 1.0, [1, 4]).terms.tolist() == [8, 2]


def test_averaging_times_double_as_far_as_the_data_go() -> None:
    assert [doubling(n) for n in (0, 2, 3, 6, 12)] == [[], [], [1], [1, 2], [1, 2, 4]]
    assert of_rate(np.zeros(0), 1.0).tau_s.size == 0


def test_a_factor_that_the_data_do_not_reach_is_refused() -> None:
    with pytest.raises(ConfigError, match="no deviation over"):
        of_rate(NINE, 1.0, [5])


def test_an_interval_must_be_positive() -> None:
    with pytest.raises(ConfigError, match="interval"):
        of_rate(NINE, 0.0)


def test_the_longest_stretch_between_holes_is_taken() -> None:
    nan = np.nan
    assert longest_stretch(np.array([1.0, nan, 2.0, 3.0, nan, 4.0])).tolist() == [2.0, 3.0]
    assert longest_stretch(np.array([nan, nan])).size == 0
    assert longest_stretch(np.zeros(0)).size == 0
