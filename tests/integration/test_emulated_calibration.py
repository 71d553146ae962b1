"""A calibration over drivers and emulated instruments, on their real transports, agrees with that over the mocks."""

import math
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from faintlink.core.calibration.records import CalibrationRecord
from faintlink.drivers.attenuators.keysight_n776x import KeysightN776x
from faintlink.drivers.meters.thorlabs_pm100d import ThorlabsPM100D
from faintlink.instruments.calibration.lab import Lab
from faintlink.instruments.calibration.light import Attenuation
from faintlink.instruments.calibration.routine import execute, replay
from faintlink.instruments.emulators.keysight_n776x import EmulatedN7764A
from faintlink.instruments.emulators.kit.servers import TcpServer
from faintlink.instruments.emulators.thorlabs_pm100d import EmulatedPM100D
from tests.cold_bench import TIME_BIN, mock_lab

START_DB = 27.0


@pytest.fixture
def labs(tmp_path: Path) -> Iterator[tuple[Lab, Lab]]:
    """The mock link, and the same with attenuator and power meter behind drivers and TCP."""
    with mock_lab(tmp_path, TIME_BIN, seed=5) as (lab, _), ExitStack() as stack:
        attenuator, meter = lab.role("attenuator"), lab.role("power_meter")
        attenuator.attenuation(START_DB)
        voa = stack.enter_context(TcpServer(EmulatedN7764A([attenuator.attenuation])))
        power = stack.enter_context(TcpServer(EmulatedPM100D(meter.power)))
        driver = KeysightN776x("voa", voa.visa_address)
        stack.callback(driver.close)
        reader = ThorlabsPM100D("meter", power.visa_address)
        stack.callback(reader.close)
        reader.wavelength(meter.wavelength())
        channel = driver.submodules["ch1"]
        roles = {**lab.roles, "attenuator": channel, "power_meter": reader}
        names = {**lab.names, "attenuator": "voa.ch1", "power_meter": "meter"}
        yield lab, replace(lab, roles=roles, names=names)


def _sigma_db(*records: CalibrationRecord) -> float:
    return math.hypot(*(record.decision.results["attenuation_sigma_db"] for record in records))


def test_the_attenuator_curve_over_emulated_instruments_gives_the_mean_photon_number_of_the_mocks(
    labs: tuple[Lab, Lab],
) -> None:
    mocks, emulated = labs
    by_mocks = execute(Attenuation(), mocks)
    mocks.role("attenuator").attenuation(START_DB)
    by_drivers = execute(Attenuation(), emulated)
    assert by_mocks.is_passed, by_mocks.reason
    assert by_drivers.is_passed, by_drivers.reason
    off_db = by_drivers.decision.results["attenuation_db"] - by_mocks.decision.results["attenuation_db"]
    assert abs(off_db) < 3.0 * _sigma_db(by_mocks, by_drivers)
    # What the routine set over the wire stands on the bench; the driver writes four decimals.
    assert mocks.role("attenuator").attenuation() == pytest.approx(
        by_drivers.decision.results["attenuation_db"], abs=1e-3
    )
    assert by_drivers.settings["voa.ch1.attenuation"] == by_drivers.decision.results["attenuation_db"]
    assert replay(Attenuation(), by_drivers).decision == by_drivers.decision


def test_a_failure_over_the_wire_puts_the_emulated_attenuator_back(labs: tuple[Lab, Lab]) -> None:
    mocks, emulated = labs
    mocks.role("laser").enabled(False)
    record = execute(Attenuation(), emulated)
    assert not record.is_passed
    assert mocks.role("attenuator").attenuation() == pytest.approx(START_DB, abs=1e-3)
