"""The audit log: facts in, acknowledged records out, written before what they tell of happens.

`AuditLog` is the `Witness` of a site. A fact is noted when its sealed record is on the disk; only then `note` returns
and the key may leave. The head says at once how far the log goes, which survives the process, and is itself on the
disk within `AuditLimits.head_seconds`, which survives the machine. What a crash leaves behind the last sealed record
was never acknowledged, so nothing was released on it: it is set aside in a file of its own when the log is opened
again, and the log says so.

Facts that threads note at the same time share one write and one synchronisation (group commit).

If a record cannot be written (full disk), nothing of it stays and later facts may be noted again. If the system says
that it cannot synchronise, what is on the disk is unknown, and the log takes no more facts until it is opened again.

Sources: Rebello et al., "Can applications recover from fsync failures?", USENIX ATC 2020.
"""

import errno
import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from faintlink.core import __version__
from faintlink.core.errors import AuditError
from faintlink.delivery.audit import files
from faintlink.delivery.audit.limits import LAST_WORDS, AuditLimits
from faintlink.delivery.audit.records import GENESIS, LogEvent, content, content_of, encode
from faintlink.delivery.audit.recovery import recover
from faintlink.delivery.audit.signing import AuditKey, Checkpoint
from faintlink.delivery.witness import Fact

_log = logging.getLogger(__name__)


def utc_now() -> str:
    """Return the wall clock's time; it labels records and decides nothing."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(slots=True, eq=False)
class _Waiting:
    text: str
    is_last_word: bool = False
    is_done: bool = field(default=False, init=False)
    error: AuditError | None = field(default=None, init=False)


class AuditLog:
    """The audit log of one site; made if it is not there. One process owns it, all its threads may note.

    Parameters
    ----------
    folder
        Of the log; made with mode 0700.
    key
        Signs head and anchors.
    anchors
        File of the anchors, best on another disk; its folder exists.
    site
        Name of the site, noted at each opening.
    limits
        When to make anchors and segments.
    utc, monotonic
        Clocks.

    Raises
    ------
    AuditError
        Another process has it open, it is broken, or cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        key: AuditKey,
        *,
        anchors: Path,
        site: str,
        limits: AuditLimits | None = None,
        utc: Callable[[], str] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder, self._key, self._utc, self._monotonic = folder, key, utc, monotonic
        self._limits = limits or AuditLimits()
        self._queue: list[_Waiting] = []
        self._queue_lock, self._disk_lock = threading.Lock(), threading.Lock()
        self._is_closed = threading.Event()
        self._broken = ""
        self._handles = ExitStack()
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._keep(files.lock(folder / files.LOCK))
            self._open(anchors)
            about = {"software": __version__, "key": key.public().fingerprint}
            self._note(content(LogEvent.OPENED, site, about), is_last_word=True)
            if self._limits.head_seconds > 0:
                threading.Thread(target=self._watch, name="audit log", daemon=True).start()
        except OSError as error:
            self._let_go()
            raise AuditError(f"{folder}: {error.strerror}", hint="free the disk, then open the log again") from error
        except BaseException:
            self._let_go()
            raise

    def _open(self, anchors: Path) -> None:
        path = self.folder / files.HEAD
        if not path.exists() and not files.segments(self.folder) and not anchors.exists():
            start = Checkpoint(0, GENESIS, 0, self._utc())
            files.Head.create(path, self._key.sign(start)).close()
        found = recover(self.folder, anchors=anchors, key=self._key.public())
        self._end, self._anchored = found.end, found.anchored
        self._room = files.LastRoom(self.folder / files.LAST_ROOM)
        self._first, self._segment = found.first, found.segment
        self._handles.callback(lambda: os.close(self._segment))
        self._head = files.Head(path)
        self._handles.callback(self._head.close)
        self._anchors = self._keep(os.open(anchors, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600))
        self._anchor_due = self._monotonic() + self._limits.anchor_seconds
        self._head_due = 0.0
        self._acknowledge(found.end, is_durable=True)
        if found.set_aside:
            self._note(content(LogEvent.SET_ASIDE, "recovery", found.set_aside), is_last_word=True)

    def _keep(self, handle: int) -> int:
        self._handles.callback(os.close, handle)
        return handle

    @property
    def records(self) -> int:
        """Number of acknowledged records."""
        return self._end.records

    def note(self, fact: Fact) -> None:
        """Keep a fact; it is durable when this returns.

        Raises
        ------
        AuditError
            It cannot be kept.
        """
        self._note(content_of(fact), is_last_word=fact.event in LAST_WORDS)

    def require_usable(self) -> None:
        """Return if the log takes facts; for health checks.

        Raises
        ------
        AuditError
            It does not, until it is opened again.
        """
        if self._broken:
            raise AuditError(
                f"the audit log takes no facts: {self._broken}", hint="open it again; nothing was released"
            )

    def close(self) -> None:
        """Anchor what is not anchored and let go of the files; twice does no harm."""
        with self._disk_lock:
            try:
                if not self._broken and self._end.records > self._anchored:
                    self._guarded(self._anchor)
            finally:
                self._let_go()

    def _let_go(self) -> None:
        self._is_closed.set()
        self._broken = self._broken or "it is closed"
        self._handles.close()

    def _note(self, text: str, *, is_last_word: bool = False) -> None:
        waiting = _Waiting(text, is_last_word)
        with self._queue_lock:
            self._queue.append(waiting)
        with self._disk_lock:
            if not waiting.is_done:
                self._commit_queue()
        if waiting.error is not None:
            # One failure serves several threads, and each needs a traceback of its own.
            raise AuditError(waiting.error.message, hint=waiting.error.hint) from waiting.error

    def _commit_queue(self) -> None:
        with self._queue_lock:
            batch, self._queue = self._queue, []
        error = None
        try:
            self._guarded(lambda: self._commit_somehow(batch))
        except AuditError as failed:
            error = failed
        for one in batch:
            one.is_done, one.error = True, error

    def _guarded(self, action: Callable[[], None]) -> None:
        self.require_usable()
        try:
            action()
        except OSError as error:
            raise AuditError(
                f"the audit log cannot be written: {error.strerror}", hint="free the disk; nothing was released"
            ) from error

    def _commit_somehow(self, batch: list[_Waiting]) -> None:
        texts = [one.text for one in batch]
        try:
            self._commit(texts)
        except OSError as error:
            is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            if not (is_full and any(one.is_last_word for one in batch) and self._room.give_up()):
                raise
            self.require_usable()
            self._commit(texts)

    def _commit(self, texts: list[str]) -> None:
        if self._end.records - self._first >= self._limits.segment_records:
            self._rotate()
        utc, n, digest = self._utc(), self._end.records, self._end.hash
        data = []
        for text in texts:
            line, digest = encode(n, utc, text, digest, self._key.seal)
            data.append(line)
            n += 1
        self._append(self._segment, b"".join(data))
        self._acknowledge(Checkpoint(n, digest, self._end.anchors, utc))
        if n - self._anchored >= self._limits.anchor_records or self._monotonic() >= self._anchor_due:
            self._anchor()

    def _anchor(self) -> None:
        anchor = Checkpoint(self._end.records, self._end.hash, self._end.anchors + 1, self._utc())
        self._append(self._anchors, self._key.sign(anchor) + b"\n")
        self._anchored = anchor.records
        self._anchor_due = self._monotonic() + self._limits.anchor_seconds
        self._acknowledge(anchor, is_durable=True)

    def _append(self, handle: int, data: bytes) -> None:
        size = os.fstat(handle).st_size
        try:
            files.append(handle, data)
        except OSError:
            if os.fstat(handle).st_size != size:
                self._broken = "half a record could not be taken back"
            raise
        self._synchronised(lambda: os.fdatasync(handle))

    def _acknowledge(self, end: Checkpoint, *, is_durable: bool = False) -> None:
        self._synchronised(lambda: self._head.write(self._key.sign(end)))
        self._end = end
        self._is_head_durable = False
        if is_durable or self._monotonic() >= self._head_due:
            self._make_head_durable()

    def _make_head_durable(self) -> None:
        self._synchronised(self._head.synchronise)
        self._is_head_durable = True
        self._head_due = self._monotonic() + self._limits.head_seconds

    def _watch(self) -> None:
        """Do in time what a log that rests would leave to its next fact."""
        while not self._is_closed.wait(self._limits.head_seconds):
            with self._disk_lock:
                if self._broken:
                    return
                try:
                    self._guarded(self._catch_up)
                except AuditError as error:
                    _log.critical("%s", error.message)

    def _catch_up(self) -> None:
        if self._end.records > self._anchored and self._monotonic() >= self._anchor_due:
            self._anchor()
        elif not self._is_head_durable:
            self._make_head_durable()

    def _synchronised(self, action: Callable[[], None]) -> None:
        try:
            action()
        except OSError:
            self._broken = "the disk failed, and what it holds is unknown"
            raise

    def _rotate(self) -> None:
        path = files.segment_path(self.folder, self._end.records)
        fresh = files.create(path)
        os.close(self._segment)
        self._segment, self._first = fresh, self._end.records
