"""OZ Optics DD-100-MC: framing by Done, the way to an attenuation, faults, and the bench behind it."""

from collections.abc import Iterator
from typing import Any

import pytest

from faintlink.core.errors import DeviceReportedError
from faintlink.drivers.attenuators.ozoptics_dd100 import OZOpticsDD100, parse_display
from faintlink.drivers.dialogue import DialogueInstrument
from faintlink.drivers.transport.scripted import expected_wire
from faintlink.instruments.conformance.suites import AttenuatorTests
from faintlink.instruments.emulators.kit.device import EmulatedDevice
from faintlink.instruments.emulators.kit.servers import PtyServer
from faintlink.instruments.emulators.ozoptics_dd100 import EmulatedDD100
from faintlink.instruments.mocks.bench import MockBench
from faintlink.instruments.mocks.senders import MockAttenuator
from tests.serial_faults import SerialFaultTests

AT_ZERO = (b"D\r", b"DPos:0\r\nATTEN:0.00\r\nDone\r\n\r\n")


@pytest.fixture
def attenuator() -> Iterator[OZOpticsDD100]:
    with PtyServer(EmulatedDD100()) as server:
        yield OZOpticsDD100("voa", server.address)


class TestConformance(AttenuatorTests):
    @pytest.fixture
    def instrument(self, attenuator: OZOpticsDD100) -> object:
        return attenuator


class TestFaults(SerialFaultTests):
    def emulator(self) -> EmulatedDevice:
        return EmulatedDD100()

    def driver(self, address: str) -> DialogueInstrument:
        return OZOpticsDD100("voa", address)

    def change(self, device: Any) -> None:
        device.attenuation(12.5)

    def read(self, device: Any) -> float:
        return float(device.attenuation())


def test_the_wire_is_framed_by_done_and_an_empty_line() -> None:
    script = [
        AT_ZERO,
        (b"A12.50\r", b"Pos:2500\r\nDone\r\n\r\n"),
        (b"D\r", b"DPos:2500\r\nATTEN:12.50\r\nDone\r\n\r\n"),
    ]
    with expected_wire(script) as link:
        OZOpticsDD100("voa", "scripted", link=link).attenuation(12.5)


@pytest.mark.parametrize(
    "lines", [[], ["DPos:1"], ["ATTEN:1.0", "DPos:1"], ["DPos:1", "ATTEN:?"], ["Pos:1", "ATTEN:1"]]
)
def test_a_display_of_another_form_is_refused(lines: list[str]) -> None:
    with pytest.raises(ValueError, match="expected DPos"):
        parse_display(lines)


def test_what_stopped_elsewhere_is_told() -> None:
    script = [
        AT_ZERO,
        (b"A50.00\r", b"Pos:8000\r\nDone\r\n\r\n"),
        (b"D\r", b"DPos:8000\r\nATTEN:40.00\r\nDone\r\n\r\n"),
    ]
    with expected_wire(script) as link:
        attenuator = OZOpticsDD100("voa", "scripted", link=link)
        with pytest.raises(DeviceReportedError, match=r"attenuation was not taken.*50.*40"):
            attenuator.attenuation(50.0)


def test_what_the_device_refuses_is_told() -> None:
    with PtyServer(EmulatedDD100()) as server:
        attenuator = OZOpticsDD100("voa", server.address, greatest_attenuation=80.0)
        with pytest.raises(DeviceReportedError, match=r"A70\.00.*Error"):
            attenuator.attenuation(70.0)


def test_homing_goes_to_the_least_attenuation(attenuator: OZOpticsDD100) -> None:
    attenuator.attenuation(10.0)
    assert attenuator.steps() > 0
    attenuator.home()
    assert attenuator.steps() == 0
    attenuator.check_settings()


def test_the_configuration_is_shown_as_it_comes(attenuator: OZOpticsDD100) -> None:
    assert attenuator.configuration()[0] == "MC"


def test_the_emulated_attenuator_dims_the_bench() -> None:
    bench = MockBench("bench", model="timebin-bb84-80mhz", seed=3)
    behind = MockAttenuator("behind", "bench", place="line")
    with PtyServer(EmulatedDD100(behind.attenuation)) as server:
        OZOpticsDD100("voa", server.address).attenuation(7.0)
        assert bench.engine.state.link.line_attenuation_db == pytest.approx(7.0)
