"""The writer process: commits, rotation, and what is left when things go wrong."""

import errno
import json
import os
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import numpy as np
import pytest

from faintlink.acquisition.disk import as_runfile_error
from faintlink.acquisition.recorder import Recorder
from faintlink.acquisition.writer_plan import PartyPlan, WriterPlan
from faintlink.core.errors import RunExistsError, RunfileError, TagOrderError
from faintlink.core.runfile.folder import PartyRecording
from faintlink.core.runfile.reader import RunFileReader
from faintlink.core.runfile.recover import default_target, recover
from faintlink.core.runfile.schema import StreamSpec
from faintlink.core.symbols import Party
from faintlink.core.tags import TagBlock
from tests.acquisition_fakes import STEP_PS, all_tags, eventually, numbered, recorded

ROWS = 4096


def plan(folder: Path, **changes: float) -> WriterPlan:
    bob = PartyPlan(Party.BOB, (StreamSpec("tags", "tags"),), {"link": "text"})
    alice = PartyPlan(Party.ALICE, (StreamSpec("settings", "settings"),), {})
    return WriterPlan(folder, "run-1", (bob, alice), **{"commit_s": 0.05, **changes})  # type: ignore[arg-type] # a mix


@contextmanager
def recording(folder: Path, **changes: float) -> Iterator[Recorder]:
    with Recorder(plan(folder, **changes), blocks=8, block_rows=ROWS) as recorder:
        recorder.start()
        yield recorder


def feed(recorder: Recorder, first: int, blocks: int, rows: int = ROWS) -> int:
    """Send blocks of numbered tags; return the number of the next tag."""
    ring = recorder.producer(Party.BOB, "tags")
    for n in range(blocks):
        ring.put_patiently(numbered(first + n * rows, rows), wait_s=20.0)
    return first + blocks * rows


def check_until_it_fails(recorder: Recorder) -> None:
    """Look after the process until it reports a fault."""
    while True:
        recorder.check()
        time.sleep(0.01)


def committed(folder: Path, name: str = "bob-0000.h5") -> int:
    with RunFileReader(folder / name) as reader:
        return reader.streams["tags"].rows


def test_what_was_sent_is_what_is_sealed(tmp_path: Path) -> None:
    with recording(tmp_path / "run") as recorder:
        count = feed(recorder, 0, 5)
        slots = TagBlock(np.arange(9, dtype=np.int64), np.arange(9, dtype=np.uint8))
        recorder.producer(Party.ALICE, "settings").put(slots)
        recorder.note("hello", party=Party.BOB)
        report = recorder.seal()
    parties = recorded(tmp_path / "run")
    np.testing.assert_array_equal(all_tags(parties[Party.BOB]).times_ps, np.arange(count) * STEP_PS)
    ((slot, code),) = parties[Party.ALICE].settings()
    np.testing.assert_array_equal(slot, np.arange(9))
    np.testing.assert_array_equal(code, np.arange(9))
    assert report.rows == {"bob/tags": count, "alice/settings": 9}
    assert set(report.files) == {"bob-0000.h5", "alice-0000.h5"}
    with RunFileReader(tmp_path / "run" / "bob-0000.h5") as reader:
        assert reader.header.status == "closed"
        assert reader.streams["events"].read_block(0).columns[2].tolist() == [b"hello"]
    manifest = json.loads((tmp_path / "run" / "run.json").read_text())
    assert manifest["status"] == "closed"


def test_a_tag_is_readable_while_the_run_goes_on(tmp_path: Path) -> None:
    with recording(tmp_path / "run") as recorder:
        feed(recorder, 0, 1, rows=10)
        assert eventually(lambda: committed(tmp_path / "run") == 10)
        feed(recorder, 10, 1, rows=10)
        assert eventually(lambda: committed(tmp_path / "run") == 20)
        recorder.seal()


def test_files_rotate_and_no_block_is_lost_between_them(tmp_path: Path) -> None:
    with recording(tmp_path / "run", rotate_bytes=200_000, commit_s=0.001) as recorder:
        count = feed(recorder, 0, 40)
        report = recorder.seal()
    assert len([name for name in report.files if name.startswith("bob")]) > 1
    np.testing.assert_array_equal(all_tags(recorded(tmp_path / "run")[Party.BOB]).times_ps, np.arange(count) * STEP_PS)


def test_an_existing_run_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "precious").write_text("data")
    with Recorder(plan(tmp_path / "run"), blocks=2, block_rows=16) as recorder, pytest.raises(RunExistsError):
        recorder.start()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["precious"]


def test_after_a_kill_every_committed_tag_is_readable(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with recording(folder) as recorder:
        feed(recorder, 0, 3)
        assert eventually(lambda: committed(folder) == 3 * ROWS)
        assert recorder.pid is not None
        os.kill(recorder.pid, signal.SIGKILL)
        with pytest.raises(RunfileError, match="killed by SIGKILL"):
            check_until_it_fails(recorder)
        with pytest.raises(RunfileError, match="writer process has ended"):
            feed(recorder, 3 * ROWS, 20)
    path = folder / "bob-0000.h5"
    assert recover(path, default_target(path)).rows["tags"] == 3 * ROWS
    np.testing.assert_array_equal(all_tags(recorded_without_alice(folder)).times_ps, np.arange(3 * ROWS) * STEP_PS)


def recorded_without_alice(folder: Path) -> PartyRecording:
    (folder / "alice-0000.h5").unlink()
    return recorded(folder)[Party.BOB]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_ends_a_group_of_processes_is_left_to_the_parent(tmp_path: Path, number: signal.Signals) -> None:
    with recording(tmp_path / "run") as recorder:
        assert recorder.pid is not None
        os.kill(recorder.pid, number)
        count = feed(recorder, 0, 3)
        assert recorder.seal().rows["bob/tags"] == count


def test_a_recorder_that_is_closed_without_a_seal_still_gets_its_files_sealed(tmp_path: Path) -> None:
    with recording(tmp_path / "run") as recorder:
        count = feed(recorder, 0, 3)
    manifest = tmp_path / "run" / "run.json"
    assert eventually(lambda: json.loads(manifest.read_text())["status"] == "closed")
    assert len(all_tags(recorded(tmp_path / "run")[Party.BOB])) == count


def test_a_full_disk_ends_in_a_clear_error_and_keeps_what_was_committed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with Recorder(plan(folder), blocks=8, block_rows=ROWS) as recorder:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        # The limit of the writer's files stands in for a disk; HDF5 sees the failing write either way.
        resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, before[1]))
        try:
            recorder.start()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        count = feed(recorder, 0, 3)
        assert eventually(lambda: committed(folder) == count)
        with pytest.raises(RunfileError):
            feed(recorder, count, 10_000)
        with pytest.raises(RunfileError, match="is full"):
            check_until_it_fails(recorder)
    path = folder / "bob-0000.h5"
    report = recover(path, default_target(path))
    assert report.is_complete
    assert report.rows["tags"] >= count
    with RunFileReader(default_target(path)) as reader:
        times = np.concatenate([block.columns[0] for block in reader.streams["tags"].blocks()])
    np.testing.assert_array_equal(times, np.arange(report.rows["tags"]) * STEP_PS)


def test_a_run_ends_with_sealed_files_before_the_disk_is_full(tmp_path: Path) -> None:
    with recording(tmp_path / "run", reserve_bytes=1 << 60, sync_s=0.2) as recorder:
        feed(recorder, 0, 2)
        with pytest.raises(RunfileError, match="is full"):
            check_until_it_fails(recorder)
    assert len(all_tags(recorded(tmp_path / "run")[Party.BOB])) == 2 * ROWS


def test_tags_that_run_backwards_are_refused_and_the_file_is_sealed(tmp_path: Path) -> None:
    with recording(tmp_path / "run") as recorder:
        feed(recorder, 10 * ROWS, 2)
        feed(recorder, 0, 1)
        with pytest.raises(TagOrderError):
            recorder.seal()
    assert len(all_tags(recorded(tmp_path / "run")[Party.BOB])) == 2 * ROWS


def test_the_shared_memory_has_no_name_once_the_writer_has_it(tmp_path: Path) -> None:
    with recording(tmp_path / "run") as recorder:
        with pytest.raises(FileNotFoundError):
            SharedMemory(recorder._rings[0].end.name)
        recorder.seal()


def test_the_writer_imports_no_instruments_and_not_the_callers_script() -> None:
    import subprocess
    import sys

    code = "import sys, faintlink.acquisition.writer_process; print(*(set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"qcodes", "numba", "scipy", "pydantic", "rich", "faintlink.instruments"}
    assert not heavy & set(loaded)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "is full"),
        (OSError("Can't write data (file write failed: errno = 28, error message = 'No space left')"), "is full"),
        (RuntimeError("Unable to flush (errno = 27, 'File too large')"), "is full"),
        (OSError(errno.EIO, "Input/output error"), "cannot be written"),
    ],
)
def test_errors_of_hdf5_and_of_the_system_become_one_clear_error(error: Exception, said: str) -> None:
    assert said in as_runfile_error(error, Path("run")).message
