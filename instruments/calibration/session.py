"""One calibration under way: the knobs it turns, the points it measures, and the way back.

Used by `routine.execute` and by the routines' ``measure``. Every knob's value is noted before it is first turned,
so that a failure, an exception or Ctrl-C leaves the table as it was.
"""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from faintlink.core.calibration.records import Scan
from faintlink.core.errors import FaintlinkError, HardwareError
from faintlink.core.tags import TagBlock
from faintlink.instruments.calibration.lab import OUTCOMES, Lab

_log = logging.getLogger(__name__)


class Session:
    """Knobs and points of one calibration.

    Parameters
    ----------
    lab
        The instruments.
    options
        The routine's numbers.
    timeout_s
        How long it may take.
    clock
        Seconds that pass, replaceable in tests.
    """

    def __init__(
        self,
        lab: Lab,
        options: Mapping[str, float],
        *,
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lab = lab
        self.options = options
        self._clock = clock
        self._deadline = clock() + timeout_s
        self._timeout_s = timeout_s
        self._before: dict[str, Any] = {}
        self._points: dict[str, dict[str, list[float]]] = {}
        self._whole: dict[str, Scan] = {}
        self._plays = False

    def get(self, knob: str) -> Any:
        """Return the value of a knob ``role.parameter`` as plain data."""
        role, _, parameter = knob.rpartition(".")
        return plain(getattr(self.lab.role(role), parameter)())

    def turn(self, knob: str, value: Any) -> None:
        """Set a knob ``role.parameter``; its value before is noted first."""
        role, _, parameter = knob.rpartition(".")
        if knob not in self._before:
            self._before[knob] = self.get(knob)
        getattr(self.lab.role(role), parameter)(value)
        if self.options.get("settle_s", 0.0) > 0.0:
            time.sleep(self.options["settle_s"])

    def has(self, role: str) -> bool:
        """Return whether the link binds a role."""
        return role in self.lab.roles

    def play(self) -> None:
        """Start the sender and let its preamble pass."""
        if self._plays:
            return
        sender = self.lab.role("sender")
        sender.start()
        self._plays = True
        _, slots = sender.preamble
        self.lab.record(slots / float(sender.pulse_rate_hz()) + 2e-3)

    def play_recorded(self, duration_s: float) -> TagBlock:
        """Return the tags from just before the sender starts its pattern until ``duration_s`` later."""
        self.rest()
        sender = self.lab.role("sender")
        self._plays = True
        return self.lab.record(duration_s, start=sender.start)

    def rest(self) -> None:
        """Stop the sender."""
        if self._plays:
            self._plays = False
            self.lab.role("sender").stop()

    def count(self, duration_s: float) -> dict[str, float]:
        """Count for a stretch of tagger time, see `Lab.count`; raises as `check_time`."""
        self.check_time()
        return self.lab.count(duration_s)

    def check_time(self) -> None:
        """Go on only while there is time.

        Raises
        ------
        HardwareError
            The routine has used up its time.
        """
        if self._clock() > self._deadline:
            raise HardwareError(
                f"the calibration took longer than {self._timeout_s:g} s",
                hint="check that the detectors count, or give it more time with --timeout",
            )

    def point(self, scan: str, set_points: Mapping[str, float], duration_s: float) -> dict[str, float]:
        """Count, and add set points and counts as a row of a scan; return the row."""
        row = {**set_points, **self.count(duration_s)}
        self.add(scan, row)
        return row

    def add(self, scan: str, row: Mapping[str, float]) -> None:
        """Add a row to a scan."""
        columns = self._points.setdefault(scan, {name: [] for name in row})
        for name, value in row.items():
            columns[name].append(value)

    def keep(self, scan: Scan) -> None:
        """Keep a scan that was measured as a whole."""
        self._whole[scan.name] = scan

    @property
    def scans(self) -> dict[str, Scan]:
        """What was measured so far, by name."""
        return {**{name: Scan(name, _arrays(columns)) for name, columns in self._points.items()}, **self._whole}

    def dim(self, duration_s: float = 5e-3) -> None:
        """Attenuate the light, if it can be, until no detector is blind for more than its allowed share of time."""
        if not self.has("attenuator"):
            return
        allowed = self.options["blind_share"]
        for _ in range(4):
            seen = self.count(duration_s)
            blind = max(1.0 - seen[f"live_{name}_s"] / duration_s for name in OUTCOMES)
            if blind <= 1.2 * allowed:
                return
            more_db = 10.0 * np.log10(max(blind / (1.0 - min(blind, 0.99)), 1e-9) / allowed)
            present = float(self.get("attenuator.attenuation"))
            self.turn("attenuator.attenuation", min(present + float(more_db), 60.0))

    def brighten(self, least_counts: float, duration_s: float = 5e-3) -> None:
        """Take attenuation away, if any detector counts too little, until it counts enough or none is left."""
        if not self.has("attenuator"):
            return
        for _ in range(8):
            seen = self.count(duration_s)
            total = sum(seen[f"counts_{name}"] for name in OUTCOMES)
            present = float(self.get("attenuator.attenuation"))
            if total >= least_counts or present <= 0.0:
                return
            self.turn("attenuator.attenuation", max(present - 5.0, 0.0))

    def settle(self, proposal: Mapping[str, Any]) -> None:
        """Stop the sender, set the proposed knobs, and put every other knob back that was touched."""
        self.rest()
        for knob, value in {**self._before, **proposal}.items():
            if self.get(knob) != plain(value):
                self.turn(knob, value)

    def restore(self) -> list[str]:
        """Stop the sender and put every knob back, the last one first; return what could not be put back."""
        troubles = []
        try:
            self.rest()
        except FaintlinkError as error:
            troubles.append(f"sender: {error.message}")
        for knob, value in reversed(self._before.items()):
            role, _, parameter = knob.rpartition(".")
            try:
                getattr(self.lab.role(role), parameter)(value)
            except Exception as error:  # whatever one instrument raises, the others must be put back
                _log.exception("%s could not be put back", knob)
                troubles.append(f"{knob}: {type(error).__name__}: {error}")
        return troubles

    @property
    def before(self) -> dict[str, Any]:
        """Every knob that was touched, with its value before."""
        return dict(self._before)

    def now(self) -> dict[str, Any]:
        """Return the same knobs with their present values."""
        values = {}
        for knob in self._before:
            try:
                values[knob] = self.get(knob)
            except Exception as error:  # an instrument that broke must not hide the record of its breaking
                values[knob] = f"unknown: {type(error).__name__}"
        return values


def plain(value: Any) -> Any:
    """Return a parameter's value as plain data for JSON."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, tuple | list | np.ndarray):
        return [plain(item) for item in value]
    return value


def _arrays(columns: Mapping[str, list[float]]) -> dict[str, Any]:
    whole = {name: all(isinstance(value, int) for value in values) for name, values in columns.items()}
    return {name: np.array(values, np.int64 if whole[name] else np.float64) for name, values in columns.items()}
