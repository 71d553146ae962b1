"""Superseded records are put away; what is in force, and the newest, stay."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from faintlink.acquisition.bringup.standing import shelf_of
from faintlink.acquisition.unattended.tidying import FOLDER, put_away
from faintlink.core.calibration.file import read_record, write_record
from faintlink.core.calibration.records import CalibrationRecord, Decision, Verdict
from faintlink.core.config.loader import load_link
from tests.cold_bench import CONFIGS

LINK = load_link(CONFIGS / "demo.link.yaml")


def record(minute: int, routine: str = "arrival", verdict: Verdict = Verdict.PASSED) -> CalibrationRecord:
    started = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)).isoformat(timespec="milliseconds")
    return CalibrationRecord(f"{minute:08d}-{routine}", routine, 1, LINK.name, started, 1.0, "0", verdict, "", {}, {},
                             Decision(), {}, {})  # fmt: skip


def test_the_newest_stay_and_older_ones_are_put_away_readable(tmp_path: Path) -> None:
    for minute in range(6):
        write_record(tmp_path, record(minute))
    write_record(tmp_path, record(0, "qber"))
    moved = put_away(tmp_path, LINK, kept=2)
    assert [read_record(path).record_id for path in moved] == [f"{minute:08d}-arrival" for minute in range(4)]
    assert {path.parent.name for path in moved} == {FOLDER}
    assert len(list(tmp_path.glob("*.h5"))) == 3
    assert put_away(tmp_path, LINK, kept=2) == []


def test_the_record_in_force_stays_however_many_failed_since(tmp_path: Path) -> None:
    write_record(tmp_path, record(0))
    for minute in range(1, 6):
        write_record(tmp_path, record(minute, verdict=Verdict.FAILED))
    put_away(tmp_path, LINK, kept=2)
    shelf = shelf_of(tmp_path, LINK)
    assert shelf.passed["arrival"].record_id == "00000000-arrival"
    assert shelf.newest["arrival"].record_id == "00000005-arrival"


def test_records_of_other_links_are_left_alone(tmp_path: Path) -> None:
    for minute in range(4):
        write_record(tmp_path, replace(record(minute), link="another"))
    assert put_away(tmp_path, LINK, kept=1) == []
