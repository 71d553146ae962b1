"""An open, aligned mock bench with the records of its calibration, and faults to turn on: for tests of the doctor."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from faintlink.acquisition.bringup.doctor.diagnoses import diagnose
from faintlink.acquisition.bringup.doctor.evidence import Evidence, Probe
from faintlink.acquisition.bringup.doctor.finding import Finding
from faintlink.acquisition.bringup.doctor.probe import probe
from faintlink.acquisition.bringup.standing import held_of, standings
from faintlink.acquisition.bringup.states import steps_of
from faintlink.acquisition.calibration.bring_up import ROUTINES
from faintlink.core.calibration.records import CalibrationRecord
from faintlink.instruments.calibration.lab import Lab
from faintlink.instruments.calibration.routine import execute
from faintlink.instruments.station import LabStation
from tests.cold_bench import mock_lab

COMPARED = ("dark_counts", "intensity_bias", "attenuation", "qber")
"""Routines with whose records the doctor compares."""


@dataclass(frozen=True, slots=True)
class Table:
    """An open, aligned bench with the records of its calibration."""

    lab: Lab
    station: LabStation
    records: dict[str, CalibrationRecord]

    def examined(self) -> list[Finding]:
        return diagnose(self.evidence(seen=probe(self.lab, self.records)))

    def evidence(self, *, seen: Probe | None = None, age_h: float = 0.0, **parts: Any) -> Evidence:
        held = {name: held_of(record) for name, record in self.records.items()}
        now = datetime.now(UTC) + timedelta(hours=age_h)
        stand = standings(steps_of(COMPARED), held, now=now)
        return Evidence(self.lab.link, stand, self.records, self.records, probe=seen, **parts)

    @contextmanager
    def fault(self, knob: str, value: Any) -> Iterator[None]:
        """Turn a knob that no operator turned, and turn it back."""
        instrument, _, name = knob.rpartition(".")
        parameter = self.station.component(instrument).parameters[name]
        before = parameter()
        parameter(value)
        try:
            yield
        finally:
            parameter(before)


def opened(folder: Path, name: str, *, seed: int = 101) -> Iterator[Table]:
    """Yield an open table of a mock link."""
    with mock_lab(folder, name, seed=seed) as (lab, station):
        records = {routine: execute(ROUTINES[routine], lab) for routine in COMPARED}
        assert {routine: record.reason for routine, record in records.items() if not record.is_passed} == {}
        yield Table(lab, station, records)
