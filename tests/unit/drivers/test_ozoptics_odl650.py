"""OZ Optics ODL-650: steps and picoseconds, homing, moves, and faults."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faintlink.core.errors import ConnectionLostError, DeviceReportedError, InterlockError, UnsupportedFeatureError
from faintlink.drivers.delays.ozoptics_odl650 import PS_PER_STEP, OZOpticsODL650, delay_ps, steps_for
from faintlink.drivers.dialogue import DialogueInstrument
from faintlink.drivers.transport.scripted import expected_wire
from faintlink.instruments.conformance.bench_suites import DelayLineTests
from faintlink.instruments.emulators.kit.device import EmulatedDevice
from faintlink.instruments.emulators.kit.faults import Fault
from faintlink.instruments.emulators.kit.knob import Cell
from faintlink.instruments.emulators.kit.servers import PtyServer
from faintlink.instruments.emulators.ozoptics_odl650 import EmulatedODL650
from tests.serial_faults import SerialFaultTests, refuses_twice

MODEL = (b"V1\r\n", b"V1\r\nODL-650-MCV2.0_1\r\nDone\r\n")


@pytest.fixture
def line() -> Iterator[OZOpticsODL650]:
    with PtyServer(EmulatedODL650()) as server:
        yield OZOpticsODL650("odl", server.address)


class TestConformance(DelayLineTests):
    @pytest.fixture
    def instrument(self, line: OZOpticsODL650) -> object:
        line.home()
        return line


class TestFaults(SerialFaultTests):
    def emulator(self) -> EmulatedDevice:
        return EmulatedODL650()

    def driver(self, address: str) -> DialogueInstrument:
        return OZOpticsODL650("odl", address)

    def change(self, device: Any) -> None:
        device.home()
        device.delay(100.0)

    def read(self, device: Any) -> float:
        return float(device.delay())

    def test_a_restart_is_told_once_and_then_the_new_value_is_read(
        self, server: PtyServer, device: DialogueInstrument
    ) -> None:
        """Here there is no new value: the position stays unknown until the line is homed."""
        self.change(device)
        server.faults.inject(Fault.REBOOT)
        with pytest.raises(ConnectionLostError):
            self.read(device)
        refuses_twice(lambda: self.read(device), InterlockError)


def test_one_turn_of_the_motor_is_5_08_mm_of_path() -> None:
    # 5.08 mm / (0.299792458 mm/ps), by hand.
    assert delay_ps(32768) == pytest.approx(16.945056, abs=1e-6)
    assert steps_for(650.0) == pytest.approx(38.36 * 32768, rel=1e-4)


@given(delay=st.floats(0.0, 650.0))
def test_a_delay_is_met_to_half_a_step(delay: float) -> None:
    assert abs(delay_ps(steps_for(delay)) - delay) <= PS_PER_STEP / 2 * (1 + 1e-6)


def test_the_wire_is_that_of_the_sources() -> None:
    script = [
        MODEL,
        (b"FH\r\n", b"FH\r\nDone\r\n"),
        (b"S?\r\n", b"S?\r\nPOS:0\r\nDone\r\n"),
        (b"S?\r\n", b"\r\nPOS:0\r\nDone"),
        (b"S1934\r\n", b"\r\nDone\r\n"),
        (b"S?\r\n", b"\r\nPOS:1934\r\nDone\r\n"),
    ]
    with expected_wire(script) as link:
        line = OZOpticsODL650("odl", "scripted", link=link)
        line.home()
        line.delay(1.0)


def test_before_homing_there_is_no_delay_to_read_or_set(line: OZOpticsODL650) -> None:
    assert line.is_homed() is False
    refuses_twice(lambda: line.delay.get(), InterlockError)
    refuses_twice(lambda: line.delay(10.0), InterlockError)
    line.home()
    assert line.is_homed() is True
    assert line.delay() == 0.0


def test_a_move_waits_until_the_line_is_there() -> None:
    knob = Cell(0.0)
    with PtyServer(EmulatedODL650(knob, steps_per_s=2e6)) as server:
        line = OZOpticsODL650("odl", server.address)
        line.home()
        line.delay(300.0)
        assert line.delay() == pytest.approx(300.0, abs=1e-3)
        assert knob() == pytest.approx(300.0, abs=1e-3)


def test_a_line_that_does_not_arrive_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OZOpticsODL650, "move_s", 0.2)
    with PtyServer(EmulatedODL650(steps_per_s=10.0)) as server:
        line = OZOpticsODL650("odl", server.address)
        line.home()
        with pytest.raises(DeviceReportedError, match="did not arrive"):
            line.delay(300.0)


def test_another_device_is_refused() -> None:
    with (
        expected_wire([(b"V1\r\n", b"V1\r\nEPC-400\r\nDone\r\n")]) as link,
        pytest.raises(UnsupportedFeatureError, match="EPC-400"),
    ):
        OZOpticsODL650("odl", "scripted", link=link)
