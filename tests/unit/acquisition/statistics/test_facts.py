"""Calibrations, events and the key store, as the live view lists them."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from faintlink.acquisition.statistics.facts import (
    calibration_history,
    calibrations_in_force,
    event_lines,
    facts_of,
)
from faintlink.acquisition.statistics.keyrate import KeyPool, forecast_bps
from faintlink.acquisition.statistics.snapshot import BINS
from faintlink.core.calibration.file import write_record
from faintlink.core.calibration.records import CalibrationRecord, Decision, Verdict
from faintlink.core.records import DecoyCounts, SecretKey
from faintlink.core.runfile.reader import RowBlock
from faintlink.postprocess.keystore import FileKeyStore
from tests.pairs import pair_link
from tests.pulses import small_link


def record(
    routine: str, hour: int, verdict: Verdict, *, link: str = "small-pulsed", reason: str = ""
) -> CalibrationRecord:
    return CalibrationRecord(
        record_id=f"{routine}{hour:02d}-0000",
        routine=routine,
        routine_version=1,
        link=link,
        started_utc=f"2026-01-01T{hour:02d}:00:00+00:00",
        duration_s=1.0,
        software_version="0",
        verdict=verdict,
        reason=reason,
        options={},
        scans={},
        decision=Decision(results={"gate_center_ps": 12.3456}),
        before={},
        after={},
    )


def test_calibrations_are_listed_oldest_first_with_their_verdict(tmp_path: Path) -> None:
    write_record(tmp_path, record("visibility", 9, Verdict.FAILED, reason="too low"))
    write_record(tmp_path, record("arrival", 8, Verdict.PASSED))
    write_record(tmp_path, record("arrival", 7, Verdict.PASSED, link="another"))
    assert calibration_history(tmp_path, "small-pulsed") == [
        "2026-01-01 08:00  arrival passed  gate_center_ps 12.35",
        "2026-01-01 09:00  visibility failed  too low",
    ]


def test_a_damaged_record_is_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "x.calibration.h5").write_bytes(b"no record")
    assert calibration_history(tmp_path, "small-pulsed") == []
    assert "x.calibration.h5" in caplog.text


def test_calibrations_in_force_come_from_the_runs_own_file() -> None:
    records = {"arrival": {"started_utc": "2026-01-01T08:00:00+00:00", "results": {"gate_center_ps": 3.0}}}
    lines = calibrations_in_force({"calibration": json.dumps({"records": records})})
    assert lines == ["2026-01-01 08:00  arrival in force  gate_center_ps 3"]
    assert calibrations_in_force({}) == []


@pytest.mark.parametrize("text", ["", "[]", '{"records": [1]}', '{"records": {"a": {}}}'])
def test_a_strange_list_of_calibrations_is_left_out(text: str) -> None:
    assert calibrations_in_force({"calibration": text}) == []


def test_warnings_stand_out_in_the_event_log() -> None:
    times = np.array([0, 3_661_000_000_000], np.int64)
    levels = np.array([logging.INFO, logging.WARNING], np.uint8)
    block = RowBlock((times, levels, np.array([b"start", b"lost"], "S240")), ())
    assert event_lines([block]) == ["00:00:00 start", "01:01:01 ! lost"]


def test_the_axis_of_pulses_covers_the_slot_and_that_of_pairs_ten_windows() -> None:
    pulsed = facts_of(small_link(), run_id="r", origin="o")
    assert (pulsed.first_ps, BINS * pulsed.bin_ps) == (-50_000.0, 100_000.0)
    assert pulsed.gate_ps == (-1000.0, 1000.0)
    pairs = facts_of(pair_link(), run_id="r", origin="o")
    assert (pairs.first_ps, BINS * pairs.bin_ps, pairs.gate_ps) == (-10_000.0, 20_000.0, (-1000.0, 1000.0))


def test_the_pool_counts_keys_that_may_be_used_and_forgets_those_that_left(tmp_path: Path) -> None:
    store, pool = FileKeyStore(tmp_path / "keys"), KeyPool(tmp_path / "keys")
    assert pool.bits() == 0
    store.put(SecretKey("a", 100, bytes(13), 1e-9), {})
    store.prepare(SecretKey("b", 50, bytes(7), 1e-9), {})
    assert pool.bits() == 100
    store.release("b")
    assert pool.bits() == 150
    (tmp_path / "keys" / "a.key").unlink()
    assert pool.bits() == 50


def test_nothing_is_forecast_of_nothing() -> None:
    assert forecast_bps(small_link(), DecoyCounts.zero(1), 1.0) is None
    assert forecast_bps(small_link(), DecoyCounts((9,), (9,), (0,), (0,)), 0.0) is None


def test_the_forecast_grows_with_the_counts_and_falls_with_the_errors() -> None:
    link = small_link()
    one = forecast_bps(link, DecoyCounts((100_000,), (40_000,), (2000,), (800,)), 1.0)
    more = forecast_bps(link, DecoyCounts((200_000,), (80_000,), (4000,), (1600,)), 1.0)
    worse = forecast_bps(link, DecoyCounts((100_000,), (40_000,), (5000,), (2000,)), 1.0)
    assert one is not None
    assert more is not None
    assert worse is not None
    assert more > 2 * one > 0
    assert worse < one
