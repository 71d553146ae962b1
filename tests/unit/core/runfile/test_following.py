"""A recording is read while it is written: nothing is missed, nothing is waited for in vain."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from faintlink.core.errors import RunfileError
from faintlink.core.runfile.following import GrowingRecording
from faintlink.core.runfile.party_writer import PartyWriter, create_run
from faintlink.core.symbols import Party
from tests.runs import TAGS, tag_blocks

SIZES = [100, 0, 50, 300, 7, 60]


def record(folder: Path, *, rotate_bytes: int = 2 << 30, pause_s: float = 0.02, ends: bool = True) -> None:
    """Write blocks slowly, as an acquisition does."""
    manifest = create_run(folder)
    writer = PartyWriter(folder, manifest, Party.BOB, streams=[TAGS], context={}, rotate_bytes=rotate_bytes)
    for block in tag_blocks(SIZES):
        writer.append_tags("tags", block)
        writer.commit()
        time.sleep(pause_s)
    if not ends:
        writer.abandon()
        return
    writer.seal()
    manifest.status = "closed"
    manifest.write(folder)


@pytest.mark.parametrize("rotate_bytes", [2 << 30, 1], ids=["one file", "a file a block"])
def test_every_block_comes_once_while_it_is_written(tmp_path: Path, rotate_bytes: int) -> None:
    folder = tmp_path / "run"
    writing = threading.Thread(target=record, args=(folder,), kwargs={"rotate_bytes": rotate_bytes})
    writing.start()
    seen = list(GrowingRecording(folder, Party.BOB, wait_s=10.0).tags())
    writing.join()
    expected = tag_blocks(SIZES)
    times = [block.times_ps for block in seen if block.times_ps.size]
    assert np.array_equal(np.concatenate(times), np.concatenate([block.times_ps for block in expected]))
    assert [gap for block in seen for gap in block.gaps] == [gap for block in expected for gap in block.gaps]


def test_a_finished_run_is_read_to_its_end_without_waiting(tmp_path: Path) -> None:
    record(tmp_path / "run", pause_s=0.0)
    start = time.monotonic()
    recording = GrowingRecording(tmp_path / "run", Party.BOB, wait_s=30.0)
    assert sum(block.times_ps.size for block in recording.tags()) == sum(SIZES)
    assert time.monotonic() - start < 10.0
    assert recording.header.party == "bob"


def test_a_writer_that_is_gone_is_named_after_the_wait(tmp_path: Path) -> None:
    record(tmp_path / "run", ends=False, pause_s=0.0)
    with pytest.raises(RunfileError, match="nothing was added"):
        list(GrowingRecording(tmp_path / "run", Party.BOB, wait_s=0.2).tags())


def test_a_run_that_never_begins_is_named_after_the_wait(tmp_path: Path) -> None:
    with pytest.raises(RunfileError):
        GrowingRecording(tmp_path / "nothing", Party.BOB, wait_s=0.1)
