"""Say what a run holds: header, streams, losses, rates, and whether every block is what was written.

`faintlink inspect` shows it. All rows are read once, block by block, so every checksum is tried on the way.
Nothing here writes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from faintlink.core.errors import CorruptBlockError, RunfileError
from faintlink.core.runfile.folder import run_files
from faintlink.core.runfile.manifest import MANIFEST, file_sha256, read_manifest
from faintlink.core.runfile.reader import RunFileReader, StreamReader
from faintlink.core.runfile.recover import default_target
from faintlink.core.runfile.schema import RunHeader
from faintlink.core.units import PS_PER_S


@dataclass(frozen=True, slots=True)
class StreamSummary:
    """One stream of one file."""

    kind: str
    """Kind of the stream."""
    instrument: str
    """Its instrument."""
    blocks: int
    """Committed blocks."""
    rows: int
    """Committed rows."""
    lost: int
    """Rows known to be missing."""
    gaps: int
    """Gap records."""
    first_key: int
    """Key of the first row: ps for tags, slot for settings, UTC in ns for events."""
    last_key: int
    """Key of the last row."""
    rates_hz: dict[int, float] = field(default_factory=dict)
    """Tags per second by channel; only of streams of tags that span some time."""


@dataclass(frozen=True, slots=True)
class FileSummary:
    """One run file."""

    file: str
    """Its path."""
    header: RunHeader
    """Root attributes."""
    context: dict[str, int]
    """Length in characters of each text of the context."""
    streams: dict[str, StreamSummary]
    """Streams by name."""
    faults: list[str]
    """Damage that was found."""


def summarise_file(path: Path) -> FileSummary:
    """Return the summary of a run file; damaged blocks are faults, not errors.

    Raises
    ------
    SchemaError
        Not a run file.
    """
    faults: list[str] = []
    with RunFileReader(path) as reader:
        streams = {name: _summarise_stream(stream, faults) for name, stream in reader.streams.items()}
        context = {name: len(text) for name, text in reader.context.items()}
        return FileSummary(str(path), reader.header, context, streams, faults)


def _summarise_stream(stream: StreamReader, faults: list[str]) -> StreamSummary:
    counts = np.zeros(256, np.int64)
    for number in range(len(stream.index)):
        try:
            block = stream.read_block(number)
        except CorruptBlockError as error:
            faults.append(error.message)
            continue
        if stream.spec.kind == "tags":
            counts += np.bincount(block.columns[1], minlength=256)
    first, last = stream.key_span
    span_s = (last - first) / PS_PER_S
    rates = {int(channel): float(counts[channel] / span_s) for channel in np.flatnonzero(counts) if span_s > 0}
    loss = stream.loss
    return StreamSummary(
        stream.spec.kind, stream.spec.instrument, len(stream.index), loss.tags, loss.lost, loss.gaps, first, last, rates
    )


def summarise_run(folder: Path) -> list[FileSummary]:
    """Return the summary of every file of a run folder.

    Raises
    ------
    SchemaError
        A file of the folder is no run file.
    """
    return [summarise_file(file) for file in run_files(folder)]


def manifest_faults(folder: Path) -> list[str]:
    """Return where the files of a run folder differ from its manifest: missing, of other size, of other content."""
    try:
        manifest = read_manifest(folder)
    except RunfileError as error:
        return [error.message]
    faults = []
    for segment in (segment for segments in manifest.parties.values() for segment in segments):
        path = folder / segment.file
        if not path.is_file():
            faults.append(f"{path} is in {MANIFEST} but not in the folder")
        elif path.stat().st_size != segment.bytes:
            faults.append(f"{path} has {path.stat().st_size} bytes, {MANIFEST} says {segment.bytes}{_twin(path)}")
        elif file_sha256(path) != segment.sha256:
            faults.append(f"{path} differs from its SHA-256 in {MANIFEST}{_twin(path)}")
    return faults


def _twin(path: Path) -> str:
    twin = default_target(path)
    return f"; {twin.name} was recovered from it and is read in its place" if twin.exists() else ""


def all_faults(files: Sequence[FileSummary]) -> list[str]:
    """Return the faults of all files."""
    return [fault for file in files for fault in file.faults]
