"""Two node processes are killed at random: both hold a key, or neither does."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from faintlink.core.symbols import Party
from faintlink.postprocess.node.home import NodeHome, create_homes

ROOT = Path(__file__).resolve().parents[2]
PARTIES = (Party.ALICE, Party.BOB)


def start(party: Party, folder: Path, port: int, blocks: int) -> "subprocess.Popen[bytes]":
    """Start one node."""
    with (folder / f"{party}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.node_process", party, str(folder / party), str(port), str(blocks)],
            cwd=ROOT,
            stdout=log,
            stderr=log,
        )


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("blocks", "kills"), [(80, 2), pytest.param(10_000, 150, marks=pytest.mark.slow)], ids=["80", "10000"]
)
def test_nodes_killed_at_random_hold_the_same_keys(tmp_path: Path, blocks: int, kills: int) -> None:
    folder = tmp_path / "homes"
    create_homes(folder, link_id="kill test", seals=4096)
    port = free_port()
    nodes = {party: start(party, folder, port, blocks) for party in PARTIES}
    rng = np.random.default_rng(8)
    deadline = time.monotonic() + 3000
    killed = 0
    # Kills end when as many happened, or when the blocks are through.
    while any(node.poll() is None for node in nodes.values()):
        assert time.monotonic() < deadline, (folder / "bob.log").read_text()[-2000:]
        time.sleep(float(rng.uniform(1.0, 3.0)) if killed < kills else 0.2)
        for party in PARTIES:
            if killed < kills and rng.random() < 0.6 and nodes[party].poll() is None:
                os.kill(nodes[party].pid, signal.SIGKILL)
                nodes[party].wait()
                nodes[party] = start(party, folder, port, blocks)
                killed += 1
    for party, node in nodes.items():
        assert node.returncode == 0, (folder / f"{party}.log").read_text()[-2000:]
    alice, bob = (NodeHome.open(folder / party, party).store() for party in PARTIES)
    assert alice.key_ids() == bob.key_ids()
    assert alice.prepared() == bob.prepared() == []
    different = [key for key in alice.key_ids() if alice.get(key).data != bob.get(key).data]
    assert different == []
    by_block = [alice.about(key)["block"] for key in alice.key_ids()]
    assert len(by_block) == len(set(by_block)), "a block was distilled twice"
    # A kill loses the blocks in flight, at most four of them, and those begun while the other was away.
    assert len(by_block) > blocks - 12 * killed - 1
    assert killed > 0
    print(f"{blocks} blocks, {killed} kills: {len(by_block)} keys on both sides")
