"""Take run after run on an open table, and calibrate in between what would become an alarm.

The loop itself: it knows neither instruments nor files, and its clock is given to it, so that a simulated night passes
in seconds. `service` puts it together with a link.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from faintlink.acquisition.bringup.doctor.housekeeping import needed_bytes
from faintlink.acquisition.unattended.planner import Advice, Planner
from faintlink.acquisition.unattended.segments import Segment, Table
from faintlink.core.config.link import LinkConfig
from faintlink.core.errors import HardwareError
from faintlink.core.service_manager import Notifier

_log = logging.getLogger(__name__)

Note = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a night ended."""

    kind: Literal["done", "stopped", "disk"]
    """As many runs as were wanted; by the operator; or because the disk is nearly full."""
    reason: str
    runs: int


class Supervisor:
    """One night on one table.

    Parameters
    ----------
    link
        Its configuration.
    table
        Open, and brought up.
    planner
        Follows the figures.
    lead_s
        How long before a record grows too old it is taken anew.
    notifier
        Tells the service manager.
    note
        Writes an entry of the night's log.
    succeeded
        Called after each run without trouble.
    clock
        Seconds that pass, replaceable in tests.
    """

    def __init__(
        self,
        link: LinkConfig,
        table: Table,
        planner: Planner,
        *,
        lead_s: float,
        notifier: Notifier,
        note: Note,
        succeeded: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._link, self._table, self._planner, self._lead_s = link, table, planner, lead_s
        self._notifier, self._note, self._succeeded, self._clock = notifier, note, succeeded, clock
        self.runs = 0
        """Taken so far."""
        self.alarms: list[str] = []
        """Figures that were beyond their alarm line, in words."""
        self.recalibrated: list[str] = []
        """Routines that were calibrated, in order."""

    def run(self, count: int | None = None) -> Ending:
        """Take runs until somebody ends it, the disk is nearly full, or so many were taken.

        Raises
        ------
        HardwareError
            A figure is bad and no routine cures it.
        FaintlinkError
            A run or a calibration broke.
        """
        while count is None or self.runs < count:
            low = self._low_disk()
            if low:
                return self._end("disk", low)
            segment = self._table.take()
            self.runs += 1
            self._notifier.alive()
            if segment.is_interrupted:
                return self._end("stopped", "the operator ended it")
            advice = self._planner.take(self._clock(), segment.figures)
            self._tell(segment, advice)
            self._succeeded()
            if advice.stuck:
                raise HardwareError("; ".join(advice.stuck), hint=self._table.explain() or "run `faintlink doctor`")
            self._mend(advice)
        return self._end("done", f"{self.runs} runs were taken")

    def _low_disk(self) -> str:
        disk = self._table.disk()
        needed = needed_bytes(self._link, disk)
        if disk.free_bytes >= needed:
            return ""
        return f"{disk.folder} has {disk.free_bytes / 1e9:.2f} GB free, a run is begun with {needed / 1e9:.2f} GB"

    def _tell(self, segment: Segment, advice: Advice) -> None:
        self.alarms += advice.alarms
        for alarm in advice.alarms:
            _log.warning("alarm: %s", alarm)
        figures = {name: {"value": value, "sigma": sigma} for name, (value, sigma) in segment.figures.items()}
        forecast = self._planner.forecast()
        entry = {"event": "run", "folder": segment.folder, "figures": figures, "alarm_in_s": forecast}
        self._note({**entry, "alarms": list(advice.alarms), "recalibrate": advice.recalibrate, "why": advice.why})
        self._notifier.status(f"run {self.runs}: {segment.words}")
        _log.info("run %d: %s", self.runs, segment.words)

    def _mend(self, advice: Advice) -> None:
        routine, why = advice.recalibrate, advice.why
        if not routine:
            routine = self._table.due(self._lead_s)
            why = "its record grows too old" if routine else ""
        if not routine:
            return
        self._notifier.status(f"calibrating {routine}: {why}")
        record = self._table.recalibrate(routine)
        self.recalibrated.append(routine)
        if record.is_passed:
            self._planner.calibrated(routine, time_s=self._clock())
        else:
            self._planner.missed(routine)
            _log.warning("calibration %s did not pass: %s", routine, record.reason)
        self._note({"event": "calibration", "routine": routine, "why": why, "verdict": str(record.verdict),
                    "reason": record.reason, "record_id": record.record_id})  # fmt: skip

    def _end(self, kind: Literal["done", "stopped", "disk"], reason: str) -> Ending:
        self._note({"event": "end", "kind": kind, "reason": reason})
        _log.log(logging.WARNING if kind == "disk" else logging.INFO, "ended: %s", reason)
        return Ending(kind, reason, self.runs)
