"""A run in the background, on a fake station: figures while it goes on, and its end by all ways."""

import signal
import threading
from pathlib import Path

import pytest

from faintlink.acquisition.background import BackgroundRun
from faintlink.acquisition.run import Run
from faintlink.core.errors import LocalProtocolError, RunExistsError, StreamError
from faintlink.core.symbols import Party
from tests.acquisition_fakes import (
    FakeAnalysis,
    FakeSender,
    FakeStation,
    FakeStream,
    FakeTagger,
    all_tags,
    eventually,
    fake_link,
    recorded,
    run_in_thread,
)

LONG_S = 1000.0
TEXTS = {"link": "the link file", "station": "the station file"}


def background(folder: Path, *, duration_s: float = LONG_S, stream: FakeStream | None = None) -> BackgroundRun:
    """Return a run whose tags come some hundred times faster than their own time stamps say."""
    station = FakeStation(pattern=FakeSender(), tagger=FakeTagger(stream or FakeStream(read_tags=5000, pause_s=0.002)))
    run = Run(fake_link(), station, folder, analysis=FakeAnalysis(every=0), context=TEXTS)
    return BackgroundRun(run, duration_s=duration_s)


def test_leaving_the_block_waits_for_the_end_of_the_run(tmp_path: Path) -> None:
    with background(tmp_path / "run", duration_s=0.2) as run:
        assert run.status.duration_s == 0.2
    assert run.report.tags >= 200_000
    assert not run.report.interrupted
    assert run.progress == 1.0
    assert not run.is_running


def test_the_figures_move_while_the_run_goes_on(tmp_path: Path) -> None:
    with background(tmp_path / "run") as run:
        seen = []
        for status in run.every(0.02):
            seen.append(status.tags)
            if len(set(seen)) == 3:
                run.stop()
        assert 0.0 <= run.progress < 1.0
    assert seen == sorted(seen)
    assert run.report.interrupted


def test_an_error_in_the_block_seals_what_was_recorded_and_is_not_swallowed(tmp_path: Path) -> None:
    run = background(tmp_path / "run")

    def script() -> None:
        with run:
            assert eventually(lambda: run.status.tags > 0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        script()
    assert run.report.interrupted
    assert len(all_tags(recorded(tmp_path / "run")[Party.BOB])) == run.report.tags > 0


def test_an_interrupt_in_the_block_seals_what_was_recorded(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), background(tmp_path / "run") as run:
        raise KeyboardInterrupt
    assert run.report.interrupted
    assert "sealed" in repr(run._run)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_block_waits_for_the_end_seals_what_was_recorded(
    tmp_path: Path, number: signal.Signals
) -> None:
    run = background(tmp_path / "run")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupt() -> None:
        assert eventually(lambda: run.status.tags > 0)
        signal.pthread_kill(threading.main_thread().ident or 0, number)

    def script() -> None:
        with run:
            run_in_thread(interrupt)

    try:
        with pytest.raises(KeyboardInterrupt):
            script()
    finally:
        signal.signal(signal.SIGINT, before)
        run.stop()
    assert run.report.interrupted
    assert run.report.tags > 0


def test_a_fault_of_the_run_ends_the_loop_and_is_raised_at_the_end_of_the_block(tmp_path: Path) -> None:
    stream = FakeStream(read_tags=5000, pause_s=0.002)
    run = background(tmp_path / "run", stream=stream)

    def script() -> None:
        with run:
            for _ in run.every(0.01):
                stream.fail_at = 0

    with pytest.raises(StreamError, match="the cable fell out") as caught:
        script()
    with pytest.raises(StreamError) as again:
        _ = run.report
    assert again.value is caught.value
    assert "failed: StreamError" in repr(run)
    assert Party.BOB in recorded(tmp_path / "run")


def test_an_error_of_the_script_comes_before_that_of_the_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stream = FakeStream(read_tags=5000, pause_s=0.002)
    run = background(tmp_path / "run", stream=stream)

    def script() -> None:
        with run:
            stream.fail_at = 0
            assert eventually(lambda: not run.is_running)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        script()
    assert "the cable fell out" in caplog.text


def test_a_run_that_cannot_be_taken_is_refused_at_the_with(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    run, entered = background(tmp_path), False
    with pytest.raises(RunExistsError), run:
        entered = True
    assert not entered
    assert not run.is_running
    with pytest.raises(RunExistsError):
        _ = run.status


def test_wait_takes_the_run_without_a_block(tmp_path: Path) -> None:
    assert background(tmp_path / "run", duration_s=0.1).wait().tags >= 100_000


def test_a_run_that_goes_on_has_no_report_and_one_that_was_not_started_no_figures(tmp_path: Path) -> None:
    run = background(tmp_path / "run")
    with pytest.raises(LocalProtocolError, match="not started"):
        _ = run.status
    with run:
        with pytest.raises(LocalProtocolError, match="has not ended"):
            _ = run.report
        run.stop()


def test_a_run_is_started_once(tmp_path: Path) -> None:
    run = background(tmp_path / "run", duration_s=0.05)
    run.wait()
    with pytest.raises(LocalProtocolError, match="was started before"):
        run.start()
    assert run.wait() is run.report


def test_a_run_that_is_over_at_once_has_figures_all_the_same(tmp_path: Path) -> None:
    run = background(tmp_path / "run", duration_s=1e-9)
    run._note = lambda status: None  # type: ignore[method-assign]  # as if the end came before the first figures
    report = run.wait()
    assert run.status.tags == report.tags > 0
    assert run.progress == 1.0


def test_the_run_shows_itself_in_one_line_at_any_time(tmp_path: Path) -> None:
    run = background(tmp_path / "run")
    assert "not started" in repr(run)
    with run:
        assert "counting" in repr(run)
        assert run.run_id in repr(run)
        run.stop()
    assert repr(run) == repr(run.report)
    assert "\n" not in repr(run)


def test_no_thread_is_left(tmp_path: Path) -> None:
    with background(tmp_path / "run", duration_s=0.05) as run:
        pass
    assert not [thread for thread in threading.enumerate() if run.run_id in thread.name]
