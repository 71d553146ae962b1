"""One analysis with other parameters than the run was taken with."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture

from faintlink.core.config.link import LinkConfig, config_sha256
from faintlink.core.errors import ConfigError
from faintlink.postprocess.commands.process import process
from tests.campaigns import DECOY_TEXT, call, decoy_link, write_runs
from tests.pulses import PulsedLink, small_link, write_pulsed_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_runs(tmp_path_factory.mktemp("process"), 1) / "run-001"


@pytest.fixture(autouse=True)
def no_pictures(mocker: MockerFixture) -> None:
    mocker.patch("faintlink.postprocess.results.write_html")
    mocker.patch("faintlink.postprocess.results.write_png")


def sums(run: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in run.glob("*.h5")}


def read(file: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(file.read_text())
    return data


def usable(folder: Path) -> set[bool]:
    return {read(file)["usable"] for file in (folder / "keys").rglob("*.json")}


def test_an_analysis_keeps_its_whole_configuration(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(capsys, process, run, "--out", tmp_path / "out").code == 0
    configuration = read(tmp_path / "out" / "configuration.json")
    assert configuration["changed"] == []
    assert configuration["config_sha256"] == config_sha256(small_link())
    assert LinkConfig.model_validate_json(json.dumps(configuration["link"])) == small_link()
    assert usable(tmp_path / "out") == {True}


def test_a_changed_parameter_is_used_and_recorded_and_the_run_stays_as_it_was(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sums(run)
    outcome = call(capsys, process, run, "--out", tmp_path / "out", "--set", "gate.half_width_ps=300")
    assert outcome.code == 0
    assert "gate.half_width_ps = 300 (was 1000)" in outcome.err
    assert sums(run) == before
    configuration = read(tmp_path / "out" / "configuration.json")
    assert configuration["changed"] == [{"name": "gate.half_width_ps", "was": 1000, "now": 300}]
    assert read(tmp_path / "out" / "analysis.json")["link"] == configuration["link"]


def test_keys_of_a_changed_policy_are_not_usable(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call(capsys, process, run, "--out", tmp_path / "out", "--set", "security.max_qber=0.1")
    assert usable(tmp_path / "out") == {False}


def test_a_setting_that_changes_nothing_takes_nothing_from_the_keys(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call(capsys, process, run, "--out", tmp_path / "out", "--set", "gate.half_width_ps=1000")
    assert usable(tmp_path / "out") == {True}


def test_a_wrong_name_leaves_no_folder(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="half_width"):
        call(capsys, process, run, "--out", tmp_path / "out", "--set", "gate.half_width=300")
    assert not (tmp_path / "out").exists()


def test_an_uncertainty_of_the_intensities_decides_on_the_bound(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pulses = PulsedLink(seconds=0.13, link=decoy_link()).make()
    run = write_pulsed_run(tmp_path / "run", pulses, text=DECOY_TEXT)
    call(capsys, process, run, "--out", tmp_path / "out", "--intensity-uncertainty", "0.02")
    analysis = read(tmp_path / "out" / "analysis.json")
    assert analysis["blocks"][0]["bound"]["bound"] == "rusca2018-mu0.02"
    assert read(tmp_path / "out" / "configuration.json")["changed"][0]["now"] == "rusca2018-mu0.02"
