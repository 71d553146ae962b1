"""A store that is older than its anchor, or was zeroized, hands out nothing until everything in it is given up."""

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from faintlink.core.errors import KeyUnknownError, StoreError, StoreRolledBackError
from faintlink.delivery.keystore.anchor import Anchor
from faintlink.delivery.keystore.conformance_stock import CUT, HERE, THERE, new_block
from faintlink.delivery.keystore.model import KeyState, Pool, UnitId
from faintlink.delivery.keystore.sqlite import SqliteKeyStore
from tests.unit.delivery.keystore.stores import deliver, open_sqlite, ready

RELEASES: dict[str, Callable[[SqliteKeyStore, str], object]] = {
    "deliver": deliver,
    "take": lambda store, _: store.take(THERE, Pool.RESERVE_OURS, 1, use="test"),
    "take_named": lambda store, _: store.take_named(
        THERE, [UnitId(store.ledger(THERE)[0].block, first(Pool.RESERVE_THEIRS))], use="test"
    ),
    "void": lambda store, name: store.void([name], reason="test"),
    "retire": lambda store, _: store.retire(THERE, [UnitId(store.ledger(THERE)[0].block, 99)], reason="test"),
}


def first(pool: Pool) -> int:
    return next(number for number in range(100) if CUT.pool(number, HERE) is pool)


@pytest.mark.parametrize("release", RELEASES)
def test_a_copy_from_before_any_release_is_refused(tmp_path: Path, store: SqliteKeyStore, release: str) -> None:
    name = ready(store)
    store.close()
    shutil.copy(tmp_path / "alpha.db", tmp_path / "copy")
    with open_sqlite(tmp_path, HERE) as store:
        RELEASES[release](store, name)
    shutil.copy(tmp_path / "copy", tmp_path / "alpha.db")
    for _ in range(2):
        with pytest.raises(StoreRolledBackError, match="older copy"):
            open_sqlite(tmp_path, HERE)


def test_a_copy_that_went_on_elsewhere_is_refused(tmp_path: Path, store: SqliteKeyStore) -> None:
    names = [ready(store) for _ in range(4)]
    store.close()
    other = tmp_path / "other"
    other.mkdir()
    for path in tmp_path.glob("alpha.*"):
        shutil.copy(path, other)
    with open_sqlite(tmp_path, HERE) as store:
        deliver(store, names[0])
    with open_sqlite(other, HERE) as store:
        deliver(store, names[1])
    shutil.copy(other / "alpha.db", tmp_path)
    with pytest.raises(StoreRolledBackError):
        open_sqlite(tmp_path, HERE)


def test_a_death_between_commit_and_anchor_is_no_rollback(
    tmp_path: Path, store: SqliteKeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = ready(store)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Anchor, "advance", die)
        with pytest.raises(KeyboardInterrupt):
            deliver(store, name)
    store.close()
    for _ in range(2):
        with open_sqlite(tmp_path, HERE) as store:
            assert store.record(name).state is KeyState.DELIVERED
            with pytest.raises(KeyUnknownError):
                deliver(store, name)
            deliver(store, ready(store))


def test_a_store_without_its_anchor_is_refused(tmp_path: Path, store: SqliteKeyStore) -> None:
    store.close()
    (tmp_path / "alpha.db.anchor").unlink()
    with pytest.raises(StoreRolledBackError, match="is gone"):
        open_sqlite(tmp_path, HERE)
    assert not (tmp_path / "alpha.db.anchor").exists()


def test_an_anchor_without_its_store_is_refused(tmp_path: Path, store: SqliteKeyStore) -> None:
    deliver(store, ready(store))
    store.close()
    (tmp_path / "alpha.db").unlink()
    with pytest.raises(StoreRolledBackError, match="1 deliveries"):
        open_sqlite(tmp_path, HERE)


def test_a_torn_page_of_the_anchor_leaves_the_other(tmp_path: Path, store: SqliteKeyStore) -> None:
    names = [ready(store) for _ in range(2)]
    for name in names:
        deliver(store, name)
    store.close()
    path = tmp_path / "alpha.db.anchor"
    whole = path.read_bytes()
    anchor = Anchor.open(path)
    count = anchor.said.count
    anchor.close()
    newest = next(at for at in (0, 1) if page_count(path, whole, at) == count)
    torn = bytearray(whole)
    torn[newest * 4096 + 40] ^= 1
    path.write_bytes(torn)
    with open_sqlite(tmp_path, HERE) as store:
        assert store.record(names[1]).state is KeyState.DELIVERED
    path.write_bytes(b"\0" * 8192)
    with pytest.raises(StoreRolledBackError, match="both pages"):
        open_sqlite(tmp_path, HERE)


def page_count(path: Path, whole: bytes, at: int) -> int:
    """Return what the anchor would say if only one of its pages were whole."""
    one = bytearray(8192)
    one[at * 4096 : (at + 1) * 4096] = whole[at * 4096 : (at + 1) * 4096]
    path.write_bytes(one)
    anchor = Anchor.open(path)
    anchor.close()
    return anchor.said.count


def test_a_zeroized_store_says_so_and_holds_nothing(tmp_path: Path, store: SqliteKeyStore) -> None:
    name = ready(store)
    store.zeroize()
    for _ in range(2):
        with pytest.raises(StoreError):
            deliver(store, name)
    with pytest.raises(StoreError, match="was zeroized"):
        open_sqlite(tmp_path, HERE)
    connection = sqlite3.connect(tmp_path / "alpha.db")
    counts = [
        connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone() for table in ("units", "secrets", "epochs")
    ]
    connection.close()
    assert counts == [(0,)] * 3
    SqliteKeyStore.recover(tmp_path / "alpha.db", HERE)
    with open_sqlite(tmp_path, HERE) as store:
        assert store.record(name).state is KeyState.VOID


def test_a_copy_of_a_zeroized_store_is_unreadable_even_with_master_key_and_a_forged_count(
    tmp_path: Path, store: SqliteKeyStore
) -> None:
    name = ready(store)
    store.close()
    shutil.copy(tmp_path / "alpha.db", tmp_path / "copy")
    open_sqlite(tmp_path, HERE).zeroize()
    shutil.copy(tmp_path / "copy", tmp_path / "alpha.db")
    anchor = Anchor.open(tmp_path / "alpha.db.anchor")
    assert not any(anchor.said.secret + anchor.said.old_secret)
    connection = sqlite3.connect(tmp_path / "alpha.db")
    meta = dict(connection.execute("SELECT name, value FROM meta"))
    connection.close()
    anchor.renew(bytes.fromhex(meta["mark"]), int(meta["count"]))
    anchor.close()
    with pytest.raises(StoreError, match="does not open"):
        deliver(open_sqlite(tmp_path, HERE), name)


@pytest.mark.parametrize("step", ["begin_secret", "end_secret"])
def test_a_death_while_the_shred_secret_is_exchanged_loses_nothing(
    tmp_path: Path, store: SqliteKeyStore, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    store.retire(THERE, [UnitId(store.ledger(THERE)[0].block, n) for n in range(100)], reason="test")
    store.close()
    store = open_sqlite(tmp_path, HERE)
    store.ingest(THERE, new_block(seed=2), CUT)
    name = ready(store)
    real = getattr(Anchor, step)

    def die(anchor: Anchor) -> None:
        if step == "begin_secret":
            real(anchor)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Anchor, step, die)
        with pytest.raises(KeyboardInterrupt):
            store.forget_epochs()
    store.close()
    with open_sqlite(tmp_path, HERE) as store:
        deliver(store, name)
    anchor = Anchor.open(tmp_path / "alpha.db.anchor")
    assert not anchor.is_exchanging
    anchor.close()
