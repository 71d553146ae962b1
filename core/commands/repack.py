"""``faintlink repack``: pack a finished run into a smaller run folder that reads as the same run."""

from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to make; must not exist.")
@click.option(
    "--period-ps",
    "periods_ps",
    multiple=True,
    type=click.FloatRange(min=2.0, max=1e9),
    help="Period of the light, where the link file does not tell it. May be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def repack(run: Path, out: Path, periods_ps: tuple[float, ...], as_json: bool) -> None:
    """Pack the sealed run folder or run file RUN into a compressed archive.

    RUN is left as it is. Every block is read back against its checksum before the archive appears.
    """
    import json
    from dataclasses import asdict

    from rich.console import Console
    from rich.progress import Progress

    from faintlink.core.exports.repacking import repack as repack_run

    with Progress(console=Console(stderr=True), transient=True, disable=as_json) as bar:
        task = bar.add_task(f"packing {run.name}", total=None)

        def advance(rows: int, expected: int) -> None:
            bar.update(task, completed=rows, total=expected)

        report = repack_run(run, out, periods_ps=periods_ps, progress=advance)
    if as_json:
        sizes = [{**asdict(size), "ratio": size.ratio if size.bound_bits_per_row else None} for size in report.streams]
        click.echo(json.dumps({**asdict(report), "streams": sizes}))
        return
    before = sum(file.original_bytes for file in report.files)
    after = sum(file.bytes for file in report.files)
    click.echo(f"run {report.run_id}: {before} bytes -> {after} bytes in {report.folder}")
    for size in report.streams:
        ratio = f", {size.ratio:.3f} times the bound" if size.bound_bits_per_row else ""
        click.echo(
            f"  {size.file} {size.stream}: {size.rows} rows, {size.bits_per_row:.2f} bits a row; "
            f"entropy {size.bound_bits_per_row:.2f}{ratio}"
        )
