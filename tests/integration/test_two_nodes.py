"""Two nodes on the command line make the key that an analysis of both sides' files would make."""

import hashlib
import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from faintlink.acquisition.launch import take_run
from faintlink.acquisition.shipped import shipped_link
from faintlink.core.config.loader import load_link
from faintlink.core.entropy import OsEntropy
from faintlink.core.runfile.folder import open_run
from faintlink.core.symbols import Party
from faintlink.postprocess.keystore import FileKeyStore
from faintlink.postprocess.pipeline import process
from tests.cli import faintlink

RUN_NODE = [sys.executable, "-c", "from faintlink.core.cli import main; main()", "node"]


@pytest.fixture(scope="module")
def link_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the demo link with short blocks beside its station."""
    folder = tmp_path_factory.mktemp("link")
    shipped = shipped_link("demo")
    shutil.copy(shipped.with_name("demo.station.yaml"), folder)
    text = shipped.read_text().replace("block_s: 10.0", "block_s: 4.0")
    (folder / "demo.link.yaml").write_text(text)
    return folder / "demo.link.yaml"


@pytest.fixture(scope="module")
def run(link_file: Path) -> Path:
    """Return a run of two blocks."""
    folder = link_file.parent / "run"
    take_run(link_file, folder, duration_s=8.3)
    return folder


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_both_nodes_make_the_keys_of_an_analysis(
    link_file: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert faintlink(capsys, "node", "init", link_file, "--out", tmp_path / "homes").code == 0
    address = f"127.0.0.1:{free_port()}"
    nodes = {}
    for party, option in ((Party.ALICE, "--listen"), (Party.BOB, "--connect")):
        # Each site holds its own file only.
        own = tmp_path / "site" / party
        own.mkdir(parents=True)
        shutil.copy(run / f"{party}-0000.h5", own)
        arguments = [party, link_file, "--home", tmp_path / "homes" / party, "--run", own, option, address]
        nodes[party] = subprocess.Popen([*RUN_NODE, *map(str, arguments)], stdout=subprocess.PIPE, text=True)
    said = {party: node.communicate(timeout=100)[0] for party, node in nodes.items()}
    assert [node.returncode for node in nodes.values()] == [0, 0]
    assert said[Party.BOB].count("secret bits") == 2
    stores = [FileKeyStore(tmp_path / "homes" / party / "keys") for party in nodes]
    assert stores[0].key_ids() == stores[1].key_ids()
    assert len(stores[0].key_ids()) == 2
    assert all(stores[0].get(key).data == stores[1].get(key).data for key in stores[0].key_ids())
    about = [stores[1].about(key) for key in stores[1].key_ids()]
    assert not any(entry["usable"] for entry in about), "keys of a simulation protect nothing"
    own = tmp_path / "site/bob/bob-0000.h5"
    assert {entry["run_files_sha256"] for entry in about} == {hashlib.sha256(own.read_bytes()).hexdigest()}
    analysis = process(open_run([run]), load_link(link_file), OsEntropy())
    lines = (tmp_path / "homes/bob/journals").glob("*.jsonl")
    told = {entry["block"]: entry for line in next(lines).read_text().splitlines() for entry in [json.loads(line)]}
    for block in analysis.blocks:
        assert told[block.number]["sifted_bits"] == block.counts.key.bits
        assert told[block.number]["qber_key"] == block.counts.key.rate
        # The leak of a random reconciliation differs a little, and so does the length.
        assert told[block.number]["key_bits"] == pytest.approx(block.key_bits, rel=0.03)


def test_a_link_without_a_share_for_authentication_is_refused(
    link_file: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = tmp_path / "bare.link.yaml"
    bare.write_text("\n".join(line for line in link_file.read_text().splitlines() if "eps_auth" not in line))
    faintlink(capsys, "node", "init", bare, "--out", tmp_path / "homes")
    seen = faintlink(capsys, "node", "bob", bare, "--home", tmp_path / "homes/bob", "--run", run)
    assert seen.code == 2
    assert "set security: eps_auth" in seen.err


def test_an_address_that_is_none_is_refused(
    link_file: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = faintlink(capsys, "node", "bob", link_file, "--home", tmp_path, "--run", run, "--connect", "nowhere")
    assert seen.code == 2
    assert "HOST:PORT" in seen.err


def test_the_demo_of_two_nodes_leaves_one_key_in_two_homes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen = faintlink(capsys, "demo", "--two-nodes", "--out", tmp_path / "two")
    assert seen.code == 0, seen.err
    keys = [sorted((tmp_path / "two/homes" / party / "keys").glob("*.key")) for party in ("alice", "bob")]
    assert [key.name for key in keys[0]] == [key.name for key in keys[1]]
    assert keys[0][0].read_bytes() == keys[1][0].read_bytes()


def test_nodes_refuse_an_attacked_block_and_say_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen = faintlink(capsys, "demo", "--two-nodes", "--attack", "scramble", "--out", tmp_path / "two")
    assert seen.code == 4
    assert "QberTooHighError" in seen.err
    assert not list((tmp_path / "two/homes").glob("*/keys/*.key"))
