"""OZ Optics polarization controller: voltages, retardances, scrambling, faults, and the bench behind it."""

from collections.abc import Iterator
from typing import Any

import pytest

from faintlink.core.errors import DeviceReportedError, InterlockError, RoleError
from faintlink.drivers.dialogue import DialogueInstrument
from faintlink.drivers.polarization.ozoptics_epc import OZOpticsEPC, parse_channels
from faintlink.drivers.transport.scripted import expected_wire
from faintlink.instruments.conformance.suites import PolarizationControllerTests
from faintlink.instruments.emulators.kit.device import EmulatedDevice
from faintlink.instruments.emulators.kit.servers import PtyServer
from faintlink.instruments.emulators.ozoptics_epc import EmulatedEPC
from faintlink.instruments.mocks.bench import MockBench
from faintlink.instruments.roles import check_role
from tests.serial_faults import SerialFaultTests, refuses_twice

HALF_WAVE_V = 2.5


@pytest.fixture
def controller() -> Iterator[OZOpticsEPC]:
    with PtyServer(EmulatedEPC()) as server:
        yield OZOpticsEPC("epc", server.address, half_wave_voltage=HALF_WAVE_V)


class TestConformance(PolarizationControllerTests):
    @pytest.fixture
    def instrument(self, controller: OZOpticsEPC) -> object:
        return controller


class TestFaults(SerialFaultTests):
    def emulator(self) -> EmulatedDevice:
        return EmulatedEPC()

    def driver(self, address: str) -> DialogueInstrument:
        return OZOpticsEPC("epc", address)

    def change(self, device: Any) -> None:
        device.ch2.voltage(2.2)

    def read(self, device: Any) -> float:
        return float(device.ch2.voltage())


def test_the_wire_is_one_line_and_done() -> None:
    query = b"V?\r\n"
    script = [
        (query, b"Voltage(mV): CH1 +0000 CH2 +5000 CH3 -1000 CH4 -4000\r\nDone\r\n"),
        (b"M?\r\n", b"Operating Mode: DC\r\nDone\r\n"),
        (b"V1,2200\r\n", b"V1,2200\r\nDone\r\n"),
        (query, b"Voltage(mV): CH1 +2200 CH2 +5000 CH3 -1000 CH4 -4000\r\nDone\r\n"),
    ]
    with expected_wire(script) as link:
        OZOpticsEPC("epc", "scripted", link=link).ch1.voltage(2.2)


def test_the_numbers_of_the_four_channels_are_found() -> None:
    # The form of both answers is that of the facts in the driver's sources.
    assert parse_channels("Voltage(mV): CH1 +2200 CH2 +5000 CH3 -1000 CH4 -4000") == (2200, 5000, -1000, -4000)
    assert parse_channels("Frequency(Hz): CH1 007  CH2 017  CH3 037  CH4 071") == (7, 17, 37, 71)


@pytest.mark.parametrize("text", ["", "Voltage(mV): CH1 +1 CH2 +2 CH3 +3", "CH1 1 CH3 1 CH2 1 CH4 1"])
def test_fewer_channels_or_another_order_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected CH1"):
        parse_channels(text)


def test_settings_arrive_and_channels_do_not_mix(controller: OZOpticsEPC) -> None:
    for number, channel in enumerate(controller.channels, 1):
        channel.voltage(0.5 * number)
        channel.scrambling_frequency(10 * number)
    assert controller.voltages() == pytest.approx((0.5, 1.0, 1.5, 2.0))
    assert [channel.scrambling_frequency() for channel in controller.channels] == [10, 20, 30, 40]


def test_retardance_is_proportional_to_the_voltage(controller: OZOpticsEPC) -> None:
    controller.angles((180.0, 90.0, -180.0, 0.0))
    assert controller.voltages() == pytest.approx((2.5, 1.25, -2.5, 0.0))


def test_without_a_half_wave_voltage_the_role_is_refused() -> None:
    with PtyServer(EmulatedEPC()) as server:
        controller = OZOpticsEPC("epc", server.address)
        with pytest.raises(RoleError, match="angles"):
            check_role(controller, "PolarizationController")


def test_a_scrambling_device_takes_no_voltage(controller: OZOpticsEPC) -> None:
    controller.mode("AC")
    refuses_twice(lambda: controller.ch1.voltage(1.0), InterlockError)
    controller.safe_state()
    controller.ch1.voltage(1.0)
    assert controller.ch1.voltage() == pytest.approx(1.0)


def test_the_waveform_can_be_chosen(controller: OZOpticsEPC) -> None:
    controller.waveform("triangle")
    assert controller.waveform() == "triangle"


def test_what_the_device_refuses_is_told(controller: OZOpticsEPC) -> None:
    with pytest.raises(DeviceReportedError, match="V1 was not taken"):
        controller.set_channel(1, 9.0)


def test_the_emulated_squeezer_turns_the_polarization_of_the_bench() -> None:
    bench = MockBench("bench", model="polarization-bb84", seed=3)

    def squeeze(*volts: float) -> float:
        if volts:
            bench.engine.update("link", retardance_deg=volts[0] / HALF_WAVE_V * 180.0)
        return bench.engine.state.link.retardance_deg

    with PtyServer(EmulatedEPC([squeeze])) as server:
        OZOpticsEPC("epc", server.address, half_wave_voltage=HALF_WAVE_V).angles((90.0, 0.0, 0.0, 0.0))
        assert bench.engine.state.link.retardance_deg == pytest.approx(90.0)
