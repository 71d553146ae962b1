"""Read the blocks of a run that is still being written, by their number.

Used by the live analysis for blocks that did not fit into its memory. Block ``n`` of a ring is row ``n`` of the
stream's index, counted through all segments. It reads only what is committed, in SWMR mode, and never writes.
"""

import time
from pathlib import Path

from faintlink.core.errors import RunfileError, SchemaError
from faintlink.core.runfile.reader import RunFileReader
from faintlink.core.symbols import Party
from faintlink.core.tags import TagBlock

_POLL_S = 0.02


class BlockFollower:
    """Follow one stream of tags through the segments of a growing run.

    Parameters
    ----------
    folder, party, stream
        What to follow.
    wait_s
        Longest wait for a block that is on its way to the disk.
    """

    def __init__(self, folder: Path, party: Party, stream: str, *, wait_s: float = 60.0) -> None:
        self._folder = folder
        self._party = party
        self._stream = stream
        self._wait_s = wait_s
        self._segment = 0
        self._base = 0
        self._reader: RunFileReader | None = None

    def read(self, number: int) -> TagBlock:
        """Return block ``number``; numbers must not decrease by more than a segment.

        Raises
        ------
        RunfileError
            The block did not appear in time, or is damaged.
        """
        deadline = time.monotonic() + self._wait_s
        while True:
            reader = self._open()
            if reader is not None and self._base <= number < self._base + self._blocks(reader):
                return reader.streams[self._stream].read_block(number - self._base).as_tags()
            if reader is None or not self._advance(reader):
                if time.monotonic() > deadline:
                    raise RunfileError(
                        f"block {number} of {self._party}/{self._stream} did not appear in {self._folder} "
                        f"within {self._wait_s:.0f} s",
                        hint="the writer process is stuck or gone; the tags it committed are kept",
                    )
                time.sleep(_POLL_S)

    def _blocks(self, reader: RunFileReader) -> int:
        return len(reader.streams[self._stream].index)

    def _path(self, segment: int) -> Path:
        return self._folder / f"{self._party}-{segment:04d}.h5"

    def _open(self) -> RunFileReader | None:
        if self._reader is None:
            try:
                self._reader = RunFileReader(self._path(self._segment))
            except SchemaError:
                # Not there yet, or in the moment between creation and its first commit.
                return None
        return self._reader

    def _advance(self, reader: RunFileReader) -> bool:
        """Look for more blocks; return whether there is something new to look at."""
        has_successor = self._path(self._segment + 1).exists()
        if reader.streams[self._stream].refresh():
            return True
        if not has_successor:
            return False
        # The successor existed before the refresh, so this segment had been sealed: the refresh saw its end.
        self._base += self._blocks(reader)
        self._segment += 1
        self.close()
        return True

    def close(self) -> None:
        """Close the open segment."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
