"""Quantum Opus amp-sim: scales, the wire, the emulator over TCP, latching, and faults."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faintlink.core.errors import ConnectionLostError, DeviceReportedError, InterlockError
from faintlink.drivers.bias.quantum_opus import QuantumOpusAmpSim, bias_to_steps, steps_to_bias
from faintlink.drivers.bias.srs_sim900 import SRSSIM900
from faintlink.drivers.transport.scripted import expected_visa
from faintlink.instruments.conformance.bench_suites import BiasControllerTests
from faintlink.instruments.emulators.kit.faults import Fault
from faintlink.instruments.emulators.kit.servers import TcpServer
from faintlink.instruments.emulators.quantum_opus import EmulatedAmpSim
from faintlink.instruments.emulators.srs_sim900 import EmulatedSIM900


@pytest.fixture
def server() -> Iterator[TcpServer]:
    with TcpServer(EmulatedSIM900({2: EmulatedAmpSim(latching_v=2.0)})) as server:
        yield server


@pytest.fixture
def rack(server: TcpServer) -> SRSSIM900:
    return SRSSIM900("rack", server.visa_address, timeout=0.5)


@pytest.fixture
def wire(rack: SRSSIM900) -> QuantumOpusAmpSim:
    return QuantumOpusAmpSim("wire", rack.name, port=2)


class TestConformance(BiasControllerTests):
    @pytest.fixture
    def instrument(self, wire: QuantumOpusAmpSim) -> object:
        return wire


@pytest.mark.parametrize(("bias_v", "steps"), [(0.0, 0), (2.5, 65_535), (1.0, 26_214)])
def test_the_scale_is_that_of_a_16_bit_converter_up_to_2_5_v(bias_v: float, steps: int) -> None:
    assert bias_to_steps(bias_v) == steps


@given(st.integers(0, 65_535))
def test_steps_survive_the_way_to_volts_and_back(steps: int) -> None:
    assert bias_to_steps(steps_to_bias(steps)) == steps


def asked(message: str, answer: str) -> list[tuple[str, str | None]]:
    """Return the dialogue of a question to the module at port 2."""
    count = len(answer) + 1
    return [("NINP? 2", "0"), (f'SNDT 2,"{message}"', None), ("NINP? 2", str(count)), (f"RAWN? 2,{count}", answer)]


def test_the_wire_is_that_of_the_module() -> None:
    script = [
        ("*IDN?", "Stanford_Research_Systems,SIM900,s/n1,ver3.6"),
        *asked("+A?", "amp-sim"),
        ('SNDT 2,"+C0;"', None),
        ('SNDT 2,"+B26214;"', None),
        *asked("+B?", "26214"),
        *asked("+H?;", "13107.0"),
        ('SNDT 2,"+F;"', None),
        ('SNDT 2,"+B0;"', None),
        *asked("+B?", "0"),
    ]
    with expected_visa(script) as resource:
        rack = SRSSIM900("rack", resource=resource)
        wire = QuantumOpusAmpSim("wire", rack.name, port=2)
        wire.bias(1.0)
        assert wire.stored_bias() == pytest.approx(0.5)
        wire.reset_wire()
        wire.safe_state()


def test_one_volt_drives_ten_microamperes(wire: QuantumOpusAmpSim) -> None:
    wire.bias(1.0)
    assert wire.bias_current() == pytest.approx(10e-6, rel=1e-4)


def test_the_bias_comes_back_after_it_was_off(wire: QuantumOpusAmpSim) -> None:
    wire.bias(1.0)
    wire.enabled(False)
    assert wire.bias.get() == 0.0
    wire.enabled(True)
    assert wire.bias.get() == pytest.approx(1.0, abs=1e-4)


def test_no_bias_is_invented(wire: QuantumOpusAmpSim) -> None:
    with pytest.raises(InterlockError, match="never had a bias"):
        wire.enabled(True)


def test_a_latched_wire_shows_a_voltage_in_either_gain(wire: QuantumOpusAmpSim) -> None:
    wire.bias(2.2)
    high_gain_v = wire.wire_voltage()
    wire.low_gain(True)
    assert (high_gain_v, wire.wire_voltage()) == pytest.approx((0.8, 0.8), abs=1e-4)


def test_a_reset_makes_a_wire_superconducting_again(wire: QuantumOpusAmpSim) -> None:
    wire.bias(2.2)
    wire.bias(1.0)
    assert wire.wire_voltage() > 0.5
    wire.reset_wire()
    assert wire.wire_voltage() == 0.0


def test_the_automatic_bias_stays_below_latching(wire: QuantumOpusAmpSim) -> None:
    wire.start_auto_bias()
    assert wire.bias.get() == pytest.approx(1.9, abs=1e-3)
    assert wire.wire_voltage() == 0.0


def test_the_bias_is_kept_in_the_modules_memory(wire: QuantumOpusAmpSim) -> None:
    wire.bias(0.75)
    wire.store_bias()
    wire.bias(0.0)
    wire.use_stored_bias()
    assert wire.bias.get() == wire.stored_bias() == pytest.approx(0.75, abs=1e-4)


def test_settings_arrive(wire: QuantumOpusAmpSim) -> None:
    wire.reset_time(0.5)
    wire.auto_reset(True)
    assert (wire.reset_time.get(), wire.auto_reset.get()) == (0.5, True)


def test_a_setting_that_is_not_taken_raises_with_what_was_sent(wire: QuantumOpusAmpSim) -> None:
    with pytest.raises(DeviceReportedError, match=r"keeps 10.*\+D999;"):
        wire._set("+D", 999)


@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.HALF, Fault.GARBAGE, Fault.REBOOT])
def test_a_spoilt_answer_raises_in_time_and_the_next_one_is_read_again(
    server: TcpServer, rack: SRSSIM900, wire: QuantumOpusAmpSim, fault: Fault
) -> None:
    server.faults.inject(fault)
    with pytest.raises(ConnectionLostError, match="NINP"):
        wire.bias.get()
    assert wire.bias.get() == 0.0
