"""The optics of the mock bench, without random numbers."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from faintlink.instruments.mocks.polarization import controller, retarder, rotator
from faintlink.instruments.mocks.rates import DARK_LEVEL, mean_photons, modulator_transmission, rate_table
from faintlink.instruments.mocks.state import BenchState, IntensityModulatorState, LinkState, PhaseModulatorState

MakeTable = Callable[..., BenchState]


def _qber(state: BenchState, *, sent: int, bob: int = 0) -> float:
    """Return the error rate of a sent state (bit + 2 basis) in its own basis, all errors on the wrong detector."""
    table = rate_table(state, time_s=0.0)
    means = table.means.reshape(5, 4, 2, -1)[0, sent, bob]
    central = table.offset_ps == 0
    wrong, right = sent ^ 1, sent
    if means.size == 6:
        wrong, right = wrong & 1, right & 1
    means = means[central]
    return float(means[wrong] / (means[wrong] + means[right]))


def test_the_default_settings_give_the_nominal_intensities(table: MakeTable) -> None:
    assert mean_photons(table())[:2] == pytest.approx([0.5, 0.15], rel=1e-12)


def test_the_undriven_modulator_passes_what_its_extinction_ratio_leaves(table: MakeTable) -> None:
    assert mean_photons(table())[DARK_LEVEL] == pytest.approx(0.5e-4)


def test_ten_decibels_more_attenuation_leave_a_tenth(table: MakeTable) -> None:
    state = table()
    dimmed = replace(state, source=replace(state.source, attenuation_db=30.0))
    assert mean_photons(dimmed) == pytest.approx(mean_photons(state) / 10.0)


def test_a_laser_that_is_off_sends_nothing(table: MakeTable) -> None:
    state = table()
    assert not mean_photons(replace(state, source=replace(state.source, enabled=False))).any()


@pytest.mark.parametrize("volts", [0.0, 1.0, 2.5, 5.0, 10.0])
def test_the_intensity_modulator_follows_the_mach_zehnder_curve(volts: float) -> None:
    modulator = IntensityModulatorState(extinction_db=30.0, half_wave_v=5.0)
    expected = 1e-3 + (1.0 - 1e-3) * math.sin(math.pi / 2.0 * volts / 5.0) ** 2
    assert modulator_transmission(modulator, volts) == pytest.approx(expected, rel=1e-12)


def test_a_shifted_bias_spoils_the_intensities(table: MakeTable) -> None:
    state = table()
    shifted = replace(state, intensity_modulator=replace(state.intensity_modulator, bias_v=1.0))
    photons = mean_photons(shifted)
    assert photons[0] < 0.5
    assert photons[DARK_LEVEL] > 0.01


@pytest.mark.parametrize("model", ["timebin-bb84-80mhz", "polarization-bb84"])
def test_no_light_is_lost_or_made_between_the_outcomes(table: MakeTable, model: str) -> None:
    rates = rate_table(table(model), time_s=0.0)
    totals = rates.means.reshape(5, 8, -1).sum(axis=2)
    assert totals == pytest.approx(np.repeat(rates.photons[:, None], 8, axis=1) * 0.2)


def test_half_of_the_light_reaches_the_central_peak(table: MakeTable) -> None:
    rates = rate_table(table("timebin-bb84-80mhz"), time_s=0.0)
    weights = [rates.means[0, rates.offset_ps == offset].sum() for offset in (-2500, 0, 2500)]
    assert np.array(weights) / sum(weights) == pytest.approx([0.25, 0.5, 0.25])


@pytest.mark.parametrize("model", ["timebin-bb84-80mhz", "polarization-bb84"])
@pytest.mark.parametrize("sent", range(4))
def test_the_error_rate_is_half_of_the_missing_visibility(table: MakeTable, model: str, sent: int) -> None:
    state = table(model, link=LinkState(length_km=0.0, visibility=0.94))
    assert _qber(state, sent=sent, bob=sent >> 1) == pytest.approx(0.03)


@pytest.mark.parametrize("degrees", [1.0, 10.0, 45.0])
@pytest.mark.parametrize("sent", range(4))
def test_turning_the_polarization_gives_sine_squared_errors(table: MakeTable, degrees: float, sent: int) -> None:
    state = table(link=LinkState(length_km=0.0, visibility=1.0, rotation_deg=degrees))
    assert _qber(state, sent=sent) == pytest.approx(math.sin(math.radians(degrees)) ** 2)


def test_drifting_polarization_turns_with_time(table: MakeTable) -> None:
    state = table(link=LinkState(length_km=0.0, visibility=1.0, rotation_drift_deg_per_s=3.0))
    later = rate_table(state, time_s=5.0)
    same = rate_table(replace(state, link=LinkState(length_km=0.0, visibility=1.0, rotation_deg=15.0)), time_s=0.0)
    assert later.means == pytest.approx(same.means)


def test_birefringence_between_h_and_v_spoils_only_the_diagonal_basis(table: MakeTable) -> None:
    state = table(link=LinkState(length_km=0.0, visibility=1.0, retardance_deg=30.0))
    assert _qber(state, sent=0) == pytest.approx(0.0)
    assert _qber(state, sent=2) == pytest.approx(math.sin(math.radians(15.0)) ** 2)


def test_a_phase_bias_gives_sine_squared_errors_of_half_the_phase(table: MakeTable) -> None:
    state = table("timebin-bb84-80mhz")
    biased = replace(state, bob_phase=PhaseModulatorState(bias_v=0.5, drive_v=(0.0, 2.5)))
    assert _qber(biased, sent=0) == pytest.approx(math.sin(math.pi * 0.5 / 5.0 / 2.0) ** 2)


def test_a_wrong_half_wave_voltage_gives_errors(table: MakeTable) -> None:
    state = table("timebin-bb84-80mhz")
    wrong = replace(state, alice_phase=replace(state.alice_phase, half_wave_v=5.5))
    assert _qber(wrong, sent=1) == pytest.approx(math.sin(math.pi * (1 - 5.0 / 5.5) / 2.0) ** 2)


def test_a_detector_without_bias_sees_nothing(table: MakeTable) -> None:
    state = table()
    bob = state.receivers["bob"]
    off = replace(bob, detectors=(replace(bob.detectors[0], enabled=False), *bob.detectors[1:]))
    rates = rate_table(replace(state, receivers={"bob": off}), time_s=0.0)
    assert not rates.means[:, 0].any()
    assert rates.means[:, 1:].any()


def test_all_paddles_at_zero_change_nothing() -> None:
    assert controller((0.0, 0.0, 0.0)) == pytest.approx(np.eye(3), abs=1e-12)


@pytest.mark.parametrize("paddles", [(10.0, 20.0, 30.0), (-45.0, 0.0, 90.0)])
def test_paddles_turn_the_sphere_without_stretching_it(paddles: tuple[float, ...]) -> None:
    turn = controller(paddles)
    assert turn @ turn.T == pytest.approx(np.eye(3), abs=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1.0)


def test_a_half_wave_plate_at_22_5_degrees_turns_h_into_d() -> None:
    """Textbook case: linear polarization is mirrored at the fast axis."""
    assert retarder(22.5, 180.0) @ [1.0, 0.0, 0.0] == pytest.approx([0.0, 1.0, 0.0], abs=1e-12)


def test_a_rotation_by_45_degrees_turns_h_into_d() -> None:
    assert rotator(45.0) @ [1.0, 0.0, 0.0] == pytest.approx([0.0, 1.0, 0.0], abs=1e-12)
