"""IDQ ID120: units, the wire, the emulator over TCP, faults, and the bench's detector behind it."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faintlink.core.errors import (
    ConnectionLostError,
    DeviceReportedError,
    InterlockError,
    UnsupportedFeatureError,
)
from faintlink.drivers.detectors.idq_id120 import MICRO, IdqID120, from_device, to_device
from faintlink.drivers.transport.scripted import expected_visa
from faintlink.instruments.conformance.suites import DetectorTests
from faintlink.instruments.emulators.idq_id120 import EmulatedID120
from faintlink.instruments.emulators.kit.faults import Fault
from faintlink.instruments.emulators.kit.knob import Cell
from faintlink.instruments.emulators.kit.servers import TcpServer
from faintlink.instruments.mocks.bench import MockBench
from faintlink.instruments.mocks.receivers import MockDetector

IDN = ("*IDN?", "IDQuantique,ID120,002008,1.0")


@pytest.fixture
def server() -> Iterator[TcpServer]:
    with TcpServer(EmulatedID120(count_rate=Cell(1234.0))) as server:
        yield server


@pytest.fixture
def detector(server: TcpServer) -> IdqID120:
    return IdqID120("spd", server.visa_address, timeout=0.5)


class TestConformance(DetectorTests):
    @pytest.fixture
    def instrument(self, detector: IdqID120) -> object:
        return detector


@pytest.mark.parametrize(("value_v", "microvolts"), [(0.1, 100_000), (1.047, 1_047_000), (180.08, 180_080_000)])
def test_volts_become_whole_microvolts(value_v: float, microvolts: int) -> None:
    assert to_device(value_v, MICRO) == microvolts


@given(st.integers(0, 250_000_000))
def test_units_survive_the_way_there_and_back(microvolts: int) -> None:
    assert to_device(from_device(str(microvolts), MICRO), MICRO) == microvolts


def test_the_wire_counts_in_the_devices_units() -> None:
    script = [
        IDN,
        ("THRESHOLD:VOLTAGE 150000", None),
        ("THRESHOLD:VOLTAGE?", "150000"),
        ("DEADTIME:TIME 80", None),
        ("DEADTIME:TIME?", "80"),
        ("COUNTERS:INTEGRATION_TIME 1000", None),
        ("COUNTERS:INTEGRATION_TIME?", "1000"),
        ("BIAS:VOLTAGE 180000000", None),
        ("BIAS:VOLTAGE?", "180000000"),
        ("COUNTERS:DETECTION_FREQ?", "4321"),
        ("REG:MEASURED_TEMP?", "-40250"),
        ("BIAS:VOLTAGE 0", None),
        ("BIAS:VOLTAGE?", "0"),
    ]
    with expected_visa(script) as resource:
        detector = IdqID120("spd", resource=resource)
        detector.threshold(0.15)
        detector.dead_time(80e-6)
        detector.counting_time(1.0)
        detector.operating_bias(180.0)
        detector.enabled(True)
        assert detector.count_rate() == 4321.0
        assert detector.temperature() == pytest.approx(-40.25)
        detector.safe_state()


def test_another_device_at_the_address_is_refused() -> None:
    with (
        expected_visa([("*IDN?", "Acme,Toaster,1,1")]) as resource,
        pytest.raises(UnsupportedFeatureError, match="Toaster"),
    ):
        IdqID120("spd", resource=resource)


def test_no_high_voltage_without_an_operating_bias(detector: IdqID120) -> None:
    with pytest.raises(InterlockError, match="operating bias"):
        detector.enabled(True)
    assert detector.bias() == 0.0


def test_bias_comes_and_goes(detector: IdqID120) -> None:
    detector.operating_bias(180.0)
    detector.enabled(True)
    assert detector.bias() == pytest.approx(180.0)
    assert detector.enabled.get() is True
    assert detector.count_rate() == 1234.0
    detector.safe_state()
    assert (detector.bias(), detector.enabled.get()) == (0.0, False)


def test_a_setting_that_is_not_taken_raises_with_what_was_sent() -> None:
    script = [IDN, ("DEADTIME:TIME 100", None), ("DEADTIME:TIME?", "80")]
    with expected_visa(script) as resource:
        detector = IdqID120("spd", resource=resource)
        with pytest.raises(DeviceReportedError, match=r"keeps '80'.*DEADTIME:TIME 100"):
            detector.dead_time(100e-6)


def test_an_answer_that_is_no_number_raises() -> None:
    with expected_visa([IDN, ("COUNTERS:DETECTION_FREQ?", "busy")]) as resource:
        detector = IdqID120("spd", resource=resource)
        with pytest.raises(DeviceReportedError, match="busy"):
            detector.count_rate()


def test_outputs_and_cooling_are_set(detector: IdqID120) -> None:
    detector.parameters["output2_polarity"]("negative")
    detector.cooling(False)
    detector.temperature_setpoint(-30.0)
    assert detector.parameters["output1_polarity"].get() == "positive"
    assert detector.parameters["output2_polarity"].get() == "negative"
    assert detector.cooling.get() is False
    assert detector.temperature_setpoint.get() == pytest.approx(-30.0)


@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.HALF, Fault.GARBAGE])
def test_a_spoilt_answer_raises_in_time_and_the_next_one_is_read_again(
    server: TcpServer, detector: IdqID120, fault: Fault
) -> None:
    server.faults.inject(fault)
    with pytest.raises(ConnectionLostError, match="DEADTIME"):
        detector.dead_time.get()
    assert detector.dead_time.get() == pytest.approx(40e-6)


def test_a_slow_answer_is_awaited(server: TcpServer, detector: IdqID120) -> None:
    server.faults.delay_s = 0.2
    server.faults.inject(Fault.SLOW)
    assert detector.dead_time.get() == pytest.approx(40e-6)


def test_after_a_restart_the_bias_is_read_as_off(server: TcpServer, detector: IdqID120) -> None:
    detector.operating_bias(180.0)
    detector.enabled(True)
    server.faults.inject(Fault.REBOOT)
    with pytest.raises(ConnectionLostError):
        detector.dead_time.get()
    assert detector.enabled.get() is False


def test_a_broken_connection_raises(server: TcpServer, detector: IdqID120) -> None:
    server.faults.inject(Fault.CUT)
    with pytest.raises(ConnectionLostError):
        detector.count_rate()


def test_the_emulated_detector_is_that_of_the_bench() -> None:
    bench = MockBench("bench", model="timebin-bb84-80mhz", seed=3)
    behind = MockDetector("behind", bench.name)
    emulated = EmulatedID120(enabled=behind.enabled, dead_time=behind.dead_time, count_rate=behind.count_rate)
    with TcpServer(emulated) as server:
        detector = IdqID120("spd", server.visa_address)
        detector.dead_time(50e-6)
        detector.operating_bias(180.0)
        detector.enabled(True)
        assert bench.engine.state.receivers["bob"].detectors[0].dead_time_ps == 50_000_000
        assert detector.count_rate() > 0.0
        detector.safe_state()
        assert bench.engine.state.receivers["bob"].detectors[0].enabled is False
