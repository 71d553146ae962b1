"""``faintlink import``: turn a recording from elsewhere into a party's run file."""

from pathlib import Path

import click


@click.command(name="import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Run folder; new, or of the same run.")
@click.option("--party", required=True, type=click.Choice(["alice", "bob"]), help="Whose recording it is.")
@click.option("--format", "format_name", help="Format of FILE. [default: told from its content]")
@click.option("--link", type=click.Path(path_type=Path), help="Link file to store with the tags.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def import_recording(
    file: Path, out: Path, party: str, format_name: str | None, link: Path | None, as_json: bool
) -> None:
    """Convert the recording FILE into a run file of one party.

    A second recording with the same --out and the other --party completes the run.
    """
    import json
    from dataclasses import asdict

    from rich.console import Console
    from rich.progress import Progress

    from faintlink.core.runfile.importing import ImportPlan, import_into_run
    from faintlink.core.symbols import Party

    plan = ImportPlan(source=file, folder=out, party=Party(party), format=format_name, link=link)
    with Progress(console=Console(stderr=True), transient=True, disable=as_json) as bar:
        task = bar.add_task(f"importing {file.name}", total=None)

        def advance(tags: int, expected: int | None) -> None:
            bar.update(task, completed=tags, total=expected)

        report = import_into_run(plan, progress=advance)
    if as_json:
        click.echo(json.dumps(asdict(report)))
        return
    click.echo(f"{report.tags} tags of {report.source} ({report.format}) -> {', '.join(report.files)}")
    click.echo(f"run {report.run_id} in {report.folder} now has: {', '.join(report.parties)}")
