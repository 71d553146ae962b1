"""A run as a folder: the parties' files and a manifest that names them.

``run.json`` lists each party's segments in order, with size and SHA-256 once sealed. A party's file is rotated
when it grows large or old, which bounds what a power cut can touch. The manifest is replaced atomically; a run
whose manifest is missing or older than its files can still be opened by its files.
"""

import hashlib
import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from faintlink.core import __version__
from faintlink.core.errors import RunExistsError, SchemaError
from faintlink.core.records import LossCount
from faintlink.core.runfile.reader import RunFileReader
from faintlink.core.runfile.schema import RunHeader, StreamKind, StreamSpec
from faintlink.core.runfile.writer import Column, RunFileWriter
from faintlink.core.symbols import Party
from faintlink.core.tags import TagBlock

MANIFEST = "run.json"
MANIFEST_FORMAT = "faintlink-manifest/1"
ROTATE_BYTES = 2 << 30
ROTATE_S = 600.0
SIMULATION = "simulation"
"""Origin of runs of mock instruments; keys made of them protect nothing."""
_BY_ITS_FILES = "the run can still be opened by its *.h5 files"


@dataclass(frozen=True, slots=True)
class Segment:
    """One sealed file of a party."""

    file: str
    """Name within the run folder."""
    rows: dict[str, int]
    """Rows by stream."""
    lost: int
    """Tags known to be missing."""
    bytes: int
    """Size."""
    sha256: str
    """Of the whole file."""


@dataclass(slots=True)
class Manifest:
    """The table of contents of a run folder."""

    run_id: str
    created_utc: str
    software_version: str
    status: str = "recording"
    parties: dict[str, list[Segment]] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Replace the manifest in ``folder`` atomically."""
        text = json.dumps({"format": MANIFEST_FORMAT, **asdict(self)}, indent=1)
        temporary = folder / f".{MANIFEST}.{os.getpid()}"
        with temporary.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / MANIFEST)


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a run folder.

    Raises
    ------
    SchemaError
        There is none, or it is not one this program can read.
    """
    path = folder / MANIFEST
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SchemaError(f"{folder} has no {MANIFEST}", hint="name a run folder", path=str(path)) from None
    except (OSError, ValueError, RecursionError) as error:
        raise SchemaError(f"{path} cannot be read: {error}", hint=_BY_ITS_FILES, path=str(path)) from error
    claimed = entries.pop("format", None) if isinstance(entries, dict) else None
    if claimed != MANIFEST_FORMAT:
        raise SchemaError(f"{path} has format {claimed!r}, expected {MANIFEST_FORMAT!r}", hint=_BY_ITS_FILES)
    try:
        parties = {name: [Segment(**entry) for entry in rows] for name, rows in entries.pop("parties").items()}
        return Manifest(**entries, parties=parties)
    except (KeyError, TypeError, AttributeError) as error:
        raise SchemaError(f"{path} lacks an entry or has a strange one: {error}", hint=_BY_ITS_FILES) from error


def new_run_id() -> str:
    """Return a fresh run identifier: the UTC time, for people, and random digits, for uniqueness."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}"


def create_run(folder: Path, run_id: str | None = None) -> Manifest:
    """Make an empty run folder with its manifest.

    Raises
    ------
    RunExistsError
        ``folder`` exists and is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunExistsError(f"{folder} exists; nothing was overwritten", hint="choose another --out")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    manifest = Manifest(run_id or new_run_id(), datetime.now(UTC).isoformat(timespec="seconds"), __version__)
    manifest.write(folder)
    return manifest


class PartyWriter:
    """Write one party's streams into a run folder, rotating files.

    Parameters
    ----------
    folder, manifest
        Of the run; see `create_run`.
    party
        Owner of the files.
    streams, context
        As for `RunFileWriter`; repeated in every segment.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        party: Party,
        *,
        streams: Sequence[StreamSpec],
        context: Mapping[str, str],
        rotate_bytes: int = ROTATE_BYTES,
        rotate_s: float = ROTATE_S,
    ) -> None:
        self._folder = folder
        self._manifest = manifest
        self._party = party
        self._streams = list(streams)
        self._context = dict(context)
        self._limits = (rotate_bytes, rotate_s)
        manifest.parties.setdefault(party, [])
        self._open()

    def _open(self) -> None:
        number = len(self._manifest.parties[self._party])
        created = datetime.now(UTC).isoformat(timespec="seconds")
        header = RunHeader(self._manifest.run_id, self._party, created, __version__, number)
        path = self._folder / f"{self._party}-{number:04d}.h5"
        self._writer = RunFileWriter(path, header=header, streams=self._streams, context=self._context)
        self._opened = time.monotonic()

    def append_tags(self, stream: str, block: TagBlock) -> None:
        """Append a block of tags."""
        self._writer.append_tags(stream, block)

    def append(self, stream: str, columns: Sequence[Column]) -> None:
        """Append rows of a stream of any kind."""
        self._writer.append(stream, columns)

    def note(self, text: str, *, level: int, stream: str = "events") -> None:
        """Append an event of now to a stream of events; ``level`` is a `logging` level."""
        row = (np.array([time.time_ns()]), np.array([level], np.uint8), np.array([text.encode()[:240]], "S240"))
        self._writer.append(stream, row)

    def commit(self) -> None:
        """Make everything appended so far readable; start a new file when this one is large or old."""
        self._writer.commit()
        too_old = time.monotonic() - self._opened > self._limits[1]
        if self._writer.size_bytes > self._limits[0] or too_old:
            self._seal_segment()
            self._open()

    def sync(self) -> None:
        """Commit and wait for the disk."""
        self._writer.sync()

    def seal(self) -> None:
        """Seal the last file and enter it in the manifest."""
        self._seal_segment()

    def abandon(self) -> None:
        """Close the last file without a seal; committed rows stay readable."""
        self._writer.abandon()

    def _seal_segment(self) -> None:
        writer = self._writer
        rows, lost = writer.rows, writer.lost
        writer.seal()
        segment = Segment(writer.path.name, rows, lost, writer.path.stat().st_size, file_sha256(writer.path))
        self._manifest.parties[self._party].append(segment)
        self._manifest.write(self._folder)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class PartyRecording:
    """All segments of one party, read as one.

    Parameters
    ----------
    paths
        The party's files in order.
    """

    def __init__(self, party: Party, paths: Sequence[Path]) -> None:
        self.party = party
        self.paths = list(paths)
        with self._open(0) as first:
            self.header = first.header
            self.context = dict(first.context)
            self.streams = {name: stream.spec for name, stream in first.streams.items()}

    def _open(self, number: int) -> RunFileReader:
        return RunFileReader(self.paths[number])

    def only_stream(self, kind: StreamKind) -> StreamSpec:
        """Return the party's one stream of a kind.

        Raises
        ------
        SchemaError
            There is none, or more than one.
        """
        found = [spec for spec in self.streams.values() if spec.kind == kind]
        if len(found) != 1:
            raise SchemaError(
                f"{self.paths[0]}: {self.party} has {len(found)} streams of {kind}, expected one",
                hint="`faintlink inspect FILE` lists the streams",
            )
        return found[0]

    def tags(self, stream: str | None = None) -> Iterator[TagBlock]:
        """Yield the tags of a stream (the only one if not named), block by block, checked."""
        name = stream or self.only_stream("tags").name
        for number in range(len(self.paths)):
            with self._open(number) as reader:
                for block in reader.streams[name].blocks():
                    yield block.as_tags()

    def settings(self, stream: str | None = None) -> Iterator[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
        """Yield (slots (n,) int64, codes (n,) uint8) of a sender's settings, block by block."""
        name = stream or self.only_stream("settings").name
        for number in range(len(self.paths)):
            with self._open(number) as reader:
                for block in reader.streams[name].blocks():
                    yield block.columns[0], block.columns[1]

    def loss(self, stream: str) -> LossCount:
        """Return what a stream holds and what it lost, over all segments."""
        total = LossCount()
        for number in range(len(self.paths)):
            with self._open(number) as reader:
                total += reader.streams[stream].loss
        return total


@dataclass(frozen=True, slots=True)
class Run:
    """The recordings of a run, by party."""

    run_id: str
    parties: dict[Party, PartyRecording]

    @property
    def origin(self) -> str:
        """Where the data came from: ``simulation`` if any file says so, else what the files say."""
        origins = {recording.context.get("origin", "unknown") for recording in self.parties.values()}
        return SIMULATION if SIMULATION in origins else "+".join(sorted(origins))

    def __getitem__(self, party: Party) -> PartyRecording:
        if party not in self.parties:
            raise SchemaError(
                f"run {self.run_id} has no file of {party}; it has {sorted(self.parties)}",
                hint="name the run folder, or the files of all parties side by side",
            )
        return self.parties[party]


def open_run(paths: Sequence[Path]) -> Run:
    """Open a run folder, or the parties' files side by side.

    Raises
    ------
    SchemaError
        Nothing to open, a file is no run file, or the files belong to different runs.
    """
    files = [file for path in paths for file in run_files(path)]
    if not files:
        raise SchemaError(f"no run file in {', '.join(map(str, paths))}", hint="name a run folder or *.h5 files")
    headers = {file: _header(file) for file in files}
    runs = {header.run_id for header in headers.values()}
    if len(runs) != 1:
        raise SchemaError(f"the files belong to different runs: {', '.join(sorted(runs))}")
    parties: dict[Party, PartyRecording] = {}
    for name in sorted({header.party for header in headers.values()}):
        own = sorted((header.segment, str(file)) for file, header in headers.items() if header.party == name)
        _refuse_twins(name, own)
        parties[Party(name)] = PartyRecording(Party(name), [Path(file) for _, file in own])
    return Run(runs.pop(), parties)


def run_files(path: Path) -> list[Path]:
    """Return the run files of a folder, a recovered one in place of its original; a file stands for itself."""
    if not path.is_dir():
        return [path]
    found = sorted(path.glob("*.h5"))
    recovered = {file.name.removesuffix(".recovered.h5") for file in found if file.name.endswith(".recovered.h5")}
    return [file for file in found if file.stem not in recovered]


def _header(file: Path) -> RunHeader:
    with RunFileReader(file) as reader:
        if reader.header.party not in set(Party):
            raise SchemaError(f"{file} belongs to {reader.header.party!r}, expected one of {[*Party]}")
        return reader.header


def _refuse_twins(party: str, segments: list[tuple[int, str]]) -> None:
    numbers = [number for number, _ in segments]
    if numbers != list(range(len(numbers))):
        raise SchemaError(
            f"the files of {party} have segment numbers {numbers}, expected 0..{len(numbers) - 1}, each once",
            hint="a file of the run is missing, or named twice: " + ", ".join(file for _, file in segments),
        )
