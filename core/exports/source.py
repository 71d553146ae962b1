"""One stream of one party of a run, block by block, as the exports read it.

Every export draws on this. Blocks are read one at a time and checked against their checksums; nothing is written.
The texts of the context (link, snapshot, the receiver's secret seed) never pass through here, but the origin does.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TypeAlias

import numpy as np

from faintlink.core.errors import ConfigError, SchemaError
from faintlink.core.runfile.folder import PartyRecording, Run, open_run
from faintlink.core.runfile.reader import RowBlock, RunFileReader
from faintlink.core.runfile.schema import COLUMNS, StreamSpec
from faintlink.core.symbols import Party
from faintlink.core.tags import GapRecord
from faintlink.core.units import PS_PER_S

Progress: TypeAlias = Callable[[int, int], None]
"""Called with the rows done so far and the rows of the stream."""

GAP_COLUMNS = ("start_ps", "end_ps", "lost", "cause")
"""Columns of every gap table; the cause is its name in lower case."""


def gap_row(gap: GapRecord) -> tuple[int, int, int, str]:
    """Return a gap as a row of `GAP_COLUMNS`."""
    return gap.start_ps, gap.end_ps, gap.lost, gap.cause.name.lower()


@dataclass(slots=True)
class Tally:
    """What was handed on so far."""

    rows: int = 0
    """Rows."""
    gaps: int = 0
    """Gap records."""
    lost: int = 0
    """Tags known to be missing."""
    channels: dict[int, int] = field(default_factory=dict)
    """Rows by value of the second column: tags by channel."""

    def add(self, block: RowBlock) -> None:
        """Count a block."""
        self.rows += int(block.columns[0].size)
        self.gaps += len(block.gaps)
        self.lost += sum(gap.lost for gap in block.gaps if gap.lost > 0)
        for value, count in zip(*np.unique(block.columns[1], return_counts=True), strict=True):
            self.channels[int(value)] = self.channels.get(int(value), 0) + int(count)


@dataclass(frozen=True, slots=True)
class ExportSource:
    """A stream and the stretch of it that is wanted."""

    recording: PartyRecording
    """The party's files."""
    spec: StreamSpec
    """The stream."""
    run_id: str
    """The run."""
    first_key: int
    """Key of the stream's first row."""
    total_rows: int
    """Committed rows of the whole stream."""
    start: int | None = None
    """First key wanted; None for all from the beginning."""
    stop: int | None = None
    """First key no longer wanted; None for all to the end."""

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the columns, key first."""
        return tuple(name for name, _ in COLUMNS[self.spec.kind])

    @property
    def origin(self) -> str:
        """Where the data came from, as the file says."""
        return str(self.recording.context.get("origin", "unknown"))

    def facts(self) -> dict[str, str]:
        """Return what an export says of its source."""
        return {
            "run_id": self.run_id,
            "party": str(self.recording.party),
            "stream": self.spec.name,
            "kind": self.spec.kind,
            "instrument": self.spec.instrument,
            "serial": self.spec.serial,
            "resolution_ps": repr(self.spec.resolution_ps),
            "clock_reference": self.spec.clock_reference,
            "origin": self.origin,
            "created_utc": self.recording.header.created_utc,
            "software_version": self.recording.header.software_version,
        }

    def blocks(self, tally: Tally | None = None, progress: Progress | None = None) -> Iterator[RowBlock]:
        """Yield the wanted rows and the gaps that touch them, block by block, checked.

        Raises
        ------
        CorruptBlockError
            A block is not what was written.
        """
        tally = Tally() if tally is None else tally
        passed = 0
        for path in self.recording.paths:
            with RunFileReader(path) as reader:
                stream = reader.streams[self.spec.name]
                for number, row in enumerate(stream.index):
                    passed += int(row["rows"])
                    if self._is_outside(row):
                        continue
                    block = self._cut(stream.read_block(number))
                    tally.add(block)
                    if progress is not None:
                        progress(passed, self.total_rows)
                    yield block

    def _is_outside(self, row: np.void) -> bool:
        if row["gaps"]:
            # A gap may reach further than the rows of its block.
            return False
        is_before = self.start is not None and int(row["last_key"]) < self.start
        is_after = self.stop is not None and int(row["first_key"]) >= self.stop
        return not row["rows"] or is_before or is_after

    def _cut(self, block: RowBlock) -> RowBlock:
        if self.start is None and self.stop is None:
            return block
        keys = block.columns[0]
        first = 0 if self.start is None else int(np.searchsorted(keys, self.start))
        last = keys.size if self.stop is None else int(np.searchsorted(keys, self.stop))
        gaps = tuple(
            gap
            for gap in block.gaps
            if (self.stop is None or gap.start_ps < self.stop) and (self.start is None or gap.end_ps >= self.start)
        )
        return RowBlock(tuple(column[first : max(first, last)] for column in block.columns), gaps)


def open_source(
    path: Path,
    *,
    party: str | None = None,
    stream: str | None = None,
    start_s: str | float | None = None,
    stop_s: str | float | None = None,
) -> ExportSource:
    """Open one stream of a run folder or run file.

    Parameters
    ----------
    path
        The run folder or run file.
    party, stream
        Which; may be left out where there is only one. Without a stream, tags go before settings.
    start_s, stop_s
        Stretch start <= time < stop in seconds after the first tag; only of tags. Texts are taken exactly.

    Raises
    ------
    SchemaError
        No run, or no such party or stream, or more than one to choose from.
    ConfigError
        The stretch cannot be read, is empty, or the stream has no times.
    """
    run = open_run([path])
    recording = _party(run, party)
    spec = _stream(recording, stream)
    first_key, rows = _extent(recording, spec.name)
    if (start_s is not None or stop_s is not None) and spec.kind != "tags":
        raise ConfigError(f"stream {spec.name} holds {spec.kind}, which have no time", hint="leave out start and stop")
    start = None if start_s is None else first_key + _picoseconds(start_s)
    stop = None if stop_s is None else first_key + _picoseconds(stop_s)
    if stop is not None and stop <= (first_key if start is None else start):
        raise ConfigError(f"the stretch from {start_s or 0} s to {stop_s} s is empty", hint="stop must follow start")
    return ExportSource(recording, spec, run.run_id, first_key, rows, start, stop)


def _party(run: Run, party: str | None) -> PartyRecording:
    if party is not None:
        return run[Party(party)]
    if len(run.parties) != 1:
        raise SchemaError(f"run {run.run_id} has files of {', '.join(sorted(run.parties))}", hint="choose one: --party")
    return next(iter(run.parties.values()))


def _stream(recording: PartyRecording, stream: str | None) -> StreamSpec:
    streams = recording.streams
    if stream is not None:
        if stream not in streams or streams[stream].kind == "events":
            known = sorted(name for name, spec in streams.items() if spec.kind != "events")
            raise SchemaError(
                f"{recording.party} has no stream {stream!r} of tags or settings; it has {', '.join(known) or 'none'}",
                hint="`faintlink inspect FILE` lists the streams",
            )
        return streams[stream]
    for kind in ("tags", "settings"):
        found = [spec for spec in streams.values() if spec.kind == kind]
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(sorted(spec.name for spec in found))
            raise SchemaError(f"{recording.party} has several streams of {kind}: {names}", hint="choose one: --stream")
    raise SchemaError(
        f"{recording.party} has no stream of tags or settings", hint="`faintlink inspect FILE` lists them"
    )


def _extent(recording: PartyRecording, stream: str) -> tuple[int, int]:
    first: int | None = None
    rows = 0
    for path in recording.paths:
        with RunFileReader(path) as reader:
            found = reader.streams[stream]
            if found.rows and first is None:
                first = found.key_span[0]
            rows += found.rows
    return first or 0, rows


def _picoseconds(seconds: str | float) -> int:
    try:
        return int(Decimal(str(seconds)) * PS_PER_S)
    except (InvalidOperation, ValueError, OverflowError):
        raise ConfigError(f"{seconds!r} is not a time in seconds", hint="write it as in 12.5") from None
