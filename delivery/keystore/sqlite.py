"""The key store of a site in one SQLite file: the default."""

from contextlib import closing
from pathlib import Path
from typing import Self

from faintlink.delivery.keystore.anchor import AnchorAt
from faintlink.delivery.keystore.backup import GivenUp, Restored, Since, recover, restore
from faintlink.delivery.keystore.epochs import EpochLimits
from faintlink.delivery.keystore.opening import open_store
from faintlink.delivery.keystore.sealing import MasterKey
from faintlink.delivery.keystore.sql_store import SqlKeyStore
from faintlink.delivery.keystore.sqlite_database import BALLAST_BYTES, ROOM_BYTES, SqliteDatabase

_LIMITS = EpochLimits()


class SqliteKeyStore(SqlKeyStore):
    """A `KeyStore <faintlink.delivery.keystore.store.KeyStore>` in a file that one process owns."""

    @classmethod
    def open(
        cls,
        path: Path,
        site: str,
        master_key: MasterKey,
        *,
        anchor: Path | None = None,
        limits: EpochLimits = _LIMITS,
        ballast_bytes: int = BALLAST_BYTES,
        room_bytes: int = ROOM_BYTES,
    ) -> Self:
        """Open the store, or make a new one where neither the file nor its anchor exists.

        Parameters
        ----------
        path
            The database; ``.lock``, ``.ballast`` and SQLite's own files stand beside it.
        site
            Whose keys these are.
        master_key
            Where the key that opens the store comes from.
        anchor
            The file that tells an older copy; beside the database unless it is named. Put it where no snapshot of the
            database reaches.
        limits
            When a new epoch begins.
        ballast_bytes
            Space that is kept for giving up keys on a full disk.
        room_bytes
            Free space below which no new keys are taken in or promised.

        Raises
        ------
        StoreRolledBackError
            An older copy was put back; see `faintlink.delivery.keystore.backup.recover`.
        StoreError
            Another process owns it, it is damaged, zeroized, or another site's.
        ConfigError
            The master key cannot be read.
        """
        database = SqliteDatabase(path, ballast_bytes=ballast_bytes, room_bytes=room_bytes)
        return cls(open_store(database, _anchor(path, anchor), site=site, master_key=master_key, limits=limits))

    @classmethod
    def recover(cls, path: Path, site: str, *, anchor: Path | None = None, since: Since | None = None) -> GivenUp:
        """Give up every key in a store that is refused or was zeroized; it can be opened again afterwards."""
        with closing(SqliteDatabase(path)) as database:
            return recover(database, _anchor(path, anchor), site=site, since=since)

    @classmethod
    def restore(
        cls, backup: Path, path: Path, site: str, *, anchor: Path | None = None, since: Since | None = None
    ) -> Restored:
        """Make a store, without a key, of the records in a backup and of what is known since."""
        with closing(SqliteDatabase(path)) as database:
            return restore(backup, database, _anchor(path, anchor), site=site, since=since)


def _anchor(path: Path, anchor: Path | None) -> AnchorAt:
    return AnchorAt(anchor or path.with_name(path.name + ".anchor"))
