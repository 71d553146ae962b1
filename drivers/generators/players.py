"""Arbitrary waveform generators behind one small face: load a waveform a channel, play all once, stop.

`awg_sender` uses them. They speak through drivers that exist already, those of QCoDeS for Tektronix and of the maker
for Zurich Instruments, and open no device themselves. A waveform is played once a start and then rests: a pattern
that repeats would use the same random settings twice.

Sources: Tektronix AWG5000 and AWG70000 programmer manuals (AWGControl:RMODe and :RUN, SOURce:RMODe, *TRG,
TRIGger:IMMediate, WLISt) by way of QCoDeS' drivers; Zurich Instruments' documentation of zhinst-toolkit (AWG,
Waveforms) and of the HDAWG sequencer. Unverified on a device.
"""

import importlib
import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from faintlink.core.errors import ConfigError
from faintlink.drivers.generators.pattern import Volts

_NAME = "faintlink"


class Player(Protocol):
    """What plays waveforms. Its sample rate is set with the device's own driver."""

    granularity: int
    """A waveform's length must be a multiple of it."""

    def sample_rate_hz(self) -> float:
        """Return the samples per second."""
        ...

    def load(self, waveforms: Mapping[int, Volts]) -> None:
        """Load the samples (n,) float64 in V of each channel, counted from 1; marker 1 is up in the first half."""
        ...

    def play(self) -> None:
        """Play all loaded channels once, together."""
        ...

    def stop(self) -> None:
        """Stop, and turn the outputs of the loaded channels off."""
        ...


def _amplitude_vpp(volts: Volts, least: float) -> float:
    """Return the peak-to-peak amplitude, symmetric about 0, that covers the waveform."""
    return max(least, math.ceil(2e3 * float(np.max(np.abs(volts)))) * 1e-3)


def _set_amplitude(parameter: Any, amplitude_vpp: float) -> None:
    try:
        parameter(amplitude_vpp)
    except ValueError as error:
        raise ConfigError(
            f"{parameter.full_name} cannot be {amplitude_vpp:g} V peak to peak: {error}",
            hint="choose smaller drive levels, and amplify behind the generator",
        ) from error


def _marker(volts: Volts) -> "np.typing.NDArray[np.int64]":
    return (np.arange(volts.size) < volts.size // 2).astype(np.int64)


class TektronixAWG5014Player:
    """Plays on a ``TektronixAWG5014`` of QCoDeS, triggered by software."""

    granularity = 4
    _LEAST_VPP = 0.02

    def __init__(self, awg: Any) -> None:
        self._awg = awg
        self._channels: tuple[int, ...] = ()

    def sample_rate_hz(self) -> float:
        """Return the samples per second."""
        return float(self._awg.clock_freq())

    def load(self, waveforms: Mapping[int, Volts]) -> None:
        """Load and assign a waveform a channel."""
        self._channels = tuple(waveforms)
        self._awg.run_mode("TRIG")
        # The internal trigger comes again and again, and would repeat the pattern.
        self._awg.trigger_source("EXT")
        for number, volts in waveforms.items():
            channel = self._awg.channels[number - 1]
            amplitude = _amplitude_vpp(volts, self._LEAST_VPP)
            marker = _marker(volts)
            self._awg.send_waveform_to_list(volts * 2.0 / amplitude, marker, 0 * marker, f"{_NAME}{number}")
            _set_amplitude(channel.amp, amplitude)
            channel.offset(0.0)
            channel.waveform(f"{_NAME}{number}")

    def play(self) -> None:
        """Arm, turn the outputs on and trigger."""
        self._awg.run()
        for number in self._channels:
            self._awg.channels[number - 1].state(1)
        self._awg.force_trigger()

    def stop(self) -> None:
        """Stop and turn the outputs off."""
        self._awg.stop()
        for number in self._channels:
            self._awg.channels[number - 1].state(0)


class TektronixAWG70000Player:
    """Plays on a ``TektronixAWG70001A``, ``70002A`` or ``5208`` of QCoDeS, triggered by software."""

    granularity = 2
    _LEAST_VPP = 0.25

    def __init__(self, awg: Any) -> None:
        self._awg = awg
        self._channels: tuple[int, ...] = ()

    def sample_rate_hz(self) -> float:
        """Return the samples per second."""
        return float(self._awg.sample_rate())

    def load(self, waveforms: Mapping[int, Volts]) -> None:
        """Send each waveform as a file, load it and assign it."""
        self._channels = tuple(waveforms)
        for number, volts in waveforms.items():
            channel = self._awg.submodules[f"ch{number}"]
            amplitude = _amplitude_vpp(volts, self._LEAST_VPP)
            marker = _marker(volts).astype(np.float64)
            data = np.stack([volts, marker, 0.0 * marker])
            name = f"{_NAME}{number}"
            self._awg.sendWFMXFile(self._awg.makeWFMXFile(data, amplitude), f"{name}.wfmx")
            self._awg.loadWFMXFile(f"{name}.wfmx")
            _set_amplitude(channel.awg_amplitude, amplitude)
            channel.setWaveform(name)
            self._awg.write(f"SOURce{number}:RMODe TRIGgered")
            # The internal trigger comes again and again, and would repeat the pattern.
            self._awg.write(f"SOURce{number}:TINPut ATRigger")

    def play(self) -> None:
        """Arm, turn the outputs on and trigger."""
        self._awg.play()
        for number in self._channels:
            self._awg.submodules[f"ch{number}"].state(1)
        self._awg.force_triggerA()

    def stop(self) -> None:
        """Stop and turn the outputs off."""
        self._awg.stop()
        for number in self._channels:
            self._awg.submodules[f"ch{number}"].state(0)


class ZurichHDAWGPlayer:
    """Plays on channels 1 and 2 of an ``HDAWG`` of zhinst-qcodes or zhinst-toolkit."""

    granularity = 16

    def __init__(self, awg: Any) -> None:
        self._awg = awg
        self._channels: tuple[int, ...] = ()

    def sample_rate_hz(self) -> float:
        """Return the samples per second."""
        return float(self._awg.system.clocks.sampleclock.freq())

    def load(self, waveforms: Mapping[int, Volts]) -> None:
        """Compile a programme that plays once, and write the waveforms into its memory."""
        if set(waveforms) - {1, 2}:
            raise ConfigError(
                f"an HDAWG plays its pattern on channels 1 and 2, which share a sequencer, not on {sorted(waveforms)}",
                hint="choose channels 1 and 2 in the station file",
            )
        self._channels = tuple(waveforms)
        length = len(next(iter(waveforms.values())))
        scaled = [self._scaled(number, waveforms.get(number), length) for number in (1, 2)]
        core = self._awg.awgs[0]
        core.load_sequencer_program(
            f"wave first = placeholder({length}, true, false);\n"
            f"wave second = placeholder({length}, false, false);\n"
            "assignWaveIndex(1, first, 2, second, 0);\n"
            "playWave(1, first, 2, second);\n"
        )
        memory = _waveforms()
        memory.assign_waveform(0, scaled[0], scaled[1], markers=_marker(scaled[0]))
        core.write_to_waveform_memory(memory)

    def _scaled(self, number: int, volts: Volts | None, length: int) -> Volts:
        if volts is None:
            return np.zeros(length)
        # An output's range is peak to peak; the sequencer counts in halves of it.
        half_v = float(self._awg.sigouts[number - 1].range()) / 2.0
        if float(np.max(np.abs(volts))) > half_v:
            raise ConfigError(
                f"channel {number} plays up to {float(np.max(np.abs(volts))):g} V, its range is {half_v:g} V",
                hint="choose a greater output range, or smaller drive levels",
            )
        return volts / half_v

    def play(self) -> None:
        """Turn the outputs on and run the programme once."""
        for number in self._channels:
            self._awg.sigouts[number - 1].on(1)
        self._awg.awgs[0].enable_sequencer(single=True)

    def stop(self) -> None:
        """Stop and turn the outputs off."""
        self._awg.awgs[0].enable(0)
        for number in self._channels:
            self._awg.sigouts[number - 1].on(0)


def _waveforms() -> Any:
    try:
        return importlib.import_module("zhinst.toolkit").Waveforms()
    except ImportError as error:
        raise ConfigError(
            f"an HDAWG needs zhinst-toolkit, which is not installed: {error}", hint="pip install zhinst-qcodes"
        ) from error


PLAYERS: Mapping[str, Callable[[Any], Player]] = {
    "tektronix-awg5014": TektronixAWG5014Player,
    "tektronix-awg70000": TektronixAWG70000Player,
    "zurich-hdawg": ZurichHDAWGPlayer,
}
"""Every player by the word of a station file."""
