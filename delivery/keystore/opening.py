"""Open a key store: is it whole, is it this site's, and is it the newest that ever was; and close it for good.

See `faintlink.delivery.keystore.anchor` for what is compared and why in this order.
"""

import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from faintlink.core.entropy import OsEntropy
from faintlink.core.errors import StoreError, StoreRolledBackError
from faintlink.delivery.keystore.anchor import MARK_BYTES, Anchor, AnchorAt, Condition
from faintlink.delivery.keystore.database import FORMAT, SCHEMA, Database
from faintlink.delivery.keystore.epochs import EpochLimits, Epochs
from faintlink.delivery.keystore.sealing import Cipher, MasterKey, wrapping_key


@dataclass(frozen=True, slots=True)
class Opened:
    """A store that may be used."""

    database: Database
    anchor: Anchor
    epochs: Epochs
    master_key: MasterKey
    site: str
    store_id: str


def open_store(
    database: Database,
    anchor: AnchorAt,
    *,
    site: str,
    master_key: MasterKey,
    limits: EpochLimits,
) -> Opened:
    """Open or make the store in a database.

    Parameters
    ----------
    database
        Closed again if this raises.
    anchor
        What is kept outside of it; made for a new store.
    site
        Whose it is.
    master_key
        Opens what is sealed.
    limits
        When new epochs begin.

    Raises
    ------
    StoreRolledBackError
        The database is older than its anchor, or another one.
    StoreError
        It is damaged, zeroized, or another site's.
    """
    opened: Anchor | None = None
    try:
        with database.transaction():
            is_new = not database.has_tables()
            if not is_new:
                # Before the anchor, which another site's store does not have here.
                require_site(read_meta(database), site, database.where)
            opened = anchor(str(uuid.uuid4()) if is_new else None)
            if is_new:
                _create(database, opened, site)
            _require_newest(read_meta(database), opened, database.where)
            wrapping, older = _wrapping_keys(opened, master_key)
            epochs = Epochs(wrapping, opened.said.store_id, limits)
            epochs.load(database, older)
        store = Opened(database, opened, epochs, master_key, site, opened.said.store_id)
        if opened.is_exchanging:
            exchange_secret(store)
    except BaseException:
        if opened is not None:
            opened.close()
        database.close()
        raise
    return store


def load_again(store: Opened) -> None:
    """Look at a store again whose database was away, as at the start, and load its epoch keys anew.

    Nothing is sealed any more under an epoch key of before: nobody knows whether its last seals were kept.

    Raises
    ------
    StoreRolledBackError
        The database is older than its anchor, or another one.
    StoreError
        It is damaged, or the anchor can no longer be written.
    """
    database, anchor = store.database, store.anchor
    if not anchor.is_usable:
        raise StoreError(
            f"the anchor {anchor.path} is closed or could not be written", hint="open the store again in a new process"
        )
    with database.transaction():
        if not database.has_tables():
            raise StoreRolledBackError(
                f"there is no key store in {database.where} any more", hint="is it the same server, and its newest?"
            )
        meta = read_meta(database)
        require_site(meta, store.site, database.where)
        _require_newest(meta, anchor, database.where)
        wrapping, older = _wrapping_keys(anchor, store.master_key)
        store.epochs.use(wrapping)
        store.epochs.load(database, older)
    if anchor.is_exchanging:
        exchange_secret(store)


def next_mark(database: Database) -> tuple[int, bytes]:
    """Count a transaction that lets key material out, within it, and return what the anchor must say after it."""
    meta = read_meta(database)
    count, mark = int(meta["count"]) + 1, OsEntropy().draw(MARK_BYTES, "store mark")
    put_meta(database, {"count": str(count), "mark": mark.hex(), "mark_before": meta["mark"]})
    return count, mark


def exchange_secret(store: Opened) -> None:
    """Replace the shred secret and wrap the epoch keys anew; can be broken off anywhere and called again."""
    store.anchor.begin_secret()
    wrapping = wrapping_key(store.master_key, store.anchor.said.secret, store.store_id)
    with store.database.transaction():
        store.epochs.rewrap(store.database, wrapping)
    store.epochs.use(wrapping)
    store.anchor.end_secret()


def wipe_out(store: Opened, void_all: Callable[[], object]) -> None:
    """Destroy the shred secret first, then whatever else can be destroyed.

    The secret is overwritten in place: that works on a full disk, and alone makes everything unreadable.
    """
    store.anchor.zeroize()
    store.epochs.clear()
    # What follows is tidiness: if the disk fails here, there is nothing left to read.
    with suppress(StoreError, OSError):
        store.database.make_room()
        with store.database.transaction():
            void_all()
            for statement in ("DELETE FROM units", "UPDATE lots SET free = 0", "DELETE FROM epochs"):
                store.database.run(statement)
        store.database.tidy()
    store.anchor.close()
    store.database.close()


def read_meta(database: Database) -> dict[str, str]:
    """Return the facts of the store."""
    return dict(database.rows("SELECT name, value FROM meta"))


def put_meta(database: Database, values: dict[str, str]) -> None:
    """Set facts of the store."""
    for name, value in values.items():
        database.run("UPDATE meta SET value = ? WHERE name = ?", (value, name))


def make_tables(database: Database, facts: dict[str, str]) -> None:
    """Make the tables of a store, in a transaction of the caller's."""
    for statement in SCHEMA:
        database.run(statement)
    meta = {"format": str(FORMAT), "mark": "", "mark_before": "", **facts}
    database.run_many("INSERT INTO meta (name, value) VALUES (?, ?)", list(meta.items()))


def require_site(meta: dict[str, str], site: str, where: str) -> None:
    """Raise unless a store is of this program's format and of this site."""
    if meta.get("format") != str(FORMAT):
        raise StoreError(
            f"{where} is a key store of format {meta.get('format')}, this program reads {FORMAT}",
            hint="use the version of the program that wrote it",
        )
    if meta.get("site") != site:
        raise StoreError(f"{where} is the key store of {meta.get('site')}, not of {site}", hint="name its own store")


def _wrapping_keys(anchor: Anchor, master_key: MasterKey) -> tuple[Cipher, Cipher | None]:
    """Return what wraps epoch keys, and what wrapped them before while they move from one to the other."""
    said = anchor.said
    older = wrapping_key(master_key, said.old_secret, said.store_id) if anchor.is_exchanging else None
    return wrapping_key(master_key, said.secret, said.store_id), older


def _create(database: Database, anchor: Anchor, site: str) -> None:
    said = anchor.said
    if said.count or said.condition is not Condition.LIVE:
        raise StoreRolledBackError(
            f"{database.where} is empty, and its anchor {anchor.path} knows of {said.count} deliveries",
            hint="recover the store from a backup, or name a new store and a new anchor",
        )
    facts = {"site": site, "store_id": said.store_id, "count": "0", "epoch": "0", "mark": said.mark.hex()}
    make_tables(database, facts)


def _require_newest(meta: dict[str, str], anchor: Anchor, where: str) -> None:
    said = anchor.said
    if said.condition is Condition.ZEROIZED:
        raise StoreError(
            f"the key store {where} was zeroized", hint="recover it to begin anew with its records", is_zeroized=True
        )
    count = int(meta["count"])
    if meta["store_id"] == said.store_id:
        if (count, meta["mark"]) == (said.count, said.mark.hex()):
            return
        if (count - 1, meta["mark_before"]) == (said.count, said.mark.hex()):
            # The process died between commit and anchor: it handed nothing out in that transaction.
            anchor.advance(count, bytes.fromhex(meta["mark"]))
            return
    raise StoreRolledBackError(
        f"the key store {where} is at delivery {count}, its anchor {anchor.path} at {said.count}:"
        " an older copy or another store was put in its place",
        hint="put the newest one back, or recover this one, which gives up every key in it",
        path=where,
    )
