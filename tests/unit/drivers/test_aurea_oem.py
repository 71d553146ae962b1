"""Aurea OEM detector: the library's calls, faults, and the bench behind it."""

import ctypes
import ctypes.util
from typing import Any

import pytest

from faintlink.core.errors import ConfigError, ConnectionLostError, DeviceReportedError
from faintlink.drivers.detectors.aurea_oem import AureaOEM, list_devices, load_library
from faintlink.instruments.conformance.suites import DetectorTests
from faintlink.instruments.emulators.aurea_oem import FakeOemLibrary
from faintlink.instruments.mocks.bench import MockBench
from faintlink.instruments.mocks.receivers import MockDetector


@pytest.fixture
def library() -> FakeOemLibrary:
    return FakeOemLibrary()


@pytest.fixture
def detector(library: FakeOemLibrary) -> AureaOEM:
    return AureaOEM("spd", library=library)


class TestConformance(DetectorTests):
    @pytest.fixture
    def instrument(self, detector: AureaOEM) -> object:
        return detector


class Recorder:
    """Passes calls on to a library and keeps them with the types of their arguments."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._library, name)

        def call(*arguments: Any) -> int:
            plain = [argument.value if hasattr(argument, "value") else type(argument)._type_ for argument in arguments]
            self.calls.append((name, *plain))
            return int(function(*arguments))

        return call


def test_the_calls_have_the_librarys_types_and_units(library: FakeOemLibrary) -> None:
    recorder = Recorder(library)
    detector = AureaOEM("spd", library=recorder)
    recorder.calls.clear()
    detector.efficiency(0.25)
    detector.dead_time(20e-6)
    detector.count_rate()
    detector.safe_state()
    assert recorder.calls == [
        ("CPC_setEfficiency", 0, 25),
        ("CPC_getEfficiency", 0, ctypes.c_short),
        ("CPC_setDeadTime", 0, pytest.approx(20.0)),
        ("CPC_getCLKCountData", 0, ctypes.c_ulong, ctypes.c_ulong),
        ("CPC_setOutputState", 0, 1),
        ("CPC_getOutputState", 0, ctypes.c_short),
    ]


def test_the_device_says_what_it_is_and_can(detector: AureaOEM) -> None:
    assert detector.get_idn() == {
        "vendor": "Aurea Technology",
        "model": "SPD_OEM_NIR",
        "serial": "SN12345",
        "firmware": "1.2.3",
    }
    assert detector.capabilities.efficiencies == "10,15,20,25,30"  # type: ignore[attr-defined]  # declared by the mixin


def test_settings_arrive(detector: AureaOEM) -> None:
    detector.detection_mode("gated")
    detector.output_format("nim")
    detector.dead_time(50e-6)
    assert (detector.detection_mode.get(), detector.output_format.get()) == ("gated", "nim")
    assert detector.dead_time.get() == pytest.approx(50e-6)
    assert (detector.clock_rate(), detector.temperature()) == (80e6, 24.5)


def test_a_disabled_output_counts_nothing(detector: AureaOEM) -> None:
    assert detector.count_rate() == 1500.0
    detector.enabled(False)
    assert detector.count_rate() == 0.0


def test_a_dead_time_beyond_the_devices_own_range_is_refused(detector: AureaOEM) -> None:
    with pytest.raises(ValueError, match=r"0\.001"):
        detector.dead_time(1.0)


def test_what_the_device_refuses_raises_with_the_function(detector: AureaOEM) -> None:
    with pytest.raises(DeviceReportedError, match=r"CPC_setEfficiency answers code -2"):
        detector.efficiency(0.17)


def test_a_setting_that_is_not_taken_raises(library: FakeOemLibrary, detector: AureaOEM) -> None:
    library.ignores.add("CPC_setOutputState")
    with pytest.raises(DeviceReportedError, match="keeps 0"):
        detector.enabled(False)


def test_a_code_without_a_meaning_is_reported(library: FakeOemLibrary, detector: AureaOEM) -> None:
    library._mode["OutputFormat"] = 7
    with pytest.raises(DeviceReportedError, match="value 7"):
        detector.output_format.get()


def test_a_pulled_cable_raises(library: FakeOemLibrary, detector: AureaOEM) -> None:
    library.is_plugged = False
    with pytest.raises(DeviceReportedError, match="code -1"):
        detector.count_rate()


def test_no_device_is_reported_with_what_there_is(library: FakeOemLibrary) -> None:
    with pytest.raises(ConnectionLostError, match="SN12345"):
        AureaOEM("spd", "SN99999", library=library)


def test_a_device_that_another_holds_is_reported(library: FakeOemLibrary, detector: AureaOEM) -> None:
    with pytest.raises(ConnectionLostError, match="can be opened"):
        AureaOEM("again", library=library)


def test_several_devices_need_an_address() -> None:
    library = FakeOemLibrary(names=("A/SN1", "A/SN2"))
    assert list_devices(library) == ["A/SN1", "A/SN2"]
    with pytest.raises(ConfigError, match="several"):
        AureaOEM("spd", library=library)
    AureaOEM("spd", "SN2", library=library)
    assert library.open_devices == {1}


def test_closing_gives_the_device_back(library: FakeOemLibrary, detector: AureaOEM) -> None:
    detector.close()
    assert library.open_devices == set()


def test_a_library_that_is_not_there_is_reported_with_the_remedy() -> None:
    with pytest.raises(ConfigError, match="nowhere/OEM") as caught:
        AureaOEM("spd", library_path="/nowhere/OEM.so")
    assert "library_path" in caught.value.hint


def test_a_library_of_something_else_is_refused() -> None:
    name = ctypes.util.find_library("m")
    if name is None:
        pytest.skip("needs the C library of mathematics")
    with pytest.raises(ConfigError, match="CPC_openDevice"):
        load_library(name)


def test_the_emulated_detector_is_that_of_the_bench() -> None:
    bench = MockBench("bench", model="timebin-bb84-80mhz", seed=3)
    behind = MockDetector("behind", bench.name)
    library = FakeOemLibrary(
        enabled=behind.enabled,
        efficiency=behind.efficiency,
        dead_time=behind.dead_time,
        count_rate=behind.count_rate,
    )
    detector = AureaOEM("spd", library=library)
    detector.efficiency(0.25)
    detector.dead_time(20e-6)
    state = bench.engine.state.receivers["bob"].detectors[0]
    assert (state.efficiency, state.dead_time_ps) == (0.25, 20_000_000)
    assert detector.count_rate() > 0.0
    detector.safe_state()
    assert bench.engine.state.receivers["bob"].detectors[0].enabled is False
