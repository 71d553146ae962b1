"""A laboratory's instruments, opened from one ``*.station.yaml`` and always left in a safe state.

Acquisition opens a station and takes components from it by name; it never imports a driver. The file is in the
QCoDeS Station format, so that the same file serves a notebook. QCoDeS is used for instruments only: no database is
made, no monitor is started, logging is left alone.
"""

import contextlib
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from qcodes.instrument import Instrument
from qcodes.station import Station, ValidationWarning
from qcodes.utils import NumpyJSONEncoder

from faintlink.core.errors import ConfigError, FaintlinkError
from faintlink.instruments.role_spec import RoleSpec
from faintlink.instruments.roles import check_role
from faintlink.instruments.station_file import StationEntry, config_error, read_station_file

logger = logging.getLogger(__name__)


class LabStation:
    """Opened instruments; a context manager that brings them into a safe state and closes them.

    Use `open_station` to get one.
    """

    def __init__(self, path: Path, station: Station, names: tuple[str, ...]) -> None:
        self.path = path
        """The station file."""
        self.qcodes = station
        """The QCoDeS station, for notebooks."""
        self.names = names
        """Names of the instruments, in the order of the file."""

    def component(self, name: str, role: str | type | RoleSpec | None = None) -> Any:
        """Return an instrument, or a channel or module of one (``voa.ch2``).

        Parameters
        ----------
        name
            Dotted name.
        role
            If given, what the component must be able to do, see `check_role`.

        Raises
        ------
        ConfigError
            There is no such component; the message names what there is.
        RoleError
            It does not fill the role.
        """
        first, *rest = name.split(".")
        if first not in self.names:
            raise ConfigError(
                f"the station {self.path} has no instrument {first!r}; it has {', '.join(self.names)}",
                hint="correct the name in the link file, or add the instrument to the station file",
            )
        found: Any = self.qcodes.components[first]
        for part in rest:
            modules = getattr(found, "submodules", {})
            if part not in modules:
                raise ConfigError(
                    f"{found.full_name} has no channel or module {part!r}; it has {', '.join(modules) or 'none'}",
                    hint="correct the name in the link file",
                )
            found = modules[part]
        if role is not None:
            check_role(found, role)
        return found

    def snapshot(self) -> dict[str, Any]:
        """Return the settings of all instruments as they are known now, fit for JSON. Nothing is asked anew."""
        taken = self.qcodes.snapshot(update=False)
        snapshot: dict[str, Any] = json.loads(json.dumps(taken, cls=NumpyJSONEncoder))
        return snapshot

    def close(self) -> None:
        """Bring every instrument into its safe state and close it, last one first; troubles are logged.

        No trouble with one instrument keeps another from being made safe. Closing twice is harmless.
        """
        for action in (_make_safe, _close):
            for name in reversed(self.names):
                component = self.qcodes.components.get(name)
                if isinstance(component, Instrument):
                    action(component)
        for name in self.names:
            self.qcodes.components.pop(name, None)
        self.names = ()

    def __repr__(self) -> str:
        return f"<LabStation {self.path}: {', '.join(self.names) or 'closed'}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_station(path: str | Path) -> LabStation:
    """Open every instrument of a station file.

    Raises
    ------
    ConfigError
        The file is wrong, or an instrument cannot be made from its entry; the message gives file, line and
        remedy. Instruments that were open by then are made safe and closed.
    """
    path = Path(path)
    entries = read_station_file(path)
    with _strictly(path):
        station = Station(config_file=str(path), use_monitor=False, default=False)
    lab = LabStation(path, station, tuple(entry.name for entry in entries))
    try:
        for entry in entries:
            _load(station, entry, path)
    except BaseException:
        lab.close()
        raise
    return lab


@contextlib.contextmanager
def _strictly(path: Path) -> Iterator[None]:
    """Turn what QCoDeS only warns about into an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", ValidationWarning)
        try:
            yield
        except ValidationWarning as warning:
            first = str(warning).partition("\n")[0]
            raise config_error(path, [f"{path}:1: QCoDeS schema: {first}"]) from warning


def _load(station: Station, entry: StationEntry, path: Path) -> None:
    is_taken = Instrument.exist(entry.name)
    try:
        station.load_instrument(entry.name)
    except Exception as error:
        if not is_taken and Instrument.exist(entry.name):
            # QCoDeS leaves an instrument open whose initial values it could not set.
            half_open = Instrument.find_instrument(entry.name)
            _make_safe(half_open)
            _close(half_open)
        what = error.message if isinstance(error, FaintlinkError) else f"{type(error).__name__}: {error}"
        remedy = error.hint if isinstance(error, FaintlinkError) else _remedy(error, entry)
        fault = f"{path}:{entry.line}: instruments.{entry.name}: {what}"
        raise config_error(path, [fault], hint=remedy) from error


def _remedy(error: Exception, entry: StationEntry) -> str:
    if isinstance(error, TypeError):
        return f"compare init, address and port with the arguments of {entry.type_name}"
    if isinstance(error, KeyError) and "Another instrument has the name" in str(error):
        return "close the station or instrument that holds this name"
    if isinstance(error, OSError):
        return "check that the instrument is on and connected, and its address"
    return f"compare the entry with the documentation of {entry.type_name}"


def _make_safe(instrument: Instrument) -> None:
    safe_state = getattr(instrument, "safe_state", None)
    if safe_state is None:
        return
    try:
        safe_state()
    except Exception:
        logger.exception("%s could not be brought into its safe state", instrument.name)


def _close(instrument: Instrument) -> None:
    try:
        instrument.close()
    except Exception:
        logger.exception("%s could not be closed", instrument.name)
