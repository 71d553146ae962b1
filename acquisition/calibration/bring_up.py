"""All calibrations by name, the order in which a cold link is brought up, and what to do with their records.

The order follows what each needs: see ``docs/howto/calibrate.md``. Used by ``faintlink calibrate``; a library user
who has a laboratory runs single routines with `execute`.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from faintlink.acquisition.calibration.arrival import ArrivalTimes, SiftedErrors
from faintlink.acquisition.calibration.pair_polarization import PairAlignment
from faintlink.acquisition.calibration.pairs import CoincidencePeak, Heralding, PairErrors, PairLevel
from faintlink.core.calibration.file import read_record, write_record
from faintlink.core.calibration.records import CalibrationRecord, Verdict
from faintlink.core.errors import ConfigError
from faintlink.instruments.calibration.delay import DelayScan, GateDelay
from faintlink.instruments.calibration.detectors import DetectorGaps, EfficiencyRatio
from faintlink.instruments.calibration.intensity import IntensityBias
from faintlink.instruments.calibration.lab import Lab
from faintlink.instruments.calibration.light import Attenuation, DarkCounts, LaserSetup
from faintlink.instruments.calibration.phase import PolarizationDrive, ReceiverPhase, SenderPhase
from faintlink.instruments.calibration.photon_number import PhotonNumber
from faintlink.instruments.calibration.polarization import PolarizationAlignment
from faintlink.instruments.calibration.routine import Routine, execute, replay
from faintlink.instruments.calibration.visibility import VisibilityTracking

_log = logging.getLogger(__name__)

ROUTINES: Mapping[str, Routine] = {
    routine.name: routine
    for routine in (
        DarkCounts(),
        LaserSetup(),
        GateDelay(),
        IntensityBias(),
        Attenuation(),
        PhotonNumber(),
        DelayScan(),
        ReceiverPhase(),
        SenderPhase(),
        PolarizationDrive(),
        PolarizationAlignment(),
        ArrivalTimes(),
        EfficiencyRatio(),
        DetectorGaps(),
        VisibilityTracking(),
        SiftedErrors(),
        CoincidencePeak(),
        PairLevel(),
        Heralding(),
        PairAlignment(),
        PairErrors(),
    )
}
"""Every routine by name, in the order of a bring-up."""
ADVISORY = frozenset({"dark_counts", "efficiency_ratio", "detector_gaps", "visibility", "heralding"})
"""Those that only characterise: a bring-up goes on when one does not pass."""
ATTEMPTS = 2
"""How often a bring-up tries a routine that did not pass."""

Listener = Callable[[CalibrationRecord], None]


def routine_named(name: str) -> Routine:
    """Return a routine.

    Raises
    ------
    ConfigError
        There is none of that name.
    """
    if name not in ROUTINES:
        raise ConfigError(f"there is no calibration {name!r}", hint=f"there are: all, {', '.join(ROUTINES)}")
    return ROUTINES[name]


def bring_up(
    lab: Lab,
    names: Iterable[str] | None = None,
    *,
    options: Mapping[str, float] | None = None,
    timeout_s: float | None = None,
    listener: Listener | None = None,
) -> list[CalibrationRecord]:
    """Run routines in order until one that the others need does not pass; return all records.

    Parameters
    ----------
    lab
        The instruments.
    names
        Routines; all whose roles the link binds, if None.
    options
        Numbers by ``routine.option``.
    timeout_s
        Time for each routine; its own by default.
    listener
        Called with each record.
    """
    chosen = list(names) if names is not None else routines_of(lab, options or {})
    records: list[CalibrationRecord] = []
    for name in chosen:
        routine = routine_named(name)
        for _ in range(ATTEMPTS):
            record = execute(routine, lab, options=options_of(name, options or {}), timeout_s=timeout_s)
            records.append(record)
            if listener is not None:
                listener(record)
            if record.is_passed:
                break
        if not record.is_passed and name not in ADVISORY:
            _log.warning("bring-up ends at %s: %s", name, record.reason)
            break
    return records


def routines_of(lab: Lab, options: Mapping[str, float]) -> list[str]:
    """Return the routines whose roles the link binds, in order.

    The mean photon number comes from the power meter; from counts only where there is none and the detectors'
    efficiency is given.
    """
    bound = [routine.name for routine in ROUTINES.values() if not routine.missing_roles(lab)]
    is_counted = "power_meter" not in lab.roles and "photon_number.efficiency" in options
    return [name for name in bound if name != PhotonNumber.name or is_counted]


def options_of(routine: str, options: Mapping[str, float]) -> dict[str, float]:
    """Return the numbers of one routine out of those by ``routine.option``.

    Raises
    ------
    ConfigError
        A number is of no routine.
    """
    for name in options:
        if name.partition(".")[0] not in ROUTINES:
            raise ConfigError(f"option {name!r} names no calibration", hint="write ROUTINE.OPTION=NUMBER")
    return {name.partition(".")[2]: value for name, value in options.items() if name.partition(".")[0] == routine}


def is_brought_up(records: Sequence[CalibrationRecord]) -> bool:
    """Return whether every routine that was run passed in the end, those that only characterise aside."""
    last = {record.routine: record for record in records}
    return all(record.is_passed for name, record in last.items() if name not in ADVISORY)


def calibrated_settings(records: Sequence[CalibrationRecord]) -> dict[str, Any]:
    """Return the calibrated values by ``instrument.parameter``, as ``faintlink run --set`` takes them."""
    settings: dict[str, Any] = {}
    for record in records:
        settings.update(record.settings)
    return settings


def keeper(folder: Path) -> tuple[Listener, list[Path]]:
    """Return a listener that writes each record into a folder, and the list of files that it fills."""
    files: list[Path] = []

    def keep(record: CalibrationRecord) -> None:
        files.append(write_record(folder, record))

    return keep, files


def replay_file(path: Path) -> tuple[CalibrationRecord, CalibrationRecord]:
    """Return the record of a file, and the same with its decision made anew.

    Raises
    ------
    SchemaError
        The file is no calibration, or damaged.
    ConfigError
        This program has another version of the routine.
    """
    recorded = read_record(path)
    return recorded, replay(routine_named(recorded.routine), recorded)


def agrees(recorded: CalibrationRecord, repeated: CalibrationRecord) -> bool:
    """Return whether a replay arrived at the same decision, to the last bit."""
    return recorded.verdict is repeated.verdict and (
        recorded.verdict is Verdict.ERROR or recorded.decision == repeated.decision
    )
