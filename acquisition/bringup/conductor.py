"""Carry a bring-up out: the commands of `machine`, on the instruments of a laboratory, with every event on the disk.

Used by ``faintlink up`` and by unattended running. It reaches instruments through their roles only, so that mock
benches and hardware look alike.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from faintlink.acquisition.bringup.journal import Event, Journal, Line, believed, cut_off
from faintlink.acquisition.bringup.machine import Apply, Command, Connect, Darken, Machine, Measure, Outcome, PutBack
from faintlink.acquisition.bringup.standing import Held, held_of
from faintlink.acquisition.bringup.states import State, Step
from faintlink.acquisition.calibration.bring_up import options_of, routine_named
from faintlink.acquisition.knobs import turn
from faintlink.acquisition.preflight import Station, require_link_matches_station, role_class
from faintlink.core.calibration.records import CalibrationRecord
from faintlink.core.config.link import LinkConfig, config_sha256
from faintlink.core.errors import FaintlinkError, LocalProtocolError
from faintlink.instruments.calibration.lab import Lab
from faintlink.instruments.calibration.routine import execute
from faintlink.instruments.calibration.session import plain
from faintlink.instruments.roles import ROLES

_log = logging.getLogger(__name__)
_EMITTERS = ("laser", "pair_source")
_MORE_KNOBS = ("delay", "bias_voltage", "pair_rate")
"""Knobs that routines turn where an instrument has them, beyond what its role asks for."""

OpenStation = Callable[[], Station]


class Watcher(Protocol):
    """Hears of what happens; `faintlink up` prints it."""

    def __call__(self, line: Line, record: CalibrationRecord | None) -> None:
        """Take a line of the journal, and the record that a step left."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """What a bring-up is to do."""

    link: LinkConfig
    steps: Sequence[Step]
    options: Mapping[str, float] = field(default_factory=dict)
    """Numbers by ``routine.option``."""
    knobs: Mapping[str, Any] = field(default_factory=dict)
    """Parameters to set before anything else, by ``instrument.parameter``."""
    begin_at: State | None = None
    """Take every step from this state on."""


class Conductor:
    """One bring-up on real or simulated instruments.

    Parameters
    ----------
    plan
        What to do.
    held
        Newest passed record by routine.
    open_station
        Returns the open station; called once.
    journal
        Keeps every event.
    keep
        Writes each record to the disk.
    watcher
        Hears of every event.
    clock
        Seconds that pass, replaceable in tests; called often while a routine works.
    now
        The time, replaceable in tests.
    """

    def __init__(
        self,
        plan: Plan,
        held: Mapping[str, Held],
        *,
        open_station: OpenStation,
        journal: Journal,
        keep: Callable[[CalibrationRecord], None],
        watcher: Watcher | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._plan, self._open, self._journal, self._keep = plan, open_station, journal, keep
        self._watcher, self._clock, self._now = watcher, clock, now
        lines = journal.lines()
        digest = config_sha256(plan.link)
        good = believed(held, lines, digest)
        self.machine = Machine(
            plan.steps,
            good,
            now=now(),
            begin_at=plan.begin_at,
            cut_off=cut_off(lines),
        )
        self._said = self.machine.state
        self._lab: Lab | None = None
        self._station: Station | None = None
        self.records: list[CalibrationRecord] = []
        """Of every attempt, in order."""
        changed = "" if good or not held else "the link file has changed since: every step is taken anew"
        self._write(Event.BEGAN, reason=changed, link_sha256=digest)

    def run(self) -> State:
        """Bring the link up and return the state that was reached.

        Raises
        ------
        FaintlinkError
            The instruments cannot be opened or do not fit the link file; noted as FAILED before.
        KeyboardInterrupt
            Passed on once light is off; noted as INTERRUPTED before.
        """
        try:
            self._carry_on()
        except KeyboardInterrupt:
            self.machine.interrupt("the operator ended it")
            self._carry_on()
            raise
        except FaintlinkError as error:
            self.machine.fail(error.message)
            self._carry_on()
            raise
        return self.machine.state

    def _carry_on(self) -> None:
        while (command := self.machine.command) is not None:
            if isinstance(command, Measure):
                self._measure(command)
            else:
                self._do(command)
                self.machine.done()
            self._note_state()
        self._note_state()

    def _do(self, command: Command) -> None:
        match command:
            case Connect():
                self._station = self._open()
                turn(self._station, self._plan.knobs)
                require_link_matches_station(self._plan.link, self._station)
                self._lab = Lab.of(self._plan.link, self._station)
            case PutBack(knobs, routine):
                refused = self._put_back(knobs)
                words = f"; refused: {', '.join(refused)}" if refused else ""
                self._write(Event.PUT_BACK, routine=routine, reason=f"it was cut off; its knobs are back{words}")
            case Apply(settings):
                self._set(settings)
            case Darken():
                darken(self._must_lab())

    def _set(self, knobs: Mapping[str, Any]) -> None:
        if self._station is not None:
            turn(self._station, knobs)

    def _put_back(self, knobs: Mapping[str, Any]) -> list[str]:
        """Turn back what differs, and return the knobs that refuse: what follows sets most of them anew anyhow."""
        refused = []
        present = knobs_of(self._must_lab())
        for name, value in knobs.items():
            if present.get(name) != value:
                try:
                    self._set({name: value})
                except FaintlinkError as error:
                    _log.warning("%s could not be put back: %s", name, error.message)
                    refused.append(name)
        return refused

    def _must_lab(self) -> Lab:
        if self._lab is None:
            raise LocalProtocolError("no instrument is open", hint="the machine connects first")
        return self._lab

    def _measure(self, command: Measure) -> None:
        name, lab = command.step.routine, self._must_lab()
        self._write(Event.STEP_BEGAN, routine=name, reason=command.why, knobs=knobs_of(lab))
        record = execute(
            routine_named(name),
            lab,
            options=options_of(name, self._plan.options),
            timeout_s=command.step.timeout_s,
            clock=self._clock,
        )
        self._keep(record)
        self.records.append(record)
        held = held_of(record) if record.is_passed else None
        self.machine.measured(Outcome(held, record.reason))
        event = Event.STEP_PASSED if record.is_passed else Event.STEP_MISSED
        self._write(event, record, routine=name, record_id=record.record_id, reason=record.reason)

    def _note_state(self) -> None:
        if self.machine.state is not self._said:
            self._said = self.machine.state
            self._write(Event.STATE, reason=self.machine.reason)

    def _write(self, event: Event, record: CalibrationRecord | None = None, **fields: Any) -> None:
        line = Line(self._now().isoformat(timespec="milliseconds"), event, self.machine.state, **fields)
        self._journal.append(line)
        _log.info("%s %s %s %s", event, line.state, line.routine, line.reason)
        if self._watcher is not None:
            self._watcher(line, record)


def darken(lab: Lab) -> None:
    """Turn every source of light off and stop the sender; whatever one instrument raises, the others follow."""
    for role in _EMITTERS:
        if role in lab.roles:
            try:
                lab.role(role).enabled(False)
            except Exception:  # a broken laser must not keep the sender running
                _log.exception("%s could not be turned off", role)
    if "sender" in lab.roles:
        try:
            lab.role("sender").stop()
        except Exception:
            _log.exception("the sender could not be stopped")


def knobs_of(lab: Lab) -> dict[str, Any]:
    """Return every knob that a routine may turn, by ``instrument.parameter``, as it stands."""
    knobs: dict[str, Any] = {}
    for role, instrument in lab.roles.items():
        wanted = [spec.name for spec in ROLES[role_class(role)].parameters if spec.is_settable]
        for name in dict.fromkeys([*wanted, *_MORE_KNOBS]):
            parameter: Any = getattr(instrument, name, None)
            if getattr(parameter, "settable", False):
                # An instrument that does not answer is the routine's to report.
                with suppress(Exception):
                    knobs[f"{lab.names[role]}.{name}"] = plain(parameter())
    return knobs
