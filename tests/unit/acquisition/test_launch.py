"""The command's assembly: station, analysis, settings and folder from a link file."""

import json
from pathlib import Path

import pytest

from faintlink.acquisition.launch import take_run
from faintlink.core import cli
from faintlink.core.errors import ConfigError
from faintlink.core.symbols import Party
from tests.acquisition_fakes import recorded
from tests.data import ROOT

DEMO = ROOT / "lab_configs" / "demo.link.yaml"


def test_a_link_without_a_station_is_refused_with_the_remedy(tmp_path: Path) -> None:
    link = tmp_path / "x.link.yaml"
    link.write_text(DEMO.read_text().replace("station: demo.station.yaml\n", ""))
    with pytest.raises(ConfigError, match="names no station"):
        take_run(link, tmp_path / "run")


def test_the_command_records_the_mock_link_and_prints_a_report(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["run", str(DEMO), "--out", str(tmp_path / "run"), "--duration", "0.3", "--json", "--quiet"]
    assert cli.run(arguments) == 0
    report = json.loads(capfd.readouterr().out)
    assert report["lost"] == 0
    assert report["duration_s"] >= 0.3
    assert report["live"]["state"] == "locked"
    assert report["live"]["qber_key"]["rate"] < 0.05
    bob = recorded(tmp_path / "run")[Party.BOB].context
    assert bob["link"] == DEMO.read_text()
    assert "MockBench" in bob["station"]
    assert "bench" in json.loads(bob["snapshot"])["instruments"]


def test_a_run_that_exists_is_refused_with_the_files_exit_code(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert cli.run(["run", str(DEMO), "--out", str(tmp_path), "--quiet"]) == 3
