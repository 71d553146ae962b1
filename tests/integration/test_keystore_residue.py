"""What is left of a key that was handed out: nothing in the files, and no plaintext in the process."""

import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from faintlink.delivery.keystore.conformance_stock import CUT, HERE, THERE, fetch, free, new_block, reserve
from faintlink.delivery.keystore.epochs import EpochLimits
from faintlink.delivery.keystore.model import Pool, Role, UnitId
from tests.data import ROOT
from tests.unit.delivery.keystore.stores import master_key, open_sqlite

PIECE = 12
"""Bytes in a row that count as residue; by chance 1e-20 in all files."""


def residue(folder: Path, secrets: list[bytes]) -> dict[str, int]:
    """Return how many secrets each file holds a piece of."""
    found = {}
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        hits = sum(any(secret[at : at + PIECE] in data for at in (0, 10, 20)) for secret in secrets)
        if hits:
            found[path.name] = hits
    return found


def sealed(folder: Path, statement: str) -> list[bytes]:
    """Return rows of a store that is closed."""
    connection = sqlite3.connect(folder / f"{HERE}.db")
    rows = [bytes(row[0]) for row in connection.execute(statement)]
    connection.close()
    return rows


def test_neither_bits_nor_ciphertext_of_a_delivered_key_stay_in_the_files(tmp_path: Path) -> None:
    block, kept = new_block(100), new_block(20, seed=2)
    with open_sqlite(tmp_path, HERE, EpochLimits(blocks=1)) as store:
        store.ingest(THERE, block, CUT)
        store.ingest(THERE, kept, CUT)
    units = sealed(tmp_path, "SELECT sealed FROM units WHERE lot < 8")
    wrapped = sealed(tmp_path, "SELECT wrapped FROM epochs WHERE epoch = 1")
    assert len(units) == 100
    assert residue(tmp_path, units) == {f"{HERE}.db": 100}, "the scan finds what is there"
    with open_sqlite(tmp_path, HERE, EpochLimits(blocks=1)) as store:
        names = [key.key_id for key in reserve(store, *[256] * 45)]
        store.acknowledge(names)
    secrets = sealed(tmp_path, "SELECT sealed FROM secrets")
    with open_sqlite(tmp_path, HERE, EpochLimits(blocks=1)) as store:
        keys = [fetch(store, [name], Role.MASTER)[0] for name in names]
        before = residue(tmp_path, secrets)
        store.forget_epochs()
        assert residue(tmp_path, keys) == {}
        assert residue(tmp_path, secrets) == {}
        assert before.get(f"{HERE}.db-wal"), "the log held ciphertext, and was cut off"
        # The rest of the block goes too: then its epoch's key goes, and nothing could open older copies of its rows.
        store.retire(THERE, [UnitId(block.block_id, number) for number in range(100)], reason="test")
        assert store.forget_epochs() >= 1
        assert residue(tmp_path, units + wrapped) == {}
        assert free(store, Pool.OURS) > 0, "and what is left can still be used"
        reserve(store, 256)


def test_no_plaintext_of_the_stock_is_ever_in_the_files(tmp_path: Path) -> None:
    block = new_block(100)
    pieces = [block.material[at : at + 32] for at in range(0, len(block.material), 32)]
    with open_sqlite(tmp_path, HERE) as store:
        store.ingest(THERE, block, CUT)
        names = [key.key_id for key in reserve(store, *[256] * 45)]
        assert residue(tmp_path, pieces) == {}
        store.acknowledge(names)
        store.take(THERE, Pool.RESERVE_OURS, 5, use="test")
        fetch(store, names, Role.MASTER)
        store.backup(tmp_path / "backup")
        assert residue(tmp_path, pieces) == {}
    (tmp_path / "plain").write_bytes(block.material)
    assert residue(tmp_path, pieces) == {"plain": 100}


def memory_of(process: int) -> bytes:
    """Return what a process may write to; skip the test where nobody may look."""
    found = []
    try:
        maps = Path(f"/proc/{process}/maps").read_text()
        with Path(f"/proc/{process}/mem").open("rb", buffering=0) as memory:
            for first, last in re.findall(r"^([0-9a-f]+)-([0-9a-f]+) rw", maps, re.MULTILINE):
                memory.seek(int(first, 16))
                found.append(memory.read(int(last, 16) - int(first, 16)))
    except (PermissionError, FileNotFoundError):
        pytest.skip("the memory of another process cannot be read here")
    return b"".join(found)


def test_a_process_keeps_no_plaintext_of_what_it_handed_out(tmp_path: Path) -> None:
    block = new_block(400)
    with open_sqlite(tmp_path, HERE) as store:
        store.ingest(THERE, block, CUT)
        names = [key.key_id for key in reserve(store, *[256] * 100)]
        store.acknowledge(names)
        units = [store.record(name).assignment.units[0].number for name in names]
    keys = [block.material[32 * unit : 32 * unit + 32] for unit in units]
    command = [sys.executable, "-m", "tests.unit.delivery.keystore.residue_worker", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("".join(f"{name}\n" for name in names) + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "ready\n"
        memory = memory_of(process.pid)
        process.stdin.write("\n")
    assert process.returncode == 0
    assert names[0].encode() in memory, "the scan finds what is there"
    # Later ones may linger where the interpreter has not yet used the space again.
    assert [key for key in keys[:50] if key[:PIECE] in memory or key[-PIECE:] in memory] == []
    assert bytes(master_key(tmp_path, HERE).read()) not in memory
