"""SQLite under a key store: a file of its owner's only, one process at a time, every commit on the disk.

WAL with ``synchronous=FULL``: with less, a power cut could take back the commit that noted a delivery, and the key
would be delivered again. ``secure_delete`` overwrites what is deleted in the database file; the write-ahead log keeps
old pages until it is cut off (`tidy`), which is done after use, at most `TIDY_S` or `LOG_BYTES` apart. The file is
locked exclusively, so that there is no shared-memory file beside it.

Sources: https://www.sqlite.org/pragma.html (synchronous, secure_delete, wal_checkpoint, locking_mode).
"""

import fcntl
import logging
import os
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from faintlink.core.errors import StoreError
from faintlink.delivery.keystore.database import Row

_log = logging.getLogger(__name__)
TIDY_S = 60.0
LOG_BYTES = 8 * 2**20
BALLAST_BYTES = 16 * 2**20
ROOM_BYTES = 64 * 2**20
"""Free space below which no new keys are taken in or promised."""
CHECKED_BYTES = 256 * 2**20
"""Size up to which a file is looked through when it is opened; larger ones would keep a site waiting."""
_PRAGMAS = (
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA secure_delete = ON",
    # SQLite passes over errors of its own checkpoints; what did not reach the disk once may not be tried again.
    "PRAGMA wal_autocheckpoint = 0",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cell_size_check = ON",
)


class SqliteDatabase:
    """A `Database <faintlink.delivery.keystore.database.Database>` in one file."""

    def __init__(self, path: Path, *, ballast_bytes: int = BALLAST_BYTES, room_bytes: int = ROOM_BYTES) -> None:
        self.path = path
        self._ballast = path.with_name(path.name + ".ballast")
        self._log = path.with_name(path.name + "-wal")
        self._ballast_bytes = ballast_bytes
        self._room_bytes = room_bytes
        self._is_usable = True
        self._lock = lock(path)
        try:
            self._connection = _connect(path)
            self._fill_ballast()
        except BaseException:
            os.close(self._lock)
            raise
        self._tidied = time.monotonic()

    def __repr__(self) -> str:
        return f"SqliteDatabase({str(self.path)!r})"

    @property
    def where(self) -> str:
        """The file."""
        return str(self.path)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold a transaction."""
        if not self._is_usable:
            raise StoreError(
                f"the key store {self.path} is closed, or a write failed before", hint="open the store again"
            )
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except BaseException as error:
            self._undo(error)
            if isinstance(error, sqlite3.Error):
                raise _cannot(self.path, error) from error
            raise
        if self._is_untidy():
            # The commit stands, whatever becomes of this.
            with suppress(StoreError):
                self.tidy()

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """Return what a query finds."""
        return self._connection.execute(statement, values).fetchall()

    def run(self, statement: str, values: Sequence[Any] = ()) -> int:
        """Change something and return the number of rows."""
        return self._connection.execute(_dialect(statement), values).rowcount

    def run_many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement for each row."""
        self._connection.executemany(statement, rows)

    def has_tables(self) -> bool:
        """Return whether a key store is in it."""
        return bool(self.rows("SELECT 1 FROM sqlite_master WHERE name = 'meta'"))

    def has_room(self) -> bool:
        """Return whether the disk has room for new keys."""
        return shutil.disk_usage(self.path.parent).free >= self._room_bytes

    def make_room(self) -> bool:
        """Remove the ballast."""
        try:
            self._ballast.unlink()
        except FileNotFoundError:
            return False
        return True

    def tidy(self) -> None:
        """Cut the write-ahead log off, with the old pages in it."""
        self._tidied = time.monotonic()
        try:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as error:
            _log.warning("the log of the key store %s could not be cut off: %s", self.path, error)
            self._is_usable &= _is_full(error)
            raise _cannot(self.path, error) from error
        self._fill_ballast()

    def close(self) -> None:
        """Cut the log off, close the file and let other processes open it."""
        if self._lock < 0:
            return
        self._is_usable = False
        try:
            with suppress(sqlite3.Error):
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._connection.close()
        finally:
            os.close(self._lock)
            self._lock = -1

    def _is_untidy(self) -> bool:
        if time.monotonic() - self._tidied > TIDY_S:
            return True
        try:
            return self._log.stat().st_size > LOG_BYTES
        except FileNotFoundError:
            return False

    def _undo(self, error: BaseException) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._is_usable = False
        # After a failed write nobody knows what is on the disk; a full disk is known to have kept the old state.
        if isinstance(error, sqlite3.Error) and not _is_full(error):
            self._is_usable = False

    def _fill_ballast(self) -> None:
        if self._ballast.exists() or shutil.disk_usage(self.path.parent).free < self._room_bytes:
            return
        # It is a help in need: a store without it works.
        with suppress(OSError):
            handle = os.open(self._ballast, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(handle, 0, self._ballast_bytes)
            except OSError:
                self._ballast.unlink()
            finally:
                os.close(handle)


def lock(path: Path) -> int:
    """Return the handle of a store's lock file, which names its owner; closing it lets go.

    Raises
    ------
    StoreError
        Another process owns the store.
    """
    try:
        handle = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(
            f"the key store {path} cannot be locked: {error.strerror}", hint="does its folder exist, and is it yours?"
        ) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = os.pread(handle, 32, 0).decode(errors="replace").strip()
        os.close(handle)
        raise StoreError(
            f"the key store {path} is in use by process {owner or 'unknown'}",
            hint="one process owns a key store; stop that one first",
            path=str(path),
        ) from error
    # Who owns it is for messages only: a full disk must not keep a store from being opened and zeroized.
    with suppress(OSError):
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    return handle


def _connect(path: Path) -> sqlite3.Connection:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _cannot(path, error) from error
    mode = os.fstat(handle).st_mode & 0o777
    os.close(handle)
    if mode & 0o077:
        raise StoreError(
            f"{path} must be its owner's only (mode 600), it has mode {mode:o}", hint="chmod 600", path=str(path)
        )
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0.0)
    try:
        for pragma in _PRAGMAS:
            connection.execute(pragma).fetchall()
        is_small = path.stat().st_size <= CHECKED_BYTES
        found = connection.execute("PRAGMA quick_check(1)").fetchall() if is_small else [("ok",)]
    except sqlite3.Error as error:
        connection.close()
        raise _cannot(path, error) from error
    if found != [("ok",)]:
        connection.close()
        raise StoreError(f"the key store {path} is damaged", hint="recover the store from a backup", path=str(path))
    return connection


def _dialect(statement: str) -> str:
    return statement.replace("CLUSTERED", "WITHOUT ROWID") if statement.startswith("CREATE") else statement


def _cannot(path: Path, error: sqlite3.Error | OSError) -> StoreError:
    full = _is_full(error)
    hint = "free the disk" if full else "nothing was handed out; mend the disk and open the store again"
    return StoreError(f"the key store {path} fails: {error}", hint=hint, path=str(path), is_full=full)


def _is_full(error: Exception) -> bool:
    # Errors of the Python module itself carry no code.
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
