"""The journal of a bring-up survives what a crash does to it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from faintlink.acquisition.bringup.journal import FILE, Event, Journal, Line, believed, cut_off, since
from faintlink.acquisition.bringup.standing import Held
from faintlink.acquisition.bringup.states import State
from faintlink.core.errors import CorruptBlockError, InterlockError

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def line(event: Event, minute: int = 0, state: State = State.CONNECTED, **fields: object) -> Line:
    return Line((T0 + timedelta(minutes=minute)).isoformat(), event, state, **fields)  # type: ignore[arg-type]


LINES = [
    line(Event.BEGAN, 0, State.OFF, link_sha256="a"),
    line(Event.STATE, 1),
    line(Event.STEP_BEGAN, 2, routine="laser", knobs={"l.enabled": False, "v.levels": [0.0, 1.5]}),
]


def test_lines_come_back_as_they_were_written(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "new")
    for one in LINES:
        journal.append(one)
    assert journal.lines() == LINES
    assert (journal.path.stat().st_mode & 0o777) == 0o600


def test_there_need_not_be_a_journal(tmp_path: Path) -> None:
    assert Journal(tmp_path).lines() == []
    assert since([]) == (State.OFF, None, "")


def test_whatever_a_crash_cuts_off_leaves_the_lines_before_it_and_the_next_can_be_written(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for one in LINES:
        journal.append(one)
    whole = journal.path.read_bytes()
    ends = [at for at, byte in enumerate(whole) if byte == ord("\n")]
    cuts = {min(max(end + off, 0), len(whole)) for end in ends for off in range(-3, 4)} | set(range(0, len(whole), 29))
    for cut in sorted(cuts):
        journal.path.write_bytes(whole[:cut])
        journal.append(LINES[0])
        # A line is whole once its closing brace is there, its end of line or not.
        assert journal.lines() == [*LINES[: sum(cut >= end for end in ends)], LINES[0]], cut


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(LINES[0])
    with journal.path.open("ab") as file:
        file.write(b'{"format": "something else"}\n')
    with pytest.raises(CorruptBlockError, match=f"{FILE}, line 2") as caught:
        journal.lines()
    assert "move the file away" in caught.value.hint


def test_a_step_without_an_end_was_cut_off_with_its_knobs(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for one in LINES:
        journal.append(one)
    assert cut_off(journal.lines()) == ("laser", {"l.enabled": False, "v.levels": [0.0, 1.5]})


@pytest.mark.parametrize("end", [Event.STEP_PASSED, Event.STEP_MISSED, Event.PUT_BACK])
def test_a_step_that_ended_was_not_cut_off(end: Event) -> None:
    assert cut_off([*LINES, line(end, 3, routine="laser"), line(Event.BEGAN, 9, State.OFF)]) is None


def test_the_state_is_dated_by_the_line_that_reached_it() -> None:
    lines = [*LINES, line(Event.STATE, 5, State.FAILED, reason="laser: dark"), line(Event.STATE, 6, State.FAILED)]
    assert since(lines)[:2] == (State.FAILED, T0 + timedelta(minutes=5))


def test_only_records_of_the_link_file_as_it_is_are_believed() -> None:
    held = {"old": Held("o", T0 + timedelta(minutes=5)), "new": Held("n", T0 + timedelta(minutes=25))}
    first = line(Event.BEGAN, 0, link_sha256="a")
    other = line(Event.BEGAN, 20, link_sha256="b")
    assert believed(held, [], "a") == held
    assert believed(held, [first], "a") == held
    assert believed(held, [first, other], "b") == {"new": held["new"]}
    # A crash right after the change must not bring the old records back.
    assert believed(held, [first, other, line(Event.BEGAN, 21, link_sha256="b")], "b") == {"new": held["new"]}
    assert believed(held, [first], "b") == {}


def test_a_second_bring_up_is_kept_out_and_told_by_whom(tmp_path: Path) -> None:
    with (
        Journal(tmp_path).locked(),
        pytest.raises(InterlockError, match=r"another process \(pid \d+\)"),
        Journal(tmp_path).locked(),
    ):
        pass
    with Journal(tmp_path).locked():
        pass


def test_a_line_is_one_line_of_json(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(line(Event.STATE, reason="two\nlines"))
    (text,) = journal.path.read_text().splitlines()
    assert json.loads(text)["reason"] == "two\nlines"
