"""The keys that seal a store's rows, one for some blocks and some time each, so that they can be destroyed in turn.

An epoch's key is drawn by the process that seals under it and is never sealed under by another one. When nothing that
it sealed is left, its row is overwritten and the shred secret is replaced: what remains of the rows in a log, a medium
or a copy stays closed for good.
"""

import time
from dataclasses import dataclass

from faintlink.core.entropy import OsEntropy
from faintlink.core.errors import StoreError
from faintlink.delivery.keystore.database import Database
from faintlink.delivery.keystore.sealing import KEY_BYTES, MOST_SEALS, Cipher, bound, wipe


@dataclass(frozen=True, slots=True)
class EpochLimits:
    """When a new epoch begins."""

    blocks: int = 16
    age_s: float = 3600.0
    seals: int = MOST_SEALS


class Epochs:
    """The epoch keys of an open store. Not for several threads."""

    def __init__(self, wrapping: Cipher, store_id: str, limits: EpochLimits) -> None:
        self._wrapping = wrapping
        self._older: Cipher | None = None
        self._store_id = store_id
        self._limits = limits
        self._ciphers: dict[int, Cipher] = {}
        self._newest = 0
        self._current: int | None = None
        self._begun: list[int] = []
        self._began_s = 0.0
        self._blocks = 0

    def __repr__(self) -> str:
        return f"Epochs({len(self._ciphers)} keys)"

    def load(self, database: Database, old_wrapping: Cipher | None = None) -> None:
        """Unwrap the keys in the database; those under ``old_wrapping`` too, which an interrupted exchange left."""
        self.clear()
        self._older = old_wrapping
        for epoch, wrapped in database.rows("SELECT epoch, wrapped FROM epochs"):
            self._newest = max(self._newest, epoch)
            key = self._unwrap(epoch, bytes(wrapped))
            self._ciphers[epoch] = Cipher(key)
            wipe(key)

    def rewrap(self, database: Database, wrapping: Cipher) -> None:
        """Wrap every key with another wrapping key, in a transaction of the caller's; `use` it after the commit."""
        for epoch, wrapped in database.rows("SELECT epoch, wrapped FROM epochs"):
            about = self._about(epoch)
            key = self._unwrap(epoch, bytes(wrapped))
            fresh = wrapping.seal(key, about)
            wipe(key)
            database.run("UPDATE epochs SET wrapped = ? WHERE epoch = ?", (fresh, epoch))

    def use(self, wrapping: Cipher) -> None:
        """Wrap new keys with another wrapping key from now on."""
        self._wrapping = wrapping
        self._older = None

    def current(self, database: Database, *, new_blocks: int = 0) -> int:
        """Return the epoch to seal under now, a new one if the last is full; needs a transaction."""
        if self._current is None or self._is_full(self._current, new_blocks):
            self._begin(database)
        self._blocks += new_blocks
        return self._newest

    def cipher(self, epoch: int) -> Cipher:
        """Return the cipher of an epoch."""
        return self._ciphers[epoch]

    @property
    def begun(self) -> int:
        """How many epochs this transaction has begun."""
        return len(self._begun)

    def keep(self) -> None:
        """Note that the transaction was made."""
        self._begun.clear()

    def undo(self, begun: int = 0) -> None:
        """Note that the transaction was undone, back to where it had begun as many epochs."""
        self.drop(self._begun[begun:])
        del self._begun[begun:]

    def forget(self, database: Database) -> list[int]:
        """Delete the keys of epochs with nothing left in them, in a transaction of the caller's; then `drop` them."""
        used = {
            epoch
            for (epoch,) in database.rows(
                "SELECT DISTINCT epoch FROM secrets UNION SELECT DISTINCT b.epoch FROM blocks b"
                " JOIN lots l ON l.block_no = b.block_no WHERE l.free > 0"
            )
        }
        empty = [epoch for (epoch,) in database.rows("SELECT epoch FROM epochs") if epoch not in used]
        for epoch in empty:
            database.run("DELETE FROM epochs WHERE epoch = ?", (epoch,))
        return empty

    def drop(self, epochs: list[int]) -> None:
        """Let go of keys whose rows were deleted."""
        for epoch in epochs:
            self._ciphers.pop(epoch, None)
        if self._current in epochs:
            self._current = None

    def clear(self) -> None:
        """Let go of all keys."""
        self._ciphers.clear()
        self._current = None
        self._begun.clear()

    def _is_full(self, epoch: int, new_blocks: int) -> bool:
        limits = self._limits
        return (
            self._blocks + new_blocks > limits.blocks
            or time.monotonic() - self._began_s >= limits.age_s
            or self._ciphers[epoch].uses >= limits.seals
        )

    def _begin(self, database: Database) -> None:
        (last,) = database.rows("SELECT value FROM meta WHERE name = 'epoch'")
        epoch = max(self._newest, int(last[0])) + 1
        key = OsEntropy().draw(KEY_BYTES, "epoch key")
        wrapped = self._wrapping.seal(key, self._about(epoch))
        database.run("INSERT INTO epochs (epoch, wrapped) VALUES (?, ?)", (epoch, wrapped))
        database.run("UPDATE meta SET value = ? WHERE name = 'epoch'", (str(epoch),))
        self._ciphers[epoch] = Cipher(key)
        self._newest = self._current = epoch
        self._begun.append(epoch)
        self._began_s = time.monotonic()
        self._blocks = 0

    def _unwrap(self, epoch: int, wrapped: bytes) -> bytearray:
        try:
            return self._wrapping.open(wrapped, self._about(epoch))
        except StoreError:
            if self._older is None:
                raise
            return self._older.open(wrapped, self._about(epoch))

    def _about(self, epoch: int) -> bytes:
        return bound("epochs", self._store_id, epoch)
