"""The file behind a reserve: a base that is only ever replaced whole, and bookings appended behind it.

::

    base     see `faintlink.postprocess.channel.ledger`
    booking  24 bytes: number, segment, direction, next slot of that direction; CRC-32 over the base's name and these

A booking counts once `LedgerFile.book` has returned: only then is it on the disk. Bookings at the very end that are
incomplete or fail their checksums were cut off by a crash, most likely before anybody used their keys. They are dropped
and counted, so that the reserve can burn the keys that they may have been for. Damage anywhere else is refused.
The file belongs to its owner (mode 0600) and to one process at a time (``<file>.lock``). Keys that were used leave the
disk when the base is replaced; the old file is then overwritten with zeros, as far as the disk plays along.

Sources: the order write, fsync, rename, fsync of the folder is POSIX.1-2017's.
"""

import fcntl
import os
import struct
import zlib
from pathlib import Path
from secrets import token_bytes
from typing import Self

from faintlink.core.durable import fsync
from faintlink.core.errors import ConfigError, CorruptBlockError, LocalProtocolError, RunExistsError
from faintlink.postprocess.channel.envelope import Direction
from faintlink.postprocess.channel.ledger import NO_BACKUP, Ledger, decode

_BOOKING = struct.Struct(">IQBxxxI")
_CRC = struct.Struct(">I")
BOOKING_BYTES = _BOOKING.size + _CRC.size


class LedgerFile:
    """An open ledger file. After a failed write it refuses everything, for what is on the disk is then unknown."""

    def __init__(self, path: Path, lock: int, handle: int, name: bytes, *, bookings: int = 0, dropped: int = 0) -> None:
        self.path = path
        self.bookings = bookings
        """Bookings since the base was written."""
        self.dropped = dropped
        """Bookings at the end of the file that are no good; the owner burns as many keys and calls `replace`."""
        self._lock = lock
        self._handle = handle
        self._name = name
        self._is_usable = True

    @classmethod
    def create(cls, path: Path, ledger: Ledger) -> Self:
        """Write a new file; raise RunExistsError when it exists."""
        lock = _lock(path)
        try:
            if path.exists():
                raise RunExistsError(f"{path} exists; nothing was overwritten", hint="open it, or name another file")
            return cls(path, lock, *_replace(path, ledger))
        except BaseException:
            os.close(lock)
            raise

    @classmethod
    def open(cls, path: Path) -> tuple[Self, Ledger]:
        """Open a file and return it with its state, all bookings applied."""
        lock = _lock(path)
        try:
            handle = _open(path)
            try:
                ledger, name, bookings, dropped = _load(handle, path)
            except BaseException:
                os.close(handle)
                raise
            return cls(path, lock, handle, name, bookings=bookings, dropped=dropped), ledger
        except BaseException:
            os.close(lock)
            raise

    def book(self, bookings: list[tuple[int, Direction, int]]) -> None:
        """Put (segment, direction, next slot) bookings on the disk; they count once this has returned."""
        data = b""
        for index, (segment, direction, slot) in enumerate(bookings, self.bookings):
            body = _BOOKING.pack(index, segment, direction, slot)
            data += body + _checksum(self._name, body)
        self._guard()
        self._is_usable = False
        try:
            _write_all(self._handle, data)
            os.fsync(self._handle)
        except OSError as error:
            raise _cannot_write(self.path, error) from error
        self.bookings += len(bookings)
        self._is_usable = True

    def replace(self, ledger: Ledger) -> None:
        """Write a new base of ``ledger``, without the used keys, and overwrite the old file with zeros."""
        self._guard()
        self._is_usable = False
        old = self._handle
        try:
            self._handle, self._name = _replace(self.path, ledger)
            self.bookings = 0
            _overwrite(old)
        except OSError as error:
            raise _cannot_write(self.path, error) from error
        self._is_usable = True

    def close(self) -> None:
        """Close the file and let other processes open it."""
        if self._lock >= 0:
            os.close(self._handle)
            os.close(self._lock)
            self._lock = -1
        self._is_usable = False

    def _guard(self) -> None:
        if not self._is_usable:
            raise LocalProtocolError(f"{self.path} is closed, or a write failed", hint="open the reserve again")


def _lock(path: Path) -> int:
    lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise LocalProtocolError(f"{path} is in use by another process", hint="one node owns a reserve") from error
    return lock


def _open(path: Path) -> int:
    try:
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise ConfigError(f"there is no reserve {path}", hint="create it on both sides from a shared key") from error
    mode = os.fstat(handle).st_mode & 0o777
    if mode & 0o077:
        os.close(handle)
        raise ConfigError(f"{path} must be its owner's only (mode 600), it has mode {mode:o}", hint="chmod 600")
    return handle


def _replace(path: Path, ledger: Ledger) -> tuple[int, bytes]:
    name = token_bytes(16)
    data = ledger.encode(name)
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        _write_all(handle, data)
        os.fsync(handle)
        fresh.replace(path)
        fsync(path.parent)
    except BaseException:
        os.close(handle)
        raise
    finally:
        data[:] = bytes(len(data))
    return handle, name


def _overwrite(handle: int) -> None:
    fcntl.fcntl(handle, fcntl.F_SETFL, fcntl.fcntl(handle, fcntl.F_GETFL) & ~os.O_APPEND)
    os.lseek(handle, 0, os.SEEK_SET)
    _write_all(handle, bytes(os.fstat(handle).st_size))
    os.fsync(handle)
    os.close(handle)


def _write_all(handle: int, data: bytes | bytearray) -> None:
    with memoryview(data) as view:
        written = 0
        while written < len(view):
            written += os.write(handle, view[written:])


def _cannot_write(path: Path, error: OSError) -> LocalProtocolError:
    return LocalProtocolError(f"{path} could not be written: {error.strerror}", hint="free the disk, open it again")


def _checksum(name: bytes, body: bytes) -> bytes:
    return _CRC.pack(zlib.crc32(name + body))


def _load(handle: int, path: Path) -> tuple[Ledger, bytes, int, int]:
    data = bytearray(os.fstat(handle).st_size)
    try:
        os.preadv(handle, [data], 0)
        ledger, name, end = decode(data)
        bookings = _apply_bookings(ledger, bytes(data[end:]), name, path)
    finally:
        data[:] = bytes(len(data))
    rest = len(data) - end - bookings * BOOKING_BYTES
    return ledger, name, bookings, -(-rest // BOOKING_BYTES)


def _apply_bookings(ledger: Ledger, data: bytes, name: bytes, path: Path) -> int:
    records = [data[at : at + BOOKING_BYTES] for at in range(0, len(data), BOOKING_BYTES)]
    whole = [len(r) == BOOKING_BYTES and r[_BOOKING.size :] == _checksum(name, r[: _BOOKING.size]) for r in records]
    count = whole.index(False) if False in whole else len(records)
    bodies = [_BOOKING.unpack(record[: _BOOKING.size]) for record in records[:count]]
    fits = [index == at and segment in ledger.segments for at, (index, segment, _, _) in enumerate(bodies)]
    if any(whole[count:]) or not all(fits):
        raise CorruptBlockError(f"{path} is damaged among its {len(records)} bookings", hint=NO_BACKUP)
    for _, segment, direction, slot in bodies:
        ledger.segments[segment].advance(Direction(direction), slot)
    return count
