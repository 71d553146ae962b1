"""Statistics of the simulated clicks against formulas; every seed is fixed and every tolerance stated in sigma."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from faintlink.core.symbols import setting_basis, setting_bit, setting_intensity
from faintlink.instruments.mocks.rates import rate_table
from faintlink.instruments.mocks.state import Attack, BenchState, DetectorState, LinkState

MakeTable = Callable[..., BenchState]
Simulate = Callable[..., Any]
PHOTON, DARK, AFTERPULSE = 0, 1, 2


def _within(seen: float, expected: float, sigma: float, *, sigmas: float = 4.0) -> bool:
    return abs(seen - expected) < sigmas * sigma


def _constant(state: BenchState, code: int) -> BenchState:
    return replace(state, programme=replace(state.programme, constant_setting=code))


def _sifted_errors(got: Any) -> tuple[int, int]:
    """Return (bits, errors) of clicks in the sender's basis at the slot's centre."""
    central = got.times_ps - got.engine.state.link.delay_ps - _slot_times(got) == 0
    bob_basis, bob_bit = (got.channels - 1) >> 1, (got.channels - 1) & 1
    matched = central & (bob_basis == setting_basis(got.truth.code))
    return int(matched.sum()), int((bob_bit != setting_bit(got.truth.code))[matched].sum())


def _slot_times(got: Any) -> npt.NDArray[np.int64]:
    slots = got.truth.slot + got.engine.state.programme.origin_slot
    times: npt.NDArray[np.int64] = slots * round(got.engine.state.period_ps)
    return times


@pytest.mark.parametrize("model", ["timebin-bb84-80mhz", "polarization-bb84"])
def test_each_intensity_clicks_with_its_poisson_probability(table: MakeTable, simulate: Simulate, model: str) -> None:
    """Four sigma of a binomial, by intensity."""
    got = simulate(table(model, pulse_rate_hz=80e6), steps_s=(0.05,))
    slots = int(0.05 * 80e6)
    played = setting_intensity(got.engine.settings_at(np.arange(slots, dtype=np.int64)))
    hit, first = np.unique(got.truth.slot, return_index=True)
    clicked = setting_intensity(got.truth.code[first])
    assert hit.size > 100_000
    for level, mu in enumerate((0.5, 0.15)):
        count, chance = int((played == level).sum()), -math.expm1(-mu * 0.2)
        spread = math.sqrt(count * chance * (1.0 - chance))
        assert _within(float((clicked == level).sum()), count * chance, spread)


def test_losses_of_link_and_receiver_multiply(table: MakeTable, simulate: Simulate) -> None:
    """Four sigma of a binomial."""
    link = LinkState(length_km=25.0, attenuation_db_per_km=0.2, line_attenuation_db=1.0, visibility=1.0)
    got = simulate(_constant(table(link=link, loss_db=4.0), 0), steps_s=(0.02,))
    slots, chance = 20_000_000, -math.expm1(-0.5 * 0.2 * 10.0**-1.0)
    assert _within(np.unique(got.truth.slot).size, slots * chance, math.sqrt(slots * chance))


def test_the_truth_agrees_with_the_settings_of_the_pattern(table: MakeTable, simulate: Simulate) -> None:
    got = simulate(table(), steps_s=(0.002,), preamble=100_000)
    assert np.array_equal(got.engine.settings_at(got.truth.slot), got.truth.code)


def test_double_clicks_come_as_often_as_independent_poissons_say(table: MakeTable, simulate: Simulate) -> None:
    """Four sigma of a binomial."""
    state = _constant(table(split=0.5), 0)
    got = simulate(state, steps_s=(0.01,))
    rates = rate_table(replace(state, programme=replace(state.programme, running=True)), time_s=0.0).means[0]
    silent = np.exp(-rates)
    single = sum((1.0 - silent[j]) * np.prod(np.delete(silent, j)) for j in range(4))
    chance = float(1.0 - np.prod(silent) - single)
    _, clicks = np.unique(got.truth.slot, return_counts=True)
    slots = 10_000_000
    assert _within(float((clicks > 1).sum()), slots * chance, math.sqrt(slots * chance))


@pytest.mark.parametrize("mu", [0.5, 30.0])
def test_bright_and_faint_slots_click_alike(table: MakeTable, simulate: Simulate, mu: float) -> None:
    """The kernel draws bright slots differently; four sigma of a binomial on each detector."""
    state = _constant(table(split=0.7), 0)
    state = replace(state, source=replace(state.source, intensities=(mu, 0.1)))
    got = simulate(state, steps_s=(0.001,))
    means = rate_table(state, time_s=0.0).means[0]
    slots = 1_000_000
    for d, mean in enumerate(means):
        chance = -math.expm1(-mean)
        spread = math.sqrt(slots * chance * (1.0 - chance)) + 1e-9
        assert _within(float((got.truth.detector == d).sum()), slots * chance, spread)


@pytest.mark.parametrize(("dead_ps", "blind_slots"), [(10_500, 10), (10_000, 9)])
def test_dead_time_follows_the_non_paralyzable_formula(
    table: MakeTable, simulate: Simulate, ideal: DetectorState, dead_ps: int, blind_slots: int
) -> None:
    """One detector, 1 GHz, blind for some slots after a click; four sigma of the renewal process."""
    state = _constant(table(detector=replace(ideal, dead_time_ps=dead_ps), split=1.0), 0)
    got = simulate(state, steps_s=(0.01,))
    chance, slots = -math.expm1(-0.5 * 0.2), 10_000_000
    mean, variance = blind_slots + 1.0 / chance, (1.0 - chance) / chance**2
    expected = slots / mean
    assert _within(float(got.times_ps.size), expected, math.sqrt(slots * variance / mean**3))
    assert got.engine.receivers["bob"].detectors["hidden"][0] > 0


def test_no_two_clicks_of_a_detector_are_closer_than_its_dead_time(
    table: MakeTable, simulate: Simulate, ideal: DetectorState
) -> None:
    noisy = replace(
        ideal,
        dead_time_ps=123_457,
        dark_rate_hz=3e6,
        afterpulse_probability=(0.3,),
        afterpulse_time_ps=(5e4,),
    )
    got = simulate(table(detector=noisy), steps_s=(0.002,))
    for d in range(4):
        gaps = np.diff(got.times_ps[got.truth.detector == d])
        assert gaps.min() >= 123_457
        assert gaps.min() < 125_000


def test_jitter_has_the_stated_width(table: MakeTable, simulate: Simulate, ideal: DetectorState) -> None:
    """Four sigma of the standard deviation of n Gaussian numbers."""
    got = simulate(table(detector=replace(ideal, jitter_ps=80.0)), steps_s=(0.002,))
    error = got.times_ps - _slot_times(got)
    assert error.size > 50_000
    assert _within(float(np.std(error)), math.hypot(80.0, 12**-0.5), 80.0 / math.sqrt(2 * error.size))
    assert _within(float(np.mean(error)), 0.0, 80.0 / math.sqrt(error.size))


def test_a_skewed_detector_is_late_by_its_delay(table: MakeTable, simulate: Simulate) -> None:
    state = table()
    bob = state.receivers["bob"]
    late = replace(bob, detectors=(replace(bob.detectors[0], delay_ps=321), *bob.detectors[1:]))
    got = simulate(replace(state, receivers={"bob": late}), steps_s=(0.0005,))
    error = got.times_ps - _slot_times(got)
    assert set(error[got.truth.detector == 0]) == {321}
    assert set(error[got.truth.detector != 0]) == {0}


def test_tags_are_in_order_of_time_despite_jitter_and_skew(
    table: MakeTable, simulate: Simulate, ideal: DetectorState
) -> None:
    state = table(detector=replace(ideal, jitter_ps=2000.0))
    bob = state.receivers["bob"]
    skewed = tuple(replace(d, delay_ps=5000 * index) for index, d in enumerate(bob.detectors))
    got = simulate(replace(state, receivers={"bob": replace(bob, detectors=skewed)}), steps_s=(0.0003, 0.0004, 0.0003))
    assert (np.diff(got.times_ps) >= 0).all()
    assert np.array_equal(got.truth.time_ps, got.times_ps)


def test_only_dark_counts_remain_when_the_laser_is_off(
    table: MakeTable, simulate: Simulate, ideal: DetectorState
) -> None:
    """Four sigma of a Poisson number."""
    state = table(detector=replace(ideal, dark_rate_hz=5000.0))
    got = simulate(replace(state, source=replace(state.source, enabled=False)), steps_s=(2.0,))
    assert (got.truth.cause == DARK).all()
    assert _within(float(got.times_ps.size), 4 * 5000.0 * 2.0, math.sqrt(40_000.0))


def test_an_idle_pattern_leaves_the_extinguished_light(table: MakeTable, simulate: Simulate) -> None:
    """Four sigma of a Poisson number."""
    got = simulate(table(), steps_s=(0.1,), plays=False)
    expected = 1e8 * 0.5e-4 * 0.2
    assert _within(float(got.times_ps.size), expected, math.sqrt(expected))


def test_afterpulses_follow_with_their_probability_and_time_constant(
    table: MakeTable, simulate: Simulate, ideal: DetectorState
) -> None:
    """Four sigma of a binomial and of an exponential mean."""
    noisy = replace(
        ideal,
        dark_rate_hz=2000.0,
        dead_time_ps=2_000_000,
        afterpulse_probability=(0.05,),
        afterpulse_time_ps=(2e6,),
    )
    state = table(detector=noisy)
    got = simulate(replace(state, source=replace(state.source, enabled=False)), steps_s=(10.0,))
    after = got.truth.cause == AFTERPULSE
    count = after.size
    assert _within(float(after.sum()), 0.05 * count, math.sqrt(count * 0.05 * 0.95))
    waits = [
        np.diff(got.times_ps[got.truth.detector == d])[(got.truth.cause[got.truth.detector == d] == AFTERPULSE)[1:]]
        for d in range(4)
    ]
    wait = np.concatenate(waits) - 2_000_000
    assert _within(float(np.mean(wait)), 2e6, 2e6 / math.sqrt(wait.size), sigmas=5.0)


def test_a_detector_turned_off_releases_no_afterpulse(
    table: MakeTable, simulate: Simulate, ideal: DetectorState
) -> None:
    noisy = replace(ideal, dark_rate_hz=1e6, afterpulse_probability=(0.9,), afterpulse_time_ps=(1e9,))
    state = table(detector=noisy)
    got = simulate(replace(state, source=replace(state.source, enabled=False)), steps_s=(0.001,))
    for index in range(4):
        got.engine.update_detector("bob", index, enabled=False)
    before = [got.engine.clicks("bob", index) for index in range(4)]
    assert min(before) > 500
    got.engine.advance(0.01)
    assert [got.engine.clicks("bob", index) for index in range(4)] == before


def test_single_photon_pulses_are_as_frequent_among_clicks_as_theory_says(table: MakeTable, simulate: Simulate) -> None:
    """P(n = 1 | click) = mu e^-mu eta / (1 - e^-(mu eta)); four sigma of a binomial, by intensity."""
    got = simulate(table(), steps_s=(0.01,))
    _, first = np.unique(got.truth.slot, return_index=True)
    levels, photons = setting_intensity(got.truth.code[first]), got.truth.photons[first]
    assert photons.min() >= 1
    for level, mu in enumerate((0.5, 0.15)):
        among = photons[levels == level]
        share = mu * math.exp(-mu) * 0.2 / -math.expm1(-mu * 0.2)
        assert _within(float((among == 1).sum()), among.size * share, math.sqrt(among.size * share * (1 - share)))


def test_pulses_behind_dark_counts_have_the_emitted_statistics_without_a_detection(
    table: MakeTable, simulate: Simulate, ideal: DetectorState
) -> None:
    """P(n = 0 | nothing detected) = e^-(mu (1 - eta)); four sigma of a binomial."""
    state = _constant(table(detector=replace(ideal, dark_rate_hz=1e6)), 0)
    got = simulate(state, steps_s=(0.01,))
    photons = got.truth.photons[got.truth.cause == DARK]
    share = math.exp(-0.5 * 0.8)
    spread = math.sqrt(photons.size * share * (1 - share))
    assert _within(float((photons == 0).sum()), photons.size * share, spread)


def test_a_timebin_receiver_plays_its_basis_probability(table: MakeTable, simulate: Simulate) -> None:
    """Four sigma of a binomial."""
    got = simulate(table("timebin-bb84-80mhz", split=0.8), steps_s=(0.05,))
    z = int(((got.channels - 1) >> 1 == 0).sum())
    count = got.channels.size
    assert _within(z, 0.8 * count, math.sqrt(count * 0.8 * 0.2))


@pytest.mark.parametrize("model", ["timebin-bb84-80mhz", "polarization-bb84"])
def test_missing_visibility_shows_as_errors(table: MakeTable, simulate: Simulate, model: str) -> None:
    """Four sigma of a binomial."""
    state = table(model, link=LinkState(length_km=1.0, visibility=0.9), pulse_rate_hz=80e6)
    bits, errors = _sifted_errors(simulate(state, steps_s=(0.1,)))
    assert bits > 20_000
    assert _within(errors, 0.05 * bits, math.sqrt(bits * 0.05 * 0.95))


@pytest.mark.parametrize(("attack", "rate"), [(Attack.INTERCEPT_RESEND, 0.25), (Attack.SCRAMBLE, 0.5)])
@pytest.mark.parametrize("share", [0.3, 1.0])
@pytest.mark.parametrize("model", ["timebin-bb84-80mhz", "polarization-bb84"])
def test_an_attack_makes_its_errors_on_what_it_touches(
    table: MakeTable, simulate: Simulate, attack: Attack, rate: float, share: float, model: str
) -> None:
    """Four sigma of a binomial."""
    state = replace(table(model, pulse_rate_hz=80e6), attack=attack, attack_fraction=share)
    bits, errors = _sifted_errors(simulate(state, steps_s=(0.05,)))
    expected = rate * share
    assert bits > 10_000
    assert _within(errors, expected * bits, math.sqrt(bits * expected * (1.0 - expected)))


def test_without_noise_or_attack_there_are_no_errors(table: MakeTable, simulate: Simulate) -> None:
    bits, errors = _sifted_errors(simulate(table("timebin-bb84-80mhz"), steps_s=(0.05,)))
    assert bits > 10_000
    assert errors == 0
