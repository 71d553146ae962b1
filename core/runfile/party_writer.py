"""Write one party's streams into a run folder, from file to file.

A file is rotated when it grows large or old, which bounds what a power cut can touch. Waiting for the disk and
hashing happen in a thread of their own: both take seconds for a full file, and tags do not wait.
"""

import time
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from faintlink.core import __version__
from faintlink.core.durable import fsync
from faintlink.core.errors import RunExistsError
from faintlink.core.runfile.manifest import Manifest, Segment, file_sha256
from faintlink.core.runfile.schema import RunHeader, StreamSpec
from faintlink.core.runfile.writer import Column, RunFileWriter
from faintlink.core.symbols import Party
from faintlink.core.tags import TagBlock

ROTATE_BYTES = 2 << 30
ROTATE_S = 600.0


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
        self._number = len(manifest.parties[party])
        self._finishing: deque[Future[Segment]] = deque()
        self._finisher = ThreadPoolExecutor(1, thread_name_prefix=f"seal-{party}")
        self._open()

    def _open(self) -> None:
        created = datetime.now(UTC).isoformat(timespec="seconds")
        header = RunHeader(self._manifest.run_id, self._party, created, __version__, self._number)
        path = self._folder / f"{self._party}-{self._number:04d}.h5"
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
        self._enter_finished(wait=False)
        too_old = time.monotonic() - self._opened > self._limits[1]
        if self._writer.size_bytes > self._limits[0] or too_old:
            self._close_segment()
            self._open()

    def sync(self) -> None:
        """Commit and wait for the disk."""
        self._writer.sync()

    def seal(self) -> None:
        """Seal the last file, and wait until all files are on disk and in the manifest."""
        self._close_segment()
        self._enter_finished(wait=True)
        self._finisher.shutdown()

    def abandon(self) -> None:
        """Close the last file without a seal; committed rows stay readable."""
        self._writer.abandon()
        self._finisher.shutdown(cancel_futures=True)

    def _close_segment(self) -> None:
        writer = self._writer
        writer.seal(wait_for_disk=False)
        self._finishing.append(self._finisher.submit(_finished, writer.path, writer.rows, writer.lost))
        self._number += 1

    def _enter_finished(self, *, wait: bool) -> None:
        """Enter the files in the manifest that are on disk and hashed, in their order."""
        entered = False
        while self._finishing and (wait or self._finishing[0].done()):
            self._manifest.parties[self._party].append(self._finishing.popleft().result())
            entered = True
        if entered:
            self._manifest.write(self._folder)


def _finished(path: Path, rows: dict[str, int], lost: int) -> Segment:
    fsync(path)
    return Segment(path.name, rows, lost, path.stat().st_size, file_sha256(path))
