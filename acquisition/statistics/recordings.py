"""Recordings whose tags are looked at as they are read, and which can be left before their end.

Used by `faintlink.acquisition.statistics.following` alone. The pipeline's own stages read them like any recording.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np

from faintlink.core.errors import SchemaError
from faintlink.core.runfile.folder import PartyRecording, run_files
from faintlink.core.runfile.following import GrowingRecording
from faintlink.core.runfile.manifest import read_manifest
from faintlink.core.runfile.reader import RunFileReader
from faintlink.core.symbols import Party
from faintlink.core.tags import TagBlock

_OPEN_S = 10.0
# For the next tag a viewer waits as long as it is open.
_FOREVER_S = 10 * 365 * 86400.0

Tap = Callable[[Party, TagBlock], None]


class GrowingWatched(GrowingRecording):
    """A growing recording that says when it waits, and ends when it is told to.

    Parameters
    ----------
    folder, party
        Whose files.
    closing
        Ends the streams once set.
    """

    def __init__(self, folder: Path, party: Party, closing: Event) -> None:
        self.on_wait: Callable[[], None] = lambda: None
        """Called whenever nothing new is there."""
        self._closing = closing
        self._newest: RunFileReader | None = None
        super().__init__(folder, party, wait_s=_OPEN_S)
        self._wait_s = _FOREVER_S

    def _has_ended(self) -> bool:
        self.on_wait()
        return self._closing.is_set() or super()._has_ended()

    def _wait_for(self, segment: int) -> RunFileReader:
        self._newest = super()._wait_for(segment)
        return self._newest

    @property
    def open_file(self) -> RunFileReader | None:
        """The file that is being read, which must not be opened a second time while it grows."""
        return self._newest


class Tapped(PartyRecording):
    """A recording that shows its tags to somebody else on their way.

    Parameters
    ----------
    inner
        What is read.
    tap
        Called with each block before it is handed on.
    closing
        Ends the tags once set.
    """

    def __init__(self, inner: PartyRecording, tap: Tap, closing: Event) -> None:
        self.party, self.paths, self.header = inner.party, inner.paths, inner.header
        self.context, self.streams = inner.context, inner.streams
        self._inner = inner
        self._tap = tap
        self._closing = closing
        self._passing: Iterator[TagBlock] | None = None

    def tags(self, stream: str | None = None) -> Iterator[TagBlock]:
        """Yield the tags of the only stream; every call goes on where the last one was left."""
        if self._passing is None:
            self._passing = self._pass_on(stream)
        return self._passing

    def _pass_on(self, stream: str | None) -> Iterator[TagBlock]:
        for block in self._inner.tags(stream):
            if self._closing.is_set():
                return
            self._tap(self.party, block)
            yield block

    def settings(self, stream: str | None = None) -> Iterator[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
        """Yield the sender's settings."""
        return self._inner.settings(stream)


def is_growing(folder: Path) -> bool:
    """Return whether a run is still recorded, as far as its files say."""
    if read_manifest(folder).status != "recording":
        return False
    # A folder whose files were written apart from a run keeps its first manifest.
    states = []
    for path in run_files(folder):
        try:
            with RunFileReader(path) as reader:
                states.append(reader.header.status)
        except SchemaError:
            return True
    return not states or "recording" in states
