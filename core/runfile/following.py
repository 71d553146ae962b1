"""Read one party's files of a run while they are written, as far as they are committed.

A `GrowingRecording` stands where a `PartyRecording` does: its iterators wait for more, and end when the run has. It
reads in SWMR mode and never writes.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from faintlink.core.errors import RunfileError, SchemaError
from faintlink.core.runfile.folder import PartyRecording
from faintlink.core.runfile.manifest import read_manifest
from faintlink.core.runfile.reader import RowBlock, RunFileReader
from faintlink.core.runfile.schema import StreamKind
from faintlink.core.symbols import Party
from faintlink.core.tags import TagBlock

_POLL_S = 0.02


class GrowingRecording(PartyRecording):
    """One party's files of a run that may still be recorded.

    Parameters
    ----------
    folder
        Of the run.
    party
        Whose files.
    wait_s
        Longest wait for the next commit, and for the first file.

    Raises
    ------
    RunfileError
        The first file did not appear in time.
    """

    def __init__(self, folder: Path, party: Party, *, wait_s: float = 60.0) -> None:
        self._folder = folder
        self._wait_s = wait_s
        self.party = party
        self._wait_for(0).close()
        super().__init__(party, [self._path(0)])

    def _open(self, number: int) -> RunFileReader:
        return self._wait_for(number)

    def tags(self, stream: str | None = None) -> Iterator[TagBlock]:
        """Yield the tags as they are committed, until the run has ended."""
        for block in self._blocks("tags", stream):
            yield block.as_tags()

    def settings(self, stream: str | None = None) -> Iterator[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
        """Yield the sender's settings as they are committed, until the run has ended."""
        for block in self._blocks("settings", stream):
            yield block.columns[0], block.columns[1]

    def _blocks(self, kind: StreamKind, stream: str | None) -> Iterator[RowBlock]:
        name = stream or self.only_stream(kind).name
        segment = 0
        while True:
            with self._wait_for(segment) as reader:
                yield from self._segment(reader, name, segment)
            if not self._path(segment + 1).exists():
                return
            segment += 1

    def _segment(self, reader: RunFileReader, name: str, number: int) -> Iterator[RowBlock]:
        """Yield the blocks of one file until it is known to be whole."""
        rows = reader.streams[name]
        at = 0
        deadline = time.monotonic() + self._wait_s
        while True:
            # Asked before the refresh: what was written until then, the refresh sees.
            is_last_look = self._path(number + 1).exists() or self._has_ended()
            rows.refresh()
            if len(rows.index) > at:
                for row in range(at, len(rows.index)):
                    yield rows.read_block(row)
                at = len(rows.index)
                deadline = time.monotonic() + self._wait_s
            elif is_last_look:
                return
            elif time.monotonic() > deadline:
                raise RunfileError(
                    f"nothing was added to {reader.path} for {self._wait_s:.0f} s, and the run has not ended",
                    hint="if its writer is gone: `faintlink recover` the run, then use what it made",
                )
            else:
                time.sleep(_POLL_S)

    def _has_ended(self) -> bool:
        try:
            return read_manifest(self._folder).status != "recording"
        except SchemaError:
            return False

    def _path(self, segment: int) -> Path:
        return self._folder / f"{self.party}-{segment:04d}.h5"

    def _wait_for(self, segment: int) -> RunFileReader:
        deadline = time.monotonic() + self._wait_s
        while True:
            try:
                return RunFileReader(self._path(segment))
            except SchemaError:
                # Not there yet, or in the moment between creation and its first commit.
                if time.monotonic() > deadline:
                    raise
            time.sleep(_POLL_S)
