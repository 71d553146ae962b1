"""Let the k-th write or sync of a key store fail, for one k after the other, and look what is left each time.

``LD_PRELOAD=faults.so python -m tests.unit.delivery.keystore.fault_worker FOLDER SCRIPT KIND FIRST STEP``; prints the
number of faults that struck. Ends with an error when a store breaks one of its promises.
"""

import ctypes
import errno
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import sys
import traceback
from collections import Counter
from contextlib import suppress
from pathlib import Path

from faintlink.core.errors import KeyUnknownError, StoreError
from faintlink.delivery.keystore import sqlite_database
from faintlink.delivery.keystore.conformance_stock import CUT, HERE, MASTER, THERE, free, new_block, reserve
from faintlink.delivery.keystore.epochs import EpochLimits
from faintlink.delivery.keystore.model import Pool, Role, UnitId
from faintlink.delivery.keystore.sqlite import SqliteKeyStore
from tests.unit.delivery.keystore.stores import master_key

DIE, TEAR = 0, -1
KINDS = {
    "error": (errno.EIO, False),
    "errors": (errno.EIO, True),
    "full": (errno.ENOSPC, False),
    "full for good": (errno.ENOSPC, True),
    "death": (DIE, False),
    "torn write": (TEAR, False),
}
BLOCKS = [new_block(units, seed=seed) for seed, units in enumerate((20, 60, 40))]


def open_store(folder: Path) -> SqliteKeyStore:
    """Open or make the store, without the limit on free space."""
    return SqliteKeyStore.open(
        folder / "store" / "db",
        HERE,
        master_key(folder, HERE),
        limits=EpochLimits(blocks=1),
        ballast_bytes=2**16,
        room_bytes=0,
    )


class Journal:
    """What was handed out, outside of the faults' reach."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def note(self, name: str, material: bytes | bytearray) -> None:
        """Note a key or a unit."""
        with self.path.open("a") as file:
            file.write(f"{name} {hashlib.sha256(material).hexdigest()}\n")

    def entries(self) -> list[tuple[str, str]]:
        """Return the notes."""
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        return [(name, digest) for name, digest in (line.split() for line in lines)]


def deliver(store: SqliteKeyStore, name: str, journal: Journal) -> None:
    """Fetch a key and note it."""
    (key,) = store.deliver([name], role=Role.MASTER, sae=MASTER)
    journal.note(name, key.material)


def use(folder: Path, journal: Journal) -> None:
    """Do everything that a store can do."""
    store = open_store(folder)
    names = ["none", "none", "none", "none"]
    try:
        names = [key.key_id for key in reserve(store, *[256] * 4)]
        store.acknowledge(names)
        deliver(store, names[0], journal)
        units, material = store.take(THERE, Pool.RESERVE_OURS, 1, use="test")
        journal.note(units[0].block, material)
        store.void(names[1:2], reason="test")
        store.retire(THERE, [UnitId(BLOCKS[0].block_id, number) for number in range(20)], reason="test")
        deliver(store, names[2], journal)
        store.forget_epochs()
        store.ingest(THERE, BLOCKS[2], CUT)
        (key,) = reserve(store, 256)
        store.acknowledge([key.key_id])
        deliver(store, key.key_id, journal)
    except StoreError:
        # One that goes on in spite of an error must keep its promises too.
        with suppress(StoreError, KeyUnknownError):
            deliver(store, names[3], journal)
        raise
    finally:
        store.close()


def create(folder: Path, journal: Journal) -> None:
    """Make a new store and put blocks in."""
    with open_store(folder) as store:
        for block in BLOCKS[:2]:
            store.ingest(THERE, block, CUT)
        (key,) = reserve(store, 256)
        store.acknowledge([key.key_id])
        deliver(store, key.key_id, journal)


def tidy(folder: Path, journal: Journal) -> None:
    """Do everything, and cut the log off after each change."""
    sqlite_database.TIDY_S = -1.0
    use(folder, journal)


SCRIPTS = {"use": use, "create": create, "tidy": tidy}


def strike(folder: Path, journal: Journal, kth: int, script: str, kind: str) -> bool:
    """Use the store with a fault at its k-th write, and return whether it struck."""
    shim = ctypes.CDLL(None)
    how, is_sticky = KINDS[kind]
    child = os.fork()
    if not child:
        shim.fault_arm(str(folder / "store").encode(), ctypes.c_long(kth), how, is_sticky)
        try:
            with suppress(StoreError):
                SCRIPTS[script](folder, journal)
        except BaseException:
            traceback.print_exc()
            os._exit(2)
        os._exit(0 if shim.fault_seen() < kth else 1)
    status = os.waitpid(child, 0)[1]
    if how in (DIE, TEAR) and os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WIFEXITED(status), f"{kind} at {kth}: ended with {status}"
    assert os.WEXITSTATUS(status) in (0, 1), f"{kind} at {kth}: another error than a StoreError"
    return os.WEXITSTATUS(status) == 1


def check(folder: Path, journal: Journal) -> None:
    """Raise unless everything is there once and nothing is handed out twice."""
    with open_store(folder) as store:
        for name, _ in journal.entries():
            with suppress(KeyUnknownError):
                store.deliver([name], role=Role.MASTER, sae=MASTER)
                raise AssertionError(f"{name} was handed out twice")
        names = [record.assignment.key_id for record in store.waiting(THERE)]
        names += [key.key_id for key in (*store.unsettled(THERE), *reserve(store, *[256] * free(store, Pool.OURS)))]
        store.acknowledge(names)
        for name in names:
            deliver(store, name, journal)
        left = free(store, Pool.RESERVE_OURS)
        if left:
            units, material = store.take(THERE, Pool.RESERVE_OURS, left, use="test")
            for at, unit in enumerate(units):
                journal.note(unit.block, material[32 * at : 32 * at + 32])
    handed = Counter(digest for _, digest in journal.entries())
    assert max(handed.values()) == 1, "bits were handed out twice"
    there = {
        hashlib.sha256(b.material[at : at + 32]).hexdigest() for b in BLOCKS for at in range(0, len(b.material), 32)
    }
    assert handed.keys() <= there, "bits were handed out that never came in"


def require_conserved(folder: Path, store: SqliteKeyStore) -> None:
    """Raise unless each unit is in the stock, in a key, or in a use, and only there."""
    ledgers = store.ledger(THERE)
    found = Counter[tuple[str, int]]()
    for ledger in ledgers:
        bits = int.from_bytes(ledger.free)
        found.update((ledger.block, n) for n in range(ledger.units) if bits >> (8 * len(ledger.free) - 1 - n) & 1)
    store.close()
    connection = sqlite3.connect(folder / "store" / "db")
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    for table in ("keys", "uses"):
        for (text,) in connection.execute(f"SELECT units FROM {table}"):
            found.update((block, number) for block, numbers in json.loads(text) for number in numbers)
    there = dict(connection.execute("SELECT block, units FROM blocks"))
    connection.close()
    assert found == Counter({(block, number): 1 for block, units in there.items() for number in range(units)})


def main(top: Path, script: str, kind: str, first: int, step: int) -> None:
    """Sweep until no fault strikes."""
    template = top / "template"
    (template / "store").mkdir(parents=True)
    master_key(template, HERE)
    if script != "create":
        with open_store(template) as store:
            for block in BLOCKS[:2]:
                store.ingest(THERE, block, CUT)
    struck, kth, has_struck = 0, first, True
    while has_struck:
        folder = top / str(kth)
        shutil.copytree(template, folder)
        journal = Journal(folder / "journal")
        has_struck = strike(folder, journal, kth, script, kind)
        with open_store(folder) as store:
            for block in BLOCKS[:2]:
                store.ingest(THERE, block, CUT)
            require_conserved(folder, store)
        check(folder, journal)
        shutil.rmtree(folder)
        struck += has_struck
        kth += step
    print(struck)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
