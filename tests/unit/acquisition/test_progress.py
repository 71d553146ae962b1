"""What is shown of a run, and what is written as events."""

import io
import logging

import pytest
from rich.console import Console

from faintlink.acquisition.progress import ProgressView, RateOverTime
from faintlink.acquisition.report import RunStatus
from faintlink.acquisition.watch import EventWatch
from faintlink.core.records import ErrorCount
from faintlink.postprocess.qkd.live import LiveSummary
from tests.acquisition_fakes import fake_link


def status(*, lost: int = 0, waiting: int = 0, live: LiveSummary | None = None, elapsed_s: float = 2.0) -> RunStatus:
    live = live or LiveSummary(qber_key=ErrorCount(1000, 12), state="locked")
    return RunStatus(elapsed_s, 10.0, elapsed_s, 3_000_000, lost, waiting, live)


def test_the_figures_name_rate_qber_losses_and_state() -> None:
    line = status(lost=7).figures(1.5e6)
    assert line == "3.00 Mtags  1.500 Mtags/s  QBER key 1.20 % test -  lost 7  locked"


def test_an_analysis_that_is_behind_is_shown() -> None:
    assert "analysis 30 blocks behind" in status(waiting=30).figures(0.0)


def test_elsewhere_than_on_a_terminal_lines_are_rare() -> None:
    text = io.StringIO()
    with ProgressView(console=Console(file=text, width=200)) as view:
        for _ in range(100):
            view(status())
    assert text.getvalue().count("\n") == 1
    assert "2.0/10 s" in text.getvalue()


def test_a_terminal_gets_a_bar() -> None:
    text = io.StringIO()
    with ProgressView(console=Console(file=text, width=200, force_terminal=True)) as view:
        view(status())
    assert "QBER key 1.20 %" in text.getvalue()


def test_quiet_is_quiet() -> None:
    text = io.StringIO()
    with ProgressView(quiet=True, console=Console(file=text, force_terminal=True)) as view:
        view(status())
    assert not text.getvalue()


def test_the_rate_is_that_of_the_last_stretch() -> None:
    rate = RateOverTime()
    assert rate.update(1.0, 1000) == 1000.0
    assert rate.update(1.1, 9999) == 1000.0
    assert rate.update(2.0, 5000) == 4000.0


def test_changes_of_state_and_losses_become_events() -> None:
    notes: list[tuple[str, int]] = []
    watch = EventWatch(fake_link(), lambda text, *, level=0: notes.append((text, level)))
    watch.look(status())
    watch.look(status())
    watch.look(status(lost=5))
    watch.look(status(lost=8), is_last=True)
    assert notes == [
        ("live analysis: locked", logging.INFO),
        ("5 tags lost, 5 in all", logging.WARNING),
        ("3 tags lost, 8 in all", logging.WARNING),
    ]
    assert watch.warnings == ["tags were lost; the streams of events say when"]


def test_a_channel_that_nobody_named_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    notes: list[str] = []
    watch = EventWatch(fake_link(), lambda text, *, level=0: notes.append(text))
    live = LiveSummary(rate_hz={1: 10.0, 77: 3.0})
    watch.look(status(live=live))
    watch.look(status(live=live))
    assert [note for note in notes if "77" in note] == watch.warnings
    assert len(watch.warnings) == 1
