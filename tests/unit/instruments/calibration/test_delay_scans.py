import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from faintlink.core.calibration.records import Verdict
from faintlink.instruments.calibration.delay import DelayScan, GateDelay
from faintlink.instruments.calibration.lab import Lab
from faintlink.instruments.calibration.routine import execute, replay
from faintlink.instruments.mocks.delays import MockDelayLine
from faintlink.instruments.roles import check_role
from faintlink.instruments.station import LabStation
from tests.cold_bench import TIME_BIN, mock_lab

Bench = tuple[Lab, LabStation]


def _with_role(lab: Lab, role: str, instrument: MockDelayLine) -> Lab:
    roles, names = {**lab.roles, role: instrument}, {**lab.names, role: instrument.name}
    return Lab(lab.link, roles, names, lab.tagger, lab.snapshot)


@pytest.fixture
def line(tmp_path: Path) -> Iterator[tuple[Lab, MockDelayLine]]:
    with mock_lab(tmp_path, TIME_BIN, seed=5) as (lab, _):
        delay = MockDelayLine("alice_delay", "bench", best_ps=63.0, width_ps=4.0)
        yield _with_role(lab, "delay_line", delay), delay
        delay.close()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[tuple[Lab, MockDelayLine]]:
    with mock_lab(tmp_path, TIME_BIN, seed=5) as (lab, station):
        station.component("alice_im").bias_voltage(station.component("alice_im").half_wave_voltage())
        lab.role("intensity_modulator").drive_levels([0.0, 0.0])
        delay = MockDelayLine("gate", "bench", best_ps=1730.0, width_ps=250.0, acts_on="gate")
        yield _with_role(lab, "gate_delay", delay), delay
        delay.close()


def test_the_mock_delay_fills_the_role(line: tuple[Lab, MockDelayLine]) -> None:
    check_role(line[1], "DelayLine")


@pytest.mark.parametrize("start_ps", [45.0, 80.0])
def test_the_delay_line_is_set_to_the_best_visibility(line: tuple[Lab, MockDelayLine], start_ps: float) -> None:
    lab, delay = line
    delay.delay(start_ps)
    record = execute(DelayScan(), lab)
    assert record.is_passed, record.reason
    results = record.decision.results
    assert abs(delay.delay() - 63.0) < 5.0 * results["delay_sigma_ps"]
    assert results["delay_sigma_ps"] < 0.3
    assert results["coherence_sigma_ps"] == pytest.approx(4.0, rel=0.1)
    assert results["visibility"] == pytest.approx(0.98, abs=5.0 * results["visibility_sigma"] + 0.005)
    assert record.before["delay_line.delay"] == start_ps
    assert record.after["delay_line.delay"] == record.decision.proposal["delay_line.delay"]
    assert replay(DelayScan(), record).decision == record.decision


def test_the_mock_delay_leaves_what_others_set_of_the_visibility(line: tuple[Lab, MockDelayLine]) -> None:
    _, delay = line
    delay.delay(67.0)
    assert delay.bench.visibility() == pytest.approx(0.98 * math.exp(-0.5))
    delay.bench.visibility(0.5 * math.exp(-0.5))
    delay.delay(63.0)
    assert delay.bench.visibility() == pytest.approx(0.5)


def test_a_peak_out_of_reach_fails_and_the_delay_goes_back(line: tuple[Lab, MockDelayLine]) -> None:
    lab, delay = line
    delay.delay(300.0)
    record = execute(DelayScan(), lab)
    assert record.verdict is not Verdict.PASSED
    assert record.reason
    assert delay.delay() == 300.0


def test_the_gate_is_set_to_the_most_counts(gate: tuple[Lab, MockDelayLine]) -> None:
    lab, delay = gate
    delay.delay(1300.0)
    record = execute(GateDelay(), lab)
    assert record.is_passed, record.reason
    assert abs(delay.delay() - 1730.0) < 5.0 * record.decision.results["delay_sigma_ps"]
    assert record.decision.results["delay_sigma_ps"] < 15.0
    assert replay(GateDelay(), record).decision == record.decision


def test_a_gate_without_light_fails_and_goes_back(gate: tuple[Lab, MockDelayLine]) -> None:
    lab, delay = gate
    delay.delay(1300.0)
    lab.role("laser").power(0.0)
    record = execute(GateDelay(), lab)
    assert record.verdict is not Verdict.PASSED
    assert delay.delay() == 1300.0
