"""Back up a key store without its keys, and begin anew with what is left of one.

A backup holds the records: which blocks came in, which keys were made of them, for whom, and what became of them. It
holds no key and nothing that opens one, so that no backup can hand out a key again, whoever gets hold of it. Keys are
not lost by that for long: the link makes new ones, and the other site retires its halves when the ledgers are compared.

What happened since the backup was made, a restored store knows if it is told (`Since`): the site's audit log has it.
Keys that were delivered since are on record as delivered then, so that the other site keeps its halves and nobody can
place them again; blocks that came in since cannot come in again.

`recover` makes a store usable that is refused as older than its anchor, whose anchor is gone, or that was zeroized. It
gives up everything in it, since any of it may have been handed out since.

The file is JSON lines: a head, one line for each row, and a foot with the number of rows and the SHA-256 of the lines
before. The foot tells a whole backup from a cut one, not from a forged one.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faintlink.core.durable import fsync
from faintlink.core.entropy import OsEntropy
from faintlink.core.errors import RunExistsError, SchemaError, StoreError
from faintlink.core.private import write_private
from faintlink.delivery.keystore.anchor import MARK_BYTES, Anchor, AnchorAt
from faintlink.delivery.keystore.database import FORMAT, Database, among
from faintlink.delivery.keystore.epochs import EpochLimits, Epochs
from faintlink.delivery.keystore.keys import COLUMNS, KeyRoom
from faintlink.delivery.keystore.model import KeyRecord
from faintlink.delivery.keystore.opening import make_tables, put_meta, read_meta, require_site
from faintlink.delivery.keystore.sealing import Cipher
from faintlink.delivery.keystore.stock import BlockRecord, StockRoom

_FORMAT = "faintlink-key-records/1"
_PAGE = 5000
_TABLES = {
    "blocks": "block_no, block, peer, units, epsilon, provenance, epoch, ingested_utc",
    "keys": f"key_no, {COLUMNS}",
    "uses": "number, peer, units, reason, used_utc",
}


@dataclass(frozen=True, slots=True)
class Since:
    """What is known of the time after a backup was made; what the backup has already changes nothing."""

    blocks: Sequence[BlockRecord] = ()
    keys: Sequence[KeyRecord] = ()
    """Settled ones."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restored store holds."""

    rows: int
    """Of the backup."""
    blocks_since: int
    """Blocks that came in after the backup was made."""
    keys_since: int
    """Keys that were settled after it was made."""


@dataclass(frozen=True, slots=True)
class GivenUp:
    """What a recovery destroyed."""

    keys: int
    """Keys that were promised and not fetched."""
    units: int
    """Units of stock."""


def write_backup(database: Database, path: Path) -> int:
    """Write the records of a store into a new file of mode 0600, and return the number of rows.

    The database is in a transaction of the caller's.

    Raises
    ------
    RunExistsError
        The file exists.
    StoreError
        It cannot be written; nothing is left of it.
    """
    meta = read_meta(database)
    lines = _lines(database, {name: meta[name] for name in ("site", "store_id", "count", "epoch")})
    try:
        write_private(path, b"", hint="name a new file for each backup")
        rows = _write(path, lines)
        fsync(path.parent)
    except RunExistsError:
        raise
    except OSError as error:
        path.unlink(missing_ok=True)
        raise StoreError(
            f"the backup {path} cannot be written: {error.strerror}", hint="free the disk, or name another folder"
        ) from error
    return rows


def restore(path: Path, database: Database, anchor: AnchorAt, *, site: str, since: Since | None = None) -> Restored:
    """Make a store of a backup's records in an empty database.

    Keys that were not settled when the backup was made, nor since, are given up. An anchor that is there stays this
    store's.

    Raises
    ------
    SchemaError
        The file is no backup, is damaged, or was cut short.
    StoreError
        The database is not empty, or the backup is another site's.
    """
    if database.has_tables():
        raise StoreError(
            f"{database.where} holds a key store already", hint="move it away; a backup is restored into nothing"
        )
    head, rows = check(path)
    require_site({"format": str(FORMAT), **head}, site, str(path))
    with database.transaction():
        make_tables(database, head)
        for table, columns in _TABLES.items():
            insert = among(f"INSERT INTO {table} ({columns}) VALUES (…)", columns.split())  # noqa: S608 - constants
            database.run_many(insert, (row for name, row in _rows(path) if name == table))
        blocks, keys = _note(since or Since(), database, site=site, store_id=head["store_id"])
    recover(database, anchor, site=site)
    return Restored(rows, blocks, keys)


def recover(database: Database, anchor: AnchorAt, *, site: str, since: Since | None = None) -> GivenUp:
    """Give up everything in a store and make it usable again; neither its master key nor its anchor is needed.

    What is known ``since`` goes into its records first: an older copy knows nothing of it.

    Raises
    ------
    StoreError
        The store is another site's.
    """
    if not database.has_tables():
        raise StoreError(f"there is no key store in {database.where}", hint="restore a backup, or open a new store")
    meta = read_meta(database)
    require_site(meta, site, database.where)
    keys = KeyRoom(database, _no_epochs(meta["store_id"]), store_id=meta["store_id"])
    old = anchor.path.exists() and _readable(anchor)
    count = 1 + max(int(meta["count"]), old.said.count if old else 0)
    mark = OsEntropy().draw(MARK_BYTES, "store mark")
    with database.transaction():
        _note(since or Since(), database, site=site, store_id=meta["store_id"])
        given_up = keys.void_all("recovered: it may have been handed out")
        database.run("DELETE FROM secrets")
        units = database.run("DELETE FROM units")
        for statement in ("UPDATE lots SET free = 0", "DELETE FROM epochs"):
            database.run(statement)
        put_meta(database, {"count": str(count), "mark": mark.hex(), "mark_before": ""})
    if old and old.said.store_id == meta["store_id"]:
        old.renew(mark, count)
        old.close()
    else:
        _replace(anchor, meta["store_id"], mark, count)
    database.tidy()
    return GivenUp(given_up, units)


def _note(since: Since, database: Database, *, site: str, store_id: str) -> tuple[int, int]:
    """Put what a store has missed into its records, and return how many blocks and keys were new."""
    epochs = _no_epochs(store_id)
    blocks = StockRoom(database, epochs, site=site, store_id=store_id).note_spent(since.blocks)
    return blocks, KeyRoom(database, epochs, store_id=store_id).note_settled(since.keys)


def _no_epochs(store_id: str) -> Epochs:
    """Return epochs for a store of which only records are touched."""
    return Epochs(Cipher(bytes(32)), store_id, EpochLimits())


def _readable(anchor: AnchorAt) -> Anchor | None:
    try:
        return Anchor.open(anchor.path)
    except StoreError:
        return None


def _replace(anchor: AnchorAt, store_id: str, mark: bytes, count: int) -> None:
    fresh = AnchorAt(anchor.path.with_name(anchor.path.name + ".fresh"))
    fresh.path.unlink(missing_ok=True)
    made = fresh(store_id)
    made.renew(mark, count)
    made.close()
    fresh.path.replace(anchor.path)
    fsync(anchor.path.parent)


def _write(path: Path, lines: Iterator[bytes]) -> int:
    digest = hashlib.sha256()
    rows = -1
    with path.open("ab") as file:
        for line in lines:
            digest.update(line)
            file.write(line)
            rows += 1
        file.write(_line({"rows": rows, "sha256": digest.hexdigest()}))
        file.flush()
        os.fsync(file.fileno())
    return rows


def _lines(database: Database, head: dict[str, str]) -> Iterator[bytes]:
    yield _line({"format": _FORMAT, **head})
    for table, columns in _TABLES.items():
        key = columns.partition(",")[0]
        after = 0
        page = f"SELECT {columns} FROM {table} WHERE {key} > ? ORDER BY {key} LIMIT {_PAGE}"  # noqa: S608 - constants
        while rows := database.rows(page, (after,)):
            yield from (_line([table, *row]) for row in rows)
            after = rows[-1][0]


def _line(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def check(path: Path) -> tuple[dict[str, str], int]:
    """Return the head and the number of rows of a backup that is whole.

    Raises
    ------
    SchemaError
        It is not.
    """
    try:
        with path.open("rb") as file:
            lines = file.read().splitlines(keepends=True)
        head, foot = json.loads(lines[0]), json.loads(lines[-1])
        digest = hashlib.sha256(b"".join(lines[:-1])).hexdigest()
        if head.pop("format") != _FORMAT or foot != {"rows": len(lines) - 2, "sha256": digest}:
            raise ValueError("format, length or digest is wrong")
    except (OSError, ValueError, KeyError, IndexError, AttributeError) as error:
        raise SchemaError(f"{path} is no whole backup of a key store: {error}", hint="take another one") from error
    return {str(name): str(value) for name, value in head.items()}, len(lines) - 2


def _rows(path: Path) -> Iterator[tuple[str, list[Any]]]:
    with path.open("rb") as file:
        for line in file:
            value = json.loads(line)
            if isinstance(value, list):
                yield value[0], value[1:]
