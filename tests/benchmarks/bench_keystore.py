"""Key store: what a promise, a delivery and a block cost, beside plain SQLite that keeps keys in the open.

The peer inserts and then deletes rows of 32 bytes in one SQLite file with the same settings (WAL, ``synchronous=FULL``,
``secure_delete``), one transaction for the insert and one for the delete: the least that any store with durable
delivery does. Ours reserves, acknowledges and delivers, with sealing, records and the anchor: four waits for the disk
against two. Both run in turns on the disk of the temporary folder.
"""

import math
import sqlite3
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from faintlink.core.entropy import OsEntropy
from faintlink.delivery.keystore.model import UNIT_BYTES, Assignment, Block, Cut, Pool, Role, Stock
from faintlink.delivery.keystore.postgres import PostgresKeyStore
from faintlink.delivery.keystore.sealing import FileMasterKey, wipe
from faintlink.delivery.keystore.sql_store import SqlKeyStore
from faintlink.delivery.keystore.sqlite import SqliteKeyStore
from tests.benchmarks.harness import Row, interleaved
from tests.unit.delivery.keystore.postgres_server import programs, running_server

PEER = f"SQLite {sqlite3.sqlite_version}, keys in the open"
PLACES, MASTER, SLAVE = ("alpha", "beta"), "master", "slave"
CUT = Cut(PLACES[0])
UNITS = 4096


class Plain:
    """The peer."""

    def __init__(self, folder: Path) -> None:
        self.file = sqlite3.connect(folder / "plain.db", isolation_level=None)
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"):
            self.file.execute(f"PRAGMA {pragma}").fetchall()
        self.file.execute("CREATE TABLE keys (name TEXT PRIMARY KEY, bits BLOB)")

    def whole_life(self, keys: int) -> None:
        """Insert and delete rows."""
        rows = [(str(uuid.uuid4()), OsEntropy().draw(UNIT_BYTES, "bench")) for _ in range(keys)]
        for statement, values in (
            ("INSERT INTO keys VALUES (?, ?)", rows),
            ("DELETE FROM keys WHERE name = ?", [row[:1] for row in rows]),
        ):
            self.file.execute("BEGIN IMMEDIATE")
            self.file.executemany(statement, values)
            self.file.execute("COMMIT")


class Bench:
    """A store with stock."""

    def __init__(self, store: SqlKeyStore) -> None:
        self.store = store

    def fill(self, keys: int) -> None:
        """Put in so many units of ours, at least."""
        while self.store.stock().get((PLACES[1], Pool.OURS), Stock(0, 0)).units < keys:
            self.store.ingest(PLACES[1], new_block(), CUT)

    def reserve(self, keys: int) -> list[str]:
        """Return the names of keys that may be fetched."""
        wanted = [(str(uuid.uuid4()), 256) for _ in range(keys)]
        made: list[Assignment] = self.store.reserve(PLACES[1], wanted, master=MASTER, slave=SLAVE)
        names = [key.key_id for key in made]
        self.store.acknowledge(names)
        return names

    def whole_life(self, keys: int) -> None:
        """Promise and deliver keys."""
        for key in self.store.deliver(self.reserve(keys), role=Role.MASTER, sae=MASTER):
            wipe(key.material)


def open_sqlite(folder: Path) -> SqlKeyStore:
    """Return a new store."""
    return SqliteKeyStore.open(folder / "keys.db", PLACES[0], FileMasterKey.create(folder / "master"))


def new_block() -> Block:
    """Return a block of a megabit."""
    return Block(str(uuid.uuid4()), OsEntropy().draw(UNITS * UNIT_BYTES, "bench"), 1e-10)


def life_row(name: str, ours: Bench, peer: Bench | Plain, peer_name: str, batch: int, calls: int) -> Row:
    """Measure keys from promise to delivery in batches."""
    for side in (ours, peer):
        if isinstance(side, Bench):
            side.fill(9 * batch * calls)
    ours_s, peer_s = interleaved(
        repeated(lambda: ours.whole_life(batch), calls), repeated(lambda: peer.whole_life(batch), calls)
    )
    keys = batch * calls
    note = f"{ours_s / calls * 1e3:.2f} ms against {peer_s / calls * 1e3:.2f} ms a batch"
    return Row(f"{name}, {batch} at a time", keys / ours_s, keys / peer_s, "keys/s", peer_name, "", note)


def threads_row(bench: Bench, threads: int, calls: int) -> Row:
    """Measure single keys asked for by several threads, against one thread."""
    bench.fill(10 * 2 * threads * calls)

    def several() -> None:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda _: bench.whole_life(1), range(threads * calls)))

    ours, peer = interleaved(several, repeated(lambda: bench.whole_life(1), threads * calls), repeats=3)
    keys = threads * calls
    name = f"the same, one at a time, {threads} threads"
    return Row(name, keys / ours, keys / peer, "keys/s", "one thread", "", "commits are shared")


def postgres_rows(folder: Path, sqlite: Bench) -> list[Row]:
    """Measure PostgreSQL against SQLite, where there is a server."""
    if programs() is None:
        return []
    with running_server() as address:
        master, anchor = FileMasterKey.create(folder / "pg"), folder / "pg.anchor"
        with PostgresKeyStore.open(address, PLACES[0], master, anchor=anchor) as store:
            ours = Bench(store)
            sizes = ((1, 20), (100, 5))
            return [life_row("PostgreSQL", ours, sqlite, "ours in SQLite", batch, calls) for batch, calls in sizes]


def ingest_row(bench: Bench, repeats: int = 7) -> Row:
    """Measure blocks of a megabit."""
    times = []
    for _ in range(repeats):
        block = new_block()
        start = time.perf_counter()
        bench.store.ingest(PLACES[1], block, CUT)
        times.append(time.perf_counter() - start)
    median = statistics.median(times)
    return Row("ingest of a block of 1 Mbit", 1 / median, math.nan, "Mbit/s", "none", "above any link's rate")


def zeroize_row(folder: Path) -> Row:
    """Measure the zeroize of a store with a hundred blocks."""
    store = SqliteKeyStore.open(folder / "zero.db", PLACES[0], FileMasterKey.create(folder / "zero"))
    for _ in range(100):
        store.ingest(PLACES[1], new_block(), CUT)
    start = time.perf_counter()
    store.zeroize()
    took = time.perf_counter() - start
    return Row("zeroize, 100 Mbit of stock", 1 / took, math.nan, "1/s", "none", "within 1 s", f"{took:.3f} s")


def repeated(run: Callable[[], object], calls: int) -> Callable[[], None]:
    """Return a function that runs another ``calls`` times."""

    def loop() -> None:
        for _ in range(calls):
            run()

    return loop


def run() -> list[Row]:
    """Measure everything."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plain, bench = Plain(folder), Bench(open_sqlite(folder))
        with closing(bench.store), closing(plain.file):
            sizes = ((1, 50), (10, 20), (100, 10))
            life = "reserve, acknowledge, deliver"
            rows = [life_row(life, bench, plain, PEER, batch, calls) for batch, calls in sizes]
            rows += [threads_row(bench, 16, 10), ingest_row(bench), *postgres_rows(folder, bench)]
        return [*rows, zeroize_row(folder)]
