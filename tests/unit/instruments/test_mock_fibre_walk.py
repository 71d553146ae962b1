"""The fibre's polarization wanders as a sphere in Brownian motion: at its rate, in both bases, the same for a seed."""

from pathlib import Path

import numpy as np
import pytest

from faintlink.instruments.mocks.fibre_walk import PolarizationWalk, turns
from faintlink.instruments.mocks.polarization import link_rotation
from faintlink.instruments.mocks.state import LinkState
from tests.cold_bench import POLARIZATION, mock_lab, pair_lab
from tests.unit.instruments.conftest import MakeTable, Simulate

HOUR_S = 3600.0


def test_a_turn_about_circular_light_turns_linear_light_by_its_length() -> None:
    (turned,) = turns(np.array([[0.0, 0.0, 0.3]]))
    assert turned @ [1.0, 0.0, 0.0] == pytest.approx([np.cos(0.3), np.sin(0.3), 0.0])
    assert turned @ [0.0, 0.0, 1.0] == pytest.approx([0.0, 0.0, 1.0])


def test_no_turn_is_the_identity() -> None:
    assert turns(np.zeros((1, 3)))[0] == pytest.approx(np.eye(3))


def test_the_mean_of_each_states_cosine_falls_as_that_of_a_brownian_motion_of_the_sphere() -> None:
    """Mean of cos(angle) after t is exp(-rate t / 2) (Perrin 1928), here for 150 fibres after a quarter of an hour."""
    seen = np.array([np.diag(PolarizationWalk(seed, 4.0).at(HOUR_S / 4.0)) for seed in range(150)])
    # Mean of cos^2 is (1 + 2 exp(-3 rate t / 2)) / 3, so that one value scatters by 0.37, the mean of 150 by 0.030.
    assert seen.mean(axis=0) == pytest.approx(np.full(3, np.exp(-0.5)), abs=4 * 0.030)


def test_the_mean_square_angle_is_the_rate_times_the_time_while_it_is_small() -> None:
    angles = np.array([np.arccos(np.diag(PolarizationWalk(seed, 0.08).at(HOUR_S / 4.0))) for seed in range(150)])
    # Two normal components: the mean square of 150 angles scatters by a twelfth of itself.
    assert (angles**2).mean(axis=0) == pytest.approx(np.full(3, 0.02), rel=4 / 12)


def test_a_walk_is_where_it_is_however_it_was_asked() -> None:
    """Beyond one block of turns, asked in order, backwards, and at once."""
    times_s = [0.0, 0.37, 500.5, 1024.0, 1023.999, 5000.25]
    one = PolarizationWalk(3, 0.5)
    forward = [one.at(time_s) for time_s in sorted(times_s)]
    backward = [one.at(time_s) for time_s in sorted(times_s, reverse=True)][::-1]
    assert np.array_equal(forward, backward)
    assert np.array_equal(PolarizationWalk(3, 0.5).at(5000.25), forward[-1])
    assert forward[0] == pytest.approx(np.eye(3))


def test_a_walk_has_no_jumps_and_stays_a_rotation() -> None:
    walk = PolarizationWalk(5, 2.0)
    path = np.array([walk.at(1000.0 + 0.25 * k) for k in range(200)])
    # A second's turn has three components of 0.017 rad; five deviations of each, a quarter of it at a time.
    assert np.abs(np.diff(path, axis=0)).max() < 5.0 * 0.017 * 3**0.5 / 4.0 * 1.01
    assert path[-1] @ path[-1].T == pytest.approx(np.eye(3), abs=1e-9)


def test_another_seed_walks_elsewhere_and_a_rate_of_zero_stays() -> None:
    assert np.abs(PolarizationWalk(1, 1.0).at(HOUR_S) - PolarizationWalk(2, 1.0).at(HOUR_S)).max() > 0.05
    assert PolarizationWalk(1, 0.0).at(HOUR_S) == pytest.approx(np.eye(3))


def test_the_bench_turns_with_the_walk_of_its_own_seed(table: MakeTable, simulate: Simulate) -> None:
    link = LinkState(length_km=0.0, visibility=1.0, walk_rad2_per_h=400.0)
    got = simulate(table(link=link, pulse_rate_hz=1e5), steps_s=(0.5,), seed=9)
    assert got.engine.state.link.drifts
    assert link_rotation(got.engine.state, 100.0) == pytest.approx(PolarizationWalk(9, 400.0).at(100.0))


def test_clicks_of_a_wandering_fibre_do_not_depend_on_how_time_is_cut(table: MakeTable, simulate: Simulate) -> None:
    state = table(link=LinkState(length_km=0.0, walk_rad2_per_h=4e4), pulse_rate_hz=1e7)
    whole, cut = simulate(state, steps_s=(0.05,)), simulate(state, steps_s=(0.012, 0.038))
    still = simulate(table(link=LinkState(length_km=0.0), pulse_rate_hz=1e7), steps_s=(0.05,))
    assert np.array_equal(whole.times_ps, cut.times_ps)
    assert np.array_equal(whole.channels, cut.channels)
    assert not np.array_equal(whole.channels, still.channels)


def test_hours_lapse_without_a_click_and_the_fibre_wanders_meanwhile(tmp_path: Path) -> None:
    with mock_lab(tmp_path, POLARIZATION, seed=4) as (lab, station):
        bench, fibre = station.component("bench"), station.component("fibre")
        fibre.polarization_drift(0.0)
        fibre.polarization_walk(0.3)
        lab.record(1e-3)
        before = bench.engine.clicks("bob", 0)
        bench.lapse(8 * HOUR_S)
        assert bench.engine.clicks("bob", 0) == before
        block = lab.record(2e-3)
        # What was pending before the lapse does not come after it.
        assert int(block.times_ps[0]) > 8 * HOUR_S * 1e12
        assert bench.bench_time() == pytest.approx(8 * HOUR_S, abs=1.0)
        turned = link_rotation(bench.engine.state, bench.bench_time())
    assert np.diag(turned)[:2].max() < 0.98


def test_what_a_stream_records_is_played_through_a_lapse(tmp_path: Path) -> None:
    with pair_lab(tmp_path, seed=2) as (lab, station):
        stream = lab.tagger.stream()
        stream.start()
        station.component("bench").lapse(0.02)
        block = stream.read(1.0)
        stream.stop()
    assert int(block.times_ps[-1] - block.times_ps[0]) > 0.018e12


def test_moving_paddles_takes_the_time_that_it_takes(tmp_path: Path) -> None:
    with pair_lab(tmp_path) as (_, station):
        bench, paddles = station.component("bench"), station.component("bob_pol_ctrl")
        before = bench.bench_time()
        paddles.angles((10.0, 20.0, 30.0))
        assert bench.bench_time() == before
        paddles.move_time(0.5)
        paddles.angles((0.0, 0.0, 0.0))
        assert bench.bench_time() == pytest.approx(before + 0.5)
