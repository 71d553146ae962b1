import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from faintlink.core.calibration.records import Verdict
from faintlink.instruments.calibration.lab import Lab
from faintlink.instruments.calibration.light import Attenuation
from faintlink.instruments.calibration.photon_number import PhotonNumber
from faintlink.instruments.calibration.routine import execute, replay
from faintlink.instruments.station import LabStation
from tests.cold_bench import POLARIZATION, TIME_BIN, mock_lab

KNOWN = {
    # Bench: fibre and receiver optics in dB, efficiency, afterpulses.
    TIME_BIN: {"loss_db": 2.0 + 6.0, "efficiency": 0.25, "afterpulse": 0.01},
    POLARIZATION: {"loss_db": 10.0 + 4.0, "efficiency": 0.8},
}
DOUBT = {"efficiency_sigma": 0.0, "loss_sigma_db": 0.05}


@pytest.fixture(params=[TIME_BIN, POLARIZATION])
def bench(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[str, Lab, LabStation]]:
    with mock_lab(tmp_path, request.param, seed=5) as (lab, station):
        yield request.param, lab, station


def test_counts_alone_give_the_mean_photon_number(bench: tuple[str, Lab, LabStation]) -> None:
    name, lab, _ = bench
    lab.role("attenuator").attenuation(25.0)
    record = execute(PhotonNumber(), lab, options={**KNOWN[name], **DOUBT})
    assert record.is_passed, record.reason
    # At 20 dB the bench's brightest pulse has 0.5 photons.
    assert abs(lab.role("attenuator").attenuation() - 20.0) < 3.0 * record.decision.results["attenuation_sigma_db"]
    assert replay(PhotonNumber(), record).decision == record.decision


def test_counts_and_power_meter_agree(bench: tuple[str, Lab, LabStation]) -> None:
    name, lab, _ = bench
    by_counts = execute(PhotonNumber(), lab, options={**KNOWN[name], **DOUBT}).decision.results
    by_meter = execute(Attenuation(), lab).decision.results
    sigma = math.hypot(by_counts["attenuation_sigma_db"], by_meter["attenuation_sigma_db"])
    assert abs(by_counts["attenuation_db"] - by_meter["attenuation_db"]) < 3.0 * sigma


def test_the_uncertainty_of_efficiency_and_loss_is_propagated(bench: tuple[str, Lab, LabStation]) -> None:
    name, lab, _ = bench
    efficiency = KNOWN[name]["efficiency"]
    options = {**KNOWN[name], "efficiency_sigma": 0.04 * efficiency, "loss_sigma_db": 0.1}
    results = execute(PhotonNumber(), lab, options=options).decision.results
    known = math.hypot(0.04, 0.1 * math.log(10.0) / 10.0)
    counted = results["mu_sigma_counts"] / results["mu"]
    assert results["mu_sigma"] / results["mu"] == pytest.approx(math.hypot(known, counted), rel=1e-9)
    assert counted < 0.01


def test_an_efficiency_known_too_badly_fails_and_puts_the_attenuator_back(bench: tuple[str, Lab, LabStation]) -> None:
    name, lab, _ = bench
    lab.role("attenuator").attenuation(25.0)
    options = {**KNOWN[name], "efficiency_sigma": 0.3 * KNOWN[name]["efficiency"]}
    record = execute(PhotonNumber(), lab, options=options)
    assert record.verdict is Verdict.FAILED
    assert "relative error of the mean photon number" in record.reason
    assert lab.role("attenuator").attenuation() == 25.0


def test_without_an_efficiency_nothing_is_measured(bench: tuple[str, Lab, LabStation]) -> None:
    record = execute(PhotonNumber(), replace(bench[1]))
    assert record.verdict is Verdict.ERROR
    assert "needs the detectors' efficiency" in record.reason
    assert not record.scans
