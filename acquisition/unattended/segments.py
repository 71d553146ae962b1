"""The open table of an unattended link: takes a run, calibrates a routine, knows which record grows too old.

`LinkTable` works on the open station of a bring-up. It reaches instruments through their roles only.
"""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from faintlink.acquisition.bringup.conductor import Plan
from faintlink.acquisition.bringup.doctor.diagnoses import diagnose
from faintlink.acquisition.bringup.doctor.evidence import DiskSeen, Evidence
from faintlink.acquisition.bringup.doctor.examine import disk_of
from faintlink.acquisition.bringup.doctor.probe import probe
from faintlink.acquisition.bringup.standing import held_of, shelf_of, standings
from faintlink.acquisition.calibration.arrival import arrival_peak, fold_block
from faintlink.acquisition.calibration.bring_up import keeper, options_of, routine_named
from faintlink.acquisition.launch import new_run, plan_run
from faintlink.acquisition.preflight import Station
from faintlink.acquisition.report import RunStatus
from faintlink.acquisition.unattended.figures import figures_of
from faintlink.acquisition.unattended.tidying import put_away
from faintlink.core.calibration.records import CalibrationRecord
from faintlink.core.config.link import LinkConfig
from faintlink.core.errors import ClockLostError
from faintlink.core.runfile.folder import open_run
from faintlink.core.symbols import Party
from faintlink.core.tags import TagBlock, concatenate
from faintlink.core.units import PS_PER_S
from faintlink.instruments.calibration.lab import Lab
from faintlink.instruments.calibration.routine import execute

_log = logging.getLogger(__name__)
_FOLDED_PS = PS_PER_S // 2
"""Length of a run's start in which arrival times are looked at."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One run of a night."""

    figures: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Monitored figures with their standard deviations."""
    words: str = ""
    folder: str = ""
    is_interrupted: bool = False
    """Whether somebody ended it: then the night ends, too."""


class Table(Protocol):
    """What the supervisor works on."""

    def take(self) -> Segment:
        """Take a run and return its figures."""
        ...

    def recalibrate(self, routine: str) -> CalibrationRecord:
        """Calibrate a routine; its settings are in force when it passed, and nothing is changed when it did not."""
        ...

    def due(self, lead_s: float) -> str:
        """Return a routine whose record grows too old within a time, or an empty string."""
        ...

    def disk(self) -> DiskSeen:
        """Return how full the disk of the runs is."""
        ...

    def explain(self) -> str:
        """Return what the doctor finds first, or an empty string."""
        ...


class LinkTable:
    """A link whose station is open and that was brought up.

    Parameters
    ----------
    link_file
        The link file.
    plan
        Of its bring-up.
    station
        Open.
    folder
        Of calibration records.
    runs
        Folder in which a folder is made for each run.
    segment_s
        Length of a run; the link file's by default.
    alive
        Called often while work goes on.
    """

    def __init__(
        self,
        link_file: Path,
        plan: Plan,
        station: Station,
        *,
        folder: Path,
        runs: Path,
        segment_s: float | None = None,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self._link_file, self._plan, self._station = link_file, plan, station
        self._folder, self._runs, self._segment_s = folder, runs, segment_s
        self._alive = alive
        self._lab = Lab.of(plan.link, station)
        self._keep, _ = keeper(folder)
        self._held = shelf_of(folder, plan.link).held
        self._first_rate_hz: float | None = None
        self._tried: dict[str, datetime] = {}

    def take(self) -> Segment:
        """Take a run by the newest records.

        Raises
        ------
        FaintlinkError
            As `Run.execute`.
        """
        # The supervisor watches the records' ages itself, by the shorter ones of the bring-up.
        plan = plan_run(self._link_file, calibration=self._folder, max_age_s=float("inf"))
        out = self._runs / f"{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}-{plan.link.name}"
        with new_run(plan, self._station, out) as run:
            report = run.execute(self._segment_s, self._progress)
        rate_hz = report.tags / max(report.duration_s, 1e-9)
        figures = figures_of(report.live, first_rate_hz=self._first_rate_hz, rate_hz=rate_hz)
        self._first_rate_hz = self._first_rate_hz or rate_hz
        figures |= gate_offset(self._lab, plan.link, out)
        return Segment(figures, repr(report), str(out), report.interrupted)

    def _progress(self, status: RunStatus) -> None:
        del status
        self._alive()

    def recalibrate(self, routine: str) -> CalibrationRecord:
        """Calibrate a routine and keep its record."""
        self._tried[routine] = datetime.now(UTC)
        step = next(step for step in self._plan.steps if step.routine == routine)
        record = execute(
            routine_named(routine),
            self._lab,
            options=options_of(routine, self._plan.options),
            timeout_s=step.timeout_s,
            clock=self._clock,
        )
        self._keep(record)
        if record.is_passed:
            self._held[routine] = held_of(record)
        put_away(self._folder, self._plan.link)
        return record

    def _clock(self) -> float:
        # A routine reads the clock at every count: that it does so shows that it works.
        self._alive()
        return time.monotonic()

    def due(self, lead_s: float) -> str:
        """Return a routine whose record grows too old, and that was not tried in vain lately."""
        now = datetime.now(UTC)
        for one in standings(self._plan.steps, self._held, now=now):
            tried = self._tried.get(one.step.routine)
            rests = tried is not None and (now - tried).total_seconds() < 0.1 * one.step.max_age_s
            if one.left_s is not None and one.left_s < lead_s and not rests:
                return one.step.routine
        return ""

    def disk(self) -> DiskSeen:
        """Return how full the disk of the runs is."""
        return disk_of(self._runs)

    def explain(self) -> str:
        """Probe the table, and return what the doctor finds first."""
        passed = shelf_of(self._folder, self._plan.link).passed
        findings = diagnose(Evidence(self._plan.link, passed=passed, probe=probe(self._lab, passed)))
        return findings[0].what if findings else ""


def gate_offset(lab: Lab, link: LinkConfig, run: Path) -> dict[str, tuple[float, float]]:
    """Return how far the worst detector's pulses arrive from the gate's middle, from the start of a run.

    Parameters
    ----------
    lab
        Says which detector stands behind each channel.
    link
        As the run went by it: its gate is that of the calibration.
    run
        Run folder.
    """
    source = link.source
    if source is None:
        return {}
    try:
        scan = fold_block(lab, source, _start_of(open_run([run])[Party.BOB].tags()))
    except ClockLostError as error:
        _log.info("no arrival times of %s: %s", run, error.message)
        return {}
    apart = [b - a for (a, _), (b, _) in zip(source.peaks_ps, source.peaks_ps[1:], strict=False)]
    options = {"peaks_apart_ps": float(min(apart, default=source.period_ps)), "period_ps": source.period_ps}
    fits = [arrival_peak(scan, number, options) for number in sorted(set(lab.detectors.values()))]
    worst = max(fits, key=lambda fit: abs(fit["centre_ps"] - link.gate.center_ps))
    return {"gate_offset_ps": (abs(worst["centre_ps"] - link.gate.center_ps), worst.sigma("centre_ps"))}


def _start_of(blocks: Iterable[TagBlock]) -> TagBlock:
    parts: list[TagBlock] = []
    for block in blocks:
        parts.append(block)
        if len(parts[0]) and len(block) and int(block.times_ps[-1] - parts[0].times_ps[0]) > _FOLDED_PS:
            break
    return concatenate(parts) if parts else TagBlock.empty()
