"""Thorlabs OSW-E: the wire, a stuck switch, faults, and the light behind it."""

from collections.abc import Iterator
from typing import Any

import pytest

from faintlink.core.errors import ConfigError, DeviceReportedError, UnsupportedFeatureError
from faintlink.drivers.dialogue import DialogueInstrument
from faintlink.drivers.switches.thorlabs_osw import ThorlabsOSW
from faintlink.drivers.transport.scripted import expected_wire
from faintlink.instruments.conformance.bench_suites import OpticalSwitchTests
from faintlink.instruments.emulators.kit.device import EmulatedDevice
from faintlink.instruments.emulators.kit.servers import PtyServer
from faintlink.instruments.emulators.thorlabs_osw import EmulatedOSW
from faintlink.instruments.mocks.bench import MockBench
from faintlink.instruments.mocks.senders import MockAttenuator
from tests.serial_faults import SerialFaultTests


@pytest.fixture
def switch() -> Iterator[ThorlabsOSW]:
    with PtyServer(EmulatedOSW()) as server:
        yield ThorlabsOSW("switch", server.address)


class TestConformance(OpticalSwitchTests):
    @pytest.fixture
    def instrument(self, switch: ThorlabsOSW) -> object:
        return switch


class TestFaults(SerialFaultTests):
    def emulator(self) -> EmulatedDevice:
        return EmulatedOSW()

    def driver(self, address: str) -> DialogueInstrument:
        return ThorlabsOSW("switch", address)

    def change(self, device: Any) -> None:
        device.position(2)

    def read(self, device: Any) -> float:
        return float(device.position())


def test_a_setting_has_no_answer_and_is_asked_for() -> None:
    script = [
        (b"I?\n", b"OSW22-1310E v1.0\r\n"),
        (b"T?\n", b"2\r\n"),
        (b"S 2\n", b""),
        (b"S?\n", b"1\r\n"),
        (b"S?\n", b"2\r\n"),
        (b"S?\n", b"2\r\n"),
    ]
    with expected_wire(script) as link:
        ThorlabsOSW("switch", "scripted", link=link).position(2)


def test_a_stuck_switch_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ThorlabsOSW, "switching_s", 0.2)
    with PtyServer(EmulatedOSW(is_stuck=True)) as server:
        switch = ThorlabsOSW("switch", server.address)
        with pytest.raises(DeviceReportedError, match="position was not taken"):
            switch.position(2)


def test_another_device_is_refused() -> None:
    with expected_wire([(b"I?\n", b"Toaster\r\n")]) as link, pytest.raises(UnsupportedFeatureError, match="Toaster"):
        ThorlabsOSW("switch", "scripted", link=link)


def test_one_position_makes_no_switch() -> None:
    with pytest.raises(ConfigError, match="two positions"):
        ThorlabsOSW("switch", "nowhere", positions=1)


def test_the_emulated_switch_lets_light_through_or_not() -> None:
    bench = MockBench("bench", model="timebin-bb84-80mhz", seed=3)
    behind = MockAttenuator("behind", "bench", place="line")

    def knob(*position: int) -> int:
        if position:
            behind.attenuation(0.0 if position[0] == 1 else 60.0)
        return 1 if behind.attenuation() == 0.0 else 2

    with PtyServer(EmulatedOSW(knob)) as server:
        switch = ThorlabsOSW("switch", server.address)
        switch.position(2)
        assert bench.engine.state.link.line_attenuation_db == pytest.approx(60.0)
        switch.position(1)
        assert bench.engine.state.link.line_attenuation_db == pytest.approx(0.0)
