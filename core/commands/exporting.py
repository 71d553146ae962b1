"""``faintlink export``: write a stream of a run in another program's format."""

from pathlib import Path

import click


@click.command(name="export")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "format_name",
    required=True,
    type=click.Choice(["photon-hdf5", "nexus", "csv", "parquet", "ptu"]),
    help="Format to write.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="File to make; must not exist.")
@click.option("--party", type=click.Choice(["alice", "bob", "charlie"]), help="Whose stream. [default: the only one]")
@click.option("--stream", help="Which stream. [default: the only one, tags before settings]")
@click.option("--start", "start_s", help="Leave out what is earlier, in seconds after the first tag.")
@click.option("--stop", "stop_s", help="Leave out what is as late or later, in seconds after the first tag.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def export(
    file: Path,
    format_name: str,
    out: Path,
    party: str | None,
    stream: str | None,
    start_s: str | None,
    stop_s: str | None,
    as_json: bool,
) -> None:
    """Write a stream of the run folder or run file FILE in another program's format.

    Gaps are kept: in the file where the format has room, else in OUT.gaps.csv.
    """
    import json
    from dataclasses import asdict

    from rich.console import Console
    from rich.progress import Progress

    from faintlink.core.exports.exporting import ExportFormat, ExportPlan
    from faintlink.core.exports.exporting import export as export_stream

    plan = ExportPlan(
        source=file,
        target=out,
        format=ExportFormat(format_name),
        party=party,
        stream=stream,
        start_s=start_s,
        stop_s=stop_s,
    )
    with Progress(console=Console(stderr=True), transient=True, disable=as_json) as bar:
        task = bar.add_task(f"exporting {file.name}", total=None)

        def advance(rows: int, expected: int) -> None:
            bar.update(task, completed=rows, total=expected)

        report = export_stream(plan, progress=advance)
    if as_json:
        click.echo(json.dumps(asdict(report)))
        return
    click.echo(f"{report.rows} rows of {report.party}, stream {report.stream} -> {', '.join(report.files)}")
    click.echo(f"  {report.lost} tags known to be lost in {report.gaps} gaps, kept")
