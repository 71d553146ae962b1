"""Pack a finished run into an archive: another run folder, smaller, that reads as the same run.

`faintlink repack` uses this. Each file becomes one file with the same header, streams, context and index. Its rows
are stored as `faintlink.core.runfile.archive` says, other columns with HDF5's built-in filters. Every block of the
result is read back against the original's checksum before the folder gets its name. The original is left as it is;
its hashes stand in ``repack.json`` beside the new manifest.
"""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import h5py

from faintlink.core import __version__
from faintlink.core.config.link import LinkConfig
from faintlink.core.config.loader import parse_yaml
from faintlink.core.durable import fsync
from faintlink.core.errors import ConfigError, CorruptBlockError, RunExistsError, SchemaError
from faintlink.core.exports.packing import StreamSize, pack_stream, stream_size
from faintlink.core.exports.source import Progress
from faintlink.core.runfile.folder import Run, open_run
from faintlink.core.runfile.manifest import Manifest, Segment, file_sha256
from faintlink.core.runfile.party_writer import create_run
from faintlink.core.runfile.reader import RunFileReader

RECORD = "repack.json"
"""What was packed, and the hashes of the originals; in the new run folder."""
RECORD_FORMAT = "faintlink-repack/1"
ARCHIVE_VERSION = "1.1"
"""Version of the run-file format that knows archived columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedFile:
    """One file of the archive and the one it was made of."""

    file: str
    """Name in the archive."""
    sha256: str
    """Of the file in the archive."""
    bytes: int
    """Size."""
    original: str
    """Name of the original."""
    original_sha256: str
    """Of the original."""
    original_bytes: int
    """Size of the original."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepackReport:
    """What was packed."""

    run_id: str
    """The run, as before."""
    folder: str
    """The archive."""
    files: list[PackedFile]
    """Its files."""
    streams: list[StreamSize]
    """Sizes of the streams of tags and settings that hold rows."""


def repack(
    run: Path, folder: Path, *, periods_ps: Sequence[float] = (), progress: Progress | None = None
) -> RepackReport:
    """Write an archive of a run.

    Parameters
    ----------
    run
        Run folder or run file, sealed.
    folder
        Folder that is absent or empty.
    periods_ps
        Periods of the light to try, besides the one of the link file.
    progress
        Called with the rows done and the rows there are.

    Raises
    ------
    RunExistsError
        The folder exists and is not empty.
    SchemaError
        The run is still recorded, or was never sealed.
    CorruptBlockError
        A block is damaged, or did not read back as it was. Nothing is left behind.
    """
    source = open_run([run])
    building = folder.parent / f".{folder.name}.repacking.{os.getpid()}"
    _refuse_existing(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    steps = _Steps(source, progress)
    try:
        manifest = create_run(building, source.run_id)
        files, streams = _pack_all(source, building, manifest, periods_ps, steps)
        manifest.status = "closed"
        manifest.write(building)
        report = RepackReport(run_id=source.run_id, folder=str(folder), files=files, streams=streams)
        _write_record(building, report)
        # Replaces an empty folder, and fails on any other.
        building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return report


class _Steps:
    """Count rows for the progress."""

    def __init__(self, source: Run, progress: Progress | None) -> None:
        self._progress = progress
        self._done = 0
        self._total = 0
        for recording in source.parties.values():
            for path in recording.paths:
                with RunFileReader(path) as reader:
                    self._total += sum(stream.rows for stream in reader.streams.values())

    def add(self, rows: int) -> None:
        self._done += rows
        if self._progress is not None:
            self._progress(self._done, self._total)


def _refuse_existing(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunExistsError(f"{folder} exists; nothing was overwritten", hint="choose another --out")


def _pack_all(
    source: Run, building: Path, manifest: Manifest, periods_ps: Sequence[float], steps: _Steps
) -> tuple[list[PackedFile], list[StreamSize]]:
    files: list[PackedFile] = []
    streams: list[StreamSize] = []
    for party, recording in source.parties.items():
        periods = [*periods_ps, *_link_period(recording.context.get("link", ""))]
        manifest.parties[party] = []
        for number, original in enumerate(recording.paths):
            path = building / f"{party}-{number:04d}.h5"
            streams += _pack_file(original, path, periods, steps)
            segment = _verified(path)
            manifest.parties[party].append(segment)
            files.append(
                PackedFile(
                    file=path.name,
                    sha256=segment.sha256,
                    bytes=segment.bytes,
                    original=original.name,
                    original_sha256=file_sha256(original),
                    original_bytes=original.stat().st_size,
                )
            )
    return files, streams


def _link_period(text: str) -> list[float]:
    try:
        link = parse_yaml(text, LinkConfig, "link configuration of the run")
    except ConfigError:
        # An archive of a run with an odd link file is still an archive; only a hint is lost.
        return []
    return [link.source.period_ps] if link.source is not None else []


def _pack_file(original: Path, path: Path, periods_ps: Sequence[float], steps: _Steps) -> list[StreamSize]:
    _refuse_unsealed(original)
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    sizes = []
    with (
        RunFileReader(original) as reader,
        h5py.File(original, "r") as raw,
        h5py.File(path, "w", libver="v110", rdcc_nbytes=8 << 20) as file,
    ):
        _copy_attributes(raw, file)
        file.attrs["format_version"] = ARCHIVE_VERSION
        raw.copy("context", file)
        for name, stream in reader.streams.items():
            group = file.create_group(f"streams/{name}")
            _copy_attributes(raw[f"streams/{name}"], group)
            tried_ps = periods_ps if stream.spec.kind == "tags" else ()
            bound = pack_stream(stream, raw[f"streams/{name}"], group, tried_ps, steps.add)
            if stream.rows and stream.spec.kind != "events":
                sizes.append(stream_size(path.name, name, stream.rows, group, bound))
    fsync(path)
    return sizes


def _refuse_unsealed(original: Path) -> None:
    # Before HDF5 opens it plainly, which it refuses where a writer was killed.
    with RunFileReader(original) as reader:
        if reader.header.status == "recording":
            raise SchemaError(
                f"{original} is still recorded, or was never sealed",
                hint="wait for the end of the run, or `faintlink recover` the file first",
            )


def _copy_attributes(source: h5py.Group, target: h5py.Group) -> None:
    for name in source.attrs:
        target.attrs.create(name, source.attrs[name], dtype=source.attrs.get_id(name).dtype)


def _verified(path: Path) -> Segment:
    """Read every block of a new file against the original's checksums, and return its entry for the manifest."""
    try:
        with RunFileReader(path) as reader:
            for stream in reader.streams.values():
                for _ in stream.blocks():
                    pass
            rows = {name: stream.rows for name, stream in reader.streams.items()}
            lost = sum(stream.loss.lost for stream in reader.streams.values())
    except CorruptBlockError as error:
        raise CorruptBlockError(
            f"the packed file does not read back as the original: {error.message}",
            hint="nothing was kept; check the disk and its free space",
        ) from error
    return Segment(path.name, rows, lost, path.stat().st_size, file_sha256(path))


def _write_record(folder: Path, report: RepackReport) -> None:
    record = {
        "format": RECORD_FORMAT,
        "run_id": report.run_id,
        "packed_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "software_version": __version__,
        "files": [asdict(file) for file in report.files],
    }
    path = folder / RECORD
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    fsync(path)
