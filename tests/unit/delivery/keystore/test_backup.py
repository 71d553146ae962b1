"""What is refused can be recovered without a key, and a backup holds records only."""

import shutil
import uuid
from pathlib import Path

import pytest

from faintlink.core.errors import KeyUnknownError, RunExistsError, SchemaError, StoreError
from faintlink.delivery.keystore.anchor import AnchorAt
from faintlink.delivery.keystore.backup import Since
from faintlink.delivery.keystore.conformance_stock import CUT, HERE, THERE, free, new_block, reserve
from faintlink.delivery.keystore.model import Assignment, Block, KeyRecord, KeyState, Pool, Role
from faintlink.delivery.keystore.sqlite import SqliteKeyStore
from faintlink.delivery.keystore.stock import BlockRecord
from tests.unit.delivery.keystore.stores import deliver, open_sqlite, ready


def test_recovering_gives_up_every_key_and_the_store_goes_on(
    tmp_path: Path, store: SqliteKeyStore, block: Block
) -> None:
    reserved, fetched, given = reserve(store, 256)[0].key_id, ready(store), ready(store)
    deliver(store, given)
    store.close()
    shutil.copy(tmp_path / "alpha.db", tmp_path / "copy")
    with open_sqlite(tmp_path, HERE) as store:
        deliver(store, fetched)
    shutil.copy(tmp_path / "copy", tmp_path / "alpha.db")
    given_up = SqliteKeyStore.recover(tmp_path / "alpha.db", HERE)
    assert (given_up.keys, given_up.units) == (2, 97)
    with open_sqlite(tmp_path, HERE) as store:
        assert store.stock() == {}
        assert [store.record(name).state for name in (reserved, fetched, given)] == [
            KeyState.VOID,
            KeyState.VOID,
            KeyState.DELIVERED,
        ]
        assert store.ingest(THERE, block, CUT) == 0, "a block that was there may have been handed out"
        store.ingest(THERE, new_block(seed=2), CUT)
        deliver(store, ready(store))


def test_recovering_needs_no_master_key_and_the_store_goes_on_with_another(
    tmp_path: Path, store: SqliteKeyStore
) -> None:
    store.close()
    (tmp_path / "alpha.master").unlink()
    SqliteKeyStore.recover(tmp_path / "alpha.db", HERE)
    with open_sqlite(tmp_path, HERE) as store:
        store.ingest(THERE, new_block(seed=2), CUT)
        deliver(store, ready(store))


def test_recovering_where_there_is_no_store_is_refused(tmp_path: Path, store: SqliteKeyStore) -> None:
    store.close()
    with pytest.raises(StoreError, match="there is no key store"):
        SqliteKeyStore.recover(tmp_path / "nothing.db", HERE)
    with pytest.raises(StoreError, match="not of gamma"):
        SqliteKeyStore.recover(tmp_path / "alpha.db", "gamma")


@pytest.mark.parametrize("loss", ["gone", "damaged", "another store's"])
def test_recovering_needs_no_anchor(tmp_path: Path, store: SqliteKeyStore, loss: str) -> None:
    store.close()
    anchor = tmp_path / "alpha.db.anchor"
    anchor.unlink()
    if loss == "damaged":
        anchor.write_bytes(bytes(8192))
    elif loss == "another store's":
        AnchorAt(anchor)(str(uuid.uuid4())).close()
    SqliteKeyStore.recover(tmp_path / "alpha.db", HERE)
    with open_sqlite(tmp_path, HERE) as store:
        store.ingest(THERE, new_block(seed=2), CUT)
        deliver(store, ready(store))


def test_a_backup_holds_records_and_no_key(tmp_path: Path, store: SqliteKeyStore, block: Block) -> None:
    waiting, given = ready(store), ready(store)
    deliver(store, given)
    assert store.backup(tmp_path / "backup") == 3
    assert (tmp_path / "backup").stat().st_mode & 0o777 == 0o600
    with pytest.raises(RunExistsError):
        store.backup(tmp_path / "backup")
    store.close()
    new = tmp_path / "new"
    new.mkdir()
    shutil.copy(tmp_path / "alpha.master", new)
    assert SqliteKeyStore.restore(tmp_path / "backup", new / "alpha.db", HERE).rows == 3
    with open_sqlite(new, HERE) as again:
        assert again.stock() == {}
        assert [again.record(name).state for name in (waiting, given)] == [KeyState.VOID, KeyState.DELIVERED]
        assert again.ingest(THERE, block, CUT) == 0
        assert again.block(block.block_id).provenance == block.provenance
        with pytest.raises(KeyUnknownError):
            deliver(again, waiting)
        again.ingest(THERE, new_block(seed=2), CUT)
        deliver(again, ready(again))


def test_a_backup_keeps_the_place_of_a_lost_database(tmp_path: Path, store: SqliteKeyStore) -> None:
    store.backup(tmp_path / "backup")
    deliver(store, ready(store))
    store.close()
    (tmp_path / "alpha.db").unlink()
    SqliteKeyStore.restore(tmp_path / "backup", tmp_path / "alpha.db", HERE)
    with open_sqlite(tmp_path, HERE) as again:
        assert free(again, Pool.OURS) == 0
    with pytest.raises(StoreError, match="holds a key store already"):
        SqliteKeyStore.restore(tmp_path / "backup", tmp_path / "alpha.db", HERE)


@pytest.mark.parametrize("damage", ["cut", "line gone", "bit", "empty", "foreign"])
def test_a_backup_that_is_not_whole_is_refused(tmp_path: Path, store: SqliteKeyStore, damage: str) -> None:
    store.backup(tmp_path / "backup")
    store.close()
    whole = (tmp_path / "backup").read_bytes()
    lines = whole.splitlines(keepends=True)
    bad = {
        "cut": whole[:-20],
        "line gone": b"".join(lines[:1] + lines[2:]),
        "bit": whole.replace(b"alpha", b"alphb"),
        "empty": b"",
        "foreign": b"{}\n",
    }[damage]
    (tmp_path / "bad").write_bytes(bad)
    with pytest.raises(SchemaError):
        SqliteKeyStore.restore(tmp_path / "bad", tmp_path / "new.db", HERE)


def test_a_backup_that_cannot_be_written_leaves_nothing_and_the_store_goes_on(
    tmp_path: Path, store: SqliteKeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match="cannot be written: No such file"):
        store.backup(tmp_path / "missing" / "backup")
    with monkeypatch.context() as patch:
        patch.setattr("faintlink.delivery.keystore.backup.os.fsync", fail)
        with pytest.raises(StoreError, match="cannot be written: No space left"):
            store.backup(tmp_path / "backup")
    assert not (tmp_path / "backup").exists()
    deliver(store, ready(store))
    store.close()


def test_a_restored_store_that_is_told_what_came_since_takes_none_of_it_again(
    tmp_path: Path, store: SqliteKeyStore
) -> None:
    open_then, late = ready(store), str(uuid.uuid4())
    store.backup(tmp_path / "backup")
    store.close()
    (tmp_path / "alpha.db").unlink()
    block = new_block(seed=2)
    settled = [
        KeyRecord(
            Assignment(name, 256, "app", "far", ()), THERE, role, KeyState.DELIVERED, 1e-9, (), "then", "now", "log"
        )
        for name, role in ((open_then, Role.MASTER), (late, Role.SLAVE))
    ]
    since = Since([BlockRecord(block.block_id, THERE, 9, 1e-10, {"run": "x"}, "then")], settled)
    done = SqliteKeyStore.restore(tmp_path / "backup", tmp_path / "alpha.db", HERE, since=since)
    assert (done.blocks_since, done.keys_since) == (1, 2)
    with open_sqlite(tmp_path, HERE) as again:
        assert again.ingest(THERE, block, CUT) == 0
        assert again.block(block.block_id).provenance == {"run": "x"}
        assert {again.record(name).state for name in (open_then, late)} == {KeyState.DELIVERED}
        # The other site repeats what it relayed, as it does when it got no answer: the key was handed out already.
        again.place(THERE, [(settled[1].assignment, bytes(32))], role=Role.SLAVE, epsilon=1e-9, blocks=())
        with pytest.raises(KeyUnknownError):
            again.deliver([late], role=Role.SLAVE, sae="far")
        with pytest.raises(KeyUnknownError):
            again.place(
                THERE, [(Assignment(late, 512, "app", "far", ()), bytes(64))], role=Role.SLAVE, epsilon=1e-9, blocks=()
            )
