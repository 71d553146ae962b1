"""Read run files: finished, growing, or left behind by a killed writer.

A reader sees only what the index has committed, and checks each block against its checksum before it hands it on.
It never writes to the file.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import h5py
import numpy as np
import numpy.typing as npt

from faintlink.core.errors import CorruptBlockError, SchemaError, TagOrderError
from faintlink.core.records import LossCount
from faintlink.core.runfile.archive import ArchivedKeys
from faintlink.core.runfile.opening import HDF5_ERRORS, RECOVER, damage_as_schema_error, first_line, open_hdf5
from faintlink.core.runfile.schema import (
    COLUMNS,
    FORMAT_NAME,
    FORMAT_VERSION,
    INDEX_DTYPE,
    RunHeader,
    Status,
    StreamKind,
    StreamSpec,
)
from faintlink.core.runfile.superblock import RepairedFile
from faintlink.core.runfile.writer import checksum
from faintlink.core.tags import GapCause, GapRecord, TagBlock


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
        self._grows = bool(group.file.swmr_mode)
        # The index before the columns: a block committed in between must find its rows.
        self._index_set = _dataset(path, group, "index")
        if self._index_set.dtype != INDEX_DTYPE:
            raise SchemaError(f"{path}: stream {name} has an index of another layout", hint=RECOVER)
        with damage_as_schema_error(path):
            self.index: npt.NDArray[np.void] = self._index_set[:]
        """Committed blocks, (n,) `INDEX_DTYPE`; `refresh` reads those that came since."""
        self._columns = [_column(path, group, column, self.index) for column, _ in COLUMNS[self.spec.kind]]
        self._gaps = _dataset(path, group, "gaps")

    def refresh(self) -> int:
        """Look for new blocks of a growing file; return how many came.

        Raises
        ------
        SchemaError
            The file is damaged where it says how long its tables are.
        """
        if not self._grows:
            # Not only needless: HDF5 2.0 reads wrong chunks after a refresh of a file that the process has open twice.
            return 0
        before = len(self.index)
        with damage_as_schema_error(self._path):
            # Dataset.refresh, not dataset.id.refresh: only the former drops h5py's cached shape.
            self._index_set.refresh()
            index = self._index_set[:]
            for dataset in (*self._columns, self._gaps):
                dataset.refresh()
        self.index = index
        return len(self.index) - before

    @property
    def rows(self) -> int:
        """Committed rows."""
        return int(self.index["rows"].sum())

    @property
    def written_rows(self) -> int:
        """Rows in the file, those not committed included."""
        return min(int(dataset.shape[0]) for dataset in self._columns)

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
        except HDF5_ERRORS as error:
            raise self._corrupt(number, f"cannot be read ({first_line(error)})") from error
        if any(column.size != count for column in columns) or gap_rows.size != gap_count:
            raise self._corrupt(number, f"has fewer than its {count} rows")
        if checksum(row, columns, gap_rows) != int(row["crc32"]):
            raise self._corrupt(number, "does not match its checksum")
        try:
            gaps = tuple(GapRecord(int(s), int(e), int(n), GapCause(int(c))) for s, e, n, c in gap_rows)
        except (ValueError, TagOrderError) as error:
            raise self._corrupt(number, f"has an impossible gap ({first_line(error)})") from error
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
            hint=RECOVER,
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
        self._file = open_hdf5(path, self._repaired)
        try:
            with damage_as_schema_error(path):
                self.header = _header(path, self._file)
                streams = _group(path, self._file, "streams")
                self.streams = {name: StreamReader(path, name, _group(path, streams, name)) for name in streams}
                context = _group(path, self._file, "context")
                self.context = {name: _text(_dataset(path, context, name)) for name in context}
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


def _header(path: Path, file: h5py.File) -> RunHeader:
    name = _attribute(file.attrs, "format_name", "nothing")
    version = _attribute(file.attrs, "format_version", "none")
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
        keys = ("run_id", "party", "created_utc", "software_version")
        text = {key: _attribute(file.attrs, key) for key in keys}
        status = cast(Status, _attribute(file.attrs, "status").strip())
        return RunHeader(**text, segment=int(file.attrs["segment"]), status=status)
    except (KeyError, TypeError, ValueError) as error:
        raise SchemaError(f"{path}: root attribute missing or malformed: {error}", hint=RECOVER) from error


def _attribute(attributes: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = attributes[name] if default is None else attributes.get(name, default)
    return value.decode() if isinstance(value, bytes) else str(value)


def _major(version: str) -> str:
    return version.partition(".")[0]


def _group(path: Path, parent: h5py.Group, name: str) -> h5py.Group:
    group = parent.get(name)
    if not isinstance(group, h5py.Group):
        raise SchemaError(f"{path} has no group {name} in {parent.name}", hint="the file is incomplete; " + RECOVER)
    return group


def _dataset(path: Path, group: h5py.Group, name: str) -> h5py.Dataset:
    dataset = group.get(name)
    if not isinstance(dataset, h5py.Dataset):
        raise SchemaError(f"{path} has no dataset {name} in {group.name}", hint=RECOVER)
    return dataset


def _column(path: Path, group: h5py.Group, name: str, index: npt.NDArray[np.void]) -> h5py.Dataset | ArchivedKeys:
    stored = group.get(name)
    if not isinstance(stored, h5py.Group):
        return _dataset(path, group, name)
    with damage_as_schema_error(path):
        return ArchivedKeys(stored, index)


def _spec(path: Path, name: str, group: h5py.Group) -> StreamSpec:
    attrs = group.attrs
    kind = _attribute(attrs, "kind", "")
    if kind not in COLUMNS:
        raise SchemaError(f"{path}: stream {name} is of unknown kind {kind!r}, expected one of {sorted(COLUMNS)}")
    known = ("kind", "instrument", "serial", "resolution_ps", "clock_reference", "time_unit_s")
    return StreamSpec(
        name=name,
        kind=cast(StreamKind, kind),
        instrument=_attribute(attrs, "instrument", ""),
        serial=_attribute(attrs, "serial", ""),
        resolution_ps=float(attrs.get("resolution_ps", 1.0)),
        clock_reference=_attribute(attrs, "clock_reference", ""),
        extra={key: _attribute(attrs, key) for key in attrs if key not in known},
    )


def _text(dataset: h5py.Dataset) -> str:
    return bytes(dataset[:].tobytes()).rstrip(b"\0").decode(errors="replace")
