"""Cold and misaligned mock links are calibrated without help, and come as near as one can to the aligned ones."""

import json
import shutil
from pathlib import Path

import h5py
import pytest

from faintlink.acquisition.calibration.bring_up import (
    ROUTINES,
    agrees,
    bring_up,
    calibrated_settings,
    is_brought_up,
    keeper,
    replay_file,
)
from faintlink.instruments.calibration.routine import execute
from tests.cli import faintlink
from tests.cold_bench import POLARIZATION, TIME_BIN, mock_lab, pair_lab, write_configs

ALLOWED_EXCESS = 0.01
"""QBER above that of the aligned bench."""
_DURATION_S = {TIME_BIN: 0.6, POLARIZATION: 0.2}
"""Enough for 7000 bits of the test basis: 0.13 points of one sigma."""


def _excess(folder: Path, name: str, seed: int) -> dict[str, float]:
    """Return how far the QBERs after a cold bring-up lie above those of the aligned bench."""
    with mock_lab(folder, name, seed=seed) as (lab, _):
        best = execute(ROUTINES["qber"], lab, options={"duration_s": _DURATION_S[name]}).decision.results
    with mock_lab(folder, name, seed=seed, is_cold=True) as (lab, _):
        records = bring_up(lab, options={"qber.duration_s": _DURATION_S[name]})
    assert is_brought_up(records), [(record.routine, record.reason) for record in records if not record.is_passed]
    reached = records[-1].decision.results
    return {basis: reached[basis] - best[basis] for basis in ("qber_key", "qber_test")}


@pytest.mark.parametrize(("name", "seed"), [(TIME_BIN, 101), (TIME_BIN, 102), (POLARIZATION, 101)])
def test_a_cold_link_comes_within_one_point_of_the_best_qber(tmp_path: Path, name: str, seed: int) -> None:
    assert max(_excess(tmp_path, name, seed).values()) <= ALLOWED_EXCESS


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", [TIME_BIN, POLARIZATION])
def test_twenty_of_twenty_cold_links_come_within_one_point_of_the_best_qber(tmp_path: Path, name: str) -> None:
    excess = {seed: max(_excess(tmp_path, name, seed).values()) for seed in range(1, 21)}
    assert {seed: value for seed, value in excess.items() if value > ALLOWED_EXCESS} == {}


def _pair_excess(folder: Path, seed: int) -> dict[str, float]:
    """Return how far the QBERs after a cold bring-up of a pair link lie above those of the aligned bench."""
    with pair_lab(folder, seed=seed) as (lab, _):
        best = execute(ROUTINES["pair_qber"], lab).decision.results
    with pair_lab(folder, seed=seed, is_cold=True) as (lab, _):
        records = bring_up(lab)
    assert is_brought_up(records), [(record.routine, record.reason) for record in records if not record.is_passed]
    assert records[-1].routine == "pair_qber"
    reached = records[-1].decision.results
    return {basis: reached[basis] - best[basis] for basis in ("qber_key", "qber_test")}


@pytest.mark.parametrize("seed", [104])
def test_a_cold_pair_link_comes_within_one_point_of_the_best_qber(tmp_path: Path, seed: int) -> None:
    assert max(_pair_excess(tmp_path, seed).values()) <= ALLOWED_EXCESS


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_twenty_of_twenty_cold_pair_links_come_within_one_point_of_the_best_qber(tmp_path: Path) -> None:
    excess = {seed: max(_pair_excess(tmp_path, seed).values()) for seed in range(1, 21)}
    assert {seed: value for seed, value in excess.items() if value > ALLOWED_EXCESS} == {}


def test_a_cold_link_is_of_no_use_before_it_is_brought_up(tmp_path: Path) -> None:
    with mock_lab(tmp_path, TIME_BIN, seed=101, is_cold=True) as (lab, _):
        lab.role("laser").enabled(True)
        assert not execute(ROUTINES["qber"], lab).is_passed


def test_the_calibrated_settings_align_the_link_of_another_session(tmp_path: Path) -> None:
    with mock_lab(tmp_path, TIME_BIN, seed=103, is_cold=True) as (lab, _):
        settings = calibrated_settings(bring_up(lab))
    with mock_lab(tmp_path, TIME_BIN, seed=103, is_cold=True) as (lab, station):
        for knob, value in settings.items():
            instrument, _, parameter = knob.rpartition(".")
            station.component(instrument).parameters[parameter].set(value)
        record = execute(ROUTINES["qber"], lab)
    assert record.is_passed, record.reason
    assert record.decision.results["qber_key"] < 0.025


def test_a_bring_up_ends_where_the_next_routine_would_be_meaningless(tmp_path: Path) -> None:
    with mock_lab(tmp_path, TIME_BIN) as (lab, station):
        station.component("alice_im").extinction_ratio(5.0)
        records = bring_up(lab)
    assert [record.routine for record in records[-2:]] == ["intensity_bias", "intensity_bias"]
    assert not is_brought_up(records)


def test_every_record_on_disk_replays_to_the_same_bits(tmp_path: Path) -> None:
    keep, files = keeper(tmp_path / "records")
    with mock_lab(tmp_path, TIME_BIN, seed=102, is_cold=True) as (lab, _):
        bring_up(lab, listener=keep)
    assert len(files) >= 11
    for path in files:
        assert agrees(*replay_file(path)), path


def test_the_command_writes_a_record_that_its_replay_confirms(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    link = write_configs(tmp_path, TIME_BIN, 101)
    seen = faintlink(capsys, "calibrate", "intensity_bias", link, "--out", tmp_path / "out", "--json",
                     "--set", "alice_im.null_voltage=6.5")  # fmt: skip
    assert seen.code == 0, seen.err
    report = json.loads(seen.out)
    assert report["records"][0]["verdict"] == "passed"
    assert abs(report["settings"]["alice_im.bias_voltage"] + 3.5) < 0.1
    again = faintlink(capsys, "calibrate", "--replay", report["records"][0]["file"], "--json")
    assert again.code == 0
    assert json.loads(again.out)["is_equal"] is True


def test_a_replay_of_a_doctored_record_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    link = write_configs(tmp_path, TIME_BIN, 101)
    faintlink(capsys, "calibrate", "efficiency_ratio", link, "--out", tmp_path / "out")
    path = next((tmp_path / "out").glob("*.calibration.h5"))
    doctored = tmp_path / "doctored.calibration.h5"
    shutil.copy(path, doctored)
    with h5py.File(doctored, "r+") as file:
        file["scans/random/counts_z0"][...] = 1000
    seen = faintlink(capsys, "calibrate", "--replay", doctored)
    assert seen.code == 3
    assert "ANOTHER decision" in seen.out


def test_a_calibration_that_fails_ends_with_five_and_leaves_a_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    link = write_configs(tmp_path, TIME_BIN, 101)
    seen = faintlink(capsys, "calibrate", "dark_counts", link, "--out", tmp_path / "out",
                     "--option", "dark_counts.max_dark_hz=1")  # fmt: skip
    assert seen.code == 5
    assert "dark count rate of z0" in seen.out
    assert len(list((tmp_path / "out").iterdir())) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense", "LINK"], "no calibration 'nonsense'"),
        (["all"], "give NAME"),
        (["all", "LINK", "--option", "qber.duratio_s=1"], "no option"),
        (["all", "LINK", "--option", "quber.duration_s=1"], "names no calibration"),
    ],
)
def test_wrong_usage_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    link = write_configs(tmp_path, TIME_BIN, 101)
    seen = faintlink(capsys, "calibrate", *[link if text == "LINK" else text for text in arguments],
                     "--out", tmp_path / "out")  # fmt: skip
    assert seen.code == 2
    assert words in seen.err
