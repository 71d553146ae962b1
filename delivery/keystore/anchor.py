"""What a key store keeps outside its database: how far it has come, and the secret that makes its copies unreadable.

A database that is put back from a copy would hand out keys again. So each transaction that lets key material out
writes its number and a random *mark* into the database, and into this file before anything is handed out. The order is
commit, then anchor, then hand out:

- a crash before the anchor is written leaves the database one step ahead. Nothing was handed out in that step, and the
  anchor follows at the next start;
- every key that was handed out stands behind an anchor that is on the disk. A copy from before does not know the
  anchor's mark, and is refused.

The other order, anchor first, could not tell a crash before the commit from a copy that is one step old.

The *shred secret* goes into the wrapping key. It is replaced when epoch keys are destroyed and zeroed by a zeroize, in
place: no room on the disk is needed.

The file has two pages, written in turns, so that a torn write leaves the other; both pages are written when a secret
must go. Whoever puts back database *and* anchor from one moment cannot be noticed: keep the anchor on another medium
where snapshots are made.

Sources: a counter outside of what is restored is the usual remedy against replayed state; here it is a file, and a
hardware counter would be stronger.
"""

import os
import struct
import zlib
from dataclasses import dataclass, field, replace
from enum import IntEnum
from pathlib import Path
from typing import Self

from faintlink.core.durable import fsync
from faintlink.core.entropy import OsEntropy
from faintlink.core.errors import RunExistsError, StoreError, StoreRolledBackError
from faintlink.core.private import write_private

SECRET_BYTES = 32
MARK_BYTES = 16
_PAGE = 4096
_MAGIC = b"flanchr1"
_BODY = struct.Struct(">8s36sQQI16s32s32s")
_CRC = struct.Struct(">I")


class Condition(IntEnum):
    """Whether a store may be used."""

    LIVE = 0
    ZEROIZED = 1


@dataclass(frozen=True, slots=True)
class Anchored:
    """What the anchor says."""

    store_id: str
    count: int
    """Transactions that let key material out."""
    mark: bytes
    """Random; stands in the database too."""
    secret: bytes = field(repr=False)
    """Goes into the wrapping key; zeros after a zeroize."""
    old_secret: bytes = field(repr=False, default=bytes(SECRET_BYTES))
    """The one before, while epoch keys move to the new one; zeros otherwise."""
    condition: Condition = Condition.LIVE


class Anchor:
    """An open anchor file; the lock of its store guards it."""

    def __init__(self, path: Path, handle: int, said: Anchored, serial: int) -> None:
        self.path = path
        self.said = said
        self._handle = handle
        self._serial = serial

    def __repr__(self) -> str:
        return f"Anchor({str(self.path)!r}, count {self.said.count})"

    @classmethod
    def create(cls, path: Path, store_id: str) -> Self:
        """Write the anchor of a new store.

        Raises
        ------
        RunExistsError
            There is one.
        """
        draw = OsEntropy().draw
        said = Anchored(store_id, 0, draw(MARK_BYTES, "store mark"), draw(SECRET_BYTES, "shred secret"))
        try:
            _publish(path, _encode(said, 0) + _encode(said, 1))
        except FileExistsError:
            raise RunExistsError(f"{path} exists", hint="it belongs to a store: name another") from None
        except OSError as error:
            raise _cannot_write(path, error) from error
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the anchor of a store.

        Raises
        ------
        StoreRolledBackError
            It is not there, or neither of its pages is whole: nobody knows what was handed out.
        """
        try:
            handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            raise StoreRolledBackError(
                f"the anchor {path} of the key store is gone: nobody knows which keys were handed out",
                hint="put nothing back by hand; recover the store, which gives up the keys it holds",
                path=str(path),
            ) from None
        pages = [_decode(os.pread(handle, _PAGE, at * _PAGE)) for at in (0, 1)]
        whole = [page for page in pages if page is not None]
        if not whole:
            os.close(handle)
            raise StoreRolledBackError(f"both pages of {path} are damaged", hint="recover the store", path=str(path))
        serial, said = max(whole, key=lambda page: page[0])
        return cls(path, handle, said, serial)

    @property
    def is_usable(self) -> bool:
        """Whether it is open and no write has failed."""
        return self._handle >= 0

    def advance(self, count: int, mark: bytes) -> None:
        """Note a transaction; it is on the disk when this returns."""
        self._write(replace(self.said, count=count, mark=mark))

    def begin_secret(self) -> None:
        """Draw a new shred secret and keep the old one beside it; does nothing while an exchange is under way."""
        if self.is_exchanging:
            return
        secret = OsEntropy().draw(SECRET_BYTES, "shred secret")
        self._write(replace(self.said, secret=secret, old_secret=self.said.secret))

    @property
    def is_exchanging(self) -> bool:
        """Whether an old secret is still there."""
        return any(self.said.old_secret)

    def end_secret(self) -> None:
        """Destroy the old shred secret."""
        for _ in range(2):
            self._write(replace(self.said, old_secret=bytes(SECRET_BYTES)))

    def zeroize(self) -> None:
        """Destroy both secrets and say so."""
        gone = bytes(SECRET_BYTES)
        for _ in range(2):
            self._write(replace(self.said, secret=gone, old_secret=gone, condition=Condition.ZEROIZED))

    def renew(self, mark: bytes, count: int) -> None:
        """Begin anew after a recovery: new secret, given mark."""
        secret = OsEntropy().draw(SECRET_BYTES, "shred secret")
        for _ in range(2):
            self._write(Anchored(self.said.store_id, count, mark, secret))

    def close(self) -> None:
        """Close the file."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _write(self, said: Anchored) -> None:
        serial = self._serial + 1
        try:
            os.pwrite(self._handle, _encode(said, serial), serial % 2 * _PAGE)
            os.fdatasync(self._handle)
        except OSError as error:
            # After a failed write nobody knows what is on the disk: no second try.
            self.close()
            raise _cannot_write(self.path, error) from error
        self.said = said
        self._serial = serial


def _publish(path: Path, data: bytes) -> None:
    # Under its name only when it is whole: a crash must not leave half an anchor, which nobody may replace.
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    write_private(fresh, data)
    try:
        path.hardlink_to(fresh)
    finally:
        fresh.unlink()
    fsync(path.parent)


def _cannot_write(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"the anchor {path} cannot be written: {error.strerror}",
        hint="nothing was handed out; mend the disk and open the store again",
        path=str(path),
    )


def _encode(said: Anchored, serial: int) -> bytes:
    body = _BODY.pack(
        _MAGIC,
        said.store_id.encode(),
        serial,
        said.count,
        said.condition,
        said.mark,
        said.secret,
        said.old_secret,
    )
    return (body + _CRC.pack(zlib.crc32(body))).ljust(_PAGE, b"\0")


def _decode(page: bytes) -> tuple[int, Anchored] | None:
    body, check = page[: _BODY.size], page[_BODY.size : _BODY.size + _CRC.size]
    if len(page) != _PAGE or not body.startswith(_MAGIC) or check != _CRC.pack(zlib.crc32(body)):
        return None
    _, store_id, serial, count, condition, mark, secret, old = _BODY.unpack(body)
    return serial, Anchored(store_id.decode(), count, mark, secret, old, Condition(condition))


@dataclass(frozen=True, slots=True)
class AnchorAt:
    """Opens the anchor at a path, or makes it for a new store."""

    path: Path

    def __call__(self, new_store: str | None) -> Anchor:
        """Open the anchor; make one if there is none and the store is new."""
        if new_store is not None and not self.path.exists():
            return Anchor.create(self.path, new_store)
        return Anchor.open(self.path)
