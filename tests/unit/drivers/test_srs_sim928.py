"""SRS SIM900 and SIM928: the tunnel, the wire, the emulators over TCP, faults, and the bench behind them."""

from collections.abc import Iterator

import pytest

from faintlink.core.errors import (
    ConfigError,
    ConnectionLostError,
    DeviceReportedError,
    UnsupportedFeatureError,
)
from faintlink.drivers.bias.srs_sim900 import SRSSIM900
from faintlink.drivers.bias.srs_sim928 import SRSSIM928
from faintlink.drivers.transport.scripted import expected_visa
from faintlink.instruments.conformance.bench_suites import BiasControllerTests
from faintlink.instruments.emulators.kit.faults import Fault
from faintlink.instruments.emulators.kit.knob import Cell
from faintlink.instruments.emulators.kit.servers import TcpServer
from faintlink.instruments.emulators.srs_sim900 import EmulatedSIM900
from faintlink.instruments.emulators.srs_sim928 import EmulatedSIM928
from faintlink.instruments.mocks.bench import MockBench
from faintlink.instruments.mocks.senders import MockIntensityModulator

IDN_900 = ("*IDN?", "Stanford_Research_Systems,SIM900,s/n1,ver3.6")
IDN_928 = "Stanford_Research_Systems,SIM928,s/n003173,ver2.2"


@pytest.fixture
def output() -> Cell:
    return Cell(0.0)


@pytest.fixture
def device(output: Cell) -> EmulatedSIM900:
    return EmulatedSIM900({3: EmulatedSIM928(output), 5: EmulatedSIM928()})


@pytest.fixture
def server(device: EmulatedSIM900) -> Iterator[TcpServer]:
    with TcpServer(device) as server:
        yield server


@pytest.fixture
def rack(server: TcpServer) -> SRSSIM900:
    return SRSSIM900("rack", server.visa_address, timeout=0.5)


@pytest.fixture
def source(rack: SRSSIM900) -> SRSSIM928:
    return SRSSIM928("source", rack.name, port=3)


class TestConformance(BiasControllerTests):
    @pytest.fixture
    def instrument(self, source: SRSSIM928) -> object:
        return source


def asked(message: str, answer: str, *, polls: int = 0) -> list[tuple[str, str | None]]:
    """Return the dialogue of a question to the module at port 3."""
    return [
        ("NINP? 3", "0"),
        (f'SNDT 3,"{message}"', None),
        *[("NINP? 3", "0")] * polls,
        ("NINP? 3", str(len(answer) + 2)),
        (f"RAWN? 3,{len(answer) + 2}", answer + "\r"),
    ]


def test_questions_and_settings_go_through_the_tunnel() -> None:
    script = [
        IDN_900,
        *asked("*IDN?", IDN_928, polls=2),
        ('SNDT 3,"VOLT 1.235"', None),
        *asked("LEXE?", "0"),
        *asked("LCME?", "0"),
        *asked("VOLT?", "+1.235000E+00"),
        ('SNDT 3,"OPON"', None),
        *asked("LEXE?", "0"),
        *asked("LCME?", "0"),
        *asked("EXON?", "1"),
    ]
    with expected_visa(script) as resource:
        rack = SRSSIM900("rack", resource=resource)
        source = SRSSIM928("source", rack.name, port=3)
        source.bias(1.2346)
        assert source.bias.get() == 1.235
        source.enabled(True)
        assert source.enabled.get() is True


def test_a_stale_answer_is_thrown_away_before_a_question(device: EmulatedSIM900, source: SRSSIM928) -> None:
    source.bias(2.0)
    device.waiting[3] = "+9.000000E+00\r\n+8.000000E+00\r\n"
    assert source.bias.get() == 2.0


def test_modules_do_not_mix(rack: SRSSIM900, source: SRSSIM928) -> None:
    other = SRSSIM928("other", rack.name, port=5)
    source.bias(1.0)
    other.bias(-1.0)
    assert (source.bias.get(), other.bias.get()) == (1.0, -1.0)


def test_voltage_reaches_the_output_only_when_it_is_on(source: SRSSIM928, output: Cell) -> None:
    source.bias(1.5)
    assert output() == 0.0
    source.enabled(True)
    assert output() == 1.5
    source.safe_state()
    assert (output(), source.enabled.get()) == (0.0, False)


def test_an_empty_slot_is_reported_in_time(rack: SRSSIM900, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SRSSIM900, "module_timeout_s", 0.1)
    with pytest.raises(ConnectionLostError, match="port 4"):
        SRSSIM928("source", rack.name, port=4)


def test_another_module_in_the_slot_is_refused() -> None:
    with expected_visa([IDN_900, *asked("*IDN?", "Stanford_Research_Systems,SIM960,1,1")]) as resource:
        rack = SRSSIM900("rack", resource=resource)
        with pytest.raises(UnsupportedFeatureError, match="SIM960"):
            SRSSIM928("source", rack.name, port=3)


def test_a_mainframe_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="'nowhere'"):
        SRSSIM928("source", "nowhere", port=3)


def test_a_port_that_no_mainframe_has_is_refused(rack: SRSSIM900) -> None:
    with pytest.raises(ConfigError, match="not 9"):
        SRSSIM928("source", rack.name, port=9)


@pytest.mark.parametrize(("command", "register"), [("VOLT 25", "LEXE"), ("NONSENSE", "LCME")])
def test_what_the_module_refuses_raises_with_what_was_sent(source: SRSSIM928, command: str, register: str) -> None:
    with pytest.raises(DeviceReportedError, match=rf"{register}.*{command}"):
        source._set(command)


def test_an_answer_that_is_no_number_raises(device: EmulatedSIM900, source: SRSSIM928) -> None:
    with pytest.raises(DeviceReportedError, match="Stanford"):
        source.number("*IDN?")


@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.HALF, Fault.GARBAGE])
def test_a_spoilt_answer_raises_in_time_and_the_next_one_is_read_again(
    server: TcpServer, rack: SRSSIM900, source: SRSSIM928, fault: Fault
) -> None:
    source.bias(1.0)
    server.faults.inject(fault)
    with pytest.raises(ConnectionLostError, match="NINP"):
        source.bias.get()
    assert source.bias.get() == 1.0


def test_after_a_restart_the_output_is_read_as_off(server: TcpServer, rack: SRSSIM900, source: SRSSIM928) -> None:
    source.enabled(True)
    server.faults.inject(Fault.REBOOT)
    with pytest.raises(ConnectionLostError):
        source.enabled.get()
    assert source.enabled.get() is False


def test_a_broken_connection_raises(server: TcpServer, source: SRSSIM928) -> None:
    server.faults.inject(Fault.CUT)
    with pytest.raises(ConnectionLostError):
        source.bias.get()


def test_the_emulated_source_biases_the_benchs_modulator() -> None:
    bench = MockBench("bench", model="timebin-bb84-80mhz", seed=3)
    modulator = MockIntensityModulator("im", bench.name)
    with TcpServer(EmulatedSIM900({3: EmulatedSIM928(modulator.bias_voltage)})) as server:
        rack = SRSSIM900("rack", server.visa_address)
        source = SRSSIM928("source", rack.name, port=3)
        source.bias(1.25)
        source.enabled(True)
        assert bench.engine.state.intensity_modulator.bias_v == pytest.approx(1.25)


def test_a_late_answer_of_a_module_is_never_taken_for_another(
    device: EmulatedSIM900, source: SRSSIM928, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.bias(1.0)
    polls = "faintlink.instruments.emulators.srs_sim900._POLLS_BEFORE_AN_ANSWER"
    monkeypatch.setattr(SRSSIM900, "module_timeout_s", 0.1)
    with monkeypatch.context() as patch:
        patch.setattr(polls, 10**6)
        with pytest.raises(ConnectionLostError, match="VOLT"):
            source.bias.get()
    # It comes after the next question was sent, together with that one's answer.
    device._delay[source.port] = 20
    assert source.enabled.get() is False
    assert source.bias.get() == 1.0
