"""A bring-up as a state machine: told what happened, it says what to do next, and touches nothing itself.

`conductor` carries out its commands on a laboratory. Because nothing here waits, reads a clock or knows an
instrument, every path (a retry, a fall back, a crash, Ctrl-C) can be walked in a test.

::

    OFF --Connect--> CONNECTED --PutBack, Apply--> ... --Measure each step that has to be taken--> READY
     |                                 a step that misses: again; then back to the step it falls back to, once;
     |                                 then Darken and FAILED. A step that characterises only is waived.
     +-- cannot connect --> FAILED     an interruption at any time: Darken and INTERRUPTED

The routine of a step has put its own knobs back when it did not pass. What steps before it set stays: their records
hold, and the next bring-up goes on from them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from faintlink.acquisition.bringup.standing import Held, Standing, standings, state_reached
from faintlink.acquisition.bringup.states import State, Step
from faintlink.core.errors import ConfigError, LocalProtocolError


@dataclass(frozen=True, slots=True)
class Connect:
    """Open every instrument, and see that link and station fit."""


@dataclass(frozen=True, slots=True)
class PutBack:
    """Give knobs the values that were written down before a step that a crash cut off."""

    knobs: Mapping[str, Any]
    """By ``instrument.parameter``."""
    routine: str
    """The step that was cut off."""


@dataclass(frozen=True, slots=True)
class Apply:
    """Set what the records that hold have found: a station that was closed has forgotten it."""

    settings: Mapping[str, Any]
    """By ``instrument.parameter``."""


@dataclass(frozen=True, slots=True)
class Measure:
    """Take a step."""

    step: Step
    attempt: int
    """From 1."""
    why: str
    """Why it has to be taken."""


@dataclass(frozen=True, slots=True)
class Darken:
    """Turn every source of light off."""


Command = Connect | PutBack | Apply | Measure | Darken


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step went."""

    held: Held | None
    """What its record means; None if it did not pass."""
    reason: str = ""
    """Why it did not pass."""


@dataclass(frozen=True, slots=True)
class _Counts:
    """What a machine has used up."""

    attempts: dict[str, int] = field(default_factory=dict)
    fallen_back: set[str] = field(default_factory=set)


class Machine:
    """One bring-up.

    Parameters
    ----------
    steps
        In order.
    held
        Newest passed record by routine.
    now
        The time at which the records' ages are judged.
    begin_at
        Take every step that leads to this state, and all after, whatever the records say.
    cut_off
        A step that a crash ended, and the knobs as they were before it.

    Raises
    ------
    ConfigError
        A step before ``begin_at`` has no record that holds.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        held: Mapping[str, Held],
        *,
        now: datetime,
        begin_at: State | None = None,
        cut_off: tuple[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self._steps = tuple(steps)
        self._held = dict(held)
        self._now = now
        self._redo: dict[str, str] = {}
        self._waived: set[str] = set()
        self._counts = _Counts()
        self._put_back = None if cut_off is None else PutBack(cut_off[1], cut_off[0])
        if cut_off is not None:
            self._redo[cut_off[0]] = "it was cut off"
        for step in self._steps:
            if step.reaches is State.READY and step.routine in self._held:
                self._redo.setdefault(step.routine, "what is set again is checked once")
        self._state = State.OFF
        self._is_applied = self._is_dark = False
        self.reason = ""
        """Why it failed or was interrupted."""
        if begin_at is not None:
            self._begin_at(begin_at)

    def _begin_at(self, state: State) -> None:
        first = next((at for at, step in enumerate(self._steps) if step.reaches is state), None)
        if first is None:
            raise ConfigError(f"no step leads to {state}", hint="name a state that `faintlink up --dry-run` lists")
        lacking = [one for one in self.stand[:first] if not one.holds and not one.step.is_advisory]
        if lacking:
            reasons = "; ".join(f"{one.step.routine}: {one.why}" for one in lacking)
            raise ConfigError(f"{state} cannot be begun at: {reasons}", hint="bring the link up without --from")
        self._redo.update({step.routine: "it was asked for" for step in self._steps[first:]})

    @property
    def stand(self) -> list[Standing]:
        """How each step stands."""
        return standings(self._steps, self._held, now=self._now, redo=self._redo)

    @property
    def state(self) -> State:
        """How far the link is."""
        if self._state in (State.OFF, State.FAILED, State.INTERRUPTED):
            return self._state
        return state_reached(self.stand, self._waived)

    @property
    def command(self) -> Command | None:
        """What to do next; None when there is nothing left to do."""
        if self._state in (State.FAILED, State.INTERRUPTED):
            return None if self._is_dark else Darken()
        if self._state is State.OFF:
            return Connect()
        if self._put_back is not None:
            return self._put_back
        if not self._is_applied:
            return Apply(self.settings())
        todo = self._next()
        if todo is None:
            return None
        return Measure(todo.step, self._counts.attempts.get(todo.step.routine, 0) + 1, todo.why)

    def settings(self) -> dict[str, Any]:
        """Return what the records have set, by ``instrument.parameter``."""
        settings: dict[str, Any] = {}
        for one in self.stand:
            # Also what does not hold any more is a better start than a table that was made safe.
            if one.held is not None:
                settings.update(one.held.settings)
        return settings

    def _next(self) -> Standing | None:
        return next((one for one in self.stand if not one.holds and one.step.routine not in self._waived), None)

    def done(self) -> None:
        """Take it that the command was carried out; not for `Measure`."""
        command = self.command
        match command:
            case Connect():
                self._state = State.CONNECTED
            case PutBack():
                self._put_back = None
            case Apply():
                self._is_applied = True
            case Darken():
                self._is_dark = True
            case _:
                raise LocalProtocolError(f"{command} ends with an outcome", hint="call Machine.measured")

    def measured(self, outcome: Outcome) -> None:
        """Take how the step went that `command` named."""
        command = self.command
        if not isinstance(command, Measure):
            raise LocalProtocolError(f"{command} has no outcome", hint="call Machine.done")
        step = command.step
        if outcome.held is not None:
            self._held[step.routine] = outcome.held
            self._redo.pop(step.routine, None)
            self._counts.attempts.pop(step.routine, None)
            return
        self._counts.attempts[step.routine] = command.attempt
        if command.attempt >= step.attempts:
            self._exhausted(step, outcome.reason)

    def _exhausted(self, step: Step, reason: str) -> None:
        if step.is_advisory:
            self._waived.add(step.routine)
        elif step.falls_back_to and step.routine not in self._counts.fallen_back:
            self._counts.fallen_back.add(step.routine)
            self._counts.attempts.clear()
            self._redo[step.falls_back_to] = f"{step.routine} did not pass"
        else:
            self.fail(f"{step.routine}: {reason}")

    def fail(self, reason: str) -> None:
        """End: something broke that no step can mend."""
        self._end(State.FAILED, reason)

    def interrupt(self, reason: str) -> None:
        """End: somebody wants it to."""
        self._end(State.INTERRUPTED, reason)

    def _end(self, state: State, reason: str) -> None:
        # What was never opened cannot be on.
        self._is_dark = self._state is State.OFF
        self._state, self.reason = state, reason
