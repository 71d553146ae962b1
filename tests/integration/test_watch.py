"""Whole runs with viewers beside them: published, watched in the terminal, and never disturbed."""

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from faintlink.acquisition.commands.run import run
from faintlink.acquisition.commands.watch import watch
from faintlink.acquisition.live.feeds import Feed, published_feed
from faintlink.acquisition.live.model import LiveModel
from faintlink.acquisition.report import RunStatus
from faintlink.acquisition.statistics.companions import Companions
from faintlink.acquisition.statistics.publishing import StatisticsPublisher
from faintlink.core.errors import ConfigError, FaintlinkError, SchemaError
from faintlink.core.records import ErrorCount
from faintlink.postprocess.qkd.live import LiveSummary
from tests.acquisition_fakes import eventually
from tests.data import ROOT
from tests.pulses import PulsedLink, small_link, write_pulsed_run

DEMO = ROOT / "lab_configs" / "demo.link.yaml"


def invoked(command: Any, *arguments: str) -> Result:
    result = CliRunner().invoke(command, arguments, standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pulsed_run(tmp_path_factory.mktemp("runs") / "run", PulsedLink(seconds=0.4).make())


def test_a_finished_run_is_told_in_the_terminal_to_its_end(recorded: Path) -> None:
    result = invoked(watch, str(recorded), "--text")
    assert result.return_value == 0
    assert "finished run" in result.output
    assert "QBER key" in result.output
    assert "2." in result.output


def test_a_file_of_the_run_names_it_too(recorded: Path) -> None:
    assert "finished run" in invoked(watch, str(recorded / "bob-0000.h5"), "--text").output


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaError):
        invoked(watch, str(tmp_path), "--text")


def test_a_window_that_cannot_come_up_is_refused_before_anything_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    monkeypatch.setitem(sys.modules, "pyqtgraph", None)
    with pytest.raises(FaintlinkError, match="cannot be shown"):
        invoked(watch, str(tmp_path / "nothing"))
    with pytest.raises(FaintlinkError, match="cannot be shown"):
        invoked(run, str(DEMO), "--out", str(tmp_path / "run"), "--watch", "--quiet")
    assert not (tmp_path / "run").exists()


def test_an_address_in_use_is_refused_before_the_run(tmp_path: Path) -> None:
    with StatisticsPublisher("tcp://127.0.0.1:*") as taken, pytest.raises(ConfigError, match="in use"):
        invoked(run, str(DEMO), "--out", str(tmp_path / "run"), "--publish", taken.address, "--quiet")
    assert not (tmp_path / "run").exists()


def test_a_window_that_fails_says_why_and_leaves_the_run_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    status = RunStatus(0.0, 1.0, 0.0, 0, 0, 0, LiveSummary())
    passed: list[RunStatus] = []
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def start(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        # As an address of which ZeroMQ knows nothing.
        started.append(popen([*command[:-1], "nonsense"], **options))
        return started[-1]

    monkeypatch.setattr("faintlink.acquisition.statistics.companions.subprocess.Popen", start)
    with Companions(small_link(), window=True) as companions:
        progress = companions.beside(tmp_path, passed.append)
        assert progress is not None
        progress(status)
        assert started[0].wait(60.0) != 0
    assert passed == [status]
    assert "the live view beside the run failed: cannot use nonsense" in caplog.text


def test_nobody_who_looks_costs_a_run_nothing(tmp_path: Path) -> None:
    nobody = Companions(small_link())
    assert nobody.statistics is None
    assert nobody.beside(tmp_path, None) is None


def free_address() -> str:
    with StatisticsPublisher("tcp://127.0.0.1:*") as one:
        return str(one.address)


@pytest.mark.slow
def test_a_published_run_is_seen_from_another_process_to_its_last_count(tmp_path: Path) -> None:
    address = free_address()
    model = LiveModel()
    seen: list[float] = []
    with published_feed(address) as feed:
        listener = threading.Thread(target=lambda: follow(feed, model, seen), daemon=True)
        listener.start()
        arguments = (str(DEMO), "--out", str(tmp_path / "run"), "--duration", "6", "--publish", address)
        report = json.loads(invoked(run, *arguments, "--quiet", "--json").output)
        listener.join(60.0)
    last = model.history[-1]
    assert last.is_over
    assert (last.tags, last.lost) == (report["tags"], report["lost"])
    live = report["live"]["qber_key"]
    assert last.counts.key == ErrorCount(live["bits"], live["errors"])
    # It was shown while it ran, not only at its end.
    assert len([at for at in seen if 0.0 < at < report["duration_s"]]) > 10
    assert model.facts.run_id == report["run_id"]
    assert any("armed" in line for line in model.facts.events)


def follow(feed: Feed, model: LiveModel, seen: list[float]) -> None:
    def is_over() -> bool:
        for snapshot in feed.take(0.05):
            model.push(snapshot)
            seen.append(snapshot.elapsed_s)
        return feed.has_ended

    eventually(is_over, within_s=90.0)


@pytest.mark.slow
def test_a_viewer_that_is_killed_leaves_the_run_alone(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    viewers: list[subprocess.Popen[bytes]] = []

    def attach() -> None:
        if eventually(lambda: (folder / "bob-0000.h5").exists(), within_s=60.0):
            command = [sys.executable, "-m", "faintlink.acquisition.commands.watch", str(folder), "--text"]
            viewers.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL))
            line = viewers[0].stdout.readline() if viewers[0].stdout else b""
            assert b"QBER" in line
            viewers[0].kill()

    thread = threading.Thread(target=attach, daemon=True)
    thread.start()
    report = json.loads(invoked(run, str(DEMO), "--out", str(folder), "--duration", "30", "--quiet", "--json").output)
    thread.join(60.0)
    with viewers[0] as viewer:
        assert viewer.wait(20.0) != 0
    assert report["lost"] == 0
    assert "finished run" in invoked(watch, str(folder), "--text").output
