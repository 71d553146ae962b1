"""The knobs of the mock instruments reach the bench, and refuse what makes no sense."""

import math
from typing import Any

import numpy as np
import pytest

from faintlink.core.errors import ConfigError, InterlockError, UnsupportedFeatureError
from faintlink.instruments.mocks.bench import MockBench
from faintlink.instruments.mocks.link import MockFibre, MockPolarizationController
from faintlink.instruments.mocks.pattern import MockPatternGenerator
from faintlink.instruments.mocks.receivers import MockDetector, MockTimeTagger
from faintlink.instruments.mocks.senders import (
    MockAttenuator,
    MockIntensityModulator,
    MockLaser,
    MockPairSource,
    MockPhaseModulator,
    MockPolarizationModulator,
)


class Lab:
    """A playing table with one detector that is read."""

    def __init__(self, model: str = "timebin-bb84-80mhz", **settings: Any) -> None:
        self.bench = MockBench("bench", model=model, seed=5, **settings)
        if self.bench.engine.is_pulsed:
            self.pattern = MockPatternGenerator("pattern", "bench", preamble_length=0)
            self.pattern.start()
        self.detector = MockDetector("detector", "bench", index=0)
        self.detector.dark_count_rate(0.0)
        self.detector.dead_time(0.0)
        self.detector.counting_time(0.2)

    def clicks(self) -> float:
        """Return clicks counted in 0.2 s."""
        return float(self.detector.count_rate()) * 0.2


def _differs(seen: float, expected: float) -> bool:
    """Return whether two counts differ by more than four sigma of Poisson numbers."""
    return abs(seen - expected) > 4.0 * math.sqrt(seen + expected)


@pytest.mark.parametrize("place", ["sender", "line"])
def test_three_decibels_more_attenuation_halve_the_clicks(place: str) -> None:
    lab = Lab()
    attenuator = MockAttenuator("attenuator", "bench", place=place)
    before = lab.clicks()
    attenuator.attenuation(attenuator.attenuation() + 10.0 * math.log10(2.0))
    after = lab.clicks()
    assert before > 10_000
    assert not _differs(2.0 * after, before)


def test_the_attenuators_of_one_place_add_up() -> None:
    lab = Lab()
    first, second = (MockAttenuator(name, "bench") for name in ("first", "second"))
    assert (first.attenuation(), second.attenuation()) == (20.0, 0.0)
    second.attenuation(5.0)
    assert lab.bench.engine.state.source.attenuation_db == 25.0


def test_power_scales_the_clicks_and_off_is_dark() -> None:
    lab = Lab()
    laser = MockLaser("laser", "bench")
    before = lab.clicks()
    laser.power(0.5e-3)
    assert not _differs(2.0 * lab.clicks(), before)
    laser.enabled(False)
    assert lab.clicks() == 0.0


def test_a_shifted_modulator_bias_changes_the_clicks_and_its_way_back_restores_them() -> None:
    lab = Lab()
    modulator = MockIntensityModulator("modulator", "bench")
    before = lab.clicks()
    modulator.bias_voltage(2.0)
    assert _differs(lab.clicks(), before)
    modulator.bias_voltage(0.0)
    assert not _differs(lab.clicks(), before)


def test_a_drifted_null_is_found_by_the_least_light_of_the_idle_pattern() -> None:
    lab = Lab()
    modulator = MockIntensityModulator("modulator", "bench")
    modulator.null_voltage(1.0)
    lab.pattern.stop()
    counts = {}
    for volts in (-1.0, 0.0, 1.0, 2.0, 3.0):
        modulator.bias_voltage(volts)
        counts[volts] = lab.clicks()
    assert min(counts, key=lambda volts: counts[volts]) == 1.0


def test_fifty_kilometres_more_fibre_leave_a_tenth_of_the_clicks() -> None:
    lab = Lab()
    fibre = MockFibre("fibre", "bench")
    before = lab.clicks()
    fibre.length(fibre.length() + 50.0)
    assert not _differs(10.0 * lab.clicks(), before)


def test_a_phase_modulator_moves_light_between_the_detectors() -> None:
    lab = Lab()
    lab.pattern.stop()
    lab.pattern.constant_setting(0)
    lab.pattern.start()
    lab.bench.receiver_basis_probability_z(1.0)
    modulator = MockPhaseModulator("modulator", "bench", party="bob")
    bright = lab.clicks()
    modulator.bias_voltage(modulator.half_wave_voltage())
    dim = lab.clicks()
    assert dim < 0.4 * bright


def test_the_paddles_undo_what_the_fibre_turned() -> None:
    """A 90 degree turn of linear light is undone by the half-wave paddle at 45 degrees between open ones."""
    lab = Lab("polarization-bb84", pulse_rate_hz=80e6)
    lab.pattern.stop()
    lab.pattern.constant_setting(0)
    lab.pattern.start()
    right = lab.clicks()
    MockFibre("fibre", "bench").polarization_rotation(90.0)
    wrong = lab.clicks()
    MockPolarizationController("controller", "bench").angles((0.0, 45.0, 0.0))
    assert wrong < 0.1 * right
    assert not _differs(lab.clicks(), right)


def test_a_wrong_drive_of_the_polarization_modulator_leaks_into_the_other_bit() -> None:
    lab = Lab("polarization-bb84", pulse_rate_hz=80e6)
    lab.pattern.stop()
    lab.pattern.constant_setting(1)
    lab.pattern.start()
    modulator = MockPolarizationModulator("modulator", "bench")
    before = lab.clicks()
    modulator.drive_levels((0.0, 4.0, 2.5, 7.5))
    assert lab.clicks() > 2.0 * before


def test_efficiency_scales_the_clicks_and_no_bias_means_none() -> None:
    lab = Lab()
    before = lab.clicks()
    lab.detector.efficiency(0.1)
    assert not _differs(2.0 * lab.clicks(), before)
    lab.detector.enabled(False)
    assert lab.clicks() == 0.0


def test_dead_time_hides_clicks() -> None:
    """R' = R / (1 + R tau) to a percent, slots being short against the dead time."""
    lab = Lab()
    before = lab.clicks() / 0.2
    lab.detector.dead_time(2e-6)
    assert lab.clicks() / 0.2 == pytest.approx(before / (1.0 + before * 2e-6), rel=0.015)


def test_a_detector_of_a_pair_bench_counts_the_pairs_it_sees() -> None:
    lab = Lab("bbm92")
    source = MockPairSource("source", "bench")
    before = lab.clicks()
    source.pair_rate(source.pair_rate() / 2.0)
    assert not _differs(2.0 * lab.clicks(), before)


def test_times_are_in_seconds_and_kept_to_the_picosecond() -> None:
    lab = Lab()
    lab.detector.dead_time(123.456e-9)
    lab.detector.delay(-0.0 + 17e-12)
    detector = lab.bench.engine.state.receivers["bob"].detectors[0]
    assert (detector.dead_time_ps, detector.delay_ps) == (123_456, 17)


def test_afterpulse_knobs_reach_the_bench() -> None:
    lab = Lab()
    lab.detector.afterpulse_probability(0.03)
    lab.detector.afterpulse_time(4e-6)
    assert lab.detector.afterpulse_probability() == pytest.approx(0.03)
    assert lab.bench.engine.state.receivers["bob"].detectors[0].afterpulse_time_ps == pytest.approx((4e6,))


def test_clock_knobs_reach_the_bench() -> None:
    lab = Lab()
    tagger = MockTimeTagger("tagger", "bench")
    tagger.clock_offset(0.25)
    tagger.clock_error(-3.5)
    tagger.resolution(5e-12)
    clock = lab.bench.engine.state.receivers["bob"].clock
    assert (clock.offset_ps, clock.ppm, clock.resolution_ps) == (250_000_000_000, -3.5, 5)


def test_an_attack_is_chosen_by_name() -> None:
    lab = Lab()
    lab.bench.attack("intercept-resend")
    lab.bench.attack_fraction(0.2)
    assert lab.bench.attack() == "intercept-resend"
    with pytest.raises(ValueError, match="teleport"):
        lab.bench.attack("teleport")


def test_a_playing_pattern_refuses_new_probabilities() -> None:
    lab = Lab()
    with pytest.raises(InterlockError, match="playing"):
        lab.pattern.basis_probability_z(0.5)


@pytest.mark.parametrize("shares", [(0.5, 0.6), (1.0,), (1.5, -0.5)])
def test_play_probabilities_must_add_up(shares: tuple[float, ...]) -> None:
    lab = Lab()
    lab.pattern.stop()
    with pytest.raises(ValueError, match="probabilities"):
        lab.pattern.intensity_probabilities(shares)


def test_three_intensities_with_vacuum_are_played() -> None:
    bench = MockBench("bench", intensities=(0.5, 0.1, 0.0))
    pattern = MockPatternGenerator("pattern", bench.name)
    pattern.intensity_probabilities((0.6, 0.3, 0.1))
    pattern.start()
    codes = pattern.settings_at(np.arange(2**18, 2**18 + 10_000, dtype=np.int64))
    assert set(codes >> 2) == {0, 1, 2}


def test_an_instrument_without_its_bench_says_so() -> None:
    with pytest.raises(ConfigError, match="mock bench named 'table'"):
        MockLaser("laser", "table")


def test_another_instrument_is_no_bench() -> None:
    lab = Lab()
    with pytest.raises(ConfigError, match="mock bench named 'detector'"):
        MockLaser("laser", lab.detector.name)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda bench: MockDetector("extra", bench, index=2), r"detectors 0\.\.1"),
        (lambda bench: MockDetector("extra", bench, receiver="alice"), "receivers"),
        (lambda bench: MockTimeTagger("extra", bench, receiver="charlie"), "receivers"),
        (lambda bench: MockAttenuator("extra", bench, place="roof"), "place"),
        (lambda bench: MockPhaseModulator("extra", bench, party="eve"), "party"),
    ],
)
def test_a_wrong_place_on_the_table_is_refused(make: Any, what: str) -> None:
    lab = Lab()
    with pytest.raises(ConfigError, match=what):
        make(lab.bench.name)


def test_a_pair_bench_has_no_pattern() -> None:
    bench = MockBench("bench", model="bbm92")
    with pytest.raises(UnsupportedFeatureError, match="no pattern"):
        MockPatternGenerator("pattern", bench.name)


def test_reading_settings_for_a_snapshot_lets_no_time_pass() -> None:
    lab = Lab()
    before = lab.bench.bench_time()
    lab.detector.snapshot(update=True)
    assert lab.bench.bench_time() == before
