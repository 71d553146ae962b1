"""The key store of a site in a PostgreSQL database: for sites that run one anyway, with its backups and monitoring.

One process owns the store, by an advisory lock that lives as long as its connection. The server must wait for its disk
(``fsync``, ``full_page_writes``, ``synchronous_commit``): a commit that is taken back is a key that is handed out
again. PostgreSQL overwrites nothing that is deleted, in tables, logs, replicas and dumps: there only the shred secret
in the `anchor <faintlink.delivery.keystore.anchor>`, which stays with this process, makes old rows unreadable.

Needs the extra ``postgres``. Passwords belong in ``~/.pgpass`` or ``PGPASSFILE``; no message shows the address as it
was given.

Sources: PostgreSQL 15 manual, 13.3.5 (advisory locks), 30.1 (reliability), 20.5 (write-ahead log).
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString, Self

from faintlink.core.errors import StoreError
from faintlink.core.exports.extras import required
from faintlink.delivery.keystore.anchor import AnchorAt
from faintlink.delivery.keystore.backup import GivenUp, recover, restore
from faintlink.delivery.keystore.database import Row
from faintlink.delivery.keystore.epochs import EpochLimits
from faintlink.delivery.keystore.sealing import MasterKey
from faintlink.delivery.keystore.sql_store import SqlKeyStore

if TYPE_CHECKING:
    import psycopg

_LOCK = 0x666C_6B73
_OWNER = (
    "SELECT l.pid FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE d.datname = current_database()"
    " AND l.locktype = 'advisory' AND l.granted AND l.classid::bigint = ?"
    " AND l.objid::bigint = hashtext(current_schema())::bigint & 4294967295"
)
_REQUIRED = ("fsync", "full_page_writes", "synchronous_commit")
_LIMITS = EpochLimits()


class PostgresKeyStore(SqlKeyStore):
    """A `KeyStore <faintlink.delivery.keystore.store.KeyStore>` in a database that one process owns."""

    @classmethod
    def open(
        cls, address: str, site: str, master_key: MasterKey, *, anchor: Path, limits: EpochLimits = _LIMITS
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
        return cls.over(PostgresDatabase(address), AnchorAt(anchor), site=site, master_key=master_key, limits=limits)

    @classmethod
    def recover(cls, address: str, site: str, *, anchor: Path) -> GivenUp:
        """Give up every key in a store that is refused or was zeroized; it can be opened again afterwards."""
        with closing(PostgresDatabase(address)) as database:
            return recover(database, AnchorAt(anchor), site=site)

    @classmethod
    def restore(cls, backup: Path, address: str, site: str, *, anchor: Path) -> int:
        """Make a store, without a key, of the records in a backup, and return the number of rows."""
        with closing(PostgresDatabase(address)) as database:
            return restore(backup, database, AnchorAt(anchor), site=site)


class PostgresDatabase:
    """A `Database <faintlink.delivery.keystore.database.Database>` on a server."""

    def __init__(self, address: str) -> None:
        self._psycopg = required("psycopg", extra="postgres")
        try:
            self._connection: psycopg.Connection[Row] = self._psycopg.connect(
                address, autocommit=True, application_name="faintlink key store"
            )
        except self._psycopg.Error as error:
            raise StoreError(
                f"the database of the key store does not answer: {type(error).__name__}",
                hint="look into the server's log; try the address with psql",
            ) from None
        self._is_usable = True
        info = self._connection.info
        self._where = f"{info.dbname} on {info.host or 'this machine'}"
        try:
            self._own()
        except BaseException:
            self._connection.close()
            raise

    def __repr__(self) -> str:
        return f"PostgresDatabase({self._where!r})"

    @property
    def where(self) -> str:
        """Database and host."""
        return self._where

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold a transaction."""
        if not self._is_usable:
            raise StoreError(f"the key store {self._where} is closed, or failed before", hint="open the store again")
        try:
            with self._connection.transaction():
                yield
        except self._psycopg.Error as error:
            # A full disk is known to have kept the old state; after anything else nobody knows.
            is_full = isinstance(error, self._psycopg.errors.DiskFull)
            self._is_usable = is_full and not self._connection.closed
            raise self._cannot(error, is_full=is_full) from error

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """Return what a query finds."""
        return self._connection.execute(_dialect(statement), _plain(values)).fetchall()

    def run(self, statement: str, values: Sequence[Any] = ()) -> int:
        """Change something and return the number of rows."""
        return self._connection.execute(_dialect(statement), _plain(values)).rowcount

    def run_many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement for each row."""
        with self._connection.cursor() as cursor:
            cursor.executemany(_dialect(statement), [_plain(row) for row in rows])

    def has_tables(self) -> bool:
        """Return whether a key store is in it."""
        return self.rows("SELECT to_regclass(quote_ident(current_schema()) || '.meta')") != [(None,)]

    def has_room(self) -> bool:
        """Return True: the server keeps its free space to itself, and refuses in time."""
        return True

    def make_room(self) -> bool:
        """Return False: there is no space kept on the server."""
        return False

    def tidy(self) -> None:
        """Let the server use the space of deleted rows again; it does not overwrite them."""
        try:
            self._connection.execute("VACUUM units, secrets, epochs, lots")
        except self._psycopg.Error as error:
            raise self._cannot(error) from error

    def close(self) -> None:
        """Close the connection, and with it let go of the lock."""
        self._is_usable = False
        self._connection.close()

    def _own(self) -> None:
        if self.rows("SELECT pg_try_advisory_lock(?, hashtext(current_schema()))", (_LOCK,)) != [(True,)]:
            owner = self.rows(_OWNER, (_LOCK,))
            raise StoreError(
                f"the key store {self._where} is in use by the server's process {owner[0][0] if owner else 'unknown'}",
                hint="one process owns a key store; stop that one first (pg_stat_activity tells its client)",
            )
        self._connection.execute("SET synchronous_commit = on")
        for name in _REQUIRED:
            if self.rows(f"SHOW {name}") == [("off",)]:
                raise StoreError(
                    f"the database of the key store {self._where} has {name} = off: a commit could be taken back",
                    hint=f"set {name} = on in postgresql.conf: else a delivered key can be delivered again",
                )

    def _cannot(self, error: "psycopg.Error", *, is_full: bool = False) -> StoreError:
        hint = "free the server's disk" if is_full else "nothing was handed out; open the store again"
        # The text of an error may quote the row that it is about.
        what = error.diag.message_primary or type(error).__name__
        return StoreError(f"the key store {self._where} fails: {what}", hint=hint, is_full=is_full)


def _dialect(statement: str) -> LiteralString:
    if statement.startswith("CREATE"):
        statement = statement.replace("CLUSTERED", "").replace("BLOB", "BYTEA")
    return statement.replace("?", "%s")


def _plain(values: Sequence[Any]) -> list[Any]:
    # The driver would write an enum's name, not its value.
    return [str(value) if isinstance(value, str) else value for value in values]
