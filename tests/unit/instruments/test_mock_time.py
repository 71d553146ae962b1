"""Bench time, tagger clock and random streams: what is exact must be exact."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faintlink.core.units import PS_PER_S
from faintlink.instruments.mocks.random_streams import counter_hash, derived_key, poisson, seeded_streams, uniform
from faintlink.instruments.mocks.state import BenchState, ClockState, DetectorState, LinkState

MakeTable = Callable[..., BenchState]
Simulate = Callable[..., Any]
NOISY = DetectorState(
    efficiency=0.3,
    dark_rate_hz=2e5,
    dead_time_ps=90_001,
    jitter_ps=300.0,
    delay_ps=-700,
    afterpulse_probability=(0.1, 0.05),
    afterpulse_time_ps=(1e5, 1e6),
)


def _same(one: Any, other: Any) -> bool:
    names = type(one.truth).__slots__
    return all(np.array_equal(getattr(one.truth, name), getattr(other.truth, name)) for name in names)


@pytest.mark.parametrize("model", ["timebin-bb84-80mhz", "polarization-bb84"])
def test_the_clicks_do_not_depend_on_how_time_is_cut(table: MakeTable, simulate: Simulate, model: str) -> None:
    state = table(model, detector=NOISY, link=LinkState(length_km=1.0), pulse_rate_hz=81.3e6)
    whole = simulate(state, steps_s=(0.02,), preamble=5000)
    cut = simulate(state, steps_s=(0.001, 0.0000001, 0.0128999, 0.005, 0.0011), preamble=5000)
    assert whole.times_ps.size > 10_000
    assert _same(whole, cut)
    assert np.array_equal(whole.channels, cut.channels)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, 2 * 10**9), max_size=6))
def test_no_cut_of_time_changes_a_click(table: MakeTable, simulate: Simulate, cuts: list[int]) -> None:
    """Two milliseconds cut anywhere, to the picosecond."""
    state = table("timebin-bb84-80mhz", detector=NOISY, pulse_rate_hz=81.3e6)
    edges = [0, *sorted(cuts), 2 * 10**9]
    steps = tuple((late - early) * 1e-12 for early, late in itertools.pairwise(edges))
    assert _same(simulate(state, steps_s=(0.002,), preamble=500), simulate(state, steps_s=steps, preamble=500))


def test_pairs_do_not_depend_on_how_time_is_cut(table: MakeTable, simulate: Simulate) -> None:
    state = table("bbm92", detector=NOISY)
    assert _same(simulate(state, steps_s=(0.02,)), simulate(state, steps_s=(0.003, 0.0169999, 0.0000001)))


def test_a_full_click_buffer_loses_nothing(table: MakeTable, simulate: Simulate) -> None:
    """More clicks than the buffer holds, in one step and in many."""
    state = table(detector=NOISY)
    whole = simulate(state, steps_s=(0.01,))
    assert whole.times_ps.size > 1 << 17
    assert _same(whole, simulate(state, steps_s=(0.001,) * 10))


def test_drift_does_not_depend_on_how_time_is_cut(table: MakeTable, simulate: Simulate) -> None:
    link = LinkState(length_km=0.0, rotation_drift_deg_per_s=90.0)
    state = table(link=link, pulse_rate_hz=1e7)
    assert _same(simulate(state, steps_s=(0.05,)), simulate(state, steps_s=(0.012, 0.038)))


def test_the_same_seed_gives_the_same_clicks_and_another_does_not(table: MakeTable, simulate: Simulate) -> None:
    state = table(detector=NOISY)
    first = simulate(state, steps_s=(0.001,), seed=3)
    assert _same(first, simulate(state, steps_s=(0.001,), seed=3))
    assert not _same(first, simulate(state, steps_s=(0.001,), seed=4))


@pytest.mark.parametrize("rate_hz", [80e6, 81.3e6])
def test_offset_and_frequency_of_the_tagger_are_found_in_the_tags(
    table: MakeTable, simulate: Simulate, rate_hz: float
) -> None:
    """Regression of tag times on the true slots: within 1e-11 of the frequency and 5 ps of the offset."""
    state = table("timebin-bb84-80mhz", pulse_rate_hz=rate_hz, link=LinkState(length_km=10.0, visibility=1.0))
    clock = ClockState(offset_ps=-12_345_678, ppm=-7.25)
    bob = replace(state.receivers["bob"], clock=clock)
    got = simulate(replace(state, receivers={"bob": bob}), steps_s=(0.3,))
    slots = got.truth.slot + got.engine.state.programme.origin_slot
    centre = np.rint(slots * (PS_PER_S / rate_hz)).astype(np.int64)
    ahead = got.times_ps - centre
    central = np.abs(ahead - np.median(ahead) - (centre - np.median(centre)) * -7.25e-6) < 1000
    slope, offset = np.polyfit(centre[central].astype(float), ahead[central].astype(float), 1)
    assert slope == pytest.approx(-7.25e-6, abs=1e-11)
    assert offset == pytest.approx(-12_345_678 + got.engine.state.link.delay_ps, abs=5.0)


def test_a_drifting_clock_is_quadratic(table: MakeTable, simulate: Simulate) -> None:
    state = table("timebin-bb84-80mhz", pulse_rate_hz=1e6)
    bob = replace(state.receivers["bob"], clock=ClockState(drift_ppb_per_s=100.0))
    plain = simulate(state, steps_s=(2.0,))
    drifted = simulate(replace(state, receivers={"bob": bob}), steps_s=(2.0,))
    expected = 0.5 * 100e-9 * (plain.times_ps / PS_PER_S) ** 2 * PS_PER_S
    assert np.abs(drifted.times_ps - plain.times_ps - expected).max() <= 0.5


def test_time_stamps_are_multiples_of_the_resolution(table: MakeTable, simulate: Simulate) -> None:
    state = table(detector=NOISY)
    bob = replace(state.receivers["bob"], clock=ClockState(resolution_ps=16))
    got = simulate(replace(state, receivers={"bob": bob}), steps_s=(0.0005,))
    assert not (got.times_ps % 16).any()


def test_fibre_length_delays_the_clicks(table: MakeTable, simulate: Simulate) -> None:
    """48.97 us for 10 km at a group index of 1.468."""
    near = simulate(table(link=LinkState(length_km=0.0)), steps_s=(0.0001,))
    far = simulate(table(link=LinkState(length_km=10.0, attenuation_db_per_km=0.0)), steps_s=(0.0001,))
    assert set(far.times_ps - near.times_ps) == {48_967_209}


def test_settings_can_be_asked_for_in_any_order(table: MakeTable, simulate: Simulate) -> None:
    engine = simulate(table(), steps_s=(0.0001,)).engine
    slots = np.array([10**12, 5, 7 * 10**9, 5], np.int64)
    codes = engine.settings_at(slots)
    assert codes[1] == codes[3]
    assert np.array_equal(engine.settings_at(slots[::-1]), codes[::-1])


def test_the_counter_hash_is_spread_evenly() -> None:
    """Each of the 64 bits is set in half of 20 000 values, within five sigma."""
    key = derived_key(1, 2)
    bits = np.array([int(counter_hash(key, n)) for n in range(20_000)], np.uint64)
    ones = [int(((bits >> np.uint64(place)) & np.uint64(1)).sum()) for place in range(64)]
    assert max(abs(count - 10_000) for count in ones) < 5 * 71


def test_uniform_numbers_are_never_zero_and_streams_differ() -> None:
    rng = seeded_streams(5, 0, 2)
    first, second = [[uniform(rng, row) for _ in range(1000)] for row in (0, 1)]
    assert 0.0 < min(first) < max(first) <= 1.0
    assert first != second


@pytest.mark.parametrize("mean", [0.01, 0.7, 5.0, 40.0])
def test_poisson_numbers_have_equal_mean_and_variance(mean: float) -> None:
    """Five sigma of each."""
    rng = seeded_streams(9, 1, 1)
    drawn = np.array([poisson(rng, 0, mean) for _ in range(40_000)])
    assert abs(drawn.mean() - mean) < 5 * (mean / drawn.size) ** 0.5
    assert abs(drawn.var() - mean) < 5 * ((mean + 2 * mean**2) / drawn.size) ** 0.5 + 1 / 12
