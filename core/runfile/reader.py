"""Read run files: finished, growing, or left behind by a killed writer.

A reader sees only what the index has committed, and checks each block against its checksum before it hands it on.
It never writes to the file.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import h5py
import numpy as np
import numpy.typing as npt

from faintlink.core.errors import CorruptBlockError, SchemaError
from faintlink.core.records import LossCount
from faintlink.core.runfile.schema import (
    COLUMNS,
    FORMAT_NAME,
    FORMAT_VERSION,
    INDEX_DTYPE,
    RunHeader,
    StreamKind,
    StreamSpec,
)
from faintlink.core.runfile.superblock import RepairedFile
from faintlink.core.runfile.writer import checksum
from faintlink.core.tags import GapCause, GapRecord, TagBlock

_RECOVER = "run `faintlink recover FILE`: it copies every whole block into a new file"


@dataclass(frozen=True, slots=True, eq=False)
class RowBlock:
    """Rows of a stream of any kind."""

    columns: tuple[npt.NDArray[Any], ...]
    """One array (n,) per column of the stream's kind, key first."""
    gaps: tuple[GapRecord, ...]
    """Losses in this stretch; only streams of tags have any."""

    def as_tags(self) -> TagBlock:
        """Return the block of a stream of tags as a `TagBlock`."""
        return TagBlock(self.columns[0], self.columns[1], self.gaps)


class StreamReader:
    """One stream of an open run file."""

    def __init__(self, path: Path, name: str, group: h5py.Group) -> None:
        self.name = name
        self._path = path
        self.spec = _spec(path, name, group)
        self._columns = [_dataset(path, group, column) for column, _ in COLUMNS[self.spec.kind]]
        self._gaps = _dataset(path, group, "gaps")
        self._index_set = _dataset(path, group, "index")
        if self._index_set.dtype != INDEX_DTYPE:
            raise SchemaError(f"{path}: stream {name} has an index of another layout", hint=_RECOVER)
        self.index: npt.NDArray[np.void] = self._index_set[:]
        """Committed blocks, (n,) `INDEX_DTYPE`; `refresh` reads those that came since."""

    def refresh(self) -> int:
        """Look for new blocks of a growing file; return how many came."""
        before = len(self.index)
        # Dataset.refresh, not dataset.id.refresh: only the former drops h5py's cached shape.
        for dataset in (*self._columns, self._gaps, self._index_set):
            dataset.refresh()
        self.index = self._index_set[:]
        return len(self.index) - before

    @property
    def rows(self) -> int:
        """Committed rows."""
        return int(self.index["rows"].sum())

    @property
    def loss(self) -> LossCount:
        """Rows present and known to be missing."""
        return LossCount(self.rows, int(self.index["lost"].sum()), int(self.index["gaps"].sum()))

    @property
    def key_span(self) -> tuple[int, int]:
        """First and last key of the stream; (0, 0) when it has no rows."""
        filled = self.index[self.index["rows"] > 0]
        return (int(filled["first_key"][0]), int(filled["last_key"][-1])) if len(filled) else (0, 0)

    def read_block(self, number: int) -> RowBlock:
        """Return block ``number`` of the index.

        Raises
        ------
        CorruptBlockError
            Data are missing or disagree with their checksum.
        """
        row = self.index[number]
        first, count = int(row["first_row"]), int(row["rows"])
        first_gap, gap_count = int(row["first_gap"]), int(row["gaps"])
        try:
            columns = tuple(dataset[first : first + count] for dataset in self._columns)
            gap_rows = self._gaps[first_gap : first_gap + gap_count]
        except OSError as error:
            raise self._corrupt(number, f"cannot be read ({error})") from error
        if any(column.size != count for column in columns) or gap_rows.size != gap_count:
            raise self._corrupt(number, f"has fewer than its {count} rows")
        if checksum(columns, gap_rows) != int(row["crc32"]):
            raise self._corrupt(number, "does not match its checksum")
        gaps = tuple(GapRecord(int(s), int(e), int(n), GapCause(int(c))) for s, e, n, c in gap_rows)
        return RowBlock(columns, gaps)

    def blocks(self, start: int = 0) -> Iterator[RowBlock]:
        """Yield the committed blocks from number ``start`` on, each checked."""
        for number in range(start, len(self.index)):
            yield self.read_block(number)

    def empty_columns(self) -> tuple[npt.NDArray[Any], ...]:
        """Return the columns of a block without rows."""
        return tuple(np.empty(0, dtype) for _, dtype in COLUMNS[self.spec.kind])

    def _corrupt(self, number: int, what: str) -> CorruptBlockError:
        return CorruptBlockError(
            f"{self._path}: block {number} of stream {self.name} {what}",
            hint=_RECOVER,
            path=str(self._path),
            stream=self.name,
            block=number,
        )


class RunFileReader:
    """One party's run file, open for reading.

    Parameters
    ----------
    path
        The file.
    repaired
        Read through a superblock mended in memory, for files that HDF5 itself refuses.

    Raises
    ------
    SchemaError
        Not a run file, of another version, or damaged beyond opening.
    """

    def __init__(self, path: Path, *, repaired: bool = False) -> None:
        self.path = path
        self._repaired = RepairedFile(path) if repaired else None
        self._file = _open(path, self._repaired)
        try:
            self.header = _header(path, self._file)
            self.streams = {
                name: StreamReader(path, name, group)
                for name, group in _group(path, self._file, "streams").items()
            }
            self.context = {name: _text(data) for name, data in _group(path, self._file, "context").items()}
        except BaseException:
            self.close()
            raise

    def of_kind(self, kind: StreamKind) -> list[StreamReader]:
        """Return the streams of one kind."""
        return [stream for stream in self.streams.values() if stream.spec.kind == kind]

    def close(self) -> None:
        """Close the file."""
        if self._file:
            self._file.close()
        if self._repaired is not None:
            self._repaired.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _open(path: Path, repaired: RepairedFile | None) -> h5py.File:
    if not path.is_file():
        raise SchemaError(
            f"{path} is not a file", hint="name a run file (*.h5), or a run folder where one is taken"
        )
    if repaired is not None:
        return _attempt(path, repaired, swmr=False)
    try:
        return h5py.File(path, "r")
    except OSError:
        # Open by a writer, or left open by a killed one: both can be read in SWMR mode.
        return _attempt(path, path, swmr=True)


def _attempt(path: Path, source: Path | RepairedFile, *, swmr: bool) -> h5py.File:
    try:
        return h5py.File(source, "r", swmr=swmr)
    except (OSError, RuntimeError, ValueError) as error:
        with path.open("rb") as raw:
            is_hdf5 = raw.read(8) == b"\x89HDF\r\n\x1a\n"
        expected = "is a damaged HDF5 file" if is_hdf5 else "is no HDF5 file"
        hint = _RECOVER if is_hdf5 else "other recordings enter with `faintlink import FILE --out RUN`"
        raise SchemaError(f"{path} {expected}: {_first_line(error)}", hint=hint, path=str(path)) from error


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _header(path: Path, file: h5py.File) -> RunHeader:
    name = str(file.attrs.get("format_name", "nothing"))
    version = str(file.attrs.get("format_version", "none"))
    if name != FORMAT_NAME:
        raise SchemaError(
            f"{path} is an HDF5 file, but its format_name is {name!r} and not {FORMAT_NAME!r}",
            hint="other recordings enter with `faintlink import FILE --out RUN`",
        )
    if _major(version) != _major(FORMAT_VERSION):
        raise SchemaError(
            f"{path} has format version {version}; this program reads {_major(FORMAT_VERSION)}.x",
            hint="use the faintlink version that wrote it, or a newer one",
        )
    try:
        status = file.attrs["status"].decode().strip()
        text = {key: str(file.attrs[key]) for key in ("run_id", "party", "created_utc", "software_version")}
        return RunHeader(**text, segment=int(file.attrs["segment"]), status=status)
    except (KeyError, AttributeError, ValueError) as error:
        raise SchemaError(f"{path}: root attribute missing or malformed: {error}", hint=_RECOVER) from error


def _major(version: str) -> str:
    return version.partition(".")[0]


def _group(path: Path, file: h5py.File, name: str) -> h5py.Group:
    group = file.get(name)
    if not isinstance(group, h5py.Group):
        raise SchemaError(f"{path} has no group /{name}", hint="the file is incomplete; " + _RECOVER)
    return group


def _dataset(path: Path, group: h5py.Group, name: str) -> h5py.Dataset:
    dataset = group.get(name)
    if not isinstance(dataset, h5py.Dataset):
        raise SchemaError(f"{path}: stream {group.name} has no dataset {name}", hint=_RECOVER)
    return dataset


def _spec(path: Path, name: str, group: h5py.Group) -> StreamSpec:
    attrs = dict(group.attrs)
    kind = str(attrs.get("kind", ""))
    if kind not in COLUMNS:
        raise SchemaError(f"{path}: stream {name} is of unknown kind {kind!r}, expected one of {sorted(COLUMNS)}")
    known = ("kind", "instrument", "serial", "resolution_ps", "clock_reference", "time_unit_s")
    return StreamSpec(
        name=name,
        kind=cast(StreamKind, kind),
        instrument=str(attrs.get("instrument", "")),
        serial=str(attrs.get("serial", "")),
        resolution_ps=float(attrs.get("resolution_ps", 1.0)),
        clock_reference=str(attrs.get("clock_reference", "")),
        extra={key: str(value) for key, value in attrs.items() if key not in known},
    )


def _text(dataset: h5py.Dataset) -> str:
    return bytes(dataset[:].tobytes()).rstrip(b"\0").decode(errors="replace")
