"""Santec TSL-570: the wire, the emulator over TCP, faults, sweeps, and the bench behind it."""

from collections.abc import Iterator

import pytest

from faintlink.core.errors import (
    ConnectionLostError,
    DeviceReportedError,
    InterlockError,
    UnsupportedFeatureError,
)
from faintlink.drivers.lasers.santec_tsl570 import SantecTSL570, SweepState
from faintlink.drivers.transport.scripted import expected_visa
from faintlink.instruments.conformance.bench_suites import TunableLaserTests
from faintlink.instruments.emulators.kit.faults import Fault
from faintlink.instruments.emulators.kit.servers import TcpServer
from faintlink.instruments.emulators.santec_tsl570 import EmulatedTSL570
from faintlink.instruments.mocks.bench import MockBench
from faintlink.instruments.mocks.senders import MockLaser

OPENING = [("*IDN?", "SANTEC,TSL-570,1,1"), (":WAV:MIN?", "1480.0000"), (":WAV:MAX?", "1640.0000")]
FINE = (":SYST:ERR?", '0,"No error"')


@pytest.fixture
def device() -> EmulatedTSL570:
    return EmulatedTSL570()


@pytest.fixture
def server(device: EmulatedTSL570) -> Iterator[TcpServer]:
    with TcpServer(device) as server:
        yield server


@pytest.fixture
def laser(server: TcpServer) -> SantecTSL570:
    return SantecTSL570("laser", server.visa_address, timeout=0.5)


class TestConformance(TunableLaserTests):
    @pytest.fixture
    def instrument(self, laser: SantecTSL570) -> object:
        return laser


def test_the_wire_is_that_of_the_legacy_command_set() -> None:
    script = [
        *OPENING,
        (":WAV 1550.1234", None),
        FINE,
        (":SYST:ALER?", "No alerts."),
        (":POW:STAT 1", None),
        FINE,
        (":POW:UNIT?", "0"),
        (":POW?", "0.00"),
        (":POW:UNIT?", "0"),
        (":POW:UNIT 1", None),
        FINE,
        (":POW 5.00", None),
        FINE,
    ]
    with expected_visa(script) as resource:
        laser = SantecTSL570("laser", resource=resource)
        laser.wavelength(1550.12341)
        laser.enabled(True)
        assert laser.power.get() == pytest.approx(1e-3)
        laser.power(5e-3)


def test_another_device_at_the_address_is_refused() -> None:
    with (
        expected_visa([("*IDN?", "Acme,Toaster,1,1")]) as resource,
        pytest.raises(UnsupportedFeatureError, match="Toaster"),
    ):
        SantecTSL570("laser", resource=resource)


def test_a_wavelength_beyond_the_devices_own_range_is_refused_before_it_is_sent(laser: SantecTSL570) -> None:
    with pytest.raises(ValueError, match="1640"):
        laser.wavelength(1700.0)


def test_power_is_in_watts_whatever_unit_the_panel_shows(laser: SantecTSL570) -> None:
    laser.power(2e-3)
    laser.write(":POW:UNIT 0")
    assert laser.power() == pytest.approx(2e-3, rel=1e-4)


def test_an_open_interlock_keeps_the_laser_dark(device: EmulatedTSL570, laser: SantecTSL570) -> None:
    device.alerts = ["No23.,Ongoing Warm up", "No07.,Inter lock detection"]
    assert laser.alerts() == ("No23.,Ongoing Warm up", "No07.,Inter lock detection")
    with pytest.raises(InterlockError, match="interlock"):
        laser.enabled(True)
    assert laser.enabled.get() is False


def test_a_sweep_runs_to_its_end(laser: SantecTSL570) -> None:
    laser.start_sweep(1550.0, 1570.0, speed_nm_per_s=100)
    assert laser.sweep_state() is SweepState.RUNNING
    laser.wait_for_sweep(2.0)
    assert laser.wavelength.get() == pytest.approx(1570.0)


def test_a_stopped_sweep_stays_between_its_ends(laser: SantecTSL570) -> None:
    laser.start_sweep(1500.0, 1600.0, speed_nm_per_s=50)
    laser.stop_sweep()
    assert laser.sweep_state() is SweepState.STOPPED
    assert 1500.0 <= laser.wavelength.get() < 1600.0


def test_waiting_for_a_sweep_ends_in_time(laser: SantecTSL570) -> None:
    laser.start_sweep(1500.0, 1600.0, speed_nm_per_s=1)
    with pytest.raises(ConnectionLostError, match="still sweeps"):
        laser.wait_for_sweep(0.1)


@pytest.mark.parametrize(("speed", "cycles"), [(3, 1), (10, 1000)])
def test_a_sweep_that_the_device_does_not_offer_is_refused(laser: SantecTSL570, speed: int, cycles: int) -> None:
    with pytest.raises(ValueError, match="sweep runs at"):
        laser.start_sweep(1500.0, 1600.0, speed_nm_per_s=speed, cycles=cycles)


def test_what_the_device_refuses_raises_with_what_was_sent(laser: SantecTSL570) -> None:
    with pytest.raises(DeviceReportedError, match=r"-222.*:WAV 1900"):
        laser.write(":WAV 1900")


@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.HALF, Fault.GARBAGE])
def test_a_spoilt_answer_raises_in_time_and_the_next_one_is_read_again(
    server: TcpServer, laser: SantecTSL570, fault: Fault
) -> None:
    server.faults.inject(fault)
    with pytest.raises(ConnectionLostError, match=":WAV"):
        laser.wavelength.get()
    assert laser.wavelength.get() == pytest.approx(1550.0)


def test_a_slow_answer_is_awaited(server: TcpServer, laser: SantecTSL570) -> None:
    server.faults.delay_s = 0.2
    server.faults.inject(Fault.SLOW)
    assert laser.wavelength.get() == pytest.approx(1550.0)


def test_after_a_restart_the_laser_is_read_as_dark(server: TcpServer, laser: SantecTSL570) -> None:
    laser.enabled(True)
    server.faults.inject(Fault.REBOOT)
    with pytest.raises(ConnectionLostError):
        laser.wavelength.get()
    assert laser.enabled.get() is False


def test_a_broken_connection_raises(server: TcpServer, laser: SantecTSL570) -> None:
    server.faults.inject(Fault.CUT)
    with pytest.raises(ConnectionLostError):
        laser.enabled.get()


def test_the_emulated_laser_lights_the_bench() -> None:
    bench = MockBench("bench", model="timebin-bb84-80mhz", seed=3)
    behind = MockLaser("behind", "bench")
    with TcpServer(EmulatedTSL570(enabled=behind.enabled, power=behind.power)) as server:
        laser = SantecTSL570("laser", server.visa_address)
        laser.power(2e-3)
        laser.enabled(True)
        assert bench.engine.state.source.power_w == pytest.approx(2e-3)
        laser.safe_state()
        assert bench.engine.state.source.enabled is False
