"""Kill a process that uses a key store again and again, and look what is left.

``python -m tests.unit.delivery.keystore.kill_worker FOLDER KILLS``; prints kills, keys handed out, and keys lost. Ends
with an error when a store breaks one of its promises. Children are forked from here, so that a kill costs no imports.
"""

import hashlib
import os
import re
import signal
import sys
import time
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path

import numpy as np

from faintlink.core.entropy import SeededEntropy
from faintlink.core.errors import KeyExhaustedError, KeyUnknownError
from faintlink.delivery.keystore.conformance_stock import CUT, HERE, MASTER, THERE, free, new_block, reserve
from faintlink.delivery.keystore.epochs import EpochLimits
from faintlink.delivery.keystore.model import Block, KeyState, Pool, Role
from faintlink.delivery.keystore.sqlite import SqliteKeyStore
from tests.unit.delivery.keystore.fault_worker import require_conserved
from tests.unit.delivery.keystore.stores import master_key

THREADS = 4
_NOTE = re.compile(r"^(\S+) ([0-9a-f]{64})$", re.MULTILINE)
MOST_KEYS = 6


def open_store(folder: Path) -> SqliteKeyStore:
    """Open or make the store."""
    where, limits = folder / "store" / "db", EpochLimits(blocks=1)
    return SqliteKeyStore.open(where, HERE, master_key(folder, HERE), limits=limits, ballast_bytes=0, room_bytes=0)


def live(folder: Path, seed: int) -> None:
    """Use the store from several threads until somebody kills this process."""
    journal = os.open(folder / "journal", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    # The kernel breaks a write off between two pages when the writer is killed: end the last line.
    os.write(journal, b"\n")
    store = open_store(folder)

    def one(thread: int) -> None:
        rng = np.random.default_rng((seed, thread))
        for turn in count():
            with suppress(KeyExhaustedError):
                use(store, rng, journal)
            if free(store, Pool.OURS) < THREADS * MOST_KEYS:
                block = new_block(100)
                material = SeededEntropy(block.block_id.encode()).draw(len(block.material), "block")
                store.ingest(THERE, Block(block.block_id, material, 1e-10), CUT)
            if thread == 0 and turn % 10 == 9:
                store.forget_epochs()

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(one, range(THREADS)))


def use(store: SqliteKeyStore, rng: np.random.Generator, journal: int) -> None:
    """Make some keys, give one up, and fetch the others; note what was fetched."""
    names = [key.key_id for key in reserve(store, *[256] * int(rng.integers(1, MOST_KEYS + 1)))]
    store.acknowledge(names)
    store.void(names[5:], reason="test")
    keys = store.deliver(names[:5], role=Role.MASTER, sae=MASTER)
    note(journal, {key.key_id: key.material for key in keys})
    if rng.integers(4) == 0:
        (unit,), material = store.take(THERE, Pool.RESERVE_OURS, 1, use="test")
        note(journal, {f"{unit.block}/{unit.number}": material})


def note(journal: int, handed: dict[str, bytearray]) -> None:
    """Note what was handed out."""
    lines = [f"{name} {hashlib.sha256(material).hexdigest()}\n" for name, material in handed.items()]
    os.write(journal, "".join(lines).encode())


def main(folder: Path, kills: int) -> None:
    """Kill, and check at the end."""
    (folder / "store").mkdir()
    open_store(folder).close()
    rng = np.random.default_rng(300)
    for kill in range(kills):
        child = os.fork()
        if not child:
            try:
                live(folder, kill)
            except BaseException:
                traceback.print_exc()
            os._exit(1)
        time.sleep(float(rng.uniform(0.005, 0.2)))
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        assert os.WIFSIGNALED(status), "it ended by itself: see its error above"
        if kill % 20 == 19:
            with open_store(folder) as store:
                require_conserved(folder, store)
    handed, lost = check(folder)
    assert lost <= kills * THREADS * MOST_KEYS, "more keys were lost than were on their way"
    print(kills, handed, lost)


def check(folder: Path) -> tuple[int, int]:
    """Return how many keys were handed out, and how many of these nobody got."""
    notes = _NOTE.findall((folder / "journal").read_text())
    names, digests = Counter(name for name, _ in notes), Counter(digest for _, digest in notes)
    assert max(names.values()) == 1, "a key was handed out twice"
    with open_store(folder) as store:
        require_conserved(folder, store)
    with open_store(folder) as store:
        noted = [name for name in names if "/" not in name]
        states = Counter(store.record(name).state for name in noted)
        assert set(states) <= {KeyState.DELIVERED}
        for name in noted[-50:]:
            with suppress(KeyUnknownError):
                store.deliver([name], role=Role.MASTER, sae=MASTER)
                raise AssertionError(f"{name} was handed out twice")
        open_keys = [record.assignment.key_id for record in store.waiting(THERE)]
        open_keys += [key.key_id for key in store.unsettled(THERE)]
        open_keys += [key.key_id for key in reserve(store, *[256] * free(store, Pool.OURS))]
        store.acknowledge(open_keys)
        digests.update(
            hashlib.sha256(key.material).hexdigest() for key in store.deliver(open_keys, role=Role.MASTER, sae=MASTER)
        )
        delivered = store.count_keys()[KeyState.DELIVERED]
    assert max(digests.values()) == 1, "bits were handed out twice"
    return len(noted), delivered - len(noted) - len(open_keys)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
