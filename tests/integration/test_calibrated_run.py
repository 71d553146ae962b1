"""`faintlink calibrate`, then `faintlink run --calibration`: what was measured stands in the run's files."""

import json
from pathlib import Path

import pytest
import yaml

from faintlink.core.runfile.folder import open_run
from faintlink.core.runfile.manifest import file_sha256
from faintlink.core.symbols import Party
from faintlink.postprocess.results import link_of
from tests.cli import faintlink
from tests.cold_bench import CONFIGS, TIME_BIN, write_configs


def test_a_run_goes_by_the_gate_and_figures_of_its_calibration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    link = write_configs(tmp_path, TIME_BIN, 101)
    records, run = tmp_path / "records", tmp_path / "run"
    for routine in ("attenuation", "arrival", "detector_gaps"):
        assert faintlink(capsys, "calibrate", routine, link, "--out", records).code == 0
    seen = faintlink(capsys, "run", link, "--out", run, "--duration", "0.3", "--calibration", records, "--json",
                     "--quiet")  # fmt: skip
    assert seen.code == 0, seen.err
    recorded = open_run([run])
    for party in (Party.ALICE, Party.BOB):
        document = json.loads(recorded[party].context["calibration"])
        assert set(document["records"]) == {"attenuation", "arrival", "detector_gaps"}
        for entry in document["records"].values():
            assert file_sha256(records / entry["file"]) == entry["sha256"]
    mu = document["quantities"]["mu"]
    assert mu["value"] == 0.5
    assert 0.0 < mu["sigma"] < 0.02
    # The bench's jitter of 60 ps; the gate of the link file has 500 ps.
    gate = link_of(recorded).gate
    assert {"center_ps": gate.center_ps, "half_width_ps": gate.half_width_ps} == document["gate"]
    assert 120 < gate.half_width_ps < 220
    assert yaml.safe_load(link.read_text())["gate"]["half_width_ps"] == 500
    assert json.loads(seen.out)["live"]["qber_key"]["rate"] < 0.05


def test_a_stale_calibration_ends_the_run_before_it_begins(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    link = write_configs(tmp_path, TIME_BIN, 101)
    records, run = tmp_path / "records", tmp_path / "run"
    assert faintlink(capsys, "calibrate", "dark_counts", link, "--out", records).code == 0
    seen = faintlink(capsys, "run", link, "--out", run, "--calibration", records, "--calibration-max-age", "1e-9")
    assert seen.code == 2
    assert "dark_counts" in seen.err
    assert "h old" in seen.err
    assert not run.exists()


def test_one_command_brings_up_the_shipped_pair_link(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen = faintlink(capsys, "calibrate", "all", CONFIGS / "bbm92.link.yaml", "--out", tmp_path / "out", "--json")
    assert seen.code == 0, seen.err
    passed = [record["routine"] for record in json.loads(seen.out)["records"] if record["verdict"] == "passed"]
    assert passed[-5:] == ["pair_window", "pair_level", "heralding", "pair_polarization", "pair_qber"]
    for path in (tmp_path / "out").glob("*-pair_polarization-*"):
        again = faintlink(capsys, "calibrate", "--replay", path, "--json")
        assert json.loads(again.out)["is_equal"] is True
