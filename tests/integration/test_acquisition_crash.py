"""Runs that are interrupted or killed from outside: a real process, real signals, real files."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from faintlink.core.runfile.reader import RunFileReader
from faintlink.core.runfile.recover import default_target, recover
from faintlink.core.symbols import Party
from tests.acquisition_fakes import STEP_PS, all_tags, eventually, recorded
from tests.data import ROOT

SCRIPT = """
import signal
import sys
# A suite that was started in the background passes on that it ignores Ctrl-C; a lab's script is started by hand.
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
import click
from faintlink.core import cli
from faintlink.acquisition.launch import in_words, terminate_as_interrupt
from faintlink.acquisition.run import Run
from tests.acquisition_fakes import *

# Neither a guard for __main__ nor a light import: a lab's script as it comes.
def take(folder, slow_s):
    lab = FakeStation(pattern=FakeSender(), tagger=FakeTagger(FakeStream(rate_hz=100_000.0)))
    analysis = FakeAnalysis(every=50, slow_s=slow_s)
    run = Run(fake_link(), lab, folder, analysis=analysis, context={}, expected_rate_hz=1.0)
    with terminate_as_interrupt(), run:
        return run.execute(3600.0, lambda status: print(run._recorder.pid, status.tags, flush=True))

@click.command()
@click.argument("folder", type=Path)
@click.argument("slow", type=float)
def take_run(folder, slow):
    report = take(folder, slow)
    print(in_words(report))
    return 130 if report.interrupted else 0

cli.cli = take_run
sys.exit(cli.run(sys.argv[1:]))
"""


class Recording:
    """A run in a process group of its own."""

    def __init__(self, process: "subprocess.Popen[str]", folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.writer_pid = 0

    def wait_for_tags(self, count: int = 20_000) -> None:
        """Wait until the writer was handed so many tags and has committed some."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            words = line.split()
            self.writer_pid = int(words[0])
            if int(words[1]) >= count:
                break
        assert eventually(lambda: self.committed() > 0)

    def committed(self) -> int:
        """Return the tags that a reader may trust now."""
        with RunFileReader(self.folder / "bob-0000.h5") as reader:
            return reader.streams["tags"].rows

    def end(self) -> tuple[int, str, str]:
        """Return exit code, standard output and standard error."""
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err

    def is_closed(self) -> bool:
        """Return whether the manifest says that the run is sealed."""
        return bool(json.loads((self.folder / "run.json").read_text())["status"] == "closed")


@contextmanager
def recording(tmp_path: Path, *, slow_s: float = 0.0) -> Iterator[Recording]:
    script = tmp_path / "lab.py"
    script.write_text(SCRIPT)
    folder = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-W", "error", str(script), str(folder), str(slow_s)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        yield Recording(process, folder)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def assert_whole(folder: Path) -> int:
    """Check that both parties' files are sealed, and the tags without a hole; return the number of tags."""
    parties = recorded(folder)
    tags = all_tags(parties[Party.BOB])
    np.testing.assert_array_equal(tags.times_ps, np.arange(len(tags)) * STEP_PS)
    slots = np.concatenate([slot for slot, _ in parties[Party.ALICE].settings()])
    codes = np.concatenate([code for _, code in parties[Party.ALICE].settings()])
    np.testing.assert_array_equal(codes, slots % 16)
    for name in ("alice-0000.h5", "bob-0000.h5"):
        with RunFileReader(folder / name) as reader:
            assert reader.header.status == "closed"
    return len(tags)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_is_sealed_and_exits_with_130(tmp_path: Path, signum: signal.Signals) -> None:
    with recording(tmp_path) as run:
        run.wait_for_tags()
        # As a terminal and `timeout` do it: to the whole process group, the writer included.
        os.killpg(run.process.pid, signum)
        code, out, err = run.end()
    assert code == 130
    assert "(interrupted)" in out
    assert err == ""
    count = assert_whole(run.folder)
    assert f"{count} tags in" in out
    with RunFileReader(run.folder / "bob-0000.h5") as reader:
        last = list(reader.streams["events"].blocks())[-1].columns[2][-1]
    assert last == b"stop: interrupted by the operator"


def test_a_second_ctrl_c_gives_up_waiting_and_the_files_are_still_sealed(tmp_path: Path) -> None:
    with recording(tmp_path, slow_s=0.3) as run:
        run.wait_for_tags()
        os.killpg(run.process.pid, signal.SIGINT)
        # The analysis is slow enough that the run is still catching up.
        assert not eventually(lambda: run.process.poll() is not None, within_s=0.5)
        os.killpg(run.process.pid, signal.SIGINT)
        code, _, err = run.end()
    assert code == 130
    assert err.strip() == "interrupted"
    assert eventually(run.is_closed)
    assert assert_whole(run.folder) >= 20_000


def test_when_the_recording_program_is_killed_the_writer_seals(tmp_path: Path) -> None:
    with recording(tmp_path) as run:
        run.wait_for_tags()
        committed = run.committed()
        run.process.kill()
        assert eventually(run.is_closed)
    assert assert_whole(run.folder) >= committed
    with RunFileReader(run.folder / "bob-0000.h5") as reader:
        last = list(reader.streams["events"].blocks())[-1].columns[2][-1]
    assert b"ended without stopping" in last


def test_when_the_writer_is_killed_the_run_says_so_and_every_committed_tag_is_kept(tmp_path: Path) -> None:
    with recording(tmp_path) as run:
        run.wait_for_tags()
        committed = run.committed()
        os.kill(run.writer_pid, signal.SIGKILL)
        code, _, err = run.end()
    assert code == 3
    assert "RunfileError: the writer process" in err
    assert "faintlink recover" in err
    assert "Traceback" not in err
    for name in ("alice-0000.h5", "bob-0000.h5"):
        assert recover(run.folder / name, default_target(run.folder / name)).is_complete
    tags = all_tags(recorded(run.folder)[Party.BOB])
    assert len(tags) >= committed
    np.testing.assert_array_equal(tags.times_ps, np.arange(len(tags)) * STEP_PS)


def shared_memory_of(process: int) -> set[Path]:
    """Return the blocks of shared memory that a process has mapped."""
    maps = Path(f"/proc/{process}/maps").read_text().splitlines()
    return {Path(line.split()[-1]) for line in maps if "/dev/shm/psm_" in line}


def test_when_both_are_killed_every_committed_tag_is_kept_and_no_shared_memory_stays(tmp_path: Path) -> None:
    with recording(tmp_path) as run:
        run.wait_for_tags()
        shared = shared_memory_of(run.process.pid)
        committed = run.committed()
        os.killpg(run.process.pid, signal.SIGKILL)
        run.end()
    assert committed > 0
    report = recover(run.folder / "bob-0000.h5", default_target(run.folder / "bob-0000.h5"))
    assert report.rows["tags"] >= committed
    assert shared
    assert not [path for path in shared if path.exists()]
