"""What a key store needs of a database, and the tables in it; SQLite and PostgreSQL fulfil it.

Statements are written once, in what both dialects have in common, with ``?`` for values. One process owns a database
and one thread at a time uses it: the store holds a lock around every transaction.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

Row = tuple[Any, ...]

FORMAT = 1
SCHEMA = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE epochs (epoch INTEGER PRIMARY KEY, wrapped BLOB NOT NULL)",
    """CREATE TABLE blocks (
        block_no INTEGER PRIMARY KEY, block TEXT NOT NULL UNIQUE, peer TEXT NOT NULL, units INTEGER NOT NULL,
        epsilon DOUBLE PRECISION NOT NULL, provenance TEXT NOT NULL, epoch INTEGER NOT NULL, ingested_utc TEXT NOT NULL)
    """,
    """CREATE TABLE lots (
        lot INTEGER PRIMARY KEY, block_no INTEGER NOT NULL, peer TEXT NOT NULL, pool TEXT NOT NULL,
        free INTEGER NOT NULL)""",
    "CREATE INDEX lots_in_stock ON lots (peer, pool, lot) WHERE free > 0",
    "CREATE TABLE units (lot INTEGER, number INTEGER, sealed BLOB NOT NULL, PRIMARY KEY (lot, number)) CLUSTERED",
    """CREATE TABLE keys (
        key_no INTEGER PRIMARY KEY, key_id TEXT NOT NULL UNIQUE,
        peer TEXT NOT NULL, role TEXT NOT NULL, state TEXT NOT NULL, bits INTEGER NOT NULL,
        master TEXT NOT NULL, slave TEXT NOT NULL, units TEXT NOT NULL, blocks TEXT NOT NULL,
        epsilon DOUBLE PRECISION NOT NULL, created_utc TEXT NOT NULL, settled_utc TEXT, reason TEXT NOT NULL)""",
    "CREATE TABLE secrets (key_no INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, sealed BLOB NOT NULL)",
    """CREATE TABLE uses (
        number INTEGER PRIMARY KEY, peer TEXT NOT NULL, units TEXT NOT NULL, reason TEXT NOT NULL,
        used_utc TEXT NOT NULL)""",
)
"""A *lot* is what a block gave to one pool, and counts what is left of it. ``keys`` keeps names for ever, ``secrets``
only the material of keys that are not settled. Keys are numbered so that those made together lie together: names are
random, and a change of a hundred of them would write a hundred pages. ``CLUSTERED`` and ``BLOB`` are put into each
dialect's words."""


class Database(Protocol):
    """A connection that the store alone uses."""

    @property
    def where(self) -> str:
        """Path or address, for messages."""
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """Hold a transaction that is durable after the block, or undone if the block raises.

        Raises
        ------
        StoreError
            The database fails, or failed before and must be opened again.
        """
        ...

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """Return what a query finds."""
        ...

    def run(self, statement: str, values: Sequence[Any] = ()) -> int:
        """Change something and return the number of rows."""
        ...

    def run_many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement for each row."""
        ...

    def has_tables(self) -> bool:
        """Return whether a key store is in it."""
        ...

    def has_room(self) -> bool:
        """Return whether there is room for new keys."""
        ...

    def make_room(self) -> bool:
        """Give up space kept for emergencies; return whether there was any."""
        ...

    def tidy(self) -> None:
        """Clear what the database's files remember of deleted rows, as far as it can."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


CHUNK = 500
"""Values in one statement; SQLite allows 999 in old builds."""


def chunks(values: Sequence[Any]) -> Iterable[Sequence[Any]]:
    """Return values in pieces that one statement takes."""
    return (values[at : at + CHUNK] for at in range(0, len(values), CHUNK))


def among(statement: str, values: Sequence[Any]) -> str:
    """Return a statement with a list of places for ``values`` instead of ``(…)``."""
    return statement.replace("(…)", f"({','.join('?' * len(values))})")
