"""``faintlink status``: how far a link is brought up, how old its records are, and what is due next."""

from pathlib import Path

import click


@click.command("status")
@click.argument("link", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder of records; calibrations/<link> by default.")
@click.option("--max-age", type=click.FloatRange(min=0.0, min_open=True), help="Hours that any record is good at most.")
@click.option("--option", "options", multiple=True, metavar="ROUTINE.OPTION=NUMBER", help="As for `faintlink up`.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def status(link: Path, out: Path | None, max_age: float | None, options: tuple[str, ...], *, as_json: bool) -> int:
    """Say how the link in LINK (a YAML file) stands, from its records and its journal; no instrument is opened.

    Exit code 0 says that a run can be taken now, 5 that something has to be done first.
    """
    import json
    from datetime import UTC, datetime

    from faintlink.acquisition.bringup.journal import Journal, believed, since
    from faintlink.acquisition.bringup.reporting import status_data, status_lines
    from faintlink.acquisition.bringup.standing import shelf_of, standings, state_reached
    from faintlink.acquisition.bringup.states import State, steps_of_link
    from faintlink.acquisition.knobs import parse_knobs
    from faintlink.acquisition.unattended.night_log import newest_run
    from faintlink.core.config.link import config_sha256
    from faintlink.core.config.loader import load_link

    config, now = load_link(link), datetime.now(UTC)
    folder = out or Path("calibrations") / config.name
    numbers = {name: float(value) for name, value in parse_knobs(options).items()}
    steps = steps_of_link(config, numbers, max_age_s=None if max_age is None else 3600.0 * max_age)
    shelf, lines = shelf_of(folder, config), Journal(folder).lines()
    held = believed(shelf.held, lines, config_sha256(config))
    stand = standings(steps, held, now=now)
    waived = [one.step.routine for one in stand if one.step.is_advisory]
    reached = state_reached(stand, waived) if held else State.OFF
    data = {**status_data(stand, shelf, since(lines), reached, now), "newest_run": newest_run(folder)}
    click.echo(json.dumps(data, indent=1) if as_json else "\n".join(status_lines(config.name, data)))
    return 0 if reached is State.READY else 5
