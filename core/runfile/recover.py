"""Copy every whole block of a broken run file into a new one; the broken file is left as it is."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from faintlink.core.errors import CorruptBlockError, RunfileError
from faintlink.core.runfile.reader import RowBlock, RunFileReader, StreamReader
from faintlink.core.runfile.writer import RunFileWriter
from faintlink.core.tags import GapCause, GapRecord


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
    """Committed rows that could not be read back, by stream; recorded as gaps in the new file."""

    @property
    def is_complete(self) -> bool:
        """Whether every committed row was saved."""
        return not any(self.damaged_rows.values())


def default_target(path: Path) -> Path:
    """Return where `recover` puts its copy unless told otherwise."""
    return path.with_name(f"{path.stem}.recovered{path.suffix}")


def recover(path: Path, target: Path) -> RecoveryReport:
    """Copy the committed blocks of ``path`` into the new file ``target``.

    Raises
    ------
    SchemaError
        Nothing of the file can be read.
    RunExistsError
        ``target`` exists.
    """
    with _open_somehow(path) as reader:
        header = replace(reader.header, status="recording")
        specs = [stream.spec for stream in reader.streams.values()]
        rows: dict[str, int] = {}
        damaged: dict[str, int] = {}
        writer = RunFileWriter(target, header=header, streams=specs, context=reader.context)
        try:
            for name, stream in reader.streams.items():
                rows[name], damaged[name] = _copy(stream, writer)
            writer.seal("recovered")
        except BaseException:
            writer.abandon()
            raise
    return RecoveryReport(str(path), str(target), rows, damaged)


def _open_somehow(path: Path) -> RunFileReader:
    try:
        return RunFileReader(path)
    except RunfileError:
        return RunFileReader(path, repaired=True)


def _copy(stream: StreamReader, writer: RunFileWriter) -> tuple[int, int]:
    saved = damaged = 0
    for number, block in _whole_or_gap(stream):
        if stream.spec.kind == "tags":
            writer.append_tags(stream.name, block.as_tags())
        else:
            writer.append(stream.name, block.columns)
        writer.commit()
        saved += block.columns[0].size
        damaged += int(stream.index[number]["rows"]) - block.columns[0].size
    return saved, damaged


def _whole_or_gap(stream: StreamReader) -> Iterator[tuple[int, RowBlock]]:
    """Yield each block, or in place of a damaged one an empty block whose gap says what is missing."""
    for number in range(len(stream.index)):
        try:
            yield number, stream.read_block(number)
        except CorruptBlockError:
            row = stream.index[number]
            span = sorted((int(row["first_key"]), int(row["last_key"])))
            gap = GapRecord(span[0], span[1], int(row["rows"]), GapCause.RECORD_DAMAGED)
            empty = stream.empty_columns()
            yield number, RowBlock(empty, (gap,) if stream.spec.kind == "tags" else ())
