"""PostgreSQL under a key store: one connection, one owner, every commit on the server's disk.

The owner holds an advisory lock that lives as long as its session: no other process can have the store while there may
still be a transaction of this one. A connection that breaks, or a server that does not answer in time, ends the
database for its user; `PostgresDatabase.renew` connects again, and everything is looked at anew before it is used.

No pooler may stand in between: it would give the lock to one session and the transactions to another.

Sources: PostgreSQL 15 manual, 13.3.5 (advisory locks), 30.1 (reliability), 20.5 (write-ahead log), 34.1.2 (parameters
of a connection).
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, LiteralString

from faintlink.core.errors import StoreError
from faintlink.core.exports.extras import required
from faintlink.delivery.keystore.database import Row
from faintlink.delivery.keystore.patience import Patience

if TYPE_CHECKING:
    import psycopg

ANSWER_WITHIN_S = 15.0
_TIDY_WITHIN_S = 600.0
"""Vacuuming reads whole tables."""
_OWN_WITHIN_S = 2.0
"""The server needs a moment to end the session of a process that was killed."""
_LOCK = 0x666C_6B73
_OWNER = (
    "SELECT l.pid FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE d.datname = current_database()"
    " AND l.locktype = 'advisory' AND l.granted AND l.classid::bigint = ?"
    " AND l.objid::bigint = hashtext(current_schema())::bigint & 4294967295"
)
_SESSION = "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
_END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = ? AND backend_start = ?"
_REQUIRED = ("fsync", "full_page_writes", "synchronous_commit")
_SETTINGS = (
    "SET synchronous_commit = on",
    # The session of a machine that lost power, and its lock with it, ends within half a minute.
    "SET tcp_keepalives_idle = 10",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 3",
)


class PostgresDatabase:
    """A `Database <faintlink.delivery.keystore.database.Database>` on a server.

    Parameters
    ----------
    address
        Connection string or URI of libpq.
    answer_within_s
        A statement that takes longer ends the connection.

    Raises
    ------
    StoreError
        The server does not answer, does not wait for its disk, or another process owns the store.
    ConfigError
        psycopg is missing.
    """

    def __init__(self, address: str, *, answer_within_s: float = ANSWER_WITHIN_S) -> None:
        self._psycopg = required("psycopg", extra="postgres")
        self._address = address
        self._answer_within_s = answer_within_s
        self._where = "PostgreSQL"
        self._former: Row | None = None
        self._is_closed = False
        self._is_usable = False
        self._connect()
        self._is_usable = True

    def __repr__(self) -> str:
        return f"PostgresDatabase({self._where!r})"

    @property
    def where(self) -> str:
        """Database and host."""
        return self._where

    @property
    def is_usable(self) -> bool:
        """Whether the connection stands, as far as is known."""
        return self._is_usable

    def renew(self) -> None:
        """Connect and own the store again; it stays unusable until it is `on_trial`.

        Raises
        ------
        StoreError
            The server does not answer, another process owns the store by now, or this one has closed it.
        """
        if self._is_closed:
            raise StoreError(f"the key store {self._where} is closed", hint="open the store again")
        self._hang_up()
        self._connect()

    @contextmanager
    def on_trial(self) -> Iterator[None]:
        """Let the database be used, and for good unless the block raises: that looks whether it is still the same."""
        self._is_usable = True
        try:
            yield
        except BaseException:
            self._is_usable = False
            self._hang_up()
            raise

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold a transaction."""
        if not self._is_usable:
            raise StoreError(f"the key store {self._where} is closed, or failed before", hint="open the store again")
        try:
            with self._patience.within(self._answer_within_s), self._connection.transaction():
                yield
        except self._psycopg.Error as error:
            # A full disk is known to have kept the old state; after anything else nobody knows.
            is_full = isinstance(error, self._psycopg.errors.DiskFull)
            self._is_usable = is_full and not self._connection.closed
            raise self._cannot(error, is_full=is_full) from error

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """Return what a query finds."""
        self._patience.go_on()
        return self._connection.execute(_dialect(statement), _plain(values)).fetchall()

    def run(self, statement: str, values: Sequence[Any] = ()) -> int:
        """Change something and return the number of rows."""
        self._patience.go_on()
        return self._connection.execute(_dialect(statement), _plain(values)).rowcount

    def run_many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement for each row."""
        self._patience.go_on()
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
            with self._patience.within(_TIDY_WITHIN_S):
                self._connection.execute("VACUUM units, secrets, epochs, lots")
        except self._psycopg.Error as error:
            raise self._cannot(error) from error

    def close(self) -> None:
        """Close the connection, and with it let go of the lock."""
        self._is_closed = True
        self._is_usable = False
        self._hang_up()

    def _connect(self) -> None:
        try:
            connection: psycopg.Connection[Row] = self._psycopg.connect(
                self._address, autocommit=True, application_name="faintlink key store"
            )
        except self._psycopg.Error as error:
            raise self._no_answer(error) from None
        self._connection = connection
        self._patience = Patience(connection.fileno())
        info = connection.info
        self._where = f"{info.dbname} on {info.host or 'this machine'}"
        try:
            with self._patience.within(self._answer_within_s):
                self._own()
        except self._psycopg.Error as error:
            self._hang_up()
            raise self._cannot(error) from error
        except BaseException:
            self._hang_up()
            raise

    def _hang_up(self) -> None:
        self._patience.end()
        self._connection.close()

    def _own(self) -> None:
        for setting in _SETTINGS:
            self._connection.execute(setting.encode())
        if self.rows("SELECT current_schema()") == [(None,)]:
            raise StoreError(
                f"there is no schema for the key store {self._where}",
                hint="CREATE SCHEMA … AUTHORIZATION the site's user, one for each site",
            )
        self._lock()
        if self.rows("SHOW transaction_read_only") == [("on",)]:
            raise StoreError(f"the database of the key store {self._where} takes no writes", hint="is it a standby?")
        for name in _REQUIRED:
            if self.rows(f"SHOW {name}") == [("off",)]:
                raise StoreError(
                    f"the database of the key store {self._where} has {name} = off: a commit could be taken back",
                    hint=f"set {name} = on in postgresql.conf: else a delivered key can be delivered again",
                )

    def _lock(self) -> None:
        if self._former is not None:
            # A line that broke leaves a session behind that holds the lock until the server notices.
            self.rows(_END, self._former)
        deadline = time.monotonic() + _OWN_WITHIN_S
        while self.rows("SELECT pg_try_advisory_lock(?, hashtext(current_schema()))", (_LOCK,)) != [(True,)]:
            if time.monotonic() > deadline:
                owner = self.rows(_OWNER, (_LOCK,))
                raise StoreError(
                    f"the key store {self._where} is in use by the server's process "
                    f"{owner[0][0] if owner else 'unknown'}",
                    hint="one process owns a key store; stop that one first (pg_stat_activity tells its client)",
                )
            time.sleep(0.02)
        (self._former,) = self.rows(_SESSION)

    def _cannot(self, error: "psycopg.Error", *, is_full: bool = False) -> StoreError:
        hint = "free the server's disk" if is_full else "nothing was handed out; open the store again"
        # The text of an error may quote the row that it is about.
        what = error.diag.message_primary or type(error).__name__
        return StoreError(f"the key store {self._where} fails: {what}", hint=hint, is_full=is_full)

    def _no_answer(self, error: "psycopg.Error") -> StoreError:
        # What is wrong with an address may be quoted out of it, and so may a password be; libpq's own words on a
        # connection never do.
        is_about_line = isinstance(error, self._psycopg.OperationalError)
        what = str(error).splitlines()[0] if is_about_line and str(error) else type(error).__name__
        return StoreError(
            f"the database of the key store does not answer: {what}",
            hint="look into the server's log; try the address with psql",
            is_away=True,
        )


def _dialect(statement: str) -> LiteralString:
    if statement.startswith("CREATE"):
        statement = statement.replace("CLUSTERED", "").replace("BLOB", "BYTEA")
    return statement.replace("?", "%s")


def _plain(values: Sequence[Any]) -> list[Any]:
    # The driver would write an enum's name, not its value.
    return [str(value) if isinstance(value, str) else value for value in values]
