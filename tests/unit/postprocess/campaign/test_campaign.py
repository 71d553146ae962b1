"""Many runs analysed again: the same results whoever does the work, and none is lost or done twice."""

import csv
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture

from faintlink.core.errors import RunExistsError
from faintlink.postprocess.campaign import executors, work
from faintlink.postprocess.campaign.entropy import campaign_entropy
from faintlink.postprocess.campaign.plan import CampaignConfig, Task
from faintlink.postprocess.campaign.runner import make_tasks, run_campaign
from faintlink.postprocess.campaign.work import Outcome, failed, reanalyse
from faintlink.postprocess.commands.campaign import campaign
from tests.campaigns import call, products, table_of, write_runs

COUNT = 3


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_runs(tmp_path_factory.mktemp("campaign") / "runs", COUNT)


@pytest.fixture(scope="module")
def done(runs: Path) -> Path:
    """Return the folder of a campaign that this process did."""
    out = runs.parent / "serial"
    tasks = make_tasks([str(runs)], CampaignConfig(), "", out)
    run_campaign(tasks, out, workers=1, executor=executors.serial)
    return out


def test_a_row_a_run_with_rates_and_key(done: Path) -> None:
    table = table_of(done)["runs"]
    assert [Path(row["name"]).name for row in table] == ["run-001", "run-002", "run-003"]
    for row in table:
        assert row["qber_key_low"] < 0.02 < row["qber_key_high"]
        assert (row["blocks"], row["blocks_refused"], row["error"]) == (1, 0, "")
        assert row["key_rate_hz"] == pytest.approx(row["key_bits"] / row["duration_s"])


def test_the_table_in_csv_says_the_same(done: Path) -> None:
    with (done / "runs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["key_bits"]) for row in rows] == [row["key_bits"] for row in table_of(done)["runs"]]


def test_figures_and_page_are_there(done: Path) -> None:
    assert {path.name for path in done.glob("*.png")} == {"qber.png", "key-rate.png", "allan-qber.png"}
    text = (done / "report.html").read_text()
    assert "3 runs analysed, 0 failed" in text
    assert "protect nothing and were not kept" in text


def test_no_key_and_no_key_id_is_kept_and_none_is_usable(done: Path) -> None:
    assert {Path(name).suffix for name in products(done)} == {".json", ".csv", ".png", ".html"}
    for file in (done / "results").iterdir():
        analysis = json.loads(file.read_text())["body"]["analysis"]
        assert analysis["summary"]["key_bits"] > 0
        assert analysis["summary"]["is_usable"] is False
        assert [block["key_id"] for block in analysis["blocks"]] == [None]


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_processes_give_the_same_bytes(runs: Path, done: Path, tmp_path: Path, workers: int) -> None:
    tasks = make_tasks([str(runs)], CampaignConfig(), "", tmp_path / "out")
    run_campaign(tasks, tmp_path / "out", workers=workers, executor=executors.processes)
    assert products(tmp_path / "out") == products(done)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_dask_cluster_gives_the_same_bytes(runs: Path, done: Path, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    tasks = make_tasks([str(runs)], CampaignConfig(), "", tmp_path / "out")
    run_campaign(tasks, tmp_path / "out", workers=2, executor=executors.dask)
    assert products(tmp_path / "out") == products(done)


def test_a_second_call_does_nothing_again(runs: Path, done: Path, mocker: MockerFixture) -> None:
    before = products(done)
    mocker.patch("faintlink.postprocess.campaign.work.process", side_effect=AssertionError("done before"))
    outcomes: list[Outcome] = []
    tasks = make_tasks([str(runs)], CampaignConfig(), "", done)
    run_campaign(tasks, done, workers=1, executor=executors.serial, on_outcome=outcomes.append)
    assert [outcome.is_reused for outcome in outcomes] == [True] * COUNT
    assert products(done) == before


def test_a_half_written_result_is_made_again(runs: Path, done: Path) -> None:
    before = products(done)
    (cut, *_) = sorted((done / "results").iterdir())
    cut.write_bytes(cut.read_bytes()[:100])
    outcomes: list[Outcome] = []
    tasks = make_tasks([str(runs)], CampaignConfig(), "", done)
    run_campaign(tasks, done, workers=1, executor=executors.serial, on_outcome=outcomes.append)
    assert [outcome.is_reused for outcome in outcomes].count(False) == 1
    assert products(done) == before


def test_a_stop_in_the_middle_loses_no_finished_run(runs: Path, done: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    tasks = make_tasks([str(runs)], CampaignConfig(), "", out)

    def stop(outcome: Outcome) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_campaign(tasks, out, workers=1, executor=executors.serial, on_outcome=stop)
    assert len(list((out / "results").iterdir())) == 1
    outcomes: list[Outcome] = []
    run_campaign(tasks, out, workers=1, executor=executors.serial, on_outcome=outcomes.append)
    assert [outcome.is_reused for outcome in outcomes] == [True, False, False]
    assert products(out) == products(done)


def test_another_configuration_makes_other_results(runs: Path, done: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(done, out)
    (task, *_) = make_tasks([str(runs)], CampaignConfig(set={"gate.half_width_ps": 300}), "", out)
    outcome = reanalyse(task)
    assert not outcome.is_reused
    assert outcome.body["changed"] == [{"name": "gate.half_width_ps", "was": 1000, "now": 300}]
    assert outcome.body["analysis"]["link"]["gate"]["half_width_ps"] == 300


def test_random_bits_follow_from_run_and_configuration() -> None:
    draws = [campaign_entropy(run, config).draw(16, "x") for run, config in (("r", "c"), ("r", "c"), ("r", "d"))]
    assert draws[0] == draws[1] != draws[2]
    assert not campaign_entropy("r", "c").is_secret_grade


def test_the_clock_is_followed_if_asked_for(runs: Path, tmp_path: Path) -> None:
    (task, *_) = make_tasks([str(runs)], CampaignConfig(clock_phase=True), "", tmp_path / "out")
    curve = reanalyse(task).body["allan"]["clock"]
    assert curve["tau_s"][:3] == [0.01, 0.02, 0.04]
    # The clock of these runs drifts by 1e-7 per s, and the phase of an interval is good to some ten ps.
    assert max(curve["deviation"]) < 1e-8


def test_a_run_that_fails_is_recorded_and_stops_no_other(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.h5").write_bytes(b"nothing")
    arguments = (runs / "run-001", tmp_path / "bad.h5", "--out", tmp_path / "out", "--executor", "serial")
    outcome = call(capsys, campaign, *arguments)
    assert outcome.code == 8
    assert "1 runs analysed, 1 failed" in " ".join(outcome.err.split())
    table = table_of(tmp_path / "out")["runs"]
    assert [row["error"] for row in table] == ["", "SchemaError"]
    assert "bad.h5" in (tmp_path / "out" / "report.html").read_text()


def test_a_fault_of_this_program_in_one_run_is_recorded(runs: Path, tmp_path: Path, mocker: MockerFixture) -> None:
    (task, *_) = make_tasks([str(runs)], CampaignConfig(), "", tmp_path / "out")
    mocker.patch.object(work, "process", side_effect=ZeroDivisionError("oh"))
    assert reanalyse(task).body == {"name": task.name, "error": "ZeroDivisionError", "message": "oh"}


def test_a_wrong_setting_fails_every_run_with_its_reason(runs: Path, tmp_path: Path) -> None:
    tasks = make_tasks([str(runs)], CampaignConfig(set={"gate.width": 1}), "", tmp_path / "out")
    table = run_campaign(tasks, tmp_path / "out", workers=1, executor=executors.serial)
    assert {row.error for row in table} == {"ConfigError"}


def test_a_folder_with_something_else_is_left_alone(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(RunExistsError, match="is no campaign"):
        make_tasks([str(runs)], CampaignConfig(), "", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def die(task: Task) -> Outcome:
    """Stand in for a run that takes its process with it."""
    if task.name == "killer":
        os._exit(9)
    return Outcome(task.name, {})


@pytest.mark.slow
def test_a_worker_that_dies_takes_no_other_run_with_it(mocker: MockerFixture) -> None:
    mocker.patch.object(executors, "reanalyse", die)
    names = ["a", "b", "killer", *"cdefgh"]
    tasks = [Task((), name, CampaignConfig(), "", "") for name in names]
    outcomes = {outcome.name: outcome for outcome in executors.processes(tasks, 2)}
    assert set(outcomes) == set(names)
    assert [name for name, outcome in outcomes.items() if outcome.has_failed] == ["killer"]
    assert outcomes["killer"].body["error"] == "WorkerDied"


def test_workers_compute_in_one_thread_each_and_the_environment_is_put_back(
    monkeypatch: pytest.MonkeyPatch, mocker: MockerFixture
) -> None:
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    seen: list[tuple[str | None, ...]] = []

    class Pool:
        def submit(self, work: object, task: Task) -> Future[Outcome]:
            seen.append(tuple(os.environ.get(name) for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")))
            future: Future[Outcome] = Future()
            future.set_result(Outcome(task.name, {}))
            return future

        def shutdown(self, **_: object) -> None: ...

    mocker.patch.object(executors, "ProcessPoolExecutor", return_value=Pool())
    tasks = [Task((), name, CampaignConfig(), "", "") for name in "abc"]
    assert {outcome.name for outcome in executors.processes(tasks, 1)} == set("abc")
    assert set(seen) == {("1", "3")}
    assert "OPENBLAS_NUM_THREADS" not in os.environ


def test_the_table_does_not_depend_on_who_was_first(runs: Path, done: Path, tmp_path: Path) -> None:
    def backwards(tasks: Sequence[Task], workers: int) -> Iterator[Outcome]:
        yield from executors.serial(tasks[::-1], workers)

    tasks = make_tasks([str(runs)], CampaignConfig(), "", tmp_path / "out")
    run_campaign(tasks, tmp_path / "out", workers=1, executor=backwards)
    assert products(tmp_path / "out") == products(done)


def test_a_cell_that_a_spreadsheet_would_run_is_text(tmp_path: Path) -> None:
    def one(tasks: Sequence[Task], workers: int) -> Iterator[Outcome]:
        yield failed(tasks[0], "FormatError", "=HYPERLINK()")

    run_campaign([Task((), "x", CampaignConfig(), "", "")], tmp_path, workers=1, executor=one)
    assert ",'=HYPERLINK()" in (tmp_path / "runs.csv").read_text()


def test_settings_of_the_command_replace_those_of_the_file(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c.yaml").write_text(
        "format: faintlink.campaign/1\nset: {gate.half_width_ps: 300, security.max_qber: 0.1}\n"
    )
    options: tuple[Any, ...] = ("--out", tmp_path / "out", "--executor", "serial", "--set", "gate.half_width_ps=400")
    assert call(capsys, campaign, runs / "run-001", "--config", tmp_path / "c.yaml", *options).code == 0
    assert table_of(tmp_path / "out")["about"]["set"] == {"gate.half_width_ps": 400, "security.max_qber": 0.1}
