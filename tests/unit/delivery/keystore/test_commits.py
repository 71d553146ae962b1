"""Changes that wait together share a commit; one that is refused is undone alone, and a failed commit fails all."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from faintlink.core.errors import KeyExhaustedError, StoreError
from faintlink.delivery.keystore.anchor import Anchor
from faintlink.delivery.keystore.conformance_stock import CUT, THERE, fetch, new_block, reserve
from faintlink.delivery.keystore.model import KeyState, Pool, Role
from faintlink.delivery.keystore.sqlite import SqliteKeyStore
from faintlink.delivery.keystore.sqlite_database import SqliteDatabase


@contextmanager
def counted(patch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Count transactions of databases and steps of anchors."""
    calls: list[str] = []
    begin, advance = SqliteDatabase.transaction, Anchor.advance

    def transaction(self: SqliteDatabase) -> Any:
        calls.append("transaction")
        return begin(self)

    def step(self: Anchor, count: int, mark: bytes) -> None:
        calls.append("step")
        advance(self, count, mark)

    with patch.context() as patched:
        patched.setattr(SqliteDatabase, "transaction", transaction)
        patched.setattr(Anchor, "advance", step)
        yield calls


def together(store: SqliteKeyStore, changes: list[Callable[[], Any]]) -> list[Future[Any]]:
    """Ask for changes while the store is busy, so that they wait together."""
    commits = store._commits
    pool = ThreadPoolExecutor(len(changes))
    with commits.alone():
        futures = [pool.submit(change) for change in changes]
        deadline = time.monotonic() + 30
        while len(commits._waiting) < len(changes):
            assert time.monotonic() < deadline
            threading.Event().wait(0.001)
    pool.shutdown()
    return futures


def fetching(store: SqliteKeyStore, name: str) -> Callable[[], list[bytes]]:
    """Return what fetches a key."""
    return lambda: fetch(store, [name], Role.MASTER)


def ready(store: SqliteKeyStore, count: int) -> list[str]:
    """Return names of keys that may be fetched."""
    names = [key.key_id for key in reserve(store, *[256] * count)]
    store.acknowledge(names)
    return names


def test_deliveries_that_wait_together_share_a_commit_and_a_step(
    store: SqliteKeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ready(store, 5)
    with counted(monkeypatch) as calls:
        futures = together(store, [fetching(store, name) for name in names])
    assert calls == ["transaction", "step"]
    assert len({future.result()[0] for future in futures}) == 5
    assert store.count_keys()[KeyState.DELIVERED] == 5


def test_one_that_is_refused_is_undone_alone(store: SqliteKeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with counted(monkeypatch) as calls:
        good, bad, other = together(
            store, [lambda: reserve(store, 256), lambda: reserve(store, *[256] * 46), lambda: reserve(store, 512)]
        )
    assert calls == ["transaction"]
    with pytest.raises(KeyExhaustedError):
        bad.result()
    names = {key.key_id for key in (*good.result(), *other.result())}
    assert {key.key_id for key in store.unsettled(THERE)} == names
    assert store.stock()[THERE, Pool.OURS].units == 42


def test_an_epoch_that_a_refused_change_began_is_forgotten(
    store: SqliteKeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store._epochs._current = None
    taken = store._stock.put

    def refuse_late(*arguments: Any) -> int:
        taken(*arguments)
        raise KeyExhaustedError("made up")

    monkeypatch.setattr(store._stock, "put", refuse_late)
    bad, good = together(store, [lambda: store.ingest(THERE, new_block(seed=2), CUT), lambda: reserve(store, 256)])
    assert isinstance(bad.exception(), KeyExhaustedError)
    name = good.result()[0].key_id
    store.acknowledge([name])
    assert len(fetch(store, [name], Role.MASTER)) == 1


@pytest.mark.parametrize("count", [1, 3])
def test_what_a_failed_commit_was_to_hand_out_is_overwritten_and_not_handed_out(
    store: SqliteKeyStore, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    names = ready(store, count)
    seen: list[bytearray] = []
    real = store._keys.deliver

    def watched(*arguments: Any, **named: Any) -> Any:
        keys = real(*arguments, **named)
        seen.extend(key.material for key in keys)
        return keys

    def fail(*_: Any) -> None:
        raise StoreError("made up", hint="made up")

    monkeypatch.setattr(store._keys, "deliver", watched)
    with monkeypatch.context() as patch:
        patch.setattr(Anchor, "advance", fail)
        futures = together(store, [fetching(store, name) for name in names])
    errors = [future.exception() for future in futures]
    assert all(isinstance(error, StoreError) for error in errors)
    assert len({id(error) for error in errors}) == count, "each thread raises an error of its own"
    assert [bytes(material) for material in seen] == [bytes(32)] * count


def test_a_store_whose_anchor_cannot_be_written_does_nothing_more(
    store: SqliteKeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ready(store, 2)

    def fail(*_: Any) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("faintlink.delivery.keystore.anchor.os.fdatasync", fail)
        with pytest.raises(StoreError, match=r"anchor .* cannot be written"):
            fetch(store, names[:1], Role.MASTER)
    for ask in (lambda: fetch(store, names[1:], Role.MASTER), lambda: reserve(store, 256), store.stock):
        with pytest.raises(StoreError, match="open the store again"):
            ask()


def test_an_error_of_the_database_ends_the_store(store: SqliteKeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise error

    monkeypatch.setattr(store._stock, "count", fail)
    with pytest.raises(StoreError, match="disk I/O error"):
        store.stock()
    with pytest.raises(StoreError, match="open the store again"):
        reserve(store, 256)
