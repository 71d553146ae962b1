"""What ``faintlink up`` and ``faintlink status`` say: as lines for a person, as data for JSON.

Pure: it formats what `standing`, `machine` and `journal` know.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from faintlink.acquisition.bringup.journal import Event, Line
from faintlink.acquisition.bringup.standing import Shelf, Standing, tightest
from faintlink.acquisition.bringup.states import State
from faintlink.core.calibration.records import CalibrationRecord


def span(seconds: float) -> str:
    """Return a time as a person says it."""
    for size, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if abs(seconds) >= 2.0 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def event_line(line: Line, record: CalibrationRecord | None) -> str:
    """Return what to print of an event; empty for those that only matter to a program."""
    match line.event:
        case Event.BEGAN:
            return line.reason
        case Event.STATE:
            return f"== {line.state}" + (f": {line.reason}" if line.reason else "")
        case Event.STEP_BEGAN:
            return ""
        case Event.PUT_BACK:
            return f"   {line.routine:20s} {line.reason}"
    verdict = "" if record is None else f"{record.verdict} in {span(record.duration_s)}"
    return f"   {line.routine:20s} {verdict}" + (f": {line.reason}" if line.reason else "")


def plan_lines(stand: Sequence[Standing]) -> list[str]:
    """Return the steps with their preconditions and the age of each record."""
    lines = [f"{'state':14s} {'step':18s} {'record':22s} needs"]
    for one in stand:
        age = "none" if one.age_s is None else f"{span(one.age_s)} of {span(one.step.max_age_s)}"
        needs = ", ".join(one.step.needs) or "-"
        lines.append(f"{one.step.reaches:14s} {one.step.routine:18s} {age:22s} {needs}")
        lines.append(f"{'':14s} {'-> take: ' + one.why if one.why else '-> holds'}")
    return lines


def plan_data(stand: Sequence[Standing]) -> list[dict[str, Any]]:
    """Return the same for JSON."""
    return [
        {
            "state": one.step.reaches,
            "step": one.step.routine,
            "needs": list(one.step.needs),
            "holds": one.holds,
            "why": one.why,
            "age_s": one.age_s,
            "max_age_s": one.step.max_age_s,
            "timeout_s": one.step.timeout_s,
            "attempts": one.step.attempts,
            "is_advisory": one.step.is_advisory,
            "falls_back_to": one.step.falls_back_to,
        }
        for one in stand
    ]


def status_data(
    stand: Sequence[Standing],
    shelf: Shelf,
    journal: tuple[State, datetime | None, str],
    state: State,
    now: datetime,
) -> dict[str, Any]:
    """Return all that is known of a link without opening an instrument.

    Parameters
    ----------
    stand
        How each step stands.
    shelf
        The records.
    journal
        Last state of the journal, since when, and why it failed.
    state
        What the records allow now.
    now
        The time.
    """
    last, since, reason = journal
    return {
        "state": state,
        "journal_state": last,
        "since_utc": None if since is None else since.isoformat(timespec="seconds"),
        "since_s": None if since is None else (now - since).total_seconds(),
        "reason": reason,
        "next": _next_due(stand),
        "steps": [{**plan, **_record_data(plan["step"], shelf)} for plan in plan_data(stand)],
    }


def _next_due(stand: Iterable[Standing]) -> dict[str, Any] | None:
    """Return the step that has to be taken first, and when."""
    stand = list(stand)
    due = [one for one in stand if not one.holds and not one.step.is_advisory]
    if due:
        return {"step": due[0].step.routine, "in_s": 0.0, "why": due[0].why}
    left = [(one.left_s, one) for one in stand if one.left_s is not None and not one.step.is_advisory]
    if not left:
        return None
    in_s, first = min(left, key=lambda pair: pair[0])
    return {"step": first.step.routine, "in_s": in_s, "why": "its record grows too old"}


def _record_data(routine: str, shelf: Shelf) -> dict[str, Any]:
    record, newest = shelf.passed.get(routine), shelf.newest.get(routine)
    data: dict[str, Any] = {"record": None, "tightest": None, "failed_since": None}
    if record is not None:
        data["record"] = shelf.files[record.record_id].name
        worst = tightest(record)
        if worst is not None:
            data["tightest"] = {"criterion": str(worst[0]), "spare": worst[1]}
    if newest is not None and not newest.is_passed:
        data["failed_since"] = {"utc": newest.started_utc, "reason": newest.reason}
    return data


def status_lines(name: str, data: Mapping[str, Any]) -> list[str]:
    """Return a status as lines."""
    since = "never brought up" if data["since_s"] is None else f"last word {span(data['since_s'])} ago"
    lines = [f"{name}: {data['state']} by its records; the journal says {data['journal_state']}, {since}"]
    if data["reason"]:
        lines.append(f"  {data['reason']}")
    for step in data["steps"]:
        age = "no record" if step["age_s"] is None else f"{span(step['age_s'])} of {span(step['max_age_s'])}"
        margin = "" if step["tightest"] is None else f"{100 * step['tightest']['spare']:5.0f} % to spare"
        lines.append(f"  {step['step']:18s} {age:22s} {margin:20s} {step['why'] or 'holds'}")
        if step["failed_since"] is not None:
            lines.append(f"  {'':18s} failed since: {step['failed_since']['reason']}")
    if data["next"] is not None:
        due = data["next"]
        lines.append(f"next: {due['step']} in {span(due['in_s'])} ({due['why']})")
    if data.get("newest_run") is not None:
        lines += _run_lines(data["newest_run"])
    return lines


def _run_lines(run: Mapping[str, Any]) -> list[str]:
    """Return the figures of the newest unattended run, and when each meets its alarm line if it drifts on."""
    lines = [f"newest unattended run: {run['utc']}, {run['folder']}"]
    for name, figure in run["figures"].items():
        left_s = run["alarm_in_s"].get(name)
        course = "steady" if left_s is None else f"meets its alarm in {span(left_s)} if it drifts on"
        lines.append(f"  {name:18s} {figure['value']:.4g} +- {figure['sigma']:.2g}, {course}")
    return lines + [f"  alarm: {alarm}" for alarm in run["alarms"]]


def run_command(link_file: Path, folder: Path, settings: Mapping[str, Any]) -> str:
    """Return the command line that takes a run by what was found."""
    sets = "".join(f" \\\n    --set '{knob}={json.dumps(value)}'" for knob, value in settings.items())
    return f"faintlink run {link_file} --calibration {folder}{sets}"
