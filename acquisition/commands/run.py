"""``faintlink run``: take a run of a link on its station."""

from pathlib import Path

import click


@click.command()
@click.argument("link", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="New run folder; runs/<time>-<link> by default.")
@click.option("--duration", type=click.FloatRange(min=0.0, min_open=True), help="Seconds; the link file's by default.")
@click.option(
    "--expected-rate",
    type=click.FloatRange(min=0.0, min_open=True),
    default=1e6,
    show_default=True,
    help="Tags per second and receiver that the disk must hold.",
)
@click.option("--set", "knobs", multiple=True, metavar="NAME=VALUE", help="Set a station parameter before the run.")
@click.option("--calibration", type=click.Path(path_type=Path), help="Folder of calibration records to go by.")
@click.option(
    "--calibration-max-age",
    type=click.FloatRange(min=0.0, min_open=True),
    default=24.0,
    show_default=True,
    help="Hours after which a calibration record is refused.",
)
@click.option("--publish", default="", metavar="ADDRESS", help="Publish statistics at tcp://host:port for viewers.")
@click.option("--watch", "window", is_flag=True, help="Show the live view beside the run.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
def run(
    link: Path,
    out: Path | None,
    duration: float | None,
    expected_rate: float,
    knobs: tuple[str, ...],
    calibration: Path | None,
    calibration_max_age: float,
    publish: str,
    *,
    window: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Record a run of the link in LINK (a YAML file) on its station.

    With --calibration the gate is that of the newest passed records, and their figures go into the run's files.

    Ctrl-C ends the run early; its files are sealed and valid, and the exit code is 130.
    """
    import json

    from faintlink.acquisition.knobs import parse_knobs
    from faintlink.acquisition.launch import take_run
    from faintlink.acquisition.progress import ProgressView

    with ProgressView(quiet=quiet) as progress:
        report = take_run(
            link,
            out,
            calibration=calibration,
            max_age_s=3600.0 * calibration_max_age,
            duration_s=duration,
            settings=parse_knobs(knobs),
            expected_rate_hz=expected_rate,
            progress=progress,
            publish=publish,
            window=window,
        )
    if as_json:
        click.echo(json.dumps(report.as_dict(), indent=1))
    else:
        from faintlink.acquisition.launch import in_words

        click.echo(in_words(report))
    return 130 if report.interrupted else 0
