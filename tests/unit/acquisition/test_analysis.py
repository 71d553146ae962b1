"""The analysis thread: sees every recorded block, asks for settings in order, and never holds up the tags."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from faintlink.acquisition.analysis import AnalysisThread, SettingsLog
from faintlink.acquisition.follower import BlockFollower
from faintlink.acquisition.recorder import Recorder
from faintlink.acquisition.ring import make_ring
from faintlink.acquisition.writer_plan import PartyPlan, WriterPlan
from faintlink.core.errors import LocalProtocolError, RunfileError
from faintlink.core.runfile.schema import StreamSpec
from faintlink.core.symbols import Party
from faintlink.core.tags import TagBlock
from tests.acquisition_fakes import FakeAnalysis, FakeSender, eventually, numbered, run_in_thread


@contextmanager
def settings_log(sender: FakeSender | None = None) -> Iterator[tuple[SettingsLog, list[TagBlock]]]:
    """Yield a log and the list that fills with what it recorded."""
    ring, end = make_ring(get_context("spawn"), blocks=4, block_rows=64)
    end.attach()
    rows: list[TagBlock] = []
    open_ring = [True]

    def drain() -> None:
        while open_ring:
            if end.descriptors.poll(0.01):
                number, block = end.take()
                rows.append(TagBlock(block.times_ps.copy(), block.channels.copy()))
                del block
                end.give_back(number)

    thread = run_in_thread(drain)
    yield SettingsLog(sender or FakeSender(), ring), rows
    assert eventually(lambda: sum(map(len, rows)) == ring.passed)
    open_ring.clear()
    thread.join()
    end.close()
    ring.close()


def follower(folder: Path, wait_s: float = 10.0) -> dict[Party, BlockFollower]:
    return {Party.BOB: BlockFollower(folder, Party.BOB, "tags", wait_s=wait_s)}


def test_settings_are_recorded_sorted_and_once() -> None:
    with settings_log() as (log, rows):
        asked, codes = log.ask(np.array([7, 3, 7, 5]))
        again, _ = log.ask(np.array([7, 9]))
    np.testing.assert_array_equal(asked, [3, 5, 7])
    np.testing.assert_array_equal(codes, [3, 5, 7])
    np.testing.assert_array_equal(again, [9])
    np.testing.assert_array_equal(np.concatenate([block.times_ps for block in rows]), [3, 5, 7, 9])


def test_slots_asked_for_too_late_are_counted_and_not_recorded() -> None:
    with settings_log() as (log, rows):
        log.ask(np.array([10]))
        log.ask(np.array([4, 10, 12]))
        assert log.late == 1
    np.testing.assert_array_equal(np.concatenate([block.times_ps for block in rows]), [10, 12])


def test_many_settings_go_in_several_blocks() -> None:
    with settings_log() as (log, rows):
        log.ask(np.arange(1000))
    np.testing.assert_array_equal(np.concatenate([block.times_ps for block in rows]), np.arange(1000))
    assert max(map(len, rows)) == 64


def test_a_sender_that_answers_too_little_is_refused() -> None:
    class Forgetful(FakeSender):
        def settings_at(self, slots: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
            return np.zeros(1, np.uint8)

    with settings_log(Forgetful()) as (log, _), pytest.raises(LocalProtocolError, match="asked the sender for 3"):
        log.ask(np.arange(3))


def test_every_block_is_analysed_and_every_wanted_slot_answered(tmp_path: Path) -> None:
    analysis = FakeAnalysis(every=10)
    with settings_log() as (log, rows):
        thread = AnalysisThread(analysis, settings=log, followers=follower(tmp_path))
        thread.start()
        for n in range(20):
            thread.offer(Party.BOB, numbered(100 * n, 100))
        thread.finish()
    assert (analysis.tags, analysis.finished, thread.reread) == (2000, True, 0)
    assert thread.summary.tags == 2000
    written = np.concatenate([block.times_ps for block in rows])
    np.testing.assert_array_equal(written, [*(np.arange(200) * 10 * 80), 10**12])
    assert analysis.answers == {slot: slot % 16 for slot in written.tolist()}


@pytest.mark.parametrize("rotate_bytes", [2 << 30, 100_000])
def test_an_analysis_that_falls_behind_reads_its_blocks_back_from_the_growing_file(
    tmp_path: Path, rotate_bytes: int
) -> None:
    folder = tmp_path / "run"
    bob = PartyPlan(Party.BOB, (StreamSpec("tags", "tags"),), {})
    plan = WriterPlan(folder, "run-1", (bob,), commit_s=0.05, rotate_bytes=rotate_bytes)
    analysis = FakeAnalysis(every=0, slow_s=0.02)
    thread = AnalysisThread(analysis, settings=None, followers=follower(folder), backlog_tags=2500)
    sent = [numbered(1000 * n, 1000) for n in range(60)]
    with Recorder(plan, blocks=8, block_rows=1000) as recorder:
        recorder.start()
        thread.start()
        for block in sent:
            recorder.producer(Party.BOB, "tags").put_patiently(block, wait_s=10.0)
            thread.offer(Party.BOB, block)
        thread.finish(recorder.check)
        files = recorder.seal().files
    assert thread.error is None
    assert thread.reread > 10
    for (_, seen), block in zip(analysis.blocks, sent, strict=True):
        np.testing.assert_array_equal(seen.times_ps, block.times_ps)
    assert (len(files) > 1) == (rotate_bytes == 100_000)


def test_offering_a_block_never_waits_for_the_analysis(tmp_path: Path) -> None:
    analysis = FakeAnalysis(every=0, slow_s=0.2)
    thread = AnalysisThread(analysis, settings=None, followers=follower(tmp_path), backlog_tags=10)
    thread.start()
    start = time.monotonic()
    for n in range(1000):
        thread.offer(Party.BOB, numbered(n, 1))
    assert time.monotonic() - start < 5.0
    assert thread.waiting > 900
    thread.abandon()
    assert not analysis.finished


def test_a_block_that_never_reaches_the_file_is_an_error(tmp_path: Path) -> None:
    thread = AnalysisThread(
        FakeAnalysis(every=0), settings=None, followers=follower(tmp_path, wait_s=0.1), backlog_tags=0
    )
    thread.start()
    thread.offer(Party.BOB, numbered(0, 10))
    thread.finish()
    assert isinstance(thread.error, RunfileError)
    assert "did not appear" in str(thread.error)


def test_a_broken_analysis_is_reported_and_stops_hoarding(tmp_path: Path) -> None:
    thread = AnalysisThread(FakeAnalysis(fail_after=0), settings=None, followers=follower(tmp_path))
    thread.start()
    thread.offer(Party.BOB, numbered(0, 10))
    assert eventually(lambda: thread.error is not None)
    thread.offer(Party.BOB, numbered(10, 10))
    assert (type(thread.error), thread.waiting) == (ArithmeticError, 0)


def test_asking_without_a_sender_is_refused(tmp_path: Path) -> None:
    thread = AnalysisThread(FakeAnalysis(every=1), settings=None, followers=follower(tmp_path))
    thread.start()
    thread.offer(Party.BOB, numbered(0, 10))
    thread.finish()
    assert isinstance(thread.error, LocalProtocolError)


def test_the_wait_at_the_end_can_be_ended_by_a_fault(tmp_path: Path) -> None:
    thread = AnalysisThread(FakeAnalysis(every=0, slow_s=0.5), settings=None, followers=follower(tmp_path))
    thread.start()
    for n in range(10):
        thread.offer(Party.BOB, numbered(n, 1))

    def tick() -> None:
        raise RunfileError("the writer died")

    with pytest.raises(RunfileError, match="the writer died"):
        thread.finish(tick)
    thread.abandon()
