"""``faintlink up``: bring a link up from cold, or go on where the last bring-up ended."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from faintlink.acquisition.bringup.conductor import Plan
    from faintlink.acquisition.bringup.journal import Line
    from faintlink.acquisition.unattended.service import Night
    from faintlink.core.calibration.records import CalibrationRecord


@click.command("up")
@click.argument("link", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder of records; calibrations/<link> by default.")
@click.option("--from", "begin_at", metavar="STATE", help="Take every step from this state on, whatever its record.")
@click.option("--dry-run", is_flag=True, help="List the steps with what each needs; open no instrument.")
@click.option("--max-age", type=click.FloatRange(min=0.0, min_open=True), help="Hours that any record is good at most.")
@click.option("--timeout", type=click.FloatRange(min=0.0, min_open=True), help="Seconds for each step.")
@click.option("--set", "knobs", multiple=True, metavar="NAME=VALUE", help="Set a station parameter first.")
@click.option("--option", "options", multiple=True, metavar="ROUTINE.OPTION=NUMBER", help="Change a routine's number.")
@click.option("--unattended", is_flag=True, help="Then take run after run, calibrating before an alarm, until ended.")
@click.option("--segment", type=click.FloatRange(min=0.0, min_open=True), help="Unattended: seconds of a run.")
@click.option("--count", type=click.IntRange(min=1), help="Unattended: number of runs; no end by default.")
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs"), help="Unattended: folder of the runs.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def up(
    link: Path,
    out: Path | None,
    begin_at: str | None,
    max_age: float | None,
    timeout: float | None,
    knobs: tuple[str, ...],
    options: tuple[str, ...],
    segment: float | None,
    count: int | None,
    runs: Path,
    *,
    dry_run: bool,
    unattended: bool,
    as_json: bool,
) -> int:
    """Bring the link in LINK (a YAML file) up, step by step.

    Steps whose records still hold are not taken again: after Ctrl-C, a crash or a failure the command goes on where
    it was. Exit code 5 says that a step did not pass; `faintlink doctor` says why.

    With --unattended exit code 3 says that the disk is nearly full, and 130 that somebody ended it.
    """
    from faintlink.acquisition.bringup.conductor import Plan
    from faintlink.acquisition.bringup.states import state_named, steps_of_link
    from faintlink.acquisition.knobs import parse_knobs
    from faintlink.acquisition.unattended.service import Night
    from faintlink.core.config.loader import load_link

    config = load_link(link)
    numbers = {name: float(value) for name, value in parse_knobs(options).items()}
    max_age_s = None if max_age is None else 3600.0 * max_age
    steps = steps_of_link(config, numbers, max_age_s=max_age_s, timeout_s=timeout)
    state = None if begin_at is None else state_named(begin_at, steps)
    plan = Plan(config, steps, numbers, parse_knobs(knobs), state)
    folder = out or Path("calibrations") / config.name
    if dry_run:
        return _list(plan, folder, as_json=as_json)
    if unattended:
        return _keep_running(link, plan, folder, Night(runs, segment, count))
    return _bring_up(link, plan, folder, as_json=as_json)


def _keep_running(link_file: Path, plan: "Plan", folder: Path, night: "Night") -> int:
    from faintlink.acquisition.bringup.reporting import event_line
    from faintlink.acquisition.unattended.service import Service
    from faintlink.core.service_manager import Notifier

    def show(line: "Line", record: "CalibrationRecord | None") -> None:
        text = event_line(line, record)
        if text:
            click.echo(text)

    ending = Service(link_file, plan, folder, night, Notifier(), show).run()
    click.echo(f"{ending.kind} after {ending.runs} runs: {ending.reason}")
    return {"done": 0, "disk": 3, "stopped": 130}[ending.kind]


def _list(plan: "Plan", folder: Path, *, as_json: bool) -> int:
    import json
    from datetime import UTC, datetime

    from faintlink.acquisition.bringup.journal import Journal, believed
    from faintlink.acquisition.bringup.machine import Machine
    from faintlink.acquisition.bringup.reporting import plan_data, plan_lines
    from faintlink.acquisition.bringup.standing import shelf_of
    from faintlink.core.config.link import config_sha256

    held = believed(shelf_of(folder, plan.link).held, Journal(folder).lines(), config_sha256(plan.link))
    stand = Machine(plan.steps, held, now=datetime.now(UTC), begin_at=plan.begin_at).stand
    click.echo(json.dumps(plan_data(stand), indent=1) if as_json else "\n".join(plan_lines(stand)))
    return 0


def _bring_up(link_file: Path, plan: "Plan", folder: Path, *, as_json: bool) -> int:
    from faintlink.acquisition.bringup.opening import brought_up
    from faintlink.acquisition.bringup.reporting import event_line
    from faintlink.acquisition.bringup.states import State

    def show(line: "Line", record: "CalibrationRecord | None") -> None:
        text = "" if as_json else event_line(line, record)
        if text:
            click.echo(text)

    with brought_up(link_file, plan, folder, watcher=show) as done:
        pass
    _conclude(link_file, folder, done.state, done.reason, done.settings, as_json=as_json)
    return 0 if done.state is State.READY else 5


def _conclude(
    link_file: Path, folder: Path, state: str, reason: str, settings: dict[str, Any], *, as_json: bool
) -> None:
    import json

    from faintlink.acquisition.bringup.reporting import run_command
    from faintlink.acquisition.bringup.states import State

    if as_json:
        click.echo(
            json.dumps({"state": state, "reason": reason, "settings": settings, "folder": str(folder)}, indent=1)
        )
    elif state == State.READY:
        click.echo("a run goes by this with:\n  " + run_command(link_file, folder, settings))
    else:
        click.echo(f"find out why with:\n  faintlink doctor {link_file} --out {folder}")
