"""Keys of a node's folder come into the store once, through any crash, and leave no bits behind."""

import os
import uuid
from pathlib import Path
from typing import Any

import pytest

from faintlink.core.entropy import SeededEntropy
from faintlink.core.errors import AuditError, StoreError
from faintlink.core.records import SecretKey
from faintlink.delivery.keystore.conformance_stock import CUT, HERE, THERE, fetch, reserve
from faintlink.delivery.keystore.ingest import FolderIngest, Ingested
from faintlink.delivery.keystore.model import Role
from faintlink.delivery.keystore.sqlite import SqliteKeyStore
from faintlink.delivery.witness import Event, Fact, SilentWitness
from faintlink.postprocess.keystore import FileKeyStore
from tests.unit.delivery.keystore.stores import open_sqlite

ABOUT = {"run_id": "20260101T000000Z-00000000", "block": 7, "usable": True, "ledger": [{"value": 1e-10}]}


def put_key(folder: FileKeyStore, *, bits: int = 256 * 100, seed: int = 1, **about: Any) -> SecretKey:
    key = SecretKey(str(uuid.uuid4()), bits, SeededEntropy(seed).draw((bits + 7) // 8, "key"), 1e-10)
    folder.put(key, {**ABOUT, **about})
    return key


class Notes:
    """Keeps facts, or refuses to."""

    def __init__(self, *, is_broken: bool = False) -> None:
        self.facts: list[Fact] = []
        self.is_broken = is_broken

    def note(self, fact: Fact) -> None:
        if self.is_broken:
            raise AuditError("the log is full", hint="free the disk")
        self.facts.append(fact)


def ingest(folder: FileKeyStore, store: SqliteKeyStore, **options: Any) -> Ingested:
    witness = options.pop("witness", SilentWitness())
    return FolderIngest(folder, store, peer=THERE, cut=CUT, witness=witness, **options).run()


@pytest.fixture
def folder(tmp_path: Path) -> FileKeyStore:
    return FileKeyStore(tmp_path / "node" / "keys")


def test_a_released_key_becomes_stock_and_its_file_is_emptied(tmp_path: Path, folder: FileKeyStore) -> None:
    key = put_key(folder)
    waiting = SecretKey(str(uuid.uuid4()), 256, bytes(32), 1e-10)
    folder.prepare(waiting, ABOUT)
    with open_sqlite(tmp_path, HERE) as store:
        assert ingest(folder, store) == Ingested(1, 100, 0)
        assert ingest(folder, store) == Ingested(0, 0, 0)
        name = reserve(store, 256)[0].key_id
        store.acknowledge([name])
        assert fetch(store, [name], Role.MASTER)[0] in key.data
    assert (folder.folder / f"{key.key_id}.key").stat().st_size == 0
    assert folder.is_released(key.key_id), "the other node may still ask"
    assert folder.prepared() == [waiting.key_id]
    left = b"".join(path.read_bytes() for path in folder.folder.iterdir())
    assert key.data[:16] not in left


def test_bits_beyond_the_last_whole_unit_are_dropped(tmp_path: Path, folder: FileKeyStore) -> None:
    put_key(folder, bits=2 * 256 + 255)
    put_key(folder, bits=13, seed=2)
    with open_sqlite(tmp_path, HERE) as store:
        assert ingest(folder, store) == Ingested(2, 2, 0)


@pytest.mark.parametrize("usable", [False, None, "yes"])
def test_a_key_that_is_not_marked_as_usable_is_refused_and_stays(
    tmp_path: Path, folder: FileKeyStore, usable: Any
) -> None:
    key = put_key(folder, usable=usable)
    with open_sqlite(tmp_path, HERE) as store:
        assert ingest(folder, store) == Ingested(0, 0, 1)
        assert folder.get(key.key_id).data == key.data
        assert ingest(folder, store, allow_simulated=True) == Ingested(1, 100, 0)


@pytest.mark.parametrize("damage", ["description", "length"])
def test_a_damaged_key_is_refused_and_keeps_no_other_out(
    tmp_path: Path, folder: FileKeyStore, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = put_key(folder), put_key(folder, seed=2)
    path = folder.folder / f"{bad.key_id}.key"
    if damage == "description":
        path.with_suffix(".json").write_text("{")
    else:
        path.write_bytes(path.read_bytes()[:-1])
    with open_sqlite(tmp_path, HERE) as store:
        for _ in range(2):
            assert ingest(folder, store).refused == 1
        assert [ledger.block for ledger in store.ledger(THERE)] == [good.key_id]
    assert path.stat().st_size > 0
    assert bad.key_id in caplog.text


def test_the_oldest_comes_first_and_only_what_is_asked_for(tmp_path: Path, folder: FileKeyStore) -> None:
    old, new, other = (put_key(folder, seed=seed) for seed in range(3))
    for age, key in enumerate((new, old)):
        os.utime(folder.folder / f"{key.key_id}.key", (age, -age + 10))
    with open_sqlite(tmp_path, HERE) as store:
        into = FolderIngest(folder, store, peer=THERE, cut=CUT, witness=SilentWitness())
        assert into.waiting() == [old.key_id, new.key_id, other.key_id]
        assert into.run(only={new.key_id, "unknown"}) == Ingested(1, 100, 0)
        assert into.waiting() == [old.key_id, other.key_id]
        into.run()
        assert [ledger.block for ledger in store.ledger(THERE)] == [new.key_id, old.key_id, other.key_id]


def test_the_provenance_stays_with_the_block(tmp_path: Path, folder: FileKeyStore) -> None:
    key = put_key(folder)
    notes = Notes()
    with open_sqlite(tmp_path, HERE) as store:
        ingest(folder, store, witness=notes, provenance={"run_sha256": "ab" * 32})
        kept = store.block(key.key_id)
    assert kept.provenance == {
        "run_id": ABOUT["run_id"],
        "block": "7",
        "usable": "True",
        "run_sha256": "ab" * 32,
    }
    assert (kept.epsilon, kept.units, kept.peer) == (1e-10, 100, THERE)
    (fact,) = notes.facts
    assert fact.event is Event.BLOCK_INGESTED
    assert fact.about["block_id"] == key.key_id


def test_nothing_comes_in_that_is_not_written_into_the_log(tmp_path: Path, folder: FileKeyStore) -> None:
    key = put_key(folder)
    with open_sqlite(tmp_path, HERE) as store:
        with pytest.raises(AuditError):
            ingest(folder, store, witness=Notes(is_broken=True))
        assert store.stock() == {}
    assert folder.get(key.key_id).data == key.data


class DiedError(Exception):
    """The process is gone."""


STEPS = ((SqliteKeyStore, "ingest"), (os, "link"), (os, "unlink"), (os, "replace"), (os, "fsync"))


@pytest.mark.parametrize("step", range(9))
def test_a_crash_at_any_step_loses_no_key_and_brings_none_in_twice(
    tmp_path: Path, folder: FileKeyStore, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    key = put_key(folder)
    left = step

    def dying(real: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise DiedError
            return real(*arguments, **named)

        return call

    with open_sqlite(tmp_path, HERE) as store:
        with monkeypatch.context() as patch:
            for owner, name in STEPS:
                patch.setattr(owner, name, dying(getattr(owner, name)))
            with pytest.raises(DiedError):
                ingest(folder, store)
        found = sum(stock.units for stock in store.stock().values())
        path = folder.folder / f"{key.key_id}.key"
        assert found == 100 or path.read_bytes() == key.data, "in the store, or still in the folder"
        assert path.read_bytes() in (b"", key.data), "never half a key"
        ingest(folder, store)
        assert sum(stock.units for stock in store.stock().values()) == 100
    assert path.read_bytes() == b""
    assert sorted(found.name for found in folder.folder.iterdir()) == [f"{key.key_id}.json", path.name]


def test_a_file_that_cannot_be_destroyed_is_said(
    tmp_path: Path, folder: FileKeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_key(folder)

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(30, "Read-only file system")

    with open_sqlite(tmp_path, HERE) as store, monkeypatch.context() as patch:
        patch.setattr(os, "link", refuse)
        with pytest.raises(StoreError, match="cannot be destroyed: Read-only"):
            ingest(folder, store)
