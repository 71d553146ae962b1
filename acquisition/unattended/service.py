"""Keep one link running: bring it up, supervise its runs, and begin again after a failure.

Used by ``faintlink up --unattended``; a service manager starts it, see ``docs/howto/run-unattended.md``.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faintlink.acquisition.bringup.conductor import Plan, Watcher
from faintlink.acquisition.bringup.journal import Line
from faintlink.acquisition.bringup.opening import brought_up
from faintlink.acquisition.bringup.states import State
from faintlink.acquisition.unattended.backoff import Backoff
from faintlink.acquisition.unattended.figures import watched_of
from faintlink.acquisition.unattended.logs import logged_to
from faintlink.acquisition.unattended.night_log import note
from faintlink.acquisition.unattended.planner import Planner
from faintlink.acquisition.unattended.segments import LinkTable
from faintlink.acquisition.unattended.supervisor import Ending, Supervisor
from faintlink.core.calibration.records import CalibrationRecord
from faintlink.core.errors import ConfigError, FaintlinkError, HardwareError, RunfileError
from faintlink.core.service_manager import Notifier

_log = logging.getLogger(__name__)

LOG_FILE = "unattended.log"
CALIBRATION_S = 60.0
"""What one calibration is expected to take at most, for looking ahead."""
_STEP_S = 1.0


@dataclass(frozen=True, slots=True)
class Night:
    """How a link is to be kept running."""

    runs: Path = Path("runs")
    """Folder in which a folder is made for each run."""
    segment_s: float | None = None
    """Length of a run; the link file's by default."""
    count: int | None = None
    """How many runs; no end if None."""
    max_failures: int = 20
    """Failures in a row after which the service gives up, and leaves the rest to whoever started it."""


@dataclass(slots=True)
class Service:
    """An unattended link.

    Parameters
    ----------
    link_file, plan, folder
        As for `brought_up`.
    night
        How to keep it running.
    notifier
        Tells the service manager.
    watcher
        Hears of the events of each bring-up.
    sleep
        Waits, replaceable in tests.
    backoff
        How long to wait after a failure.
    """

    link_file: Path
    plan: Plan
    folder: Path
    night: Night
    notifier: Notifier
    watcher: Watcher | None = None
    sleep: Callable[[float], None] = time.sleep
    backoff: Backoff = field(default_factory=Backoff)

    def run(self) -> Ending:
        """Run until somebody ends it, the disk is nearly full, or as many runs were taken as wanted.

        Raises
        ------
        ConfigError
            A file is wrong: trying again would not help.
        RunfileError
            The disk or a file of the runs fails: trying again would not help.
        FaintlinkError
            It failed too often in a row.
        KeyboardInterrupt
            It was ended outside a run.
        """
        with logged_to(self.folder / LOG_FILE):
            self.notifier.ready()
            try:
                while True:
                    try:
                        return self._once()
                    except (ConfigError, RunfileError):
                        raise
                    except FaintlinkError as error:
                        self._wait_after(error)
            finally:
                self.notifier.stopping()

    def _once(self) -> Ending:
        """Bring the link up and supervise it."""
        self.notifier.status("bringing the link up")
        with brought_up(self.link_file, self.plan, self.folder, watcher=self._hear, clock=self._clock) as up:
            if up.state is not State.READY:
                raise HardwareError(f"the bring-up ended {up.state}: {up.reason}", hint="run `faintlink doctor`")
            table = LinkTable(
                self.link_file,
                self.plan,
                up.station,
                folder=self.folder,
                runs=self.night.runs,
                segment_s=self.night.segment_s,
                alive=self.notifier.alive,
            )
            return self._supervisor(table).run(self.night.count)

    def _supervisor(self, table: LinkTable) -> Supervisor:
        link, routines = self.plan.link, [step.routine for step in self.plan.steps]
        lead_s = 2.0 * (self.night.segment_s or link.acquisition.duration_s) + CALIBRATION_S
        return Supervisor(
            link,
            table,
            Planner(watched_of(link, routines), lead_s=lead_s),
            lead_s=lead_s,
            notifier=self.notifier,
            note=self._note,
            succeeded=self.backoff.succeeded,
        )

    def _hear(self, line: Line, record: CalibrationRecord | None) -> None:
        self.notifier.alive()
        if self.watcher is not None:
            self.watcher(line, record)

    def _clock(self) -> float:
        self.notifier.alive()
        return time.monotonic()

    def _note(self, entry: Mapping[str, Any]) -> None:
        note(self.folder, entry)

    def _wait_after(self, error: FaintlinkError) -> None:
        """Wait before the next try, and give up after too many."""
        if self.backoff.failures >= self.night.max_failures:
            raise error
        wait_s = self.backoff.failed()
        _log.warning("failure %d: %s; next try in %.1f s", self.backoff.failures, error, wait_s)
        self._note({"event": "failure", "error": type(error).__name__, "reason": error.message, "wait_s": wait_s})
        self.notifier.status(f"waits {wait_s:.0f} s after failure {self.backoff.failures}: {error.message}")
        while wait_s > 0.0:
            self.notifier.alive()
            self.sleep(min(wait_s, _STEP_S))
            wait_s -= _STEP_S
