"""The key store of a site in a PostgreSQL database: for sites that run one anyway, with its backups and monitoring.

One process owns the store, by an advisory lock that lives as long as its connection. The server must wait for its disk
(``fsync``, ``full_page_writes``, ``synchronous_commit``): a commit that is taken back is a key that is handed out
again. PostgreSQL overwrites nothing that is deleted, in tables, logs, replicas and dumps: there only the shred secret
in the `anchor <faintlink.delivery.keystore.anchor>`, which stays with this process, makes old rows unreadable.

A store whose server went away refuses everything, and can be taken up again without a new process (`reopen`): the
database is compared with the anchor as at the start, so that a server that came back older is refused.

Needs the extra ``postgres``. Passwords belong in ``~/.pgpass`` or ``PGPASSFILE``; no message shows the address as it
was given.
"""

from contextlib import closing
from pathlib import Path
from typing import Self

from faintlink.delivery.keystore.anchor import AnchorAt
from faintlink.delivery.keystore.backup import GivenUp, Restored, Since, recover, restore
from faintlink.delivery.keystore.epochs import EpochLimits
from faintlink.delivery.keystore.opening import Opened, load_again, open_store
from faintlink.delivery.keystore.postgres_database import ANSWER_WITHIN_S, PostgresDatabase
from faintlink.delivery.keystore.sealing import MasterKey
from faintlink.delivery.keystore.sql_store import SqlKeyStore

_LIMITS = EpochLimits()


class PostgresKeyStore(SqlKeyStore):
    """A `KeyStore <faintlink.delivery.keystore.store.KeyStore>` in a database that one process owns."""

    def __init__(self, opened: Opened, server: PostgresDatabase) -> None:
        super().__init__(opened)
        self._server = server

    @classmethod
    def open(
        cls,
        address: str,
        site: str,
        master_key: MasterKey,
        *,
        anchor: Path,
        limits: EpochLimits = _LIMITS,
        answer_within_s: float = ANSWER_WITHIN_S,
    ) -> Self:
        """Open the store, or make a new one where neither its tables nor its anchor exist.

        Parameters
        ----------
        address
            Connection string or URI of libpq. The store's tables are in the first schema of the search path.
        site
            Whose keys these are.
        master_key
            Where the key that opens the store comes from.
        anchor
            The file on this machine that tells an older copy of the database.
        limits
            When a new epoch begins.
        answer_within_s
            A server that takes longer for a statement counts as gone, s.

        Raises
        ------
        StoreRolledBackError
            An older copy was put back; see `faintlink.delivery.keystore.backup.recover`.
        StoreError
            Another process owns it, the server does not answer or does not wait for its disk, or the store is
            damaged, zeroized, or another site's.
        ConfigError
            The master key cannot be read, or psycopg is missing.
        """
        server = PostgresDatabase(address, answer_within_s=answer_within_s)
        return cls(open_store(server, AnchorAt(anchor), site=site, master_key=master_key, limits=limits), server)

    @property
    def is_usable(self) -> bool:
        """Whether the server answers, as far as is known."""
        return self._server.is_usable

    def reopen(self) -> None:
        """Take the store up again after its server was away; does nothing where it was not.

        Raises
        ------
        StoreRolledBackError
            The server came back older than the anchor.
        StoreError
            It does not answer yet, another process owns the store by now, or this one has closed it.
        ConfigError
            The master key cannot be read.
        """
        if self.is_usable:
            return
        # Connecting may take a while. Others are refused meanwhile: they need not wait for it.
        self._server.renew()
        with self._commits.alone(), self._server.on_trial():
            load_again(self._opened)

    @classmethod
    def recover(cls, address: str, site: str, *, anchor: Path, since: Since | None = None) -> GivenUp:
        """Give up every key in a store that is refused or was zeroized; it can be opened again afterwards."""
        with closing(PostgresDatabase(address)) as database:
            return recover(database, AnchorAt(anchor), site=site, since=since)

    @classmethod
    def restore(cls, backup: Path, address: str, site: str, *, anchor: Path, since: Since | None = None) -> Restored:
        """Make a store, without a key, of the records in a backup and of what is known since."""
        with closing(PostgresDatabase(address)) as database:
            return restore(backup, database, AnchorAt(anchor), site=site, since=since)
