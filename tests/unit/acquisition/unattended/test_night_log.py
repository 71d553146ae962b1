"""The newest run is found in the night's log, whatever a crash did to its end."""

from pathlib import Path

from faintlink.acquisition.unattended.night_log import FILE, newest_run, note


def test_the_newest_run_is_the_last_whole_entry_of_one(tmp_path: Path) -> None:
    assert newest_run(tmp_path) is None
    for number in range(300):
        note(tmp_path, {"event": "run", "folder": f"runs/{number}", "padding": "x" * 300})
    note(tmp_path, {"event": "calibration", "routine": "arrival"})
    with (tmp_path / FILE).open("ab") as file:
        file.write(b'{"format":"faintlink.unattended/1","event":"run","fol')
    found = newest_run(tmp_path)
    assert found is not None
    assert found["folder"] == "runs/299"


def test_a_log_without_a_run_has_no_newest(tmp_path: Path) -> None:
    note(tmp_path, {"event": "failure"})
    assert newest_run(tmp_path) is None


def test_a_large_log_makes_way_for_a_new_one_and_the_oldest_goes(tmp_path: Path) -> None:
    for number in range(30):
        note(tmp_path, {"event": "run", "folder": f"runs/{number}", "padding": "x" * 300}, max_bytes=1000)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == [FILE, *(f"{FILE}.{number}" for number in range(1, 5))]
    found = newest_run(tmp_path)
    assert found is not None
    assert found["folder"] == "runs/29"
    assert (tmp_path / f"{FILE}.1").read_text().count("\n") == 3
