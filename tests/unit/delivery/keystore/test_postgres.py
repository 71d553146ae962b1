"""The PostgreSQL store keeps the contract of a key store, on a real server."""

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from faintlink.core.errors import StoreError, StoreRolledBackError
from faintlink.delivery.keystore.backup import GivenUp
from faintlink.delivery.keystore.conformance import KeyStoreContract
from faintlink.delivery.keystore.conformance_stock import CUT, THERE, fetch, free, new_block, reserve
from faintlink.delivery.keystore.model import KeyState, Pool, Role
from faintlink.delivery.keystore.postgres import PostgresKeyStore
from faintlink.delivery.keystore.store import KeyStore
from tests.unit.delivery.keystore.postgres_server import running_server
from tests.unit.delivery.keystore.stores import master_key, open_sqlite


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a running server."""
    with running_server() as address:
        yield address


def address_of(server: str, folder: Path, site: str) -> str:
    """Return the address of a site's own schema, a new one the first time in this folder."""
    import psycopg

    note = folder / f"{site}.schema"
    if not note.exists():
        note.write_text(f"keys_{uuid.uuid4().hex}")
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {note.read_text()}".encode())
    return f"{server} options='-c search_path={note.read_text()}'"


def open_postgres(server: str, folder: Path, site: str) -> PostgresKeyStore:
    """Open or make the store of a site."""
    address = address_of(server, folder, site)
    return PostgresKeyStore.open(address, site, master_key(folder, site), anchor=folder / f"{site}.anchor")


class TestPostgres(KeyStoreContract):
    @pytest.fixture(autouse=True)
    def _on(self, server: str) -> None:
        self.server = server

    def open_site(self, folder: Path, site: str) -> KeyStore:
        return open_postgres(self.server, folder, site)


def test_a_second_process_is_told_who_owns_the_store(server: str, tmp_path: Path) -> None:
    with open_postgres(server, tmp_path, "alpha"), pytest.raises(StoreError, match=r"in use by .* process \d+"):
        open_postgres(server, tmp_path, "alpha")
    open_postgres(server, tmp_path, "alpha").close()


def test_a_server_that_does_not_wait_for_its_disk_is_refused(server: str, tmp_path: Path) -> None:
    import psycopg

    address = address_of(server, tmp_path, "alpha")
    with psycopg.connect(server, autocommit=True) as connection:
        try:
            connection.execute("ALTER SYSTEM SET full_page_writes = off")
            connection.execute("SELECT pg_reload_conf()")
            wait_for(server, "off")
            with pytest.raises(StoreError, match="full_page_writes = off"):
                PostgresKeyStore.open(address, "alpha", master_key(tmp_path, "alpha"), anchor=tmp_path / "a")
        finally:
            connection.execute("ALTER SYSTEM RESET full_page_writes")
            connection.execute("SELECT pg_reload_conf()")
            wait_for(server, "on")


def wait_for(server: str, value: str) -> None:
    import psycopg

    for _ in range(1000):
        with psycopg.connect(server) as connection:
            if connection.execute("SHOW full_page_writes").fetchone() == (value,):
                return
    raise AssertionError("the server does not take its settings up")


def test_a_lost_connection_ends_the_store_and_loses_nothing(server: str, tmp_path: Path) -> None:
    store = open_postgres(server, tmp_path, "alpha")
    store.ingest(THERE, new_block(), CUT)
    end_sessions(server)
    for _ in range(2):
        with pytest.raises(StoreError):
            reserve(store, 256)
    store.close()
    with open_postgres(server, tmp_path, "alpha") as again:
        assert free(again, Pool.OURS) == 45


def end_sessions(server: str) -> None:
    """End every store's session, as a server that stops does."""
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'faint%'"
        )


def test_a_store_whose_connection_broke_is_taken_up_again_and_seals_under_a_new_epoch(
    server: str, tmp_path: Path
) -> None:
    with open_postgres(server, tmp_path, "alpha") as store:
        store.ingest(THERE, new_block(), CUT)
        (key,) = reserve(store, 256)
        store.acknowledge([key.key_id])
        before = store.block(key.units[0].block)
        end_sessions(server)
        with pytest.raises(StoreError):
            store.stock()
        was_usable = store.is_usable
        for _ in range(2):
            store.reopen()
        assert (was_usable, store.is_usable) == (False, True)
        assert store.block(before.block_id) == before
        assert len(fetch(store, [key.key_id], Role.MASTER)) == 1
        store.ingest(THERE, new_block(seed=2), CUT)
        assert free(store, Pool.OURS) == 44 + 45
        assert epochs_of(server, tmp_path) == 2


def epochs_of(server: str, folder: Path) -> int:
    """Return how many epochs there are."""
    import psycopg

    with psycopg.connect(address_of(server, folder, "alpha")) as connection:
        (found,) = connection.execute("SELECT COUNT(*) FROM epochs").fetchall()
    return int(found[0])


def test_a_store_that_was_closed_is_not_taken_up_again(server: str, tmp_path: Path) -> None:
    store = open_postgres(server, tmp_path, "alpha")
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.reopen()
    open_postgres(server, tmp_path, "alpha").close()


def test_a_server_that_comes_back_older_is_refused_until_the_newest_is_back(server: str, tmp_path: Path) -> None:
    import psycopg

    schema = f"{address_of(server, tmp_path, 'alpha').rpartition('=')[2].rstrip(chr(39))}"
    with open_postgres(server, tmp_path, "alpha") as store:
        store.ingest(THERE, new_block(), CUT)
        end_sessions(server)
        with pytest.raises(StoreError):
            store.stock()
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE TABLE old_units AS TABLE {schema}.units".encode())
            connection.execute(f"CREATE TABLE old_meta AS TABLE {schema}.meta".encode())
        store.reopen()
        store.take(THERE, Pool.RESERVE_OURS, 1, use="test")
        end_sessions(server)
        with pytest.raises(StoreError):
            store.stock()
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"ALTER TABLE {schema}.meta RENAME TO newest".encode())
            connection.execute(f"ALTER TABLE old_meta SET SCHEMA {schema}".encode())
            connection.execute(f"ALTER TABLE {schema}.old_meta RENAME TO meta".encode())
        with pytest.raises(StoreRolledBackError):
            store.reopen()
        with pytest.raises(StoreError):
            store.take(THERE, Pool.RESERVE_OURS, 1, use="test")
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP TABLE {schema}.meta".encode())
        with pytest.raises(StoreRolledBackError, match="no key store"):
            store.reopen()
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"ALTER TABLE {schema}.newest RENAME TO meta".encode())
            connection.execute("DROP TABLE old_units")
        store.reopen()
        assert free(store, Pool.RESERVE_OURS) == 4


def test_a_server_that_does_not_answer_in_time_counts_as_gone(server: str, tmp_path: Path) -> None:
    import psycopg

    address = address_of(server, tmp_path, "alpha")
    with (
        PostgresKeyStore.open(
            address, "alpha", master_key(tmp_path, "alpha"), anchor=tmp_path / "alpha.anchor", answer_within_s=0.2
        ) as store,
        psycopg.connect(address) as other,
    ):
        other.execute("LOCK TABLE lots IN ACCESS EXCLUSIVE MODE")
        start = time.monotonic()
        with pytest.raises(StoreError):
            store.stock()
        assert time.monotonic() - start < 10
        assert not store.is_usable
        other.rollback()
        store.reopen()
        assert store.stock() == {}


def test_a_session_that_was_left_behind_does_not_keep_its_own_process_out(server: str, tmp_path: Path) -> None:
    with open_postgres(server, tmp_path, "alpha") as store:
        database = store._server
        # As a line that broke: here it is gone, and the server knows nothing of it.
        left_behind = database._connection
        database._connection = SimpleNamespace(close=lambda: None)  # type: ignore[assignment]
        database._is_usable = False
        store.reopen()
        assert store.stock() == {}
        left_behind.close()


def test_a_schema_that_is_not_there_is_said(server: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no schema"):
        PostgresKeyStore.open(
            f"{server} options='-c search_path=nowhere'", "alpha", master_key(tmp_path, "alpha"), anchor=tmp_path / "a"
        )


def test_a_server_that_takes_no_writes_is_refused(server: str, tmp_path: Path) -> None:
    address = address_of(server, tmp_path, "alpha").rstrip("'") + " -c default_transaction_read_only=on'"
    with pytest.raises(StoreError, match="takes no writes"):
        PostgresKeyStore.open(address, "alpha", master_key(tmp_path, "alpha"), anchor=tmp_path / "a")


def test_connections_lost_at_random_hand_out_no_key_twice(server: str, tmp_path: Path) -> None:
    import psycopg

    rng = np.random.default_rng(15)
    handed: list[bytes] = []

    def use(store: PostgresKeyStore) -> None:
        with suppress(StoreError):
            while True:
                names = [key.key_id for key in reserve(store, 256, 256)]
                store.acknowledge(names)
                handed.extend(fetch(store, names, Role.MASTER))

    with open_postgres(server, tmp_path, "alpha") as store:
        store.ingest(THERE, new_block(1000), CUT)
    ours = "application_name = 'faintlink key store'"
    with psycopg.connect(server, autocommit=True) as connection:
        for _ in range(8):
            store = open_postgres(server, tmp_path, "alpha")
            worker = threading.Thread(target=use, args=(store,))
            worker.start()
            worker.join(float(rng.uniform(0.02, 0.1)))
            connection.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ours}".encode())
            worker.join(30)
            store.close()
    with open_postgres(server, tmp_path, "alpha") as store:
        open_keys = [record.assignment.key_id for record in store.waiting(THERE)]
        handed.extend(fetch(store, open_keys, Role.MASTER))
        states = store.count_keys()
        left = free(store, Pool.OURS)
    assert len(handed) == len(set(handed)) > 2
    lost = states[KeyState.DELIVERED] - len(handed)
    assert 0 <= lost <= 2 * 8
    assert sum(states.values()) + left == 450


def test_a_dump_from_before_is_refused(server: str, tmp_path: Path) -> None:
    import psycopg

    with open_postgres(server, tmp_path, "alpha") as store:
        store.ingest(THERE, new_block(), CUT)
    copy = f"copy_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {copy} TEMPLATE postgres".encode())
    with open_postgres(server, tmp_path, "alpha") as store:
        store.take(THERE, Pool.RESERVE_OURS, 1, use="test")
    before = server.replace("dbname=postgres", f"dbname={copy}")
    with pytest.raises(StoreRolledBackError):
        open_postgres(before, tmp_path, "alpha")
    given_up = PostgresKeyStore.recover(
        address_of(before, tmp_path, "alpha"), "alpha", anchor=tmp_path / "alpha.anchor"
    )
    assert given_up == GivenUp(keys=0, units=100)
    with open_postgres(before, tmp_path, "alpha") as store:
        assert store.stock() == {}


def test_a_backup_moves_the_records_between_databases(server: str, tmp_path: Path) -> None:
    block = new_block()
    with open_sqlite(tmp_path, "alpha") as store:
        store.ingest(THERE, block, CUT)
        (key,) = reserve(store, 256)
        store.backup(tmp_path / "backup")
    anchor = tmp_path / "moved.anchor"
    PostgresKeyStore.restore(tmp_path / "backup", address_of(server, tmp_path, "moved"), "alpha", anchor=anchor)
    address, master = address_of(server, tmp_path, "moved"), master_key(tmp_path, "alpha")
    with PostgresKeyStore.open(address, "alpha", master, anchor=anchor) as moved:
        assert moved.record(key.key_id).state is KeyState.VOID
        assert moved.block(block.block_id).provenance == block.provenance
        assert moved.ingest(THERE, block, CUT) == 0


def test_a_server_that_is_not_there_is_said_without_the_password(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(StoreError) as caught:
        PostgresKeyStore.open(
            f"host={tmp_path} password=canary", "alpha", master_key(tmp_path, "alpha"), anchor=tmp_path / "anchor"
        )
    assert "canary" not in str(caught.value) + repr(caught.value.__cause__)
