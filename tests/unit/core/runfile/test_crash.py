"""A writer killed at any moment loses nothing that it had committed, and readers never stand in its way."""

import hashlib
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from faintlink.core.runfile.folder import open_run
from faintlink.core.runfile.reader import RunFileReader
from faintlink.core.runfile.recover import recover
from faintlink.core.runfile.writer import RunFileWriter
from faintlink.core.symbols import Party
from tests.data import ROOT
from tests.runfile_writer import expected_block
from tests.runs import TAGS, header, tag_blocks

SCRIPT = ROOT / "tests" / "runfile_writer.py"


def start_writer(
    path: Path, *, blocks: int = 100_000, pause_s: float = 0.0, mode: str = "leave"
) -> subprocess.Popen[str]:
    arguments = [sys.executable, str(SCRIPT), str(path), str(blocks), str(pause_s), mode]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def kill_after(writer: subprocess.Popen[str], seconds: float) -> int:
    """Kill the writer some time after its first commit; return how many blocks it acknowledged."""
    assert writer.stdout is not None
    assert writer.stdout.readline() == "0\n"
    time.sleep(seconds)
    writer.kill()
    rest = writer.stdout.read().splitlines(keepends=True)
    writer.wait()
    writer.stdout.close()
    # The last line may be cut in the middle of its number.
    return 1 + sum(line.endswith("\n") for line in rest)


def assert_blocks_are_right(path: Path, at_least: int) -> int:
    with RunFileReader(path) as reader:
        stream = reader.streams["tags"]
        assert len(stream.index) >= at_least
        for number, block in enumerate(stream.blocks()):
            wanted = expected_block(number)
            assert block.columns[0].tobytes() == wanted.times_ps.tobytes()
            assert block.columns[1].tobytes() == wanted.channels.tobytes()
        return len(stream.index)


def kill_and_recover(folder: Path, trials: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for trial in range(trials):
        path, target = folder / f"{trial}.h5", folder / f"{trial}.recovered.h5"
        acknowledged = kill_after(start_writer(path), float(rng.uniform(0.0, 0.25)))
        before = hashlib.sha256(path.read_bytes()).digest()
        found = assert_blocks_are_right(path, acknowledged)
        report = recover(path, target)
        assert report.is_complete
        assert assert_blocks_are_right(target, acknowledged) == found
        with h5py.File(target, "r") as file:
            assert file.attrs["status"].strip() == b"recovered"
        assert hashlib.sha256(path.read_bytes()).digest() == before


def test_a_killed_writer_loses_nothing_it_acknowledged(tmp_path: Path) -> None:
    kill_and_recover(tmp_path, trials=10, seed=1)


@pytest.mark.slow
def test_twenty_five_killed_writers_lose_nothing_they_acknowledged(tmp_path: Path) -> None:
    kill_and_recover(tmp_path, trials=25, seed=2)


@pytest.mark.parametrize("seed", range(6))
def test_a_run_killed_while_it_rotates_its_files_is_opened_by_its_folder(tmp_path: Path, seed: int) -> None:
    folder = tmp_path / "run"
    acknowledged = kill_after(start_writer(folder, mode="rotate"), np.random.default_rng(seed).uniform(0.0, 0.2))
    blocks = list(open_run([folder])[Party.BOB].tags())
    assert len(blocks) >= acknowledged
    for number, block in enumerate(blocks):
        assert block.times_ps.tobytes() == expected_block(number).times_ps.tobytes()


def test_a_file_that_hdf5_refuses_is_recovered_from_its_mended_superblock(tmp_path: Path) -> None:
    path, target = tmp_path / "a.h5", tmp_path / "b.h5"
    acknowledged = kill_after(start_writer(path), 0.02)
    with pytest.raises(OSError, match="already open for write"):
        h5py.File(path, "r")
    with RunFileReader(path, repaired=True) as reader:
        assert len(reader.streams["tags"].index) >= acknowledged
    recover(path, target)
    assert_blocks_are_right(target, acknowledged)


def test_a_growing_file_is_followed_from_another_process(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    writer = start_writer(path, blocks=60, pause_s=0.003, mode="seal")
    assert writer.stdout is not None
    assert writer.stdout.readline() == "0\n"
    seen = 0
    with RunFileReader(path) as reader:
        stream = reader.streams["tags"]
        deadline = time.monotonic() + 30
        while seen < 60 and time.monotonic() < deadline:
            stream.refresh()
            for block in stream.blocks(seen):
                assert block.columns[0].tobytes() == expected_block(seen).times_ps.tobytes()
                seen += 1
    writer.stdout.read()
    writer.stdout.close()
    assert writer.wait() == 0
    assert seen == 60


def test_opening_a_growing_file_again_and_again_never_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    writer = start_writer(path, blocks=200, mode="seal")
    assert writer.stdout is not None
    assert writer.stdout.readline() == "0\n"
    opened = 0
    while writer.poll() is None:
        assert_blocks_are_right(path, 1)
        opened += 1
    writer.stdout.close()
    assert writer.returncode == 0
    assert opened > 0
    assert assert_blocks_are_right(path, 200) == 200


def test_a_reader_does_not_hinder_the_seal(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    writer = RunFileWriter(path, header=header(), streams=[TAGS], context={})
    writer.append_tags("tags", tag_blocks([10])[0])
    writer.commit()
    # In another process: within one, HDF5 shares the open file and its locks.
    script = (
        "import sys, pathlib; from faintlink.core.runfile.reader import RunFileReader as R\n"
        "r = R(pathlib.Path(sys.argv[1])); print(r.header.status, flush=True); input()\n"
        "print(r.streams['tags'].refresh(), r.streams['tags'].rows)"
    )
    reader = subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert reader.stdout is not None
    assert reader.stdout.readline() == "recording\n"
    writer.append_tags("tags", tag_blocks([10, 20])[1])
    writer.seal()
    assert reader.communicate("\n")[0] == "1 30\n"
    with h5py.File(path, "r") as file:
        assert file.attrs["status"].strip() == b"closed"


def test_nothing_is_seen_of_a_file_before_its_header_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[Path]] = []

    def spy(*_: object) -> None:
        seen.append(list(tmp_path.glob("*.h5")))

    monkeypatch.setattr("faintlink.core.runfile.writer._write_context", spy)
    RunFileWriter(tmp_path / "a.h5", header=header(), streams=[TAGS], context={}).abandon()
    assert seen == [[]]
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]
