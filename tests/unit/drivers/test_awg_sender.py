"""A sender over arbitrary waveform generators: QCoDeS' Tektronix drivers on emulators, Zurich Instruments on a fake."""

import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from qcodes.instrument_drivers.tektronix import TektronixAWG5014, TektronixAWG70002A
from qcodes.parameters import ManualParameter

from faintlink.core.entropy import SeededEntropy
from faintlink.core.errors import ConfigError, LocalProtocolError
from faintlink.drivers.generators.awg_sender import AWGSender
from faintlink.drivers.generators.pattern import intensity_volts, preamble_codes, rendered, state_volts
from faintlink.drivers.generators.players import PLAYERS, Player
from faintlink.instruments.conformance.suites import PatternGeneratorTests
from faintlink.instruments.emulators.kit.servers import TcpServer
from faintlink.instruments.emulators.tektronix_awg import EmulatedAWG5014C, EmulatedAWG70002A
from faintlink.instruments.roles import check_role

STATES_V = (-0.25, 0.1, -0.1, 0.25)
LEVELS_V = (0.2, 0.1, 0.0)


class FakePlayer:
    """Remembers what it plays; 1 GSa/s in steps of 4 samples."""

    granularity = 4

    def __init__(self) -> None:
        self.loaded: dict[int, npt.NDArray[np.float64]] = {}
        self.plays = 0
        self.is_on = False

    def sample_rate_hz(self) -> float:
        return 1e9

    def load(self, waveforms: Any) -> None:
        self.loaded = dict(waveforms)

    def play(self) -> None:
        self.plays += 1
        self.is_on = True

    def stop(self) -> None:
        self.is_on = False


def sender(awg: Any, kind: str | Player, **options: Any) -> AWGSender:
    settings: dict[str, Any] = {
        "pulse_rate_hz": 1e8,
        "slots": 2000,
        "preamble_length": 512,
        "intensity_levels": LEVELS_V,
        "state_levels": STATES_V,
    }
    return AWGSender("sender", awg, kind=kind, **settings | options)


class TestConformance(PatternGeneratorTests):
    @pytest.fixture
    def instrument(self) -> object:
        return sender(None, FakePlayer(), slots=201_000, entropy=SeededEntropy(7))


def expected(made: AWGSender, guard: int, count: int = 2512) -> tuple[npt.NDArray[np.float64], ...]:
    codes = made.settings_at(np.arange(count, dtype=np.int64))
    both = (intensity_volts(codes, LEVELS_V), state_volts(codes, STATES_V))
    return tuple(rendered(volts, samples_per_slot=10, guard_slots=guard, rest_v=0.0) for volts in both)


@pytest.fixture(params=["tektronix-awg5014", "tektronix-awg70000"])
def tektronix(request: pytest.FixtureRequest) -> Iterator[tuple[str, Any, Any]]:
    device: Any = EmulatedAWG5014C() if request.param.endswith("5014") else EmulatedAWG70002A()
    with TcpServer(device) as server:
        kind: Any = TektronixAWG5014 if isinstance(device, EmulatedAWG5014C) else TektronixAWG70002A
        awg = kind("awg", server.visa_address, visalib="@py", device_clear=False, terminator="\n", timeout=5)
        yield request.param, device, awg
        awg.close()


def test_the_generator_plays_each_slot_with_its_voltages_once(tektronix: tuple[str, Any, Any]) -> None:
    kind, device, awg = tektronix
    made = sender("awg", kind)
    made.start()
    assert awg.ask("*OPC?").strip() == "1"
    assert list(device.errors) == []
    [played] = device.played
    for volts, want in zip((played[1], played[2]), expected(made, guard=1), strict=True):
        np.testing.assert_allclose(volts, want, atol=2e-3)
    made.safe_state()
    assert awg.ask("*OPC?").strip() == "1"
    assert [device._settings[f"output{number}"] for number in (1, 2)] == ["0", "0"]
    assert not device._is_running


def test_other_drive_levels_are_taken_over_while_it_plays(tektronix: tuple[str, Any, Any]) -> None:
    kind, device, awg = tektronix
    made = sender(awg, kind)
    made.start()
    made.intensity.drive_levels((0.15, 0.15, 0.15))
    assert awg.ask("*OPC?").strip() == "1"
    assert len(device.played) == 2
    assert device.played[1][1][10:-10] == pytest.approx(0.15, abs=1e-3)
    np.testing.assert_allclose(device.played[1][2], device.played[0][2], atol=1e-6)


def test_levels_that_the_generator_cannot_make_are_refused_and_not_kept(tektronix: tuple[str, Any, Any]) -> None:
    kind, _, awg = tektronix
    made = sender(awg, kind)
    made.start()
    with pytest.raises(ConfigError, match="peak to peak"):
        made.intensity.drive_levels((4.0, 0.0, 0.0))
    assert made.intensity.drive_levels() == LEVELS_V


class FakeNode:
    """A node of a Zurich Instruments tree: any path, called to read or to write."""

    def __init__(self, written: dict[str, Any], path: str) -> None:
        self._written, self._path = written, path

    def __getattr__(self, name: str) -> "FakeNode":
        return FakeNode(self._written, f"{self._path}/{name}")

    def __getitem__(self, index: int) -> "FakeNode":
        return FakeNode(self._written, f"{self._path}/{index}")

    def __call__(self, *value: Any, **words: Any) -> Any:
        if not value and not words:
            return self._written[self._path]
        self._written[self._path] = value[0] if value else words
        return None


@pytest.fixture
def zurich(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    class Waveforms:
        def __init__(self) -> None:
            self.held: dict[int, tuple[Any, ...]] = {}

        def assign_waveform(self, slot: int, wave1: Any, wave2: Any, *, markers: Any) -> None:
            self.held[slot] = (wave1, wave2, markers)

    monkeypatch.setitem(sys.modules, "zhinst", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "zhinst.toolkit", SimpleNamespace(Waveforms=Waveforms))
    return {"/system/clocks/sampleclock/freq": 1e9, "/sigouts/0/range": 2.0, "/sigouts/1/range": 2.0}


def test_an_hdawg_gets_a_programme_that_plays_once_and_its_waveforms(zurich: dict[str, Any]) -> None:
    made = sender(FakeNode(zurich, ""), "zurich-hdawg")
    made.start()
    guard = made._guard_slots(2512)
    assert (2512 + 2 * guard) * 10 % 16 == 0
    first, second, _ = zurich["/awgs/0/write_to_waveform_memory"].held[0]
    for volts, want in zip((first, second), expected(made, guard=guard), strict=True):
        np.testing.assert_allclose(volts, want)
    programme = zurich["/awgs/0/load_sequencer_program"]
    assert "playWave" in programme
    assert not any(word in programme for word in ("while", "for", "repeat"))
    assert zurich["/awgs/0/enable_sequencer"] == {"single": True}
    made.stop()
    assert (zurich["/awgs/0/enable"], zurich["/sigouts/0/on"], zurich["/sigouts/1/on"]) == (0, 0, 0)


def test_levels_beyond_an_hdawgs_range_are_refused(zurich: dict[str, Any]) -> None:
    zurich["/sigouts/1/range"] = 0.4
    with pytest.raises(ConfigError, match="channel 2"):
        sender(FakeNode(zurich, ""), "zurich-hdawg").start()


def test_without_the_makers_package_the_error_says_what_to_install(
    zurich: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "zhinst.toolkit", None)
    with pytest.raises(ConfigError, match="zhinst-toolkit"):
        sender(FakeNode(zurich, ""), "zurich-hdawg").start()


def test_its_channels_fill_the_roles_of_modulators() -> None:
    bias = ManualParameter("bias", unit="V", initial_value=0.0)
    made = sender(None, FakePlayer(), intensity_bias=bias, half_wave_voltage=4.2)
    check_role(made, "PatternGenerator")
    check_role(made.intensity, "IntensityModulator")
    check_role(made.state, "PolarizationModulator")
    made.intensity.bias_voltage(1.5)
    assert bias() == 1.5


def test_it_cannot_be_asked_for_slots_that_it_did_not_play() -> None:
    made = sender(None, FakePlayer())
    with pytest.raises(LocalProtocolError, match="nothing"):
        made.settings_at(np.arange(3, dtype=np.int64))
    made.start()
    with pytest.raises(LocalProtocolError, match="2511"):
        made.settings_at(np.array([2512], np.int64))


def test_a_second_start_without_a_stop_is_refused() -> None:
    made = sender(None, FakePlayer())
    made.start()
    with pytest.raises(LocalProtocolError, match="stop"):
        made.start()


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="multiple"):
        sender(None, FakePlayer(), pulse_rate_hz=3e8)
    with pytest.raises(ConfigError, match="level"):
        sender(None, FakePlayer(), state_levels=(0.0, 1.0))
    with pytest.raises(ConfigError, match="known are"):
        sender(None, "toaster")
    with pytest.raises(ConfigError, match="not there"):
        sender("nobody", next(iter(PLAYERS)))


def test_a_preamble_is_bright_or_dimmest_and_flagged() -> None:
    codes = preamble_codes(3, 64, levels=3)
    assert set(codes.tolist()) == {0x80, 0x88}
