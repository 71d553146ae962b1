"""``faintlink recover``: copy every whole block of a broken run file into a new one."""

from pathlib import Path

import click


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="The new file. [default: FILE.recovered.h5]")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def recover(file: Path, out: Path | None, as_json: bool) -> None:
    """Copy every whole block of a run file that was never sealed, or is damaged, into a new file.

    FILE is left as it is.
    """
    import json
    from dataclasses import asdict

    from faintlink.core.runfile.recover import default_target
    from faintlink.core.runfile.recover import recover as recover_file

    report = recover_file(file, out or default_target(file))
    if as_json:
        click.echo(json.dumps({**asdict(report), "is_complete": report.is_complete}))
        return
    click.echo(f"recovered {report.source}\n     into {report.target}")
    if report.was_sound:
        click.echo("  the file was sealed and whole: it needed no recovery, and the copy holds the same")
    for name, rows in report.rows.items():
        click.echo(f"  {name}: {rows} rows saved, {_loss(report.damaged_blocks[name], report.damaged_rows[name])}")


def _loss(blocks: int, rows: int) -> str:
    return f"{blocks} damaged blocks with {rows} rows lost" if blocks else "nothing lost"
