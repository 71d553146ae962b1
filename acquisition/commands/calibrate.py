"""``faintlink calibrate``: run calibrations of a link, or repeat the decision of a recorded one."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from faintlink.core.calibration.records import CalibrationRecord


@click.command("calibrate")
@click.argument("name", required=False)
@click.argument("link", required=False, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the records; calibrations/<link> by default.")
@click.option("--set", "knobs", multiple=True, metavar="NAME=VALUE", help="Set a station parameter first.")
@click.option("--option", "options", multiple=True, metavar="ROUTINE.OPTION=NUMBER", help="Change a routine's number.")
@click.option("--timeout", type=click.FloatRange(min=0.0, min_open=True), help="Seconds for each routine.")
@click.option("--replay", type=click.Path(path_type=Path), help="Repeat the decision of a record instead.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def calibrate(
    name: str | None,
    link: Path | None,
    out: Path | None,
    knobs: tuple[str, ...],
    options: tuple[str, ...],
    timeout: float | None,
    replay: Path | None,
    *,
    as_json: bool,
) -> int:
    """Run the calibration NAME, or all of them in order, on the station of LINK (a YAML file).

    Each leaves a dated record, also when it fails; a failed one leaves every knob where it was. Exit code 5 says
    that a calibration did not pass.
    """
    if replay is not None:
        return _replay(replay, as_json=as_json)
    if name is None or link is None:
        raise click.UsageError("give NAME (or all) and LINK, or --replay RECORD")
    return _run(name, link, out, knobs, options, timeout, as_json=as_json)


def _run(
    name: str,
    link_file: Path,
    out: Path | None,
    knobs: tuple[str, ...],
    options: tuple[str, ...],
    timeout_s: float | None,
    *,
    as_json: bool,
) -> int:
    from faintlink.acquisition.calibration.bring_up import bring_up, is_brought_up, keeper, routine_named
    from faintlink.acquisition.knobs import parse_knobs, turn
    from faintlink.acquisition.launch import terminate_as_interrupt
    from faintlink.acquisition.preflight import require_link_matches_station
    from faintlink.core.config.loader import load_link
    from faintlink.core.errors import ConfigError
    from faintlink.instruments.calibration.lab import Lab
    from faintlink.instruments.station import open_station

    names = None if name == "all" else [routine_named(name).name]
    numbers = {key: float(value) for key, value in parse_knobs(options).items()}
    config = load_link(link_file)
    if not config.station:
        raise ConfigError(f"{link_file} names no station", hint="add `station: FILE.station.yaml`")
    keep, files = keeper(out or Path("calibrations") / config.name)

    def listener(record: "CalibrationRecord") -> None:
        keep(record)
        if not as_json:
            click.echo(_line(record, files[-1]))

    with open_station(link_file.parent / config.station) as station, terminate_as_interrupt():
        turn(station, parse_knobs(knobs))
        require_link_matches_station(config, station)
        lab = Lab.of(config, station)
        records = bring_up(lab, names, options=numbers, timeout_s=timeout_s, listener=listener)
    _conclude(records, files, as_json=as_json)
    is_passed = is_brought_up(records) if names is None else records[-1].is_passed
    return 0 if is_passed else 5


def _conclude(records: "list[CalibrationRecord]", files: list[Path], *, as_json: bool) -> None:
    import json

    from faintlink.acquisition.calibration.bring_up import calibrated_settings

    settings = calibrated_settings(records)
    if as_json:
        entries = [_entry(record, file) for record, file in zip(records, files, strict=True)]
        click.echo(json.dumps({"records": entries, "settings": settings}, indent=1))
    elif settings:
        click.echo("a run takes these settings with:")
        for knob, value in settings.items():
            click.echo(f"  --set '{knob}={json.dumps(value)}'")


def _line(record: "CalibrationRecord", file: Path) -> str:
    reason = f": {record.reason}" if record.reason else ""
    return f"{record.routine:20s} {record.verdict}{reason}  [{file}]"


def _entry(record: "CalibrationRecord", file: Path) -> dict[str, Any]:
    decision = record.decision
    return {
        "routine": record.routine,
        "version": record.routine_version,
        "verdict": str(record.verdict),
        "reason": record.reason,
        "results": dict(decision.results),
        "criteria": [{"text": str(criterion), "is_met": criterion.is_met} for criterion in decision.criteria],
        "proposal": dict(decision.proposal),
        "file": str(file),
    }


def _replay(path: Path, *, as_json: bool) -> int:
    import json

    from faintlink.acquisition.calibration.bring_up import agrees, replay_file

    recorded, repeated = replay_file(path)
    same = agrees(recorded, repeated)
    if as_json:
        click.echo(json.dumps({**_entry(repeated, path), "is_equal": same}, indent=1))
    else:
        click.echo(_line(repeated, path))
        for criterion in repeated.decision.criteria:
            click.echo(f"  {'met   ' if criterion.is_met else 'missed'} {criterion}")
        click.echo("the same decision, bit for bit" if same else "ANOTHER decision than the recorded one")
    return 0 if same else 3
