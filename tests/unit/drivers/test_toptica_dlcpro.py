"""Toptica DLC pro: the vendor's SDK against the emulator over TCP, faults, restart, and the bench behind it."""

from collections.abc import Iterator

import pytest

from faintlink.core.errors import (
    ConfigError,
    ConnectionLostError,
    DeviceReportedError,
    InterlockError,
    UnsupportedFeatureError,
)
from faintlink.drivers.lasers.toptica_dlcpro import TopticaDLCpro
from faintlink.instruments.conformance.bench_suites import TunableLaserTests
from faintlink.instruments.emulators.kit.faults import Fault
from faintlink.instruments.emulators.kit.servers import TcpServer
from faintlink.instruments.emulators.toptica_dlcpro import EmulatedDLCpro
from faintlink.instruments.mocks.bench import MockBench
from faintlink.instruments.mocks.senders import MockLaser

pytest.importorskip("toptica.lasersdk.client", reason="needs the vendor's SDK: pip install faintlink[toptica]")


@pytest.fixture
def device() -> EmulatedDLCpro:
    return EmulatedDLCpro()


@pytest.fixture
def server(device: EmulatedDLCpro) -> Iterator[TcpServer]:
    with TcpServer(device) as server:
        yield server


@pytest.fixture
def laser(server: TcpServer) -> TopticaDLCpro:
    return TopticaDLCpro("laser", server.address, timeout_s=0.8)


class TestConformance(TunableLaserTests):
    @pytest.fixture
    def instrument(self, laser: TopticaDLCpro) -> object:
        return laser


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("(param-ref 'laser1:ctl:wavelength-set)", b"1550.0\r\n> "),
        ("(param-ref 'laser1:dl:cc:enabled)", b"#f\r\n> "),
        ("(param-ref 'system-type)", b'"DLCpro"\r\n> '),
        ("(param-set! 'laser1:dl:cc:enabled #t)", b"0\r\n> "),
        ("(param-set! 'laser1:ctl:wavelength-set 2000.0)", b"-8\r\n> "),
        ("(param-ref 'nonsense)", b"Error: -3 invalid parameter name 'nonsense'\r\n> "),
    ],
)
def test_the_emulator_answers_in_the_words_of_the_protocol(device: EmulatedDLCpro, line: str, answer: bytes) -> None:
    assert device.handle(line) == answer


def test_the_vendors_sdk_reads_and_sets_the_emulator(device: EmulatedDLCpro, laser: TopticaDLCpro) -> None:
    laser.wavelength(1555.5)
    laser.current(0.15)
    laser.enabled(True)
    assert laser.measured_wavelength() == 1555.5
    assert laser.current.get() == pytest.approx(0.15)
    assert laser.enabled.get() is True
    assert laser.get_idn()["model"] == "DLCpro"


def test_another_device_at_the_address_is_refused(device: EmulatedDLCpro, server: TcpServer) -> None:
    device.values["system-type"] = "iChrome"
    with pytest.raises(UnsupportedFeatureError, match="iChrome"):
        TopticaDLCpro("laser", server.address)


def test_a_head_that_cannot_be_tuned_is_refused(server: TcpServer) -> None:
    with pytest.raises(UnsupportedFeatureError, match="laser2"):
        TopticaDLCpro("laser", server.address, laser=2)


def test_nobody_at_the_address_is_reported() -> None:
    with pytest.raises(ConnectionLostError, match="does not answer"):
        TopticaDLCpro("laser", "127.0.0.1:1", timeout_s=0.8)


def test_a_missing_sdk_is_reported_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(ConfigError, match=r"faintlink\[toptica\]"):
        TopticaDLCpro("laser", "127.0.0.1")


@pytest.mark.parametrize("lock", ["interlock-open", "frontkey-locked"])
def test_an_interlock_keeps_the_laser_dark(device: EmulatedDLCpro, laser: TopticaDLCpro, lock: str) -> None:
    device.values[lock] = True
    with pytest.raises(InterlockError, match=lock):
        laser.enabled(True)
    assert laser.enabled.get() is False


def test_what_the_device_refuses_raises_with_what_was_sent(laser: TopticaDLCpro) -> None:
    with pytest.raises(DeviceReportedError, match=r"-8.*current-set = 1000"):
        laser.current(1.0)
    assert laser.current.get() == pytest.approx(0.1)


@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.HALF, Fault.GARBAGE, Fault.CUT])
def test_a_spoilt_answer_raises_in_time_and_the_next_question_is_answered(
    server: TcpServer, laser: TopticaDLCpro, fault: Fault
) -> None:
    server.faults.inject(fault)
    with pytest.raises(ConnectionLostError):
        laser.wavelength.get()
    assert laser.wavelength.get() == 1550.0


def test_a_late_answer_is_never_taken_for_another(server: TcpServer, laser: TopticaDLCpro) -> None:
    server.faults.delay_s = 1.2
    server.faults.inject(Fault.SLOW)
    with pytest.raises(ConnectionLostError):
        laser.wavelength.get()
    assert laser.current.get() == pytest.approx(0.1)


def test_a_restart_is_reported_once(server: TcpServer, laser: TopticaDLCpro) -> None:
    laser.enabled(True)
    server.faults.inject(Fault.REBOOT)
    with pytest.raises(ConnectionLostError):
        laser.wavelength.get()
    with pytest.raises(DeviceReportedError, match="restarted"):
        laser.wavelength.get()
    assert laser.enabled.get() is False


def test_the_emulated_laser_lights_the_bench() -> None:
    # Kept by name: an instrument that nobody holds may be collected at any moment.
    bench = MockBench("bench", model="timebin-bb84-80mhz", seed=3)
    behind = MockLaser("behind", "bench")
    with TcpServer(EmulatedDLCpro(enabled=behind.enabled, wavelength=behind.wavelength)) as server:
        laser = TopticaDLCpro("laser", server.address)
        laser.safe_state()
        assert behind.enabled() is False
        laser.enabled(True)
        laser.wavelength(1549.32)
        assert behind.enabled() is True
        assert behind.wavelength() == pytest.approx(1549.32)
    bench.close()
