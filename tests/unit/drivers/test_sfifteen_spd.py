"""S-Fifteen SPD: bias on request only, counting, what comes from a calibration, faults, and the bench behind it."""

from collections.abc import Iterator
from typing import Any

import pytest

from faintlink.core.errors import DeviceReportedError, InterlockError, RoleError, UnsupportedFeatureError
from faintlink.drivers.detectors.sfifteen_spd import SFifteenSPD
from faintlink.drivers.dialogue import DialogueInstrument
from faintlink.drivers.transport.scripted import expected_wire
from faintlink.instruments.conformance.suites import DetectorTests
from faintlink.instruments.emulators.kit.device import EmulatedDevice
from faintlink.instruments.emulators.kit.knob import Cell
from faintlink.instruments.emulators.kit.servers import PtyServer
from faintlink.instruments.emulators.sfifteen_spd import EmulatedSPD
from faintlink.instruments.mocks.bench import MockBench
from faintlink.instruments.mocks.receivers import MockDetector
from faintlink.instruments.roles import check_role
from tests.serial_faults import SerialFaultTests, refuses_twice

IDN = (b"*idn?\r\n", b"SPD S-Fifteen SN1\r\n")


@pytest.fixture
def emulated() -> EmulatedSPD:
    return EmulatedSPD(count_rate=Cell(5000.0))


@pytest.fixture
def detector(emulated: EmulatedSPD) -> Iterator[SFifteenSPD]:
    with PtyServer(emulated) as server:
        detector = SFifteenSPD("spd", server.address, greatest_bias=200.0, efficiency=0.5, dead_time=2e-6)
        detector.working_bias(180.0)
        yield detector


class TestConformance(DetectorTests):
    @pytest.fixture
    def instrument(self, detector: SFifteenSPD) -> object:
        return detector


class TestFaults(SerialFaultTests):
    def emulator(self) -> EmulatedDevice:
        return EmulatedSPD()

    def driver(self, address: str) -> DialogueInstrument:
        return SFifteenSPD("spd", address, greatest_bias=200.0)

    def change(self, device: Any) -> None:
        device.threshold(50.0)

    def read(self, device: Any) -> float:
        return float(device.threshold())


def test_the_wire_is_that_of_the_sources() -> None:
    script = [
        IDN,
        (b"hvolt 180\r\n", b""),
        (b"hvolt?\r\n", b"179.8\r\n"),
        (b"time?\r\n", b"100\r\n"),
        (b"counts?\r\n", b"250\r\n"),
        (b"hvolt 0\r\n", b""),
        (b"hvolt?\r\n", b"0.2\r\n"),
        (b"hvolt?\r\n", b"0.2\r\n"),
    ]
    with expected_wire(script) as link:
        detector = SFifteenSPD("spd", "scripted", greatest_bias=200.0, link=link)
        detector.bias(180.0)
        assert detector.count_rate.get() == 2500.0
        detector.safe_state()
        assert detector.enabled.get() is False


def test_the_bias_goes_on_only_to_a_value_that_was_given() -> None:
    with PtyServer(EmulatedSPD()) as server:
        detector = SFifteenSPD("spd", server.address, greatest_bias=200.0)
        refuses_twice(lambda: detector.enabled(True), InterlockError)
        assert detector.enabled() is False
        detector.working_bias(180.0)
        detector.enabled(True)
        assert detector.bias() == pytest.approx(180.0)


def test_more_than_the_greatest_bias_is_refused(detector: SFifteenSPD) -> None:
    for knob in (detector.bias, detector.working_bias):
        with pytest.raises(ValueError, match="200"):
            knob(201.0)


def test_a_bias_that_the_device_clips_is_told() -> None:
    with PtyServer(EmulatedSPD()) as server:
        detector = SFifteenSPD("spd", server.address, greatest_bias=400.0)
        with pytest.raises(DeviceReportedError, match="hvolt was not taken"):
            detector.bias(300.0)


def test_the_bias_does_not_go_on_after_a_restart(detector: SFifteenSPD, emulated: EmulatedSPD) -> None:
    detector.threshold(50.0)
    with emulated.lock:
        emulated.reboot()
    with pytest.raises(DeviceReportedError, match="power-on"):
        detector.enabled(True)
    assert detector.enabled() is False


def test_counts_become_a_rate_whatever_the_counting_time(detector: SFifteenSPD) -> None:
    detector.enabled(True)
    for seconds in (0.05, 0.2):
        detector.counting_time(seconds)
        assert detector.counting_time() == pytest.approx(seconds)
        assert detector.count_rate() == pytest.approx(5000.0)


def test_without_a_calibration_the_role_is_refused() -> None:
    with PtyServer(EmulatedSPD()) as server:
        detector = SFifteenSPD("spd", server.address, greatest_bias=200.0)
        with pytest.raises(RoleError, match=r"efficiency.*dead_time"):
            check_role(detector, "SinglePhotonDetector")


def test_the_loop_cools_the_diode(detector: SFifteenSPD) -> None:
    detector.temperature_setpoint(-25.0)
    detector.cooler_enabled(True)
    assert detector.temperature() == pytest.approx(-25.0)


def test_a_word_instead_of_a_number_is_told() -> None:
    with expected_wire([IDN, (b"temp?\r\n", b"unknown command\r\n")]) as link:
        detector = SFifteenSPD("spd", "scripted", greatest_bias=200.0, link=link)
        with pytest.raises(DeviceReportedError, match="unknown command"):
            detector.temperature.get()


def test_saving_is_answered(detector: SFifteenSPD) -> None:
    detector.save()
    assert detector.enabled() is False


def test_another_device_is_refused() -> None:
    with (
        expected_wire([(b"*idn?\r\n", b"TDC1 counter\r\n")]) as link,
        pytest.raises(UnsupportedFeatureError, match="TDC1"),
    ):
        SFifteenSPD("spd", "scripted", greatest_bias=200.0, link=link)


def test_the_emulated_detector_counts_on_the_bench() -> None:
    bench = MockBench("bench", model="timebin-bb84-80mhz", seed=3)
    behind = MockDetector("behind", bench.name)
    behind.dark_count_rate(20_000.0)
    with PtyServer(EmulatedSPD(behind.enabled, behind.count_rate)) as server:
        detector = SFifteenSPD("spd", server.address, greatest_bias=200.0)
        assert behind.enabled() is False
        assert detector.count_rate.get() == 0.0
        detector.bias(180.0)
        assert behind.enabled() is True
        assert detector.count_rate.get() > 15_000.0
