"""``faintlink doctor``: why a link does not come up, with figures, causes, and what to do."""

from pathlib import Path

import click


@click.command("doctor")
@click.argument("link", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder of records; calibrations/<link> by default.")
@click.option(
    "--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Folder of runs."
)
@click.option("--set", "knobs", multiple=True, metavar="NAME=VALUE", help="Set a station parameter first.")
@click.option("--option", "options", multiple=True, metavar="ROUTINE.OPTION=NUMBER", help="As for `faintlink up`.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(
    link: Path,
    out: Path | None,
    runs: Path,
    knobs: tuple[str, ...],
    options: tuple[str, ...],
    *,
    as_json: bool,
) -> int:
    """Open the station of LINK (a YAML file), look at it for a few seconds, and say what is wrong.

    The first finding is the one to mend first. Exit code 0 says that nothing was found, 5 that something was.
    """
    import json

    from faintlink.acquisition.bringup.doctor.diagnoses import diagnose
    from faintlink.acquisition.bringup.doctor.examine import examine
    from faintlink.acquisition.knobs import parse_knobs
    from faintlink.acquisition.launch import plan_run, terminate_as_interrupt

    config = plan_run(link).link
    folder = out or Path("calibrations") / config.name
    numbers = {name: float(value) for name, value in parse_knobs(options).items()}
    with terminate_as_interrupt():
        evidence = examine(link, config, folder, runs=runs, knobs=parse_knobs(knobs), options=numbers)
    findings = diagnose(evidence)
    if as_json:
        click.echo(json.dumps([finding.as_dict() for finding in findings], indent=1))
    elif findings:
        click.echo("\n".join(f"{number}. {finding}" for number, finding in enumerate(findings, 1)))
    else:
        click.echo(f"{config.name}: nothing is wrong that the doctor knows of")
    return 5 if findings else 0
