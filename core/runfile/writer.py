"""Append streams to one run file so that a kill at any moment loses nothing that was committed.

The file is in SWMR mode from its first row. `RunFileWriter.append` writes columns; `RunFileWriter.commit` flushes
them, then writes and flushes the index rows. Used by the writer process of an acquisition, by importers and by
recovery. It never overwrites a file.
"""

import os
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
import numpy.typing as npt

from faintlink.core.durable import fsync
from faintlink.core.errors import LocalProtocolError, RunExistsError, TagOrderError
from faintlink.core.runfile.schema import (
    CHUNK_ROWS,
    COLUMNS,
    FORMAT_NAME,
    FORMAT_VERSION,
    GAP_DTYPE,
    INDEX_DTYPE,
    SMALL_CHUNK_ROWS,
    RunHeader,
    Status,
    StreamSpec,
)
from faintlink.core.tags import GapRecord, TagBlock

Column = npt.NDArray[Any]
_STATUS_BYTES = 12
_CRC_AT = INDEX_DTYPE.itemsize - 4


class RunFileWriter:
    """One party's run file, open for appending.

    Parameters
    ----------
    path
        New file; created with mode 0600, since raw detections are as secret as the key made from them.
    header
        Goes into the root attributes.
    streams
        All streams the file will ever have.
    context
        Texts by name, stored under ``/context``.

    Raises
    ------
    RunExistsError
        ``path`` exists.
    """

    def __init__(
        self, path: Path, *, header: RunHeader, streams: Sequence[StreamSpec], context: Mapping[str, str]
    ) -> None:
        self.path = path
        # Under a hidden name until it is complete: who lists the folder meets no file without a header.
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        self._file = _create(path, unfinished)
        try:
            _write_header(self._file, header)
            _write_context(self._file, context)
            self._streams = {spec.name: _StreamAppender(self._file, spec) for spec in streams}
            self._file.swmr_mode = True
            publish(unfinished, path)
        except BaseException:
            self._file.close()
            unfinished.unlink(missing_ok=True)
            raise

    def append_tags(self, stream: str, block: TagBlock) -> None:
        """Append a block of tags with its gaps; it becomes readable at the next `commit`."""
        self._streams[stream].append((block.times_ps, block.channels), block.gaps)

    def append(self, stream: str, columns: Sequence[Column]) -> None:
        """Append rows given as one array (n,) per column of the stream's kind."""
        self._streams[stream].append(columns, ())

    def commit(self) -> None:
        """Flush all rows, then write and flush the index rows that make them valid."""
        pending = [stream for stream in self._streams.values() if stream.has_pending]
        if not pending:
            return
        self._file.flush()
        for stream in pending:
            stream.write_index()
        self._file.flush()

    def sync(self) -> None:
        """Commit, and wait until the disk has it."""
        self.commit()
        fsync(self.path)

    @property
    def rows(self) -> dict[str, int]:
        """Rows appended so far, by stream."""
        return {name: stream.rows for name, stream in self._streams.items()}

    @property
    def lost(self) -> int:
        """Tags known to be missing, over all streams."""
        return sum(stream.lost for stream in self._streams.values())

    @property
    def size_bytes(self) -> int:
        """Size of the file as the disk has it now."""
        return self.path.stat().st_size

    def seal(self, status: Status = "closed", *, wait_for_disk: bool = True) -> None:
        """Commit, mark as ``status``, close and wait for the disk. The writer is of no use afterwards.

        Parameters
        ----------
        status
            Mark of the finished file.
        wait_for_disk
            False leaves the waiting to the caller, by `fsync`.
        """
        self.commit()
        # Before the file is closed: opening it once more would meet the locks of its readers.
        self._file.attrs.modify("status", _status(status))
        self._file.close()
        if wait_for_disk:
            fsync(self.path)

    def abandon(self) -> None:
        """Close without a seal; committed rows stay readable."""
        if self._file:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file:
            self.seal()


class _StreamAppender:
    """The datasets of one stream and the index rows not yet written."""

    def __init__(self, file: h5py.File, spec: StreamSpec) -> None:
        group = file.create_group(f"streams/{spec.name}")
        for name, value in asdict(spec).items():
            if name not in ("name", "extra"):
                _write_attribute(group, name, value)
        group.attrs["time_unit_s"] = 1e-12
        for name, value in spec.extra.items():
            _write_attribute(group, name, value)
        chunk = SMALL_CHUNK_ROWS if spec.kind == "events" else CHUNK_ROWS
        self._name = spec.name
        self._types = [dtype for _, dtype in COLUMNS[spec.kind]]
        self._columns = [_table(group, name, dtype, chunk) for name, dtype in COLUMNS[spec.kind]]
        self._gaps = _table(group, "gaps", GAP_DTYPE, SMALL_CHUNK_ROWS)
        self._index = _table(group, "index", INDEX_DTYPE, SMALL_CHUNK_ROWS)
        self._pending: list[npt.NDArray[np.void]] = []
        self._last_key: int | None = None
        self._gap_rows = 0
        self.rows = 0
        self.lost = 0

    @property
    def has_pending(self) -> bool:
        return bool(self._pending)

    def append(self, columns: Sequence[Column], gaps: Sequence[GapRecord]) -> None:
        arrays = self._checked(columns)
        rows = arrays[0].size
        if not rows and not gaps:
            return
        gap_rows = np.array([(g.start_ps, g.end_ps, g.lost, int(g.cause)) for g in gaps], GAP_DTYPE)
        for dataset, array in zip(self._columns, arrays, strict=True):
            _extend(dataset, self.rows, array)
        _extend(self._gaps, self._gap_rows, gap_rows)
        self._pending.append(self._index_row(arrays, gap_rows))
        self.rows += rows
        self._gap_rows += len(gap_rows)
        self.lost += int(self._pending[-1]["lost"][0])

    def _checked(self, columns: Sequence[Column]) -> list[Column]:
        if len(columns) != len(self._types) or len({column.size for column in columns}) != 1:
            raise LocalProtocolError(
                f"stream {self._name} takes {len(self._types)} columns of one length, got "
                f"{[column.shape for column in columns]}"
            )
        arrays = [np.ascontiguousarray(column, dtype) for column, dtype in zip(columns, self._types, strict=True)]
        keys = arrays[0]
        if keys.size:
            if self._last_key is not None and keys[0] < self._last_key:
                raise TagOrderError(
                    f"stream {self._name}: a block starts at {keys[0]}, before {self._last_key}",
                    hint="blocks must follow each other in order; sort before appending",
                )
            self._last_key = int(keys[-1])
        return arrays

    def _index_row(self, arrays: list[Column], gaps: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
        keys = arrays[0]
        lost = int(gaps["lost"][gaps["lost"] > 0].sum())
        ends = (int(keys[0]), int(keys[-1])) if keys.size else (0, 0)
        row = (
            self.rows,
            keys.size,
            len(gaps),
            self._gap_rows,
            *ends,
            lost,
            time.time_ns(),
            0,
        )
        filled = np.array([row], INDEX_DTYPE)
        filled["crc32"] = checksum(filled[0], arrays, gaps)
        return filled

    def write_index(self) -> None:
        _extend(self._index, self._index.shape[0], np.concatenate(self._pending))
        self._pending.clear()


def checksum(row: np.void, columns: Sequence[Column], gaps: npt.NDArray[np.void]) -> int:
    """Return the CRC-32 of a block: its index row up to the checksum, its columns in order, its gap rows.

    The row is part of it, so that a count or key damaged in the index shows, and a row of zeros is no block.
    """
    crc = zlib.crc32(row.tobytes()[:_CRC_AT])
    for array in (*columns, gaps):
        crc = zlib.crc32(np.ascontiguousarray(array).view(np.uint8).data, crc)
    return crc


def publish(unfinished: Path, path: Path) -> None:
    """Give a finished file its name; never replaces another.

    Raises
    ------
    RunExistsError
        ``path`` exists.
    """
    try:
        os.link(unfinished, path)
    except FileExistsError:
        raise _exists(path) from None
    except OSError:
        # Some network and exchange file systems know no second name for a file.
        if path.exists():
            raise _exists(path) from None
        unfinished.rename(path)
    else:
        unfinished.unlink()


def _exists(path: Path) -> RunExistsError:
    return RunExistsError(
        f"{path} exists; nothing was overwritten", hint="choose another name, or move the old file away"
    )


def _create(path: Path, unfinished: Path) -> h5py.File:
    if path.exists():
        raise _exists(path)
    os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    return h5py.File(unfinished, "w", libver="latest", rdcc_nbytes=8 << 20)


def _write_header(file: h5py.File, header: RunHeader) -> None:
    _write_attribute(file, "format_name", FORMAT_NAME)
    _write_attribute(file, "format_version", FORMAT_VERSION)
    for name, value in asdict(header).items():
        if name != "status":
            _write_attribute(file, name, value)
    file.attrs.create("status", _status(header.status))


def _write_attribute(owner: h5py.Group, name: str, value: str | float) -> None:
    if not isinstance(value, str):
        owner.attrs[name] = value
        return
    # Of fixed length: such texts lie in the object header, which HDF5 guards with a checksum.
    data = value.encode()
    owner.attrs.create(name, data, dtype=h5py.string_dtype("utf-8", max(len(data), 1)))


def _status(status: Status) -> npt.NDArray[np.bytes_]:
    # Always of one length, so that sealing changes it in place.
    return np.array(status.encode().ljust(_STATUS_BYTES))


def _write_context(file: h5py.File, context: Mapping[str, str]) -> None:
    group = file.create_group("context")
    for name, text in context.items():
        data = np.frombuffer(text.encode() or b"\0", np.uint8)
        group.create_dataset(name, data=data, chunks=data.shape, fletcher32=True)


def _table(group: h5py.Group, name: str, dtype: np.dtype[Any], chunk: int) -> h5py.Dataset:
    return group.create_dataset(name, shape=(0,), maxshape=(None,), chunks=(chunk,), dtype=dtype)


def _extend(dataset: h5py.Dataset, rows: int, array: Column) -> None:
    if array.size:
        dataset.resize((rows + array.size,))
        dataset[rows:] = array
