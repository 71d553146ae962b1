"""Keysight N776x: the wire, the emulator over TCP, faults, and the bench behind it."""

from collections.abc import Iterator

import pytest

from faintlink.core.errors import ConnectionLostError, DeviceReportedError, UnsupportedFeatureError
from faintlink.drivers.attenuators.keysight_n776x import KeysightN776x
from faintlink.drivers.transport.scripted import expected_visa
from faintlink.instruments.conformance.suites import AttenuatorTests
from faintlink.instruments.emulators.keysight_n776x import EmulatedN7764A
from faintlink.instruments.emulators.kit.faults import Fault
from faintlink.instruments.emulators.kit.servers import TcpServer
from faintlink.instruments.mocks.bench import MockBench
from faintlink.instruments.mocks.senders import MockAttenuator

IDN = "Keysight Technologies,N7761A,DE1,1.0"
NO_ERROR = '0,"No error"'


@pytest.fixture
def server() -> Iterator[TcpServer]:
    with TcpServer(EmulatedN7764A()) as server:
        yield server


@pytest.fixture
def box(server: TcpServer) -> KeysightN776x:
    return KeysightN776x("voa", server.visa_address, timeout=0.5)


class TestConformance(AttenuatorTests):
    @pytest.fixture
    def instrument(self, box: KeysightN776x) -> object:
        return box.channels[0]


def test_the_wire_is_that_of_the_manual() -> None:
    script = [
        ("*IDN?", IDN),
        ("INP1:ATT 12.5000", None),
        ("SYST:ERR?", NO_ERROR),
        ("INP1:ATT?", "+1.25000000E+01"),
        ("INP1:WAV 1.550120E-06", None),
        ("SYST:ERR?", NO_ERROR),
        ("OUTP1:STAT 0", None),
        ("SYST:ERR?", NO_ERROR),
    ]
    with expected_visa(script) as resource:
        box = KeysightN776x("voa", resource=resource)
        box.ch1.attenuation(12.5)
        assert box.ch1.attenuation.get() == 12.5
        box.ch1.wavelength(1550.12)
        box.safe_state()


def test_the_number_of_channels_follows_the_model(box: KeysightN776x) -> None:
    assert box.capabilities.model == "N7764A"
    assert [channel.short_name for channel in box.channels] == ["ch1", "ch2", "ch3", "ch4"]


def test_another_device_at_the_address_is_refused() -> None:
    with (
        expected_visa([("*IDN?", "Acme,Toaster,1,1")]) as resource,
        pytest.raises(UnsupportedFeatureError, match="Toaster"),
    ):
        KeysightN776x("voa", resource=resource)


def test_settings_arrive_and_channels_do_not_mix(box: KeysightN776x) -> None:
    for number, channel in enumerate(box.channels, 1):
        channel.attenuation(10.0 + number)
    assert [channel.attenuation.get() for channel in box.channels] == [11.0, 12.0, 13.0, 14.0]


def test_what_the_device_refuses_raises_with_what_was_sent(box: KeysightN776x) -> None:
    with pytest.raises(DeviceReportedError, match=r"-222.*INP1:ATT 99") as caught:
        box.write("INP1:ATT 99")
    assert caught.value.fields["sent"] == "INP1:ATT 99"


@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.HALF])
def test_a_lost_answer_raises_in_time_and_the_next_one_is_read_again(
    server: TcpServer, box: KeysightN776x, fault: Fault
) -> None:
    server.faults.inject(fault)
    with pytest.raises(ConnectionLostError, match="INP1:ATT"):
        box.ch1.attenuation.get()
    assert box.ch1.attenuation.get() == 0.0


def test_a_broken_connection_raises(server: TcpServer, box: KeysightN776x) -> None:
    server.faults.inject(Fault.CUT)
    with pytest.raises(ConnectionLostError):
        box.ch1.attenuation.get()


def test_the_emulated_attenuator_dims_the_bench() -> None:
    bench = MockBench("bench", model="timebin-bb84-80mhz", seed=3)
    behind = MockAttenuator("behind", "bench", place="line")
    with TcpServer(EmulatedN7764A([behind.attenuation])) as server:
        box = KeysightN776x("voa", server.visa_address)
        box.ch1.attenuation(10.0)
        assert bench.engine.state.link.line_attenuation_db == pytest.approx(10.0)
        box.safe_state()
        assert bench.engine.state.link.line_attenuation_db == pytest.approx(60.0)
