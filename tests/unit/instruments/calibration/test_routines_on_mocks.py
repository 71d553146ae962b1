import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from faintlink.core.calibration.records import Verdict
from faintlink.instruments.calibration.detectors import DetectorGaps, EfficiencyRatio
from faintlink.instruments.calibration.intensity import IntensityBias
from faintlink.instruments.calibration.lab import Lab
from faintlink.instruments.calibration.light import Attenuation, DarkCounts, LaserSetup
from faintlink.instruments.calibration.phase import PolarizationDrive, ReceiverPhase, SenderPhase
from faintlink.instruments.calibration.polarization import PolarizationAlignment
from faintlink.instruments.calibration.routine import Routine, execute, replay
from faintlink.instruments.calibration.visibility import VisibilityTracking
from faintlink.instruments.station import LabStation
from tests.cold_bench import POLARIZATION, TIME_BIN, mock_lab

Bench = tuple[Lab, LabStation]


@pytest.fixture
def time_bin(tmp_path: Path) -> Iterator[Bench]:
    with mock_lab(tmp_path, TIME_BIN, seed=5) as bench:
        yield bench


@pytest.fixture
def polarization(tmp_path: Path) -> Iterator[Bench]:
    with mock_lab(tmp_path, POLARIZATION, seed=5) as bench:
        yield bench


def test_dark_counts_are_those_of_the_detectors(time_bin: Bench) -> None:
    lab, _ = time_bin
    record = execute(DarkCounts(), lab, options={"duration_s": 2.0})
    total = sum(record.decision.results.values())
    # Two detectors of 500 Hz and 1 % afterpulses: 2020 counts in 2 s, four sigmas.
    assert total == pytest.approx(1010, abs=4 * math.sqrt(2020) / 2)
    assert record.is_passed
    assert lab.role("laser").enabled() is True


def test_a_noisy_detector_fails_the_dark_count_and_is_named(time_bin: Bench) -> None:
    lab, station = time_bin
    station.component("bob_detector_1").dark_count_rate(60_000.0)
    record = execute(DarkCounts(), lab)
    assert record.verdict is Verdict.FAILED
    assert "dark count rate of z1" in record.reason
    assert "z0" not in record.reason


def test_the_laser_is_turned_on_and_seen_although_the_modulator_stands_at_its_null(time_bin: Bench) -> None:
    lab, _ = time_bin
    lab.role("laser").enabled(False)
    assert execute(LaserSetup(), lab).is_passed
    assert lab.role("laser").enabled() is True


def test_a_laser_without_light_fails_and_is_left_off(time_bin: Bench) -> None:
    lab, _ = time_bin
    lab.role("laser").enabled(False)
    lab.role("laser").power(0.0)
    record = execute(LaserSetup(), lab)
    assert record.verdict is Verdict.FAILED
    assert "counts by light" in record.reason
    assert lab.role("laser").enabled() is False


def test_a_wavelength_off_the_channel_fails(time_bin: Bench) -> None:
    record = execute(LaserSetup(), time_bin[0], options={"wavelength_nm": 1550.92})
    assert "wavelength error in nm: 0.8" in record.reason


@pytest.mark.parametrize(("null_v", "half_wave_v"), [(7.3, 5.8), (-3.1, 4.4)])
def test_the_intensity_modulator_is_biased_at_its_true_null(time_bin: Bench, null_v: float, half_wave_v: float) -> None:
    lab, station = time_bin
    station.component("alice_im").null_voltage(null_v)
    station.component("alice_im").half_wave_voltage(half_wave_v)
    record = execute(IntensityBias(), lab)
    assert record.is_passed, record.reason
    fit = record.decision.fits[0]
    assert abs(fit["half_wave_v"] - half_wave_v) < 5.0 * fit.sigma("half_wave_v")
    bias = lab.role("intensity_modulator").bias_voltage()
    # The null repeats every two half-wave voltages; 0.05 V leaks 3e-4.
    assert abs(math.remainder(bias - null_v, 2.0 * half_wave_v)) < 0.05
    assert abs(bias) <= half_wave_v
    signal, decoy = lab.role("intensity_modulator").drive_levels()
    assert math.sin(math.pi * decoy / 2 / half_wave_v) ** 2 == pytest.approx(0.3, abs=0.01)
    assert signal == pytest.approx(half_wave_v, rel=0.02)


def test_a_modulator_that_hardly_extinguishes_fails_and_keeps_its_bias(time_bin: Bench) -> None:
    lab, station = time_bin
    station.component("alice_im").extinction_ratio(9.0)
    lab.role("intensity_modulator").bias_voltage(1.25)
    record = execute(IntensityBias(), lab)
    assert record.verdict is Verdict.FAILED
    assert "leak of undriven pulses" in record.reason
    assert lab.role("intensity_modulator").bias_voltage() == 1.25


def test_the_attenuator_is_set_to_the_target_mean_photon_number(time_bin: Bench) -> None:
    lab, station = time_bin
    lab.role("attenuator").attenuation(27.0)
    record = execute(Attenuation(), lab)
    assert record.is_passed, record.reason
    # At 20 dB the bench's brightest pulse has 0.5 photons; 0.04 dB is one per cent.
    assert lab.role("attenuator").attenuation() == pytest.approx(20.0, abs=0.05)
    assert record.decision.results["attenuation_sigma_db"] < 0.05
    assert station.component("bob_detector_0").enabled() is True


def test_a_meter_that_sees_nothing_ends_the_calibration(time_bin: Bench) -> None:
    lab, _ = time_bin
    lab.role("laser").enabled(False)
    lab.role("attenuator").attenuation(27.0)
    record = execute(Attenuation(), lab)
    assert record.verdict is Verdict.ERROR
    assert "power meter sees light in" in record.reason
    assert lab.role("attenuator").attenuation() == 27.0


def test_both_phase_modulators_are_set_by_their_fringes(time_bin: Bench) -> None:
    lab, station = time_bin
    station.component("alice_pm").half_wave_voltage(6.1)
    station.component("bob_pm").half_wave_voltage(4.2)
    station.component("fibre").interferometer_phase(2.0)
    receiver, sender = execute(ReceiverPhase(), lab), execute(SenderPhase(), lab)
    assert receiver.is_passed, receiver.reason
    assert sender.is_passed, sender.reason
    for record, truth in ((receiver, 4.2), (sender, 6.1)):
        fit = record.decision.fits[0]
        assert abs(fit["half_wave_v"] - truth) < 5.0 * fit.sigma("half_wave_v")
    phase = 2.0 + math.pi * lab.role("phase_modulator").bias_voltage() / 6.1
    assert abs(math.remainder(phase, 2.0 * math.pi)) < 0.05


def test_a_receiver_whose_bases_are_not_a_quarter_apart_fails_the_sender(time_bin: Bench) -> None:
    lab, _ = time_bin
    lab.role("phase_modulator_2").drive_levels([0.0, 3.4])
    record = execute(SenderPhase(), lab)
    assert record.verdict is Verdict.FAILED
    assert "distance of the receiver's bases from pi/2" in record.reason


def test_a_link_without_interference_fails_by_its_fringe(time_bin: Bench) -> None:
    lab, station = time_bin
    station.component("bench").visibility(0.0)
    record = execute(SenderPhase(), lab)
    assert record.verdict is Verdict.FAILED
    assert lab.role("phase_modulator").drive_levels() == (0.0, 5.0, 2.5, 7.5)


def test_the_polarization_modulator_is_measured_through_a_rotated_fibre(polarization: Bench) -> None:
    lab, station = polarization
    station.component("alice_pol_mod").half_wave_voltage(4.3)
    station.component("fibre").polarization_rotation(61.0)
    station.component("fibre").retardance(80.0)
    record = execute(PolarizationDrive(), lab)
    assert record.is_passed, record.reason
    fit = record.decision.fits[0]
    assert abs(fit["half_wave_v"] - 4.3) < 5.0 * fit.sigma("half_wave_v")
    assert fit.sigma("half_wave_v") < 0.02


def test_the_paddles_undo_the_fibre(polarization: Bench) -> None:
    lab, station = polarization
    station.component("fibre").polarization_rotation(61.0)
    station.component("fibre").retardance(80.0)
    record = execute(PolarizationAlignment(), lab)
    assert record.is_passed, record.reason
    # The bench's contrast of 0.99 leaves 0.5 % of errors.
    assert record.decision.results["qber_z"] < 0.01
    assert record.decision.results["qber_x"] < 0.012
    assert replay(PolarizationAlignment(), record).decision == record.decision


def test_an_efficiency_mismatch_is_measured_with_its_error(time_bin: Bench) -> None:
    lab, station = time_bin
    station.component("bob_detector_0").efficiency(0.25)
    station.component("bob_detector_1").efficiency(0.20)
    record = execute(EfficiencyRatio(), lab)
    results = record.decision.results
    assert abs(results["ratio_z"] - 1.25) < 5.0 * results["ratio_z_sigma"]
    assert results["ratio_z_sigma"] < 0.02
    assert record.verdict is Verdict.FAILED


def test_dead_time_and_afterpulses_are_found_in_the_gaps(time_bin: Bench) -> None:
    lab, station = time_bin
    station.component("bob_detector_0").afterpulse_probability(0.05)
    record = execute(DetectorGaps(), lab, options={"rate_hz": 10_000.0, "duration_s": 4.0})
    results = record.decision.results
    for number, chance in ((0, 0.05), (1, 0.01)):
        name = f"detector_{number}"
        assert abs(results[f"{name}_afterpulse"] - chance) < 5.0 * results[f"{name}_afterpulse_sigma"]
        assert results[f"{name}_afterpulse_sigma"] < 0.01
        # Jitter of 60 ps on either side of a gap.
        low = results[f"{name}_dead_ps"] - results[f"{name}_dead_uncertainty_ps"]
        assert low - 400.0 < 100_000 < results[f"{name}_dead_ps"] + 400.0


def test_a_dead_time_longer_than_the_link_allows_fails(time_bin: Bench) -> None:
    lab, station = time_bin
    station.component("bob_detector_0").dead_time(250e-9)
    record = execute(DetectorGaps(), lab)
    assert "least dead time of detector_0" in record.reason


def test_visibility_is_that_of_the_bench(time_bin: Bench) -> None:
    lab, _ = time_bin
    record = execute(VisibilityTracking(), lab)
    results = record.decision.results
    assert record.is_passed, record.reason
    # Dead-time corrections and afterpulses cost some tenths of a per cent.
    assert results["visibility"] == pytest.approx(0.98, abs=4.0 * results["visibility_sigma"] + 0.005)


def test_a_drifting_interferometer_shows_in_the_allan_deviation(time_bin: Bench) -> None:
    lab, station = time_bin
    quiet = execute(VisibilityTracking(), lab)
    station.component("fibre").interferometer_drift(2.0)
    record = execute(VisibilityTracking(), lab)
    assert record.verdict is Verdict.FAILED
    last = max(name for name in record.decision.results if name.startswith("allan"))
    assert record.decision.results[last] > 5.0 * quiet.decision.results[last]


@pytest.mark.parametrize("routine", [IntensityBias(), SenderPhase(), EfficiencyRatio(), DetectorGaps()])
def test_every_decision_depends_on_its_scans_alone(time_bin: Bench, routine: Routine) -> None:
    record = execute(routine, time_bin[0])
    assert replay(routine, record).decision == record.decision
    assert record.verdict is not Verdict.ERROR
