"""A bring-up on the mock bench: every event is on the disk, and what a crash left turned is turned back."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faintlink.acquisition.bringup.conductor import Conductor, Plan, knobs_of
from faintlink.acquisition.bringup.journal import Event, Journal, Line
from faintlink.acquisition.bringup.standing import shelf_of
from faintlink.acquisition.bringup.states import State, steps_of
from faintlink.acquisition.calibration.bring_up import keeper
from faintlink.core.errors import ConfigError, ConnectionLostError
from faintlink.instruments.calibration.lab import Lab
from faintlink.instruments.station import LabStation
from tests.cold_bench import TIME_BIN, mock_lab

FEW = ("dark_counts", "laser", "intensity_bias")


def conductor(
    lab: Lab,
    station: LabStation,
    folder: Path,
    names: tuple[str, ...] = FEW,
    *,
    clock: Callable[[], float] = time.monotonic,
    **plan: Any,
) -> Conductor:
    keep, _ = keeper(folder)
    return Conductor(
        Plan(lab.link, steps_of(names), **plan),
        shelf_of(folder, lab.link).held,
        open_station=lambda: station,
        journal=Journal(folder),
        keep=keep,
        clock=clock,
    )


def failing(error: BaseException, *, after: int) -> Callable[[], float]:
    """Return a clock that raises once it was read so often."""
    reads = 0

    def read() -> float:
        nonlocal reads
        reads += 1
        if reads > after:
            raise error
        return float(reads) * 1e-3

    return read


def events(folder: Path) -> list[tuple[Event, str]]:
    return [(line.event, line.routine) for line in Journal(folder).lines()]


def test_each_step_is_on_the_disk_before_and_after_it(tmp_path: Path) -> None:
    with mock_lab(tmp_path, TIME_BIN) as (lab, station):
        assert conductor(lab, station, tmp_path / "out", FEW[:2]).run() is State.LIGHT_FOUND
    seen = [(event, name) for event, name in events(tmp_path / "out") if event is not Event.STATE]
    assert seen == [(Event.BEGAN, ""), (Event.STEP_BEGAN, "dark_counts"), (Event.STEP_PASSED, "dark_counts"),
                    (Event.STEP_BEGAN, "laser"), (Event.STEP_PASSED, "laser")]  # fmt: skip


def test_ctrl_c_puts_the_knobs_back_turns_the_light_off_and_the_next_goes_on_there(tmp_path: Path) -> None:
    with mock_lab(tmp_path, TIME_BIN) as (lab, station):
        before = knobs_of(lab)
        # The clock is read at each count: this ends the bias scan in its midst.
        broken = conductor(lab, station, tmp_path / "out", clock=failing(KeyboardInterrupt(), after=24))
        with pytest.raises(KeyboardInterrupt):
            broken.run()
        after = knobs_of(lab)
        assert broken.machine.state is State.INTERRUPTED
        assert {name for name in before if after[name] != before[name]} == {"alice_laser.enabled"}
        assert after["alice_laser.enabled"] is False
        began = [name for event, name in events(tmp_path / "out") if event is Event.STEP_BEGAN]
        resumed = conductor(lab, station, tmp_path / "out")
        assert resumed.run() is State.BALANCED
    again = [record.routine for record in resumed.records]
    assert again == [*FEW[FEW.index(began[-1]) :]]
    assert began[-1] in ("intensity_bias", "laser")


def test_what_a_killed_process_left_turned_is_turned_back_before_anything_else(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with mock_lab(tmp_path, TIME_BIN) as (lab, station):
        conductor(lab, station, folder).run()
        good = knobs_of(lab)
        # As after a kill in the midst of a step: it began, and the table stands anyhow.
        Journal(folder).append(
            Line("2026-01-01T00:00:00+00:00", Event.STEP_BEGAN, State.BALANCED, "intensity_bias", knobs=good)
        )
        for detector in ("bob_detector_0", "bob_detector_1"):
            station.component(detector).enabled(False)
        station.component("alice_im").drive_levels([0.0, 0.0])
        resumed = conductor(lab, station, folder)
        assert resumed.run() is State.BALANCED
        assert [record.routine for record in resumed.records] == ["intensity_bias"]
        now = knobs_of(lab)
    # What the step itself has found is as good as before; all else is as it was.
    found = {"alice_im.bias_voltage", "alice_im.drive_levels"}
    assert {name for name in good if now[name] != good[name]} <= found
    assert max(now["alice_im.drive_levels"]) > 4.0
    assert (Event.PUT_BACK, "intensity_bias") in events(folder)


def test_a_step_that_fails_leaves_its_knobs_as_they_were_and_the_light_off(tmp_path: Path) -> None:
    with mock_lab(tmp_path, TIME_BIN) as (lab, station):
        station.component("alice_im").extinction_ratio(5.0)
        before = knobs_of(lab)
        failed = conductor(lab, station, tmp_path / "out")
        assert failed.run() is State.FAILED
        after = knobs_of(lab)
    assert failed.machine.reason.startswith("intensity_bias: leak")
    assert [record.routine for record in failed.records] == ["dark_counts", "laser", *["intensity_bias"] * 2]
    assert {name for name in before if after[name] != before[name]} == {"alice_laser.enabled"}


def test_a_station_that_was_closed_gets_its_settings_again(tmp_path: Path) -> None:
    with mock_lab(tmp_path, TIME_BIN, seed=103, is_cold=True) as (lab, station):
        conductor(lab, station, tmp_path / "out").run()
        bias = lab.role("intensity_modulator").bias_voltage()
    with mock_lab(tmp_path, TIME_BIN, seed=103, is_cold=True) as (lab, station):
        assert lab.role("intensity_modulator").bias_voltage() != bias
        resumed = conductor(lab, station, tmp_path / "out")
        assert resumed.run() is State.BALANCED
        assert resumed.records == []
        assert lab.role("intensity_modulator").bias_voltage() == bias
        assert lab.role("laser").enabled() is True


def test_another_link_file_takes_every_step_anew(tmp_path: Path) -> None:
    with mock_lab(tmp_path, TIME_BIN) as (lab, station):
        conductor(lab, station, tmp_path / "out", FEW[:2]).run()
        other = lab.link.model_copy(update={"gate": lab.link.gate.model_copy(update={"half_width_ps": 400})})
        again = Conductor(
            Plan(other, steps_of(FEW[:2])),
            shelf_of(tmp_path / "out", other).held,
            open_station=lambda: station,
            journal=Journal(tmp_path / "out"),
            keep=keeper(tmp_path / "out")[0],
        )
        again.run()
    assert [record.routine for record in again.records] == ["dark_counts", "laser"]


def test_instruments_that_cannot_be_opened_end_the_bring_up_with_their_own_words(tmp_path: Path) -> None:
    with mock_lab(tmp_path, TIME_BIN) as (lab, _):

        def refuse() -> Any:
            raise ConnectionLostError("alice_laser does not answer", hint="switch it on")

        broken = Conductor(
            Plan(lab.link, steps_of(FEW)), {}, open_station=refuse, journal=Journal(tmp_path), keep=print
        )
        with pytest.raises(ConnectionLostError):
            broken.run()
    last = Journal(tmp_path).lines()[-1]
    assert (last.state, last.reason) == (State.FAILED, "alice_laser does not answer")


def test_knobs_given_first_are_turned_first_and_wrong_ones_refused(tmp_path: Path) -> None:
    with mock_lab(tmp_path, TIME_BIN) as (lab, station):
        conductor(lab, station, tmp_path / "a", FEW[:1], knobs={"alice_im.bias_voltage": 1.25}).run()
        assert lab.role("intensity_modulator").bias_voltage() == 1.25
        with pytest.raises(ConfigError, match="no parameter"):
            conductor(lab, station, tmp_path / "b", FEW[:1], knobs={"alice_im.nonsense": 1}).run()
