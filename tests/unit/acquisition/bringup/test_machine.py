"""A bring-up walked through on paper: what is done next after whatever happened."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from faintlink.acquisition.bringup.machine import Apply, Command, Connect, Darken, Machine, Measure, Outcome, PutBack
from faintlink.acquisition.bringup.standing import Held
from faintlink.acquisition.bringup.states import State, Step, state_named, steps_of
from faintlink.acquisition.calibration.bring_up import ROUTINES
from faintlink.core.errors import ConfigError, LocalProtocolError

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
NAMES = ("dark_counts", "laser", "intensity_bias", "sender_phase", "arrival", "qber")


def held(name: str, age_h: float = 0.0, **settings: Any) -> Held:
    return Held(f"record-{name}", NOW - timedelta(hours=age_h), settings)


def all_held(age_h: float = 1.0) -> dict[str, Held]:
    return {name: held(name, age_h) for name in NAMES}


def machine(records: Mapping[str, Held] | None = None, **how: Any) -> Machine:
    return Machine(steps_of(NAMES), records or {}, now=NOW, **how)


def now_of(m: Machine) -> tuple[State, Command | None]:
    """Return state and command; a property that changes is read anew through a call."""
    return m.state, m.command


def walk(m: Machine, misses: Mapping[str, int] | None = None) -> list[str]:
    """Carry a machine's commands out, missing a step so often first; return what was done."""
    left, done = dict(misses or {}), []
    while (command := m.command) is not None:
        if not isinstance(command, Measure):
            done.append(type(command).__name__)
            m.done()
            continue
        name = command.step.routine
        done.append(name)
        if left.get(name, 0):
            left[name] -= 1
            m.measured(Outcome(None, "it missed"))
        else:
            m.measured(Outcome(Held(f"new-{name}", NOW + timedelta(minutes=len(done)))))
        assert len(done) < 100
    return done


def test_a_cold_link_takes_every_step_in_order() -> None:
    m = machine()
    assert now_of(m) == (State.OFF, Connect())
    assert walk(m) == ["Connect", "Apply", *NAMES]
    assert m.state is State.READY


def test_states_are_reached_one_after_the_other() -> None:
    m, seen = machine(), []
    while (command := m.command) is not None:
        if isinstance(command, Measure):
            m.measured(Outcome(Held("x", NOW)))
        else:
            m.done()
        seen.append(m.state)
    expected = [State.CONNECTED, State.CONNECTED, State.DARK_CHECKED, State.LIGHT_FOUND, State.BALANCED]
    assert seen == [*expected, State.ALIGNED, State.TIMED, State.READY]


def test_records_that_hold_are_set_again_and_only_the_last_step_is_taken_anew() -> None:
    records = all_held() | {"laser": held("laser", 1.0, **{"l.enabled": True}), "arrival": held("arrival", 1.0, a=2)}
    m = machine(records)
    assert now_of(m)[1] == Connect()
    m.done()
    assert now_of(m)[1] == Apply({"l.enabled": True, "a": 2})
    assert walk(m) == ["Apply", "qber"]


def test_a_step_whose_record_is_too_old_is_taken_with_all_that_rest_on_it() -> None:
    m = machine(all_held() | {"intensity_bias": held("intensity_bias", 25.0)})
    assert walk(m) == ["Connect", "Apply", "intensity_bias", "arrival", "qber"]
    assert "25.0 h old" in machine({**all_held(), "laser": held("laser", 25.0)}).stand[1].why


def test_phases_grow_old_sooner_than_the_laser() -> None:
    assert walk(machine(all_held(age_h=5.0))) == ["Connect", "Apply", "sender_phase", "qber"]


def test_a_step_that_misses_once_is_tried_again() -> None:
    m = machine()
    assert walk(m, {"laser": 1}).count("laser") == 2
    assert m.state is State.READY


def test_a_step_that_misses_for_good_ends_in_darkness() -> None:
    m = machine()
    assert walk(m, {"intensity_bias": 9}) == ["Connect", "Apply", "dark_counts", "laser", *["intensity_bias"] * 2,
                                              "Darken"]  # fmt: skip
    assert m.state is State.FAILED
    assert m.reason == "intensity_bias: it missed"


def test_a_step_that_only_characterises_stops_nothing() -> None:
    m = machine()
    assert walk(m, {"dark_counts": 9})[2:4] == ["dark_counts", "dark_counts"]
    assert m.state is State.READY


def test_errors_at_the_end_send_the_bring_up_back_to_the_alignment_once() -> None:
    m = machine()
    assert walk(m, {"qber": 2})[-5:] == ["arrival", "qber", "qber", "sender_phase", "qber"]
    assert m.state is State.READY
    m = machine()
    assert walk(m, {"qber": 9})[-4:] == ["sender_phase", "qber", "qber", "Darken"]
    assert m.state is State.FAILED


def test_a_step_that_a_crash_cut_off_has_its_knobs_put_back_first_and_is_taken_anew() -> None:
    m = machine(all_held(), cut_off=("arrival", {"d.enabled": True}))
    m.done()
    assert m.command == PutBack({"d.enabled": True}, "arrival")
    assert walk(m) == ["PutBack", "Apply", "arrival", "qber"]


def test_an_interruption_ends_in_darkness() -> None:
    m = machine()
    m.done()
    m.interrupt("Ctrl-C")
    assert now_of(m) == (State.INTERRUPTED, Darken())
    m.done()
    assert now_of(m) == (State.INTERRUPTED, None)


def test_what_was_never_opened_is_not_darkened() -> None:
    m = machine()
    m.fail("no answer")
    assert m.command is None
    assert m.state is State.FAILED


def test_a_bring_up_can_begin_at_a_state() -> None:
    assert walk(machine(all_held(), begin_at=State.ALIGNED)) == ["Connect", "Apply", "sender_phase", "arrival", "qber"]


def test_a_bring_up_cannot_begin_at_a_state_whose_ground_is_missing() -> None:
    records = {name: one for name, one in all_held().items() if name != "laser"}
    with pytest.raises(ConfigError, match="laser: it has no record") as caught:
        machine(records, begin_at=State.ALIGNED)
    assert "--from" in caught.value.hint


@pytest.mark.parametrize(("name", "state"), [("aligned", State.ALIGNED), ("DARK-CHECKED", State.DARK_CHECKED)])
def test_states_are_named_as_people_write_them(name: str, state: State) -> None:
    assert state_named(name, steps_of(NAMES)) is state


def test_a_state_that_the_steps_do_not_lead_to_is_refused_with_those_they_do() -> None:
    with pytest.raises(ConfigError) as caught:
        state_named("HERALDED", steps_of(NAMES))
    assert caught.value.hint == "its states are DARK_CHECKED, LIGHT_FOUND, BALANCED, ALIGNED, TIMED, READY"


def test_an_outcome_without_a_step_and_a_step_without_an_outcome_are_refused() -> None:
    m = machine()
    with pytest.raises(LocalProtocolError):
        m.measured(Outcome(None))
    m.done()
    m.done()
    with pytest.raises(LocalProtocolError):
        m.done()


def test_every_routine_leads_somewhere_and_needs_only_what_comes_before_it() -> None:
    steps: Sequence[Step] = steps_of(list(ROUTINES))
    order = [step.routine for step in steps]
    for at, step in enumerate(steps):
        assert {order.index(need) < at for need in step.needs} <= {True}, step
        assert not {need for need in step.needs if steps[order.index(need)].is_advisory}, step
        assert not step.falls_back_to or order.index(step.falls_back_to) < at
