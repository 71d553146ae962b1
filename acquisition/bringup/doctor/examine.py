"""Collect the evidence of a link, and judge it: what ``faintlink doctor`` does.

Records, journal and disk are read first; then the station is opened, the settings of the records are put in force,
and every instrument of the link is asked something. Only if all answer is the table probed.
"""

import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from faintlink.acquisition.bringup.doctor.evidence import DiskSeen, Evidence, LastRun, Probe, Unreachable
from faintlink.acquisition.bringup.doctor.probe import probe
from faintlink.acquisition.bringup.journal import Journal, believed
from faintlink.acquisition.bringup.opening import opened_station
from faintlink.acquisition.bringup.standing import Shelf, shelf_of, standings
from faintlink.acquisition.bringup.states import steps_of_link
from faintlink.acquisition.knobs import turn
from faintlink.acquisition.preflight import Station, require_link_matches_station, role_class
from faintlink.core.config.link import LinkConfig, config_sha256
from faintlink.core.errors import ConnectionLostError, FaintlinkError
from faintlink.core.records import LossCount
from faintlink.core.runfile.folder import open_run
from faintlink.instruments.calibration.lab import Lab
from faintlink.instruments.roles import ROLES

_log = logging.getLogger(__name__)
_SLOW = ("count_rate", "power")
"""Parameters that measure when they are read: the probe does that."""
_TAGGER = "time_tagger"


def examine(
    link_file: Path,
    link: LinkConfig,
    folder: Path,
    *,
    runs: Path = Path("runs"),
    knobs: Mapping[str, Any] | None = None,
    options: Mapping[str, float] | None = None,
) -> Evidence:
    """Collect all evidence of a link.

    Parameters
    ----------
    link_file
        Its station file lies beside it.
    link
        What the file says.
    folder
        Of records and journal.
    runs
        Folder of run folders; the newest of this link is looked at, and the disk below it.
    knobs
        Parameters to set after those of the records, by ``instrument.parameter``.
    options
        Numbers by ``routine.option``.

    Raises
    ------
    InterlockError
        The link is brought up or runs at this moment.
    ConfigError
        A file is wrong.
    """
    shelf = shelf_of(folder, link)
    journal = Journal(folder)
    held = believed(shelf.held, journal.lines(), config_sha256(link))
    stand = standings(steps_of_link(link, options), held, now=datetime.now(UTC))
    settings = {**{name: value for one in held.values() for name, value in one.settings.items()}, **(knobs or {})}
    with journal.locked():
        unreachable, seen = _ask_table(link_file, link, shelf, settings)
    return Evidence(
        link=link,
        stand=stand,
        passed=shelf.passed,
        newest=shelf.newest,
        unreachable=unreachable,
        probe=seen,
        disk=disk_of(runs),
        last_run=last_run_of(runs, link),
    )


def _ask_table(
    link_file: Path, link: LinkConfig, shelf: Shelf, settings: Mapping[str, Any]
) -> tuple[Sequence[Unreachable], Probe | None]:
    station_file = link_file.parent / link.station
    try:
        with opened_station(station_file) as station:
            turn(station, settings)
            lost = list(who_does_not_answer(link, station))
            if lost:
                return lost, None
            require_link_matches_station(link, station)
            return (), probe(Lab.of(link, station), shelf.passed)
    except ConnectionLostError as error:
        return list(_unopened(station_file, error)), None


def who_does_not_answer(link: LinkConfig, station: Station) -> Iterator[Unreachable]:
    """Ask each instrument of a link for a parameter of its role, and yield those that do not answer."""
    bound = [(role, name) for role, name in link.roles.items()]
    bound += [(_TAGGER, receiver.tagger) for receiver in link.receivers.values()]
    for role, name in dict.fromkeys(bound):
        names = [spec.name for spec in ROLES[role_class(role)].parameters if spec.name not in _SLOW]
        instrument = station.component(name)
        for parameter in names[:1]:
            try:
                getattr(instrument, parameter)()
            except Exception as error:  # whatever a driver raises, the instrument did not answer
                yield Unreachable(name, str(getattr(instrument, "_address", "") or ""), _words(error))


def _words(error: BaseException) -> str:
    message = error.message if isinstance(error, FaintlinkError) else str(error).strip()
    return f"{type(error).__name__}: {message.splitlines()[0]}" if message else type(error).__name__


def _unopened(station_file: Path, error: ConnectionLostError) -> Iterator[Unreachable]:
    """Yield the instruments whose connection could not be opened, with their addresses."""
    entries = yaml.safe_load(station_file.read_text(encoding="utf-8"))["instruments"]
    for fault in error.fields.get("faults", [error.message]):
        name = fault.partition("instruments.")[2].partition(":")[0]
        entry = entries.get(name, {})
        port = f":{entry['port']}" if "port" in entry else ""
        yield Unreachable(name, f"{entry.get('address', '')}{port}", _words(error.__cause__ or error))


def disk_of(folder: Path) -> DiskSeen:
    """Return how full the disk of a folder is that may not exist yet."""
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    usage = shutil.disk_usage(existing)
    return DiskSeen(existing, usage.free, usage.total)


def last_run_of(runs: Path, link: LinkConfig) -> LastRun | None:
    """Return what the newest run of a link lost, or None where there is none that can be read."""
    folders = sorted((path for path in runs.glob(f"*-{link.name}") if path.is_dir()), key=lambda path: path.name)
    for folder in reversed(folders):
        try:
            run = open_run([folder])
            losses = [run[party].loss(run[party].only_stream("tags").name) for party in link.receivers]
            return LastRun(folder, sum(losses, LossCount()))
        except (FaintlinkError, OSError) as error:
            _log.info("%s cannot be read: %s", folder, error)
    return None
