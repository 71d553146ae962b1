"""Copy every whole block of a broken run file into a new one; the broken file is left as it is.

The copy gets its name when it is whole: a recovery that is itself cut short leaves no file that passes for one.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from faintlink.core.errors import CorruptBlockError, RunExistsError, RunfileError, SchemaError
from faintlink.core.runfile.reader import RowBlock, RunFileReader, StreamReader
from faintlink.core.runfile.writer import RunFileWriter, publish
from faintlink.core.tags import UNKNOWN_LOSS, GapCause, GapRecord


@dataclass(frozen=True, slots=True)
class RecoveryReport:
    """What was found and what was lost."""

    source: str
    """The broken file."""
    target: str
    """The new file."""
    rows: dict[str, int]
    """Rows saved, by stream."""
    damaged_rows: dict[str, int]
    """Committed rows known to be lost, by stream; in a stream of tags the new file has them as gaps."""
    damaged_blocks: dict[str, int]
    """Committed blocks that could not be read back, by stream."""
    was_sound: bool
    """Whether the file was sealed and nothing of it damaged."""

    @property
    def is_complete(self) -> bool:
        """Whether every committed block was saved."""
        return not any(self.damaged_blocks.values())


def default_target(path: Path) -> Path:
    """Return where `recover` puts its copy unless told otherwise."""
    return path.with_name(f"{path.stem}.recovered{path.suffix}")


def recover(path: Path, target: Path) -> RecoveryReport:
    """Copy the committed blocks of ``path`` into the new file ``target``.

    Raises
    ------
    SchemaError
        There is no such file, or nothing of it can be read.
    RunExistsError
        ``target`` exists.
    """
    if not path.is_file():
        raise SchemaError(
            f"{path} is {'a folder' if path.is_dir() else 'not there'}",
            hint="name one run file, such as RUN/bob-0000.h5; each party's file is recovered by itself",
        )
    if target.exists():
        raise RunExistsError(f"{target} exists; nothing was overwritten", hint="choose another --out")
    unfinished = target.with_name(f".{target.name}.recovering.{os.getpid()}")
    with _open_somehow(path) as reader:
        was_sealed = reader.header.status != "recording"
        try:
            copies = _copy_all(reader, unfinished)
            publish(unfinished, target)
        finally:
            unfinished.unlink(missing_ok=True)
    return RecoveryReport(
        str(path),
        str(target),
        rows={name: copy.rows for name, copy in copies.items()},
        damaged_rows={name: copy.damaged_rows for name, copy in copies.items()},
        damaged_blocks={name: copy.damaged_blocks for name, copy in copies.items()},
        was_sound=was_sealed and not any(copy.damaged_blocks for copy in copies.values()),
    )


def _open_somehow(path: Path) -> RunFileReader:
    try:
        return RunFileReader(path)
    except RunfileError:
        return RunFileReader(path, repaired=True)


def _copy_all(reader: RunFileReader, target: Path) -> "dict[str, _StreamCopy]":
    header = replace(reader.header, status="recording")
    specs = [stream.spec for stream in reader.streams.values()]
    writer = RunFileWriter(target, header=header, streams=specs, context=reader.context)
    try:
        copies = {name: _StreamCopy(stream, writer) for name, stream in reader.streams.items()}
        for copy in copies.values():
            copy.run()
        writer.seal("recovered")
    finally:
        writer.abandon()
    return copies


class _StreamCopy:
    """Copies one stream; a stretch of damaged blocks becomes one gap between its whole neighbours."""

    def __init__(self, stream: StreamReader, writer: RunFileWriter) -> None:
        self._stream = stream
        self._writer = writer
        self._end_row = 0
        self._end_ps: int | None = None
        self._hole = 0
        self.rows = 0
        self.damaged_rows = 0
        self.damaged_blocks = 0

    def run(self) -> None:
        """Copy all blocks."""
        for number in range(len(self._stream.index)):
            try:
                block = self._stream.read_block(number)
            except CorruptBlockError:
                self._hole += 1
                self.damaged_blocks += 1
                continue
            if self._hole:
                lost = int(self._stream.index[number]["first_row"]) - self._end_row
                self._close_hole(number - self._hole, _start_ps(block), lost)
            self._append(block)
            self._end_row = int(self._stream.index[number]["first_row"]) + block.columns[0].size
        if self._hole:
            self._close_last_hole()

    def _append(self, block: RowBlock) -> None:
        if self._stream.spec.kind == "tags":
            self._writer.append_tags(self._stream.name, block.as_tags())
        else:
            self._writer.append(self._stream.name, block.columns)
        self._writer.commit()
        self.rows += block.columns[0].size
        self._end_ps = _end_ps(block)

    def _close_hole(self, first: int, next_ps: int, lost: int) -> None:
        start_ps = self._end_ps
        if start_ps is None:
            # Nothing whole before it: the index row, itself unchecked, is the best there is.
            start_ps = int(self._stream.index[first]["first_key"])
        self._hole = 0
        self.damaged_rows += max(lost, 0)
        gap = GapRecord(min(start_ps, next_ps), next_ps, max(lost, UNKNOWN_LOSS), GapCause.RECORD_DAMAGED)
        if self._stream.spec.kind == "tags":
            self._append(RowBlock(self._stream.empty_columns(), (gap,)))

    def _close_last_hole(self) -> None:
        """Report damaged blocks at the end; their index rows count where they agree with each other."""
        hole = self._stream.index[-self._hole :]
        rows, last = int(hole["rows"].sum()), hole[-1]
        fits = int(last["first_row"]) + int(last["rows"]) == self._end_row + rows <= self._stream.written_rows
        known_ps = self._end_ps if self._end_ps is not None else 0
        end_ps = max(known_ps, int(last["last_key"])) if fits else known_ps
        self._close_hole(len(self._stream.index) - self._hole, end_ps, rows if fits else UNKNOWN_LOSS)


def _start_ps(block: RowBlock) -> int:
    """Return the first moment a block speaks of; every block has rows or gaps."""
    return int(block.columns[0][0]) if block.columns[0].size else block.gaps[0].start_ps


def _end_ps(block: RowBlock) -> int:
    return int(block.columns[0][-1]) if block.columns[0].size else block.gaps[-1].end_ps
