"""``faintlink inspect``: show what a run, a run file or a foreign recording holds."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from faintlink.core.runfile.summary import FileSummary, StreamSummary

_MAX_TEXT = 200


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option("--check", is_flag=True, help="Compare with the manifest too, and fail if anything is damaged.")
def inspect(path: Path, as_json: bool, check: bool) -> None:
    """Show the header, streams, rates and losses of a run folder, a run file or a recording.

    Every block is compared with its checksum on the way.
    """
    from faintlink.core.errors import CorruptBlockError, SchemaError

    if not path.exists():
        raise SchemaError(f"{path} does not exist", hint="name a run folder, a run file or a recording")
    if not path.is_dir() and not _is_hdf5(path):
        _show_recording(path, as_json)
        return
    files, faults = _summaries(path, check)
    _show_run(files, faults, as_json)
    if check and faults:
        raise CorruptBlockError(
            f"{path}: {len(faults)} fault{'s' if len(faults) > 1 else ''} found",
            hint="run `faintlink recover FILE` on a damaged file that was not recovered yet, or copy it again",
        )


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(8) == b"\x89HDF\r\n\x1a\n"


def _summaries(path: Path, check: bool) -> "tuple[list[FileSummary], list[str]]":
    from faintlink.core.errors import SchemaError
    from faintlink.core.runfile.summary import all_faults, manifest_faults, summarise_file, summarise_run

    files = summarise_run(path) if path.is_dir() else [summarise_file(path)]
    if not files:
        raise SchemaError(f"no run file in {path}", hint="a run folder holds run.json and *.h5 files")
    faults = all_faults(files)
    if check and path.is_dir():
        faults += manifest_faults(path)
    return files, faults


def _show_run(files: "list[FileSummary]", faults: list[str], as_json: bool) -> None:
    if as_json:
        import json
        from dataclasses import asdict

        click.echo(json.dumps({"files": [asdict(file) for file in files], "faults": faults}))
        return
    for file in files:
        header = file.header
        click.echo(f"{file.file}\n  run {header.run_id}, {header.party}, segment {header.segment}, {header.status}")
        click.echo(f"  created {header.created_utc} by faintlink {header.software_version}")
        for name, stream in file.streams.items():
            _show_stream(name, stream)
        click.echo("  context: " + (", ".join(f"{name} ({size} characters)" for name, size in file.context.items())))
    click.echo("\n".join(f"damaged: {fault}" for fault in faults) or "every block matches its checksum")


def _show_stream(name: str, stream: "StreamSummary") -> None:
    click.echo(f"  {name} ({stream.kind}{', ' + stream.instrument if stream.instrument else ''}): {stream.rows} rows")
    click.echo(f"    {stream.blocks} blocks, {stream.lost} lost in {stream.gaps} gaps")
    if stream.kind == "tags" and stream.rows:
        click.echo(f"    from {stream.first_key} ps, {(stream.last_key - stream.first_key) / 1e12:.3f} s long")
    elif stream.kind == "settings" and stream.rows:
        click.echo(f"    slots {stream.first_key} to {stream.last_key}")
    for channel, rate_hz in stream.rates_hz.items():
        click.echo(f"    channel {channel}: {rate_hz:.1f} tags/s")


def _show_recording(path: Path, as_json: bool) -> None:
    from dataclasses import fields

    from faintlink.core.formats.recording import open_recording

    info = open_recording(path).info
    facts = {item.name: _plain(getattr(info, item.name)) for item in fields(info)}
    if as_json:
        import json

        click.echo(json.dumps({"recording": str(path), **facts}, default=str))
        return
    click.echo(str(path))
    for name, value in facts.items():
        if name != "header" and value not in (None, ""):
            click.echo(f"  {name}: {str(value)[:_MAX_TEXT]}")


def _plain(value: Any) -> Any:
    from collections.abc import Mapping

    return {str(key): entry for key, entry in value.items()} if isinstance(value, Mapping) else value
