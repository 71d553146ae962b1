"""Simulated nights on the mock bench whose fibre turns the polarization at random: an alarm only without supervisor.

Eight hours of bench time pass; of each run of ten minutes the last tenth of a second is
played and sifted, the rest lapses. Moves of the paddles take half a second each.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from faintlink.acquisition.calibration.bring_up import ROUTINES, routines_of
from faintlink.acquisition.unattended.figures import watched_of
from faintlink.acquisition.unattended.planner import Planner
from faintlink.acquisition.unattended.segments import Segment
from faintlink.acquisition.unattended.supervisor import Supervisor
from faintlink.core.calibration.records import CalibrationRecord
from faintlink.core.service_manager import Notifier
from faintlink.instruments.calibration.lab import Lab
from faintlink.instruments.calibration.routine import execute
from faintlink.instruments.station import LabStation
from tests.cold_bench import POLARIZATION, mock_lab
from tests.unit.acquisition.unattended.test_night import BenchTable

_log = logging.getLogger(__name__)

RUN_S = 600.0
RUNS = 48
MOVE_S = 0.5
PLAYED_S = 0.08
NIGHTS = range(1, 9)
QUICK = {"duration_s": 0.001, "fine_s": 0.01, "confirm_s": 0.04, "steps": 2, "simplex_points": 4}


class DarkTable(BenchTable):
    """A polarization bench as the supervisor sees it, on the bench's own time."""

    def __init__(self, lab: Lab, station: LabStation) -> None:
        super().__init__(lab, station, sifts=True)
        self.options: dict[str, float] = {}
        self.lost_s = 0.0
        """Bench time that went into calibrations."""

    def clock(self) -> float:
        return self.bench_s()

    def take(self) -> Segment:
        self.bench.lapse(RUN_S - PLAYED_S)
        return Segment(self.sifted(PLAYED_S), "a run")

    def recalibrate(self, routine: str) -> CalibrationRecord:
        before_s = self.bench_s()
        record = execute(ROUTINES[routine], self.lab, options=self.options)
        self.lost_s += self.bench_s() - before_s
        return record


@contextmanager
def wandering(
    folder: Path, seed: int, rate_rad2_per_h: float, options: Mapping[str, float] | None = None
) -> Iterator[tuple[DarkTable, Planner]]:
    """Open a bench whose fibre wanders from bench time zero on, when it turns nothing."""
    with mock_lab(folder, POLARIZATION, seed=seed) as (lab, station):
        station.component("fibre").polarization_drift(0.0)
        station.component("fibre").polarization_walk(rate_rad2_per_h)
        station.component("bob_pol_ctrl").move_time(MOVE_S)
        table = DarkTable(lab, station)
        assert options or table.recalibrate("polarization").is_passed
        table.options, table.lost_s = dict(options or {}), 0.0
        if options:
            # Fewer tags to simulate.
            station.component("fibre").length(72.0)
        yield table, Planner(watched_of(lab.link, routines_of(lab, {})), lead_s=2.0 * RUN_S + 60.0)


def supervised(
    folder: Path, seed: int, rate: float, *, runs: int, options: Mapping[str, float] | None = None
) -> tuple[Supervisor, float]:
    """Return the supervisor after its night, and the share of the night that calibrations took."""
    with wandering(folder, seed, rate, options) as (table, planner):
        watcher = Supervisor(
            table.lab.link, table, planner, lead_s=0.0, notifier=Notifier({}), note=lambda entry: None,
            clock=table.clock,
        )  # fmt: skip
        assert watcher.run(runs).kind == "done"
        return watcher, table.lost_s / (table.lost_s + runs * RUN_S)


def alone(
    folder: Path, seed: int, rate: float, *, runs: int, first: int = 0, options: Mapping[str, float] | None = None
) -> int | None:
    """Return the run of the first alarm of the same night without a supervisor, none played before ``first``."""
    with wandering(folder, seed, rate, options) as (table, planner):
        table.bench.lapse(first * RUN_S)
        for run in range(first, runs):
            if planner.take(table.clock(), table.take().figures).alarms:
                return run
    return None


@pytest.mark.timeout(300)
def test_a_wandering_polarization_is_cured_before_the_alarm_that_comes_without_the_supervisor(tmp_path: Path) -> None:
    watcher, lost = supervised(tmp_path, seed=39, rate=0.2, runs=10, options=QUICK)
    assert watcher.alarms == []
    assert set(watcher.recalibrated) == {"polarization"}
    assert 0.0 < lost < 0.1
    assert alone(tmp_path, seed=39, rate=0.2, runs=10, first=8, options=QUICK) is not None


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", NIGHTS)
def test_eight_of_eight_nights_pass_without_an_alarm_and_none_does_alone(tmp_path: Path, seed: int) -> None:
    watcher, lost = supervised(tmp_path, seed, 0.1, runs=RUNS)
    first = alone(tmp_path, seed, 0.1, runs=RUNS)
    figures = f"{len(watcher.recalibrated)} calibrations, {100 * lost:.2f} % of the time lost, alone until run {first}"
    _log.info("night %d: %s", seed, figures)
    assert watcher.alarms == [], figures
    assert set(watcher.recalibrated) == {"polarization"}, figures
    assert lost < 0.05, figures
    assert first is not None, figures
