"""Thorlabs PM100D: the wire, the emulator over TCP, faults, and light on its sensor."""

import time
from collections.abc import Iterator

import pytest

from faintlink.core.errors import ConnectionLostError, DeviceReportedError, UnsupportedFeatureError
from faintlink.drivers.meters.thorlabs_pm100d import ThorlabsPM100D
from faintlink.drivers.transport.scripted import expected_visa
from faintlink.instruments.conformance.bench_suites import PowerMeterTests
from faintlink.instruments.emulators.kit.faults import Fault
from faintlink.instruments.emulators.kit.knob import Cell
from faintlink.instruments.emulators.kit.servers import TcpServer
from faintlink.instruments.emulators.thorlabs_pm100d import EmulatedPM100D
from faintlink.instruments.mocks.bench import MockBench
from faintlink.instruments.mocks.senders import MockLaser

FINE = ("SYST:ERR?", '+0,"No error"')
OPENING = [
    ("*IDN?", "Thorlabs,PM100D,P1,2.4.0"),
    ("SENS:POW:UNIT W", None),
    FINE,
    ("SENS:CORR:WAV? MIN", "7.000000E+02"),
    ("SENS:CORR:WAV? MAX", "1.800000E+03"),
]


@pytest.fixture
def light() -> Cell:
    return Cell(1e-6)


@pytest.fixture
def server(light: Cell) -> Iterator[TcpServer]:
    with TcpServer(EmulatedPM100D(light)) as server:
        yield server


@pytest.fixture
def meter(server: TcpServer) -> ThorlabsPM100D:
    return ThorlabsPM100D("meter", server.visa_address, timeout=0.5)


class TestConformance(PowerMeterTests):
    @pytest.fixture
    def instrument(self, meter: ThorlabsPM100D) -> object:
        return meter


def test_the_wire_is_that_of_the_manual() -> None:
    script = [
        *OPENING,
        ("SENS:CORR:WAV 1550.12", None),
        FINE,
        ("SENS:POW:RANG 1.000000E-03", None),
        FINE,
        ("MEAS:POW?", "1.25000000E-06"),
        ("SENS:POW:RANG:AUTO 1", None),
        FINE,
    ]
    with expected_visa(script) as resource:
        meter = ThorlabsPM100D("meter", resource=resource)
        meter.wavelength(1550.12)
        meter.range(1e-3)
        assert meter.power() == 1.25e-6
        meter.safe_state()


def test_another_device_at_the_address_is_refused() -> None:
    with (
        expected_visa([("*IDN?", "Acme,Toaster,1,1")]) as resource,
        pytest.raises(UnsupportedFeatureError, match="Toaster"),
    ):
        ThorlabsPM100D("meter", resource=resource)


def test_nothing_waits_by_the_clock(meter: ThorlabsPM100D) -> None:
    began = time.perf_counter()
    for _ in range(20):
        meter.power()
    assert time.perf_counter() - began < 2.0


def test_each_reading_is_a_fresh_one(meter: ThorlabsPM100D, light: Cell) -> None:
    first = meter.power()
    light(3e-6)
    assert (first, meter.power()) == pytest.approx((1e-6, 3e-6))


def test_light_beyond_the_range_raises_instead_of_being_a_number(meter: ThorlabsPM100D, light: Cell) -> None:
    meter.range(1e-6)
    light(1e-3)
    with pytest.raises(DeviceReportedError, match="beyond the range"):
        meter.power()


def test_an_answer_that_is_no_number_raises() -> None:
    with expected_visa([*OPENING, ("MEAS:POW?", "hello")]) as resource:
        meter = ThorlabsPM100D("meter", resource=resource)
        with pytest.raises(DeviceReportedError, match="hello"):
            meter.power()


def test_the_dark_reading_becomes_zero(meter: ThorlabsPM100D, light: Cell) -> None:
    light(5e-9)
    meter.zero(2.0)
    assert meter.power() == pytest.approx(0.0, abs=1e-15)


def test_a_wavelength_beyond_the_sensor_is_refused(meter: ThorlabsPM100D) -> None:
    with pytest.raises(ValueError, match="1800"):
        meter.wavelength(2000.0)


def test_what_the_device_refuses_raises_with_what_was_sent(meter: ThorlabsPM100D) -> None:
    with pytest.raises(DeviceReportedError, match=r"-222.*WAV 5000"):
        meter.write("SENS:CORR:WAV 5000")


def test_settings_arrive(meter: ThorlabsPM100D) -> None:
    meter.averages(300)
    meter.auto_range(False)
    assert (meter.averages.get(), meter.auto_range.get()) == (300, False)
    assert meter.sensor().startswith("S122C")
    assert meter.photocurrent() == pytest.approx(0.9e-6)


@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.HALF, Fault.GARBAGE, Fault.REBOOT])
def test_a_spoilt_answer_raises_in_time_and_the_next_one_is_read_again(
    server: TcpServer, meter: ThorlabsPM100D, fault: Fault
) -> None:
    server.faults.inject(fault)
    with pytest.raises(ConnectionLostError, match="MEAS:POW"):
        meter.power()
    assert meter.power() == pytest.approx(1e-6)


def test_a_slow_answer_is_awaited(server: TcpServer, meter: ThorlabsPM100D) -> None:
    server.faults.delay_s = 0.2
    server.faults.inject(Fault.SLOW)
    assert meter.power() == pytest.approx(1e-6)


def test_a_broken_connection_raises(server: TcpServer, meter: ThorlabsPM100D) -> None:
    server.faults.inject(Fault.CUT)
    with pytest.raises(ConnectionLostError):
        meter.power()


def test_the_emulated_meter_sees_the_benchs_laser() -> None:
    bench = MockBench("bench", model="timebin-bb84-80mhz", seed=3)
    laser = MockLaser("behind", bench.name)
    with TcpServer(EmulatedPM100D(laser.power)) as server:
        meter = ThorlabsPM100D("meter", server.visa_address)
        laser.power(0.5e-3)
        assert meter.power() == pytest.approx(0.5e-3)
