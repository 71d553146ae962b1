"""Simulated nights on the mock bench whose interferometers drift: with the supervisor no alarm, without it one."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from faintlink.acquisition.bringup.doctor.evidence import DiskSeen
from faintlink.acquisition.calibration.bring_up import ROUTINES, routines_of
from faintlink.acquisition.calibration.sifting import count_errors, error_rate
from faintlink.acquisition.unattended.figures import watched_of
from faintlink.acquisition.unattended.planner import Planner
from faintlink.acquisition.unattended.segments import Segment
from faintlink.acquisition.unattended.supervisor import Supervisor
from faintlink.core.calibration.records import CalibrationRecord
from faintlink.core.errors import HardwareError
from faintlink.core.service_manager import Notifier
from faintlink.instruments.calibration.lab import Lab
from faintlink.instruments.calibration.routine import execute
from faintlink.instruments.calibration.session import Session
from faintlink.instruments.station import LabStation
from tests.cold_bench import TIME_BIN, mock_lab

HOURS = 8.0
RUNS = 24
BETWEEN_S = 0.5
"""Bench time that passes between two runs."""
QUICK = {"points": 25, "duration_s": 0.01, "confirm_s": 0.1}
PLENTY = DiskSeen(Path("/"), 10**12, 10**12)


class BenchTable:
    """A mock bench as the supervisor sees it; its clock runs so fast that the bench's seconds make a night."""

    def __init__(self, lab: Lab, station: LabStation, *, sifts: bool = False) -> None:
        self.lab, self.bench, self.sifts = lab, station.component("bench"), sifts
        self.room = PLENTY
        self._start_s = self.bench_s()

    def bench_s(self) -> float:
        return float(self.bench.bench_time())

    def clock(self) -> float:
        return (self.bench_s() - self._start_s) * HOURS * 3600.0 / (RUNS * 0.85)

    def take(self) -> Segment:
        self.bench.advance(BETWEEN_S)
        return Segment(self.sifted(0.35) if self.sifts else self._contrasts(), "a run")

    def _contrasts(self) -> dict[str, tuple[float, float]]:
        """Return the error rate that visibility and phase make: (1 - V cos(phase)) / 2, without sifting for it."""
        results = execute(ROUTINES["visibility"], self.lab, options={"samples": 4}).decision.results
        rate = 0.5 * (1.0 - results["visibility"] * np.cos(results["phase_rad"]))
        return {"qber_key": (float(rate), max(0.5 * results["visibility_sigma"], 1e-4))}

    def sifted(self, duration_s: float) -> dict[str, tuple[float, float]]:
        session = Session(self.lab, {"settle_s": 0.0}, timeout_s=60.0)
        key, test = count_errors(session, duration_s)
        return {"qber_key": error_rate(key.bits, key.errors), "qber_test": error_rate(test.bits, test.errors)}

    def recalibrate(self, routine: str) -> CalibrationRecord:
        return execute(ROUTINES[routine], self.lab, options=QUICK)

    def due(self, lead_s: float) -> str:
        del lead_s
        return ""

    def disk(self) -> DiskSeen:
        return self.room

    def explain(self) -> str:
        return "the doctor's word"


@contextmanager
def drifting(folder: Path, seed: int, *, sifts: bool = False) -> Iterator[tuple[BenchTable, Planner]]:
    rate = float(np.random.default_rng(seed).uniform(0.05, 0.09)) * (-1.0) ** seed
    with mock_lab(folder, TIME_BIN, seed=seed) as (lab, station):
        station.component("fibre").interferometer_drift(rate)
        table = BenchTable(lab, station, sifts=sifts)
        table.recalibrate("sender_phase")
        lead_s = 4.0 * HOURS * 3600.0 / RUNS
        yield table, Planner(watched_of(lab.link, routines_of(lab, {})), lead_s=lead_s)


def supervised(table: BenchTable, planner: Planner, note: Any = lambda entry: None) -> Supervisor:
    return Supervisor(table.lab.link, table, planner, lead_s=0.0, notifier=Notifier({}), note=note, clock=table.clock)


def night(folder: Path, seed: int, *, runs: int = RUNS, sifts: bool = False) -> tuple[Supervisor, list[str]]:
    """Return the supervisor after its night, and the alarms of the same night without it."""
    with drifting(folder, seed, sifts=sifts) as (table, planner):
        watcher = supervised(table, planner)
        assert watcher.run(runs).kind == "done"
    alone: list[str] = []
    with drifting(folder, seed, sifts=sifts) as (table, planner):
        for _ in range(runs):
            alone += planner.take(table.clock(), table.take().figures).alarms
            if alone:
                break
    return watcher, alone


def test_a_drift_is_cured_before_the_alarm_that_comes_without_the_supervisor(tmp_path: Path) -> None:
    watcher, alone = night(tmp_path, seed=2, runs=16)
    assert watcher.alarms == []
    assert watcher.recalibrated
    assert set(watcher.recalibrated) == {"sender_phase"}
    assert alone


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(1, 9))
def test_eight_of_eight_nights_of_sifted_runs_pass_without_an_alarm(tmp_path: Path, seed: int) -> None:
    watcher, alone = night(tmp_path, seed, sifts=True)
    assert watcher.alarms == []
    assert set(watcher.recalibrated) == {"sender_phase"}
    assert alone


def test_a_night_ends_by_itself_when_the_disk_is_nearly_full(tmp_path: Path) -> None:
    entries: list[Mapping[str, Any]] = []
    with mock_lab(tmp_path, TIME_BIN) as (lab, station):
        table = BenchTable(lab, station)
        watcher = supervised(table, Planner([], lead_s=1.0), entries.append)
        assert watcher.run(1).kind == "done"
        table.room = DiskSeen(tmp_path, 10**9, 10**12)
        ending = watcher.run(5)
    assert (ending.kind, ending.runs) == ("disk", 1)
    assert "1.00 GB free" in ending.reason
    assert entries[-1] == {"event": "end", "kind": "disk", "reason": ending.reason}


def test_what_no_routine_cures_ends_the_night_with_the_doctors_word(tmp_path: Path) -> None:
    with mock_lab(tmp_path, TIME_BIN) as (lab, station):
        station.component("bench").visibility(0.7)
        table = BenchTable(lab, station)
        watcher = supervised(table, Planner(watched_of(lab.link, ["sender_phase"]), lead_s=1.0))
        with pytest.raises(HardwareError, match="sender_phase did not cure it") as caught:
            watcher.run(6)
    assert watcher.recalibrated == ["sender_phase"]
    assert watcher.alarms
    assert caught.value.hint == "the doctor's word"
