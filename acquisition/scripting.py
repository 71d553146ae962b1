"""Acquisition in a few lines of Python, for scripts and notebooks.

::

    with Station("demo") as lab:
        lab.fibre.length(25)
        with lab.run(duration_s=1.0) as run:
            for status in run:
                print(status)
        print(run.report)

Runs, calibrations and keys come out of the very functions that the commands use; nothing here touches a file or
knows an instrument.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from faintlink.acquisition.background import BackgroundRun
from faintlink.acquisition.calibration.in_force import MAX_AGE_S
from faintlink.acquisition.knobs import turn
from faintlink.acquisition.launch import new_run, origin, plan_run
from faintlink.acquisition.live.toolkit import require_window
from faintlink.acquisition.run import EXPECTED_RATE_HZ
from faintlink.acquisition.shipped import found_link
from faintlink.acquisition.statistics.companions import Companions
from faintlink.acquisition.statistics.publishing import require_free
from faintlink.core.errors import FaintlinkError, LocalProtocolError

if TYPE_CHECKING:
    from qcodes.station import Station as QcodesStation

    from faintlink.acquisition.statistics.running import Listener
    from faintlink.core.calibration.records import CalibrationRecord
    from faintlink.core.config.link import LinkConfig
    from faintlink.instruments.station import LabStation


class Station:
    """The instruments of a link, opened; a context manager that leaves them in their safe state.

    Instruments are attributes and items by their name in the station file and by their role in the link file:
    ``lab.alice_laser``, ``lab["alice_laser"]`` and ``lab.laser`` are the same. A channel is ``lab["voa.ch2"]``.

    Parameters
    ----------
    link
        A link file, or the name of one that comes with the package, such as ``demo``.

    Raises
    ------
    ConfigError
        There is no such file, a file is wrong, or an instrument cannot be opened.
    """

    def __init__(self, link: str | Path) -> None:
        from faintlink.instruments.station import open_station

        self._file = found_link(link)
        self._plan = plan_run(self._file)
        self._lab: LabStation = open_station(self._plan.station_file)
        self._current: BackgroundRun | None = None

    @property
    def link(self) -> "LinkConfig":
        """What the link file says."""
        return self._plan.link

    @property
    def qcodes(self) -> "QcodesStation":
        """The QCoDeS station of the same instruments, for its measurements."""
        return self._lab.qcodes

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the instruments, in the order of the station file."""
        return self._lab.names

    @property
    def roles(self) -> dict[str, str]:
        """Name of the instrument that fills each role."""
        taggers = {f"{party}_time_tagger": receiver.tagger for party, receiver in self.link.receivers.items()}
        return {**self.link.roles, **taggers}

    def __getitem__(self, name: str) -> Any:
        if name.partition(".")[0] in self.names:
            return self._lab.component(name)
        return self._lab.component(self.roles.get(name, name))

    def __getattr__(self, name: str) -> Any:
        # Until __init__ has opened the station, looking for it here would never end.
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except FaintlinkError as error:
            raise AttributeError(error.message) from None

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.names, *self.roles})

    def _ipython_key_completions_(self) -> list[str]:
        return [*self.names, *self.roles]

    def snapshot(self) -> dict[str, Any]:
        """Return the settings of all instruments as they are known now."""
        return self._lab.snapshot()

    def run(
        self,
        *,
        duration_s: float | None = None,
        settings: Mapping[str, Any] | None = None,
        out: str | Path | None = None,
        calibration: str | Path | None = None,
        max_age_s: float = MAX_AGE_S,
        expected_rate_hz: float = EXPECTED_RATE_HZ,
        publish: str = "",
        window: bool = False,
        listener: "Listener | None" = None,
    ) -> BackgroundRun:
        """Return a run of the link, to be started by ``with`` or by its `wait`; arguments as for `take_run`.

        Settings stay as they are after the run. A ``listener`` is given what the live view shows, as
        `faintlink.acquisition.statistics.snapshot.Snapshot`, up to 30 times a second; it must not wait.

        Raises
        ------
        LocalProtocolError
            Another run goes on.
        ConfigError
            The calibration is missing or too old, or the address to publish at cannot be bound.
        FaintlinkError
            There is no window to show the live view in.
        """
        self._require_idle()
        if publish:
            require_free(publish)
        if window:
            require_window()
        plan = self._plan
        if calibration is not None:
            plan = plan_run(self._file, calibration=Path(calibration), max_age_s=max_age_s)
        folder = Path(out) if out is not None else None
        companions = Companions(plan.link, publish=publish, window=window, listener=listener)
        run = new_run(plan, self._lab, folder, expected_rate_hz=expected_rate_hz, statistics=companions.statistics)

        def prepare() -> None:
            self._require_idle()
            turn(self._lab, settings or {})
            self._current = made

        made = BackgroundRun(run, duration_s=duration_s, prepare=prepare, companions=companions)
        return made

    def calibrate(self, routine: str, **arguments: Any) -> "CalibrationRecord":
        """Run one calibration, such as ``intensity_bias``, and return its record; arguments as for `bring_up`."""
        return self.bring_up([routine], **arguments)[-1]

    def bring_up(
        self,
        routines: list[str] | None = None,
        *,
        out: str | Path | None = None,
        options: Mapping[str, float] | None = None,
        timeout_s: float | None = None,
        listener: "Callable[[CalibrationRecord], None] | None" = None,
    ) -> "list[CalibrationRecord]":
        """Calibrate and return all records; instruments keep what was found.

        Parameters
        ----------
        routines
            Their names; all whose roles the link file binds, in order, if None.
        out
            Folder of the records; ``calibrations/<link>`` by default.
        options
            Numbers by ``routine.option``.
        timeout_s
            Time for each routine; its own by default.
        listener
            Called with each record.

        Raises
        ------
        LocalProtocolError
            A run goes on.
        ConfigError
            There is no such routine or option, or link and station do not fit.
        """
        from faintlink.acquisition.calibration.bring_up import bring_up, keeper
        from faintlink.acquisition.preflight import require_link_matches_station
        from faintlink.instruments.calibration.lab import Lab

        self._require_idle()
        require_link_matches_station(self.link, self._lab)
        keep, _ = keeper(Path(out) if out is not None else Path("calibrations") / self.link.name)

        def heard(record: "CalibrationRecord") -> None:
            keep(record)
            if listener is not None:
                listener(record)

        lab = Lab.of(self.link, self._lab)
        return bring_up(lab, routines, options=options, timeout_s=timeout_s, listener=heard)

    def _require_idle(self) -> None:
        if self._current is not None and self._current.is_running:
            raise LocalProtocolError(
                f"run {self._current.run_id} goes on, and the instruments serve one at a time",
                hint="leave its with block first, or call its stop()",
            )

    def close(self) -> None:
        """End a run that goes on, bring all instruments into their safe state and close them."""
        if self._current is not None and self._current.is_running:
            self._current.stop()
        self._lab.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if not self.names:
            return f"<Station {self.link.name}, closed>"
        roles: dict[str, list[str]] = {}
        for role, name in self.roles.items():
            roles.setdefault(name.partition(".")[0], []).append(role)
        kind = origin(self.snapshot())
        lines = [f"Station {self.link.name}: {self.link.protocol} on {self._plan.station_file.name}, {kind}"]
        for name in self.names:
            what = type(self._lab.component(name)).__name__
            lines.append(f"  {name:20s} {what:26s} {', '.join(roles.get(name, []))}".rstrip())
        return "\n".join(lines)
