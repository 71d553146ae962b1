"""How the audit log's bytes get onto the disk, and what is there.

A folder holds segments ``audit-<number of the first record>.jsonl``, the head, and what was set aside. Records are
appended and synchronised; the head is two places in one file that is never lengthened, written in turns, so that it
can still be written when the disk is full and one of the two survives a crash in the middle of a write.

Used by the log, its recovery and its verification.
"""

import fcntl
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from faintlink.core.durable import fsync
from faintlink.core.errors import AuditError, FormatError
from faintlink.core.private import write_private
from faintlink.delivery.audit.signing import AuditPublicKey, Checkpoint

_log = logging.getLogger(__name__)

LAST_ROOM_BYTES = 1 << 18
LAST_ROOM = "room"
LOCK = "lock"
SLOT_BYTES = 512
"""Of one of the two places of a head."""
HEAD = "head"
_PREFIX, _SUFFIX = "audit-", ".jsonl"


def segment_path(folder: Path, first: int) -> Path:
    """Return the path of the segment that begins with record ``first``."""
    return folder / f"{_PREFIX}{first:012d}{_SUFFIX}"


def segments(folder: Path) -> list[Path]:
    """Return the segments in the order of their records."""
    return sorted(folder.glob(f"{_PREFIX}*{_SUFFIX}"))


def create(path: Path) -> int:
    """Make a file of mode 0600 that must not exist, durably, and return a handle that appends."""
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
    fsync(path.parent)
    return handle


def append(handle: int, data: bytes) -> None:
    """Append all of ``data``, or nothing that stays.

    Raises
    ------
    OSError
        It could not be written; the file has its old length again, unless that failed too.
    """
    size = os.fstat(handle).st_size
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
    except OSError:
        os.ftruncate(handle, size)
        raise


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a segment."""

    path: Path
    number: int
    """From 1, in its segment."""
    data: bytes
    """Without newline."""
    is_whole: bool
    """Whether a newline ended it."""
    start: int
    """Where it begins in its segment, in bytes."""


def lines(path: Path) -> Iterator[Line]:
    """Yield the lines of a segment."""
    start = 0
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            yield Line(path, number, raw.rstrip(b"\n"), raw.endswith(b"\n"), start)
            start += len(raw)


def lock(path: Path) -> int:
    """Return a handle that keeps other processes out until it is closed.

    Raises
    ------
    AuditError
        Another process has it.
    """
    handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    except BlockingIOError:
        owner = os.read(handle, 32).decode("ascii", "replace").strip() or "unknown"
        os.close(handle)
        raise AuditError(
            f"process {owner} has the audit log open", hint="one process owns a site's log", is_held=True
        ) from None
    except BaseException:
        os.close(handle)
        raise
    return handle


class LastRoom:
    """Room on the disk that is kept for the facts which must be told even when it is full.

    Parameters
    ----------
    path
        Of the file that takes the room.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.touch(mode=0o600)
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, LAST_ROOM_BYTES)
        except OSError:
            # Without it the log is as good as before, but for the last words on a full disk.
            _log.warning("no room can be kept for the last facts at %s", path)

    def give_up(self) -> bool:
        """Free the room and return whether there was any; a log that is opened again keeps new room."""
        try:
            has_room = self._path.stat().st_blocks > 0
            self._path.unlink()
        except OSError:
            return False
        return has_room


class Head:
    """The file that says how far the log is acknowledged."""

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._turn = 0

    @classmethod
    def create(cls, path: Path, line: bytes) -> "Head":
        """Make a head that holds a checkpoint's line twice."""
        write_private(path, _slot(line) * 2, hint="a log is made once")
        return cls(path)

    def write(self, line: bytes) -> None:
        """Put in a checkpoint's line: it survives the process at once, and the machine after `synchronise`."""
        os.pwrite(self._handle, _slot(line), self._turn * SLOT_BYTES)
        self._turn = 1 - self._turn

    def synchronise(self) -> None:
        """Wait until what was written is on the disk."""
        os.fdatasync(self._handle)

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)


def read_head(path: Path, key: AuditPublicKey) -> Checkpoint:
    """Return the latest checkpoint of a head.

    Raises
    ------
    AuditError
        Neither place holds one that the site signed.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise AuditError(
            f"{path}: the head of the log is gone: {error.strerror}",
            hint="compare the anchors with the log; without a head nobody knows where it ended",
        ) from error
    found = [_checkpoint(data[at : at + SLOT_BYTES], key) for at in (0, SLOT_BYTES)]
    whole = [one for one in found if one is not None]
    if not whole:
        raise AuditError(
            f"{path}: neither place of the head holds a checkpoint that the key {key.fingerprint} signed",
            hint="verify with the site's public audit key; if it is that, somebody changed the head",
        )
    return max(whole, key=lambda one: (one.records, one.anchors))


def read_anchors(path: Path, key: AuditPublicKey) -> tuple[list[Checkpoint], int]:
    """Return the anchors of a file in order, and how many bytes of a last line a crash cut off.

    Raises
    ------
    AuditError
        A line is no anchor that the site signed, or one is missing.
    """
    if not path.exists():
        return [], 0
    *whole, rest = path.read_bytes().split(b"\n")
    found: list[Checkpoint] = []
    for number, line in enumerate(whole, 1):
        try:
            anchor = key.read(line)
        except FormatError as error:
            raise _not_an_anchor(path, number, error.message) from error
        if anchor.anchors != number or (found and anchor.records < found[-1].records):
            raise _not_an_anchor(path, number, f"it is anchor {anchor.anchors}")
        found.append(anchor)
    return found, len(rest)


def _not_an_anchor(path: Path, number: int, what: str) -> AuditError:
    return AuditError(
        f"{path}, line {number}: not the anchor that belongs there: {what}",
        hint="take the copy of the anchors that was carried to another machine",
        line=number,
    )


def _slot(line: bytes) -> bytes:
    if len(line) >= SLOT_BYTES:
        raise AuditError(f"a checkpoint of {len(line)} bytes does not fit its place of {SLOT_BYTES}")
    return line.ljust(SLOT_BYTES - 1) + b"\n"


def _checkpoint(slot: bytes, key: AuditPublicKey) -> Checkpoint | None:
    try:
        return key.read(slot.rstrip(b" \n"))
    except FormatError:
        # The other place stands where a crash cut this one off.
        return None
