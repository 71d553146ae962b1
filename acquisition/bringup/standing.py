"""Which records of a bring-up hold now, and why the others do not: pure arithmetic of times and dependences.

Used by `machine` to choose the next step, by ``faintlink up --dry-run`` to list them, and by ``faintlink status``.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from faintlink.acquisition.bringup.states import State, Step
from faintlink.acquisition.calibration.in_force import held_records
from faintlink.core.calibration.records import CalibrationRecord, Criterion
from faintlink.core.config.link import LinkConfig


@dataclass(frozen=True, slots=True)
class Held:
    """What a passed record means for a bring-up."""

    record_id: str
    started: datetime
    """When it was begun."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Values by ``instrument.parameter`` that it put in force."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One step, and whether it has to be taken."""

    step: Step
    held: Held | None
    """Its newest passed record."""
    why: str
    """Why the step has to be taken; empty if its record holds."""
    age_s: float | None = None
    """Age of the record."""

    @property
    def holds(self) -> bool:
        """Whether the record is good."""
        return not self.why

    @property
    def left_s(self) -> float | None:
        """How long the record is still good; negative when it is too old."""
        return None if self.age_s is None else self.step.max_age_s - self.age_s


def standings(
    steps: Sequence[Step],
    held: Mapping[str, Held],
    *,
    now: datetime,
    redo: Mapping[str, str] | None = None,
) -> list[Standing]:
    """Return how each step stands.

    Parameters
    ----------
    steps
        In order.
    held
        Newest passed record by routine.
    now
        The time.
    redo
        Steps to take in any case, with the reason.
    """
    found: dict[str, Standing] = {}
    for step in steps:
        record = held.get(step.routine)
        age_s = None if record is None else (now - record.started).total_seconds()
        why = (redo or {}).get(step.routine) or _why(step, record, age_s, found)
        found[step.routine] = Standing(step, record, why, age_s)
    return list(found.values())


def _why(step: Step, record: Held | None, age_s: float | None, before: Mapping[str, Standing]) -> str:
    if record is None or age_s is None:
        return "it has no record"
    if age_s > step.max_age_s:
        return f"its record is {age_s / 3600:.1f} h old, {step.max_age_s / 3600:.1f} h are allowed"
    for need in step.needs:
        other = before[need]
        if not other.holds:
            return f"it rests on {need}, which has to be taken"
        if other.held is not None and other.held.started > record.started:
            return f"{need} was taken anew after it"
    return ""


def state_reached(stand: Iterable[Standing], waived: Iterable[str] = ()) -> State:
    """Return the last state before the first step that has to be taken.

    Parameters
    ----------
    stand
        The steps in order.
    waived
        Steps that characterise only and did not pass.
    """
    reached, passed = State.CONNECTED, set(waived)
    groups: list[tuple[State, list[Standing]]] = []
    for one in stand:
        if not groups or groups[-1][0] is not one.step.reaches:
            groups.append((one.step.reaches, []))
        groups[-1][1].append(one)
    for state, members in groups:
        if not all(one.holds or one.step.routine in passed for one in members):
            break
        reached = state
    return reached


@dataclass(frozen=True, slots=True, eq=False)
class Shelf:
    """The records of a folder, by routine."""

    passed: Mapping[str, CalibrationRecord]
    """Newest that passed."""
    newest: Mapping[str, CalibrationRecord]
    """Newest, however it ended."""
    files: Mapping[str, Path]
    """File of each record, by its identity."""

    @property
    def held(self) -> dict[str, Held]:
        """What the passed records mean for a bring-up."""
        return {name: held_of(record) for name, record in self.passed.items()}


def held_of(record: CalibrationRecord) -> Held:
    """Return what a passed record means for a bring-up."""
    return Held(record.record_id, datetime.fromisoformat(record.started_utc), record.settings)


def shelf_of(folder: Path, link: LinkConfig) -> Shelf:
    """Return the newest records of a link in a folder.

    Raises
    ------
    SchemaError
        A file of the folder is damaged.
    """
    passed: dict[str, CalibrationRecord] = {}
    newest: dict[str, CalibrationRecord] = {}
    files: dict[str, Path] = {}
    for held in sorted(held_records(folder, link), key=lambda one: one.started):
        newest[held.record.routine] = held.record
        files[held.record.record_id] = held.path
        if held.record.is_passed:
            passed[held.record.routine] = held.record
    return Shelf(passed, newest, files)


def tightest(record: CalibrationRecord) -> tuple[Criterion, float] | None:
    """Return the requirement of a record that has least to spare, and what it has left as a share of its limit."""
    spare = [(criterion, _spare(criterion)) for criterion in record.decision.criteria if criterion.limit]
    return min(spare, key=lambda pair: pair[1], default=None)


def _spare(criterion: Criterion) -> float:
    margin = criterion.sigmas * criterion.sigma
    if criterion.relation == "at most":
        return (criterion.limit - criterion.value - margin) / abs(criterion.limit)
    return (criterion.value - margin - criterion.limit) / abs(criterion.limit)
