from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest

from faintlink.core.calibration.records import Criterion, Decision, Scan, Verdict
from faintlink.core.config.link import LinkConfig
from faintlink.core.config.loader import load_link
from faintlink.core.errors import ConfigError, DeviceReportedError
from faintlink.core.tags import GapCause, GapRecord, TagBlock
from faintlink.instruments.calibration.lab import Lab
from faintlink.instruments.calibration.routine import Routine, execute, replay
from faintlink.instruments.calibration.session import Session
from tests.cold_bench import CONFIGS


class _Parameter:
    def __init__(self, value: Any) -> None:
        self.value = value
        self.history: list[Any] = []
        self.refuses: Any = None

    def __call__(self, *value: Any) -> Any:
        if not value:
            return self.value
        if value[0] == self.refuses:
            raise DeviceReportedError("out of range")
        self.value = value[0]
        self.history.append(value[0])
        return None


class _Instrument:
    def __init__(self, **values: Any) -> None:
        for name, value in values.items():
            setattr(self, name, _Parameter(value))


class _Stream:
    def __init__(self, gaps: tuple[GapRecord, ...] = ()) -> None:
        self.at = 0
        self.gaps = gaps

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def read(self, timeout_s: float) -> TagBlock:
        times = self.at + np.arange(1, 1001, dtype=np.int64) * 1_000_000
        self.at = int(times[-1])
        return TagBlock(times, np.tile(np.array([1, 2, 3, 4], np.uint8), 250), self.gaps)


class _Tagger:
    def __init__(self, gaps: tuple[GapRecord, ...] = ()) -> None:
        self.gaps = gaps

    def stream(self) -> _Stream:
        return _Stream(self.gaps)


@pytest.fixture
def link() -> LinkConfig:
    return load_link(CONFIGS / "demo.link.yaml")


@pytest.fixture
def lab(link: LinkConfig) -> Lab:
    roles = {"attenuator": _Instrument(attenuation=20.0), "laser": _Instrument(enabled=False)}
    return Lab(link, roles, {"attenuator": "alice_voa", "laser": "alice_laser"}, _Tagger(), lambda: {"all": 1})


class _Turning(Routine):
    """Turns two knobs and proposes a value for one."""

    name = "turning"
    roles = ("attenuator", "laser")
    options: ClassVar[Mapping[str, float]] = {"limit": 1.0}

    def measure(self, session: Session) -> None:
        session.turn("laser.enabled", True)
        session.turn("attenuator.attenuation", 3.0)
        session.point("scan", {"attenuation_db": 3.0}, 1e-3)

    def decide(self, scans: Mapping[str, Scan], options: Mapping[str, float]) -> Decision:
        value = float(scans["scan"]["counts_z0"].sum()) / 1e6
        criterion = Criterion("share", value, 0.0, options["limit"], "at most")
        return Decision((), (criterion,), {"attenuator.attenuation": 7.25}, {"value": value})


class _Breaking(_Turning):
    def measure(self, session: Session) -> None:
        super().measure(session)
        raise ZeroDivisionError("in the middle")


def test_a_pass_leaves_the_proposal_in_force_and_everything_else_as_it_was(lab: Lab) -> None:
    record = execute(_Turning(), lab)
    assert record.verdict is Verdict.PASSED
    assert lab.role("attenuator").attenuation() == 7.25
    assert lab.role("laser").enabled() is False
    assert record.before == {"laser.enabled": False, "attenuator.attenuation": 20.0}
    assert record.after == {"laser.enabled": False, "attenuator.attenuation": 7.25}
    assert record.settings == {"alice_voa.attenuation": 7.25}
    assert record.snapshot == {"all": 1}


def test_a_failed_criterion_puts_every_knob_back_and_says_why(lab: Lab) -> None:
    record = execute(_Turning(), lab, options={"limit": -1.0})
    assert record.verdict is Verdict.FAILED
    assert "share: 0.00025" in record.reason
    assert lab.role("attenuator").attenuation() == 20.0
    assert lab.role("laser").enabled() is False
    assert record.after == record.before
    assert record.settings == {}


def test_an_exception_puts_every_knob_back_and_keeps_what_was_measured(lab: Lab) -> None:
    record = execute(_Breaking(), lab)
    assert record.verdict is Verdict.ERROR
    assert record.reason == "ZeroDivisionError: in the middle"
    assert lab.role("attenuator").attenuation() == 20.0
    assert len(record.scans["scan"]) == 1


def test_ctrl_c_puts_every_knob_back_and_goes_on(lab: Lab) -> None:
    class Interrupted(_Turning):
        def confirm(self, session: Session, decision: Decision) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(Interrupted(), lab)
    assert lab.role("attenuator").attenuation() == 20.0


def test_a_confirmation_that_fails_takes_the_proposal_back(lab: Lab) -> None:
    class Confirmed(_Turning):
        def confirm(self, session: Session, decision: Decision) -> None:
            session.point("scan", {"attenuation_db": 7.25}, 1e-3)

    assert execute(Confirmed(), lab, options={"limit": 0.0004}).verdict is Verdict.FAILED
    assert lab.role("attenuator").attenuation() == 20.0


def test_an_instrument_that_refuses_a_value_leaves_the_others_put_back(lab: Lab) -> None:
    lab.role("attenuator").attenuation.refuses = 3.0
    record = execute(_Turning(), lab)
    assert record.verdict is Verdict.ERROR
    assert "out of range" in record.reason
    assert lab.role("laser").enabled() is False


def test_a_knob_that_cannot_be_put_back_is_named(lab: Lab) -> None:
    lab.role("attenuator").attenuation.refuses = 20.0
    record = execute(_Breaking(), lab)
    assert "attenuator.attenuation: DeviceReportedError" in record.reason
    assert lab.role("laser").enabled() is False


def test_a_routine_that_takes_too_long_is_ended(lab: Lab) -> None:
    ticks = iter(np.arange(0.0, 1e6, 40.0))
    record = execute(_Turning(), lab, timeout_s=30.0, clock=lambda: float(next(ticks)))
    assert record.verdict is Verdict.ERROR
    assert "longer than 30 s" in record.reason
    assert lab.role("attenuator").attenuation() == 20.0


def test_a_missing_role_is_refused_before_anything_is_turned(lab: Lab) -> None:
    with pytest.raises(ConfigError, match="does not bind: attenuator"):
        execute(_Turning(), replace(lab, roles={"laser": lab.role("laser")}))


def test_an_unknown_option_is_refused(lab: Lab) -> None:
    with pytest.raises(ConfigError, match=r"no option \['limits'\]"):
        execute(_Turning(), lab, options={"limits": 1.0})


def test_lost_tags_end_a_calibration(lab: Lab) -> None:
    gap = GapRecord(0, 10, 5, GapCause.DEVICE_OVERFLOW)
    record = execute(_Turning(), replace(lab, tagger=_Tagger((gap,))))
    assert record.verdict is Verdict.ERROR
    assert "lost tags" in record.reason


def test_a_replay_arrives_at_the_same_decision(lab: Lab) -> None:
    record = execute(_Turning(), lab)
    assert replay(_Turning(), record).decision == record.decision


def test_a_replay_of_changed_counts_decides_otherwise(lab: Lab) -> None:
    record = execute(_Turning(), lab)
    columns = dict(record.scans["scan"].columns)
    columns["counts_z0"] = columns["counts_z0"] * 10_000_000
    changed = replace(record, scans={"scan": Scan("scan", columns)})
    assert replay(_Turning(), changed).verdict is Verdict.FAILED


def test_a_replay_by_another_version_is_refused(lab: Lab) -> None:
    record = replace(execute(_Turning(), lab), routine_version=9)
    with pytest.raises(ConfigError, match="version 9"):
        replay(_Turning(), record)


def test_live_time_is_less_by_the_dead_time_of_the_detectors_clicks(lab: Lab) -> None:
    seen = lab.count(1e-3)
    # 1 MHz on four channels of two detectors: 500 clicks in 1 ms on each, 101 ns dead after each.
    assert seen["counts_z0"] == 250
    assert seen["live_z0_s"] == pytest.approx(1e-3 - 500 * 101e-9)
