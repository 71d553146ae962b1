"""Fill the disk under a key store and look what still works; ``LD_PRELOAD=faults.so``, see `fault_worker`."""

import ctypes
import sys
import time
from pathlib import Path

import pytest

from faintlink.core.errors import StoreError
from faintlink.delivery.keystore.anchor import Anchor
from faintlink.delivery.keystore.conformance_stock import CUT, MASTER, THERE, fetch, free, new_block, reserve
from faintlink.delivery.keystore.model import KeyState, Pool, Role, UnitId
from faintlink.delivery.keystore.sqlite import SqliteKeyStore
from tests.unit.delivery.keystore.fault_worker import open_store

NO_LIMIT = -1


def refuses(store: SqliteKeyStore, names: list[str]) -> None:
    """Raise unless a store on a full disk hands out and promises nothing, and loses nothing by being asked."""
    before = store.stock()
    for ask in (
        lambda: reserve(store, 256),
        lambda: store.ingest(THERE, new_block(seed=7), CUT),
        lambda: store.take(THERE, Pool.RESERVE_OURS, 1, use="test"),
        lambda: store.deliver(names[:1], role=Role.MASTER, sae=MASTER),
    ):
        with pytest.raises(StoreError, match="full"):
            ask()
    assert store.stock() == before
    assert store.record(names[0]).state is KeyState.READY


def main(folder: Path) -> None:
    """Fill, give up, free, fill, zeroize."""
    shim = ctypes.CDLL(None)
    below = str(folder / "store").encode()
    (folder / "store").mkdir()
    block = new_block(200)
    store = open_store(folder)
    store.ingest(THERE, block, CUT)
    names = [key.key_id for key in reserve(store, *[256] * 20)]
    store.acknowledge(names)
    store.forget_epochs()

    shim.fault_fill(below, ctypes.c_long(0))
    refuses(store, names)
    assert len(store.void(names[1:11], reason="test")) == 10
    assert store.retire(THERE, [UnitId(block.block_id, 199)], reason="test") == 1
    assert not (folder / "store" / "db.ballast").exists(), "nothing was given up for it"

    shim.fault_fill(below, ctypes.c_long(NO_LIMIT))
    assert len(fetch(store, names[:1], Role.MASTER)) == 1
    assert len(reserve(store, 256)) == 1
    store.close()
    store = open_store(folder)
    assert free(store, Pool.OURS) == 68
    assert (folder / "store" / "db.ballast").exists()

    (folder / "store" / "db.ballast").unlink()
    shim.fault_fill(below, ctypes.c_long(0))
    start = time.monotonic()
    store.zeroize()
    print(f"zeroized in {time.monotonic() - start:.3f} s")
    anchor = Anchor.open(folder / "store" / "db.anchor")
    assert not any(anchor.said.secret + anchor.said.old_secret)
    anchor.close()
    with pytest.raises(StoreError, match="zeroized"):
        open_store(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
