"""The SQLite store keeps the contract of a key store, and its file is safe against hands and mishaps."""

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from faintlink.core.errors import KeyUnknownError, StoreError
from faintlink.delivery.keystore.conformance import KeyStoreContract
from faintlink.delivery.keystore.conformance_stock import CUT, HERE, MASTER, THERE, fetch, free, new_block, reserve
from faintlink.delivery.keystore.epochs import EpochLimits
from faintlink.delivery.keystore.model import Pool, Role
from faintlink.delivery.keystore.sealing import FileMasterKey
from faintlink.delivery.keystore.sqlite import SqliteKeyStore
from faintlink.delivery.keystore.store import KeyStore
from tests.data import ROOT
from tests.unit.delivery.keystore.stores import master_key, open_sqlite


class TestSqlite(KeyStoreContract):
    def open_site(self, folder: Path, site: str) -> KeyStore:
        return open_sqlite(folder, site)


def edit(folder: Path, statement: str) -> None:
    """Change a store behind its back."""
    connection = sqlite3.connect(folder / f"{HERE}.db")
    assert connection.execute(statement).rowcount >= 1
    connection.commit()
    connection.close()


def test_nobody_but_the_owner_may_read_its_files(tmp_path: Path) -> None:
    with open_sqlite(tmp_path, HERE) as store:
        store.ingest(THERE, new_block(), CUT)
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    names = ("db", "db-wal", "db.anchor", "db.ballast", "db.lock", "master")
    assert modes == {f"{HERE}.{name}": 0o600 for name in names}


def test_a_store_that_others_may_read_is_refused(tmp_path: Path) -> None:
    open_sqlite(tmp_path, HERE).close()
    (tmp_path / f"{HERE}.db").chmod(0o640)
    with pytest.raises(StoreError, match="mode 640"):
        open_sqlite(tmp_path, HERE)


def test_every_commit_waits_for_the_disk(tmp_path: Path) -> None:
    with open_sqlite(tmp_path, HERE) as store:
        found = {name: store._db.rows(f"PRAGMA {name}") for name in ("synchronous", "journal_mode", "secure_delete")}
    assert found == {"synchronous": [(2,)], "journal_mode": [("wal",)], "secure_delete": [(1,)]}


def test_a_second_process_is_told_who_owns_the_store(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.unit.delivery.keystore.stores import open_sqlite;"
        f"store = open_sqlite(Path({str(tmp_path)!r}), {HERE!r}); print('open', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(StoreError, match=f"in use by process {other.pid}\n") as caught:
            open_sqlite(tmp_path, HERE)
        assert "stop that one first" in caught.value.hint
        other.kill()
    open_sqlite(tmp_path, HERE).close()


def test_a_refused_opening_lets_go_of_the_store(tmp_path: Path) -> None:
    open_sqlite(tmp_path, HERE).close()
    for _ in range(2):
        with pytest.raises(StoreError, match="is the key store of alpha, not of gamma"):
            SqliteKeyStore.open(tmp_path / f"{HERE}.db", "gamma", master_key(tmp_path, HERE))
    open_sqlite(tmp_path, HERE).close()


def test_another_master_key_opens_nothing(tmp_path: Path) -> None:
    with open_sqlite(tmp_path, HERE) as store:
        store.ingest(THERE, new_block(), CUT)
    other = FileMasterKey.create(tmp_path / "other")
    with pytest.raises(StoreError, match="does not open"):
        SqliteKeyStore.open(tmp_path / f"{HERE}.db", HERE, other)


def test_a_store_of_another_format_is_refused(tmp_path: Path) -> None:
    open_sqlite(tmp_path, HERE).close()
    edit(tmp_path, "UPDATE meta SET value = '2' WHERE name = 'format'")
    with pytest.raises(StoreError, match="format 2, this program reads 1"):
        open_sqlite(tmp_path, HERE)


@pytest.mark.parametrize("place", [0, 4096])
def test_a_damaged_file_is_refused(tmp_path: Path, place: int) -> None:
    open_sqlite(tmp_path, HERE).close()
    with (tmp_path / f"{HERE}.db").open("r+b") as file:
        file.seek(place)
        file.write(b"\xff" * 200)
    with pytest.raises(StoreError):
        open_sqlite(tmp_path, HERE)


EDITS = {
    "another application gets it": f"UPDATE keys SET slave = '{MASTER}', role = 'slave'",
    "its master changes": "UPDATE keys SET master = 'urn:sae:thief'",
    "it becomes ready by itself": "UPDATE keys SET state = 'ready' WHERE state = 'reserved'",
    "it becomes longer": "UPDATE keys SET bits = 512",
    "one gets the other's bits": (
        "UPDATE secrets SET sealed = (SELECT s.sealed FROM secrets s WHERE s.key_no <> secrets.key_no)"
    ),
}


@pytest.mark.parametrize("what", EDITS)
def test_whoever_can_write_to_the_file_cannot_bend_what_is_sealed(tmp_path: Path, what: str) -> None:
    with open_sqlite(tmp_path, HERE) as store:
        store.ingest(THERE, new_block(), CUT)
        names = [key.key_id for key in reserve(store, 256, 256)]
        if what != "it becomes ready by itself":
            store.acknowledge(names)
    edit(tmp_path, EDITS[what])
    role = Role.SLAVE if "another application" in what else Role.MASTER
    sae = "urn:sae:thief" if "master changes" in what else MASTER
    with open_sqlite(tmp_path, HERE) as store, pytest.raises(StoreError, match="does not open"):
        store.deliver(names, role=role, sae=sae)


def test_a_unit_that_was_moved_to_another_pool_is_not_taken(tmp_path: Path) -> None:
    with open_sqlite(tmp_path, HERE) as store:
        store.ingest(THERE, new_block(), CUT)
    edit(tmp_path, "UPDATE lots SET pool = CASE pool WHEN 'ours' THEN 'theirs' WHEN 'theirs' THEN 'ours' ELSE pool END")
    with open_sqlite(tmp_path, HERE) as store, pytest.raises(StoreError, match="does not open"):
        reserve(store, 256)


def test_nothing_new_is_promised_on_a_disk_that_is_nearly_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_sqlite(tmp_path, HERE) as store:
        store.ingest(THERE, new_block(), CUT)
        names = [key.key_id for key in reserve(store, 256, 256)]
        store.acknowledge(names)
        little = shutil.disk_usage(tmp_path)._replace(free=2**20)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: little)
        asks: list[Callable[[], object]] = [
            lambda: reserve(store, 256),
            lambda: store.ingest(THERE, new_block(seed=2), CUT),
        ]
        for ask in asks:
            with pytest.raises(StoreError, match="nearly full"):
                ask()
        assert len(fetch(store, names[:1], Role.MASTER)) == 1
        assert store.void(names[1:], reason="test") == names[1:]


@pytest.mark.parametrize(
    ("limits", "epochs"),
    [(EpochLimits(), 1), (EpochLimits(blocks=1), 3), (EpochLimits(age_s=0.0), 4), (EpochLimits(seals=150), 2)],
)
def test_an_epoch_ends_by_blocks_age_and_seals(tmp_path: Path, limits: EpochLimits, epochs: int) -> None:
    with open_sqlite(tmp_path, HERE, limits) as store:
        for seed in range(3):
            store.ingest(THERE, new_block(seed=seed), CUT)
        reserve(store, 256)
    connection = sqlite3.connect(tmp_path / f"{HERE}.db")
    assert connection.execute("SELECT COUNT(*) FROM epochs").fetchone() == (epochs,)
    connection.close()


def test_an_epoch_key_is_never_sealed_under_by_a_second_process(tmp_path: Path) -> None:
    for seed in range(3):
        with open_sqlite(tmp_path, HERE) as store:
            store.ingest(THERE, new_block(seed=seed), CUT)
    connection = sqlite3.connect(tmp_path / f"{HERE}.db")
    assert connection.execute("SELECT epoch FROM blocks").fetchall() == [(1,), (2,), (3,)]
    connection.close()


@pytest.mark.parametrize("limit", ["TIDY_S", "LOG_BYTES"])
def test_the_log_is_cut_off_after_a_minute_of_use_and_when_it_is_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    log = tmp_path / f"{HERE}.db-wal"
    with open_sqlite(tmp_path, HERE) as store:
        store.ingest(THERE, new_block(), CUT)
        assert log.stat().st_size > 0
        monkeypatch.setattr(f"faintlink.delivery.keystore.sqlite_database.{limit}", -1)
        reserve(store, 256)
        assert log.stat().st_size == 0


def test_a_block_shared_with_one_peer_does_not_come_in_as_shared_with_another(tmp_path: Path) -> None:
    block = new_block()
    with open_sqlite(tmp_path, HERE) as store:
        store.ingest(THERE, block, CUT)
        with pytest.raises(StoreError, match="shared with beta, and comes in as shared with gamma"):
            store.ingest("gamma", block, CUT)
        assert free(store, Pool.OURS, "gamma") == 0


def test_no_error_or_representation_shows_a_key(tmp_path: Path) -> None:
    block = new_block()
    with open_sqlite(tmp_path, HERE) as store:
        store.ingest(THERE, block, CUT)
        names = [key.key_id for key in reserve(store, 256)]
        with pytest.raises(KeyUnknownError) as caught:
            fetch(store, names, Role.MASTER)
        store.acknowledge(names)
        (key,) = store.deliver(names, role=Role.MASTER, sae=MASTER)
        text = repr(caught.value) + str(caught.value) + repr(key) + repr(store) + repr(store._epochs) + repr(block)
    assert key.material.hex() not in text
    assert repr(bytes(key.material))[2:-1] not in text
    assert str(tmp_path) in repr(store)
