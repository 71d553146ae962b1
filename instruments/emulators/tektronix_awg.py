"""Emulated arbitrary waveform generators of Tektronix, as far as playing a pattern needs them: AWG5014C and AWG70002A.

Each trigger in triggered mode appends what the outputs that are on played to ``played``.

Sources: Tektronix AWG5000 and AWG70000 programmer manuals, for the commands that QCoDeS' drivers send.
"""

import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from faintlink.instruments.emulators.kit.scpi import ScpiDevice

Volts = npt.NDArray[np.float64]
_BITS_14 = 2**13 - 1


class _EmulatedAWG(ScpiDevice):
    """What both have in common: settings by header, a waveform list, run state and triggers."""

    def __init__(self, idn: str, channels: int) -> None:
        super().__init__(idn)
        self.played: list[dict[int, Volts]] = []
        """What was played at each trigger, in V, by channel."""
        self._list: dict[str, npt.NDArray[np.float64]] = {}
        self._channels = range(1, channels + 1)
        self._settings: dict[str, str] = {}
        self._is_running = False
        self.on("WLISt:LIST?", lambda: ",".join(f'"{name}"' for name in self._list))
        self.on("AWGControl:RUN", lambda: self._run_state(True))
        self.on("AWGControl:STOP", lambda: self._run_state(False))
        self.on("AWGControl:RSTATe?", lambda: str(int(self._is_running)))
        self._keep("OUTPut{n}[:STATe]", "output", "0")
        self._keep("MMEMory:CDIRectory", "directory", '"C:"')

    def _keep(self, header: str, name: str, value: str) -> None:
        """Register a setting that only remembers, one a channel where the header has a number."""
        is_numbered = "{n}" in header
        if is_numbered:
            self._settings |= {f"{name}{number}": value for number in self._channels}
        else:
            self._settings[name] = value
        write: Callable[..., None] = lambda *words: self._write_setting(name, is_numbered, words)  # noqa: E731
        read: Callable[..., str] = lambda *number: self._settings[name + "".join(map(str, number))]  # noqa: E731
        self.on(header, write)
        self.on(f"{header}?", read)

    def _write_setting(self, name: str, is_numbered: bool, words: tuple[object, ...]) -> None:
        *number, value = words if is_numbered else ("", *words)
        self._settings[name + "".join(map(str, number))] = str(value)

    def _run_state(self, is_running: bool) -> None:
        self._is_running = is_running

    def _trigger(self) -> None:
        if self._is_running:
            on = [number for number in self._channels if self._settings[f"output{number}"] == "1"]
            self.played.append({number: self._volts(number) for number in on})

    def _volts(self, number: int) -> Volts:
        name = self._settings[f"waveform{number}"].strip('"')
        return self._list[name] * float(self._settings[f"amplitude{number}"]) / 2.0


class EmulatedAWG5014C(_EmulatedAWG):
    """Four channels of 14 bits."""

    def __init__(self) -> None:
        super().__init__("TEKTRONIX,AWG5014C,B010001,SCPI:99.0 FW:4.6.0.7", 4)
        self._keep("SOURce:FREQuency", "clock", "1.0E+9")
        self._keep("AWGControl:RMODe", "mode", "CONT")
        self._keep("TRIGger:IMPedance", "impedance", "50")
        self._keep("TRIGger:SOURce", "source", "INT")
        self._keep("SOURce{n}:VOLTage:LEVel:IMMediate:AMPLitude", "amplitude", "1.0")
        self._keep("SOURce{n}:VOLTage:LEVel:IMMediate:OFFSet", "offset", "0.0")
        self._keep("SOURce{n}:WAVeform", "waveform", '""')
        self.on("WLISt:WAVeform:DELete", lambda name: void(self._list.pop(name.strip('"'), None)))
        self.on("WLISt:WAVeform:DEL", lambda name: void(self._list.pop(name.strip('"'), None)))
        self.on("WLISt:WAVeform:NEW", lambda name, size, _: self._put(name, np.zeros(int(size))))
        self.on("WLISt:WAVeform:DATA", lambda name, _: self._put(name, self._decoded()))
        self.on("*TRG", self._trigger)

    def _put(self, name: str, samples: npt.NDArray[np.float64]) -> None:
        self._list[name.strip('"')] = samples

    def _decoded(self) -> npt.NDArray[np.float64]:
        words = np.frombuffer(self.block, "<u2") & np.uint16(2**14 - 1)
        return (words.astype(np.float64) - _BITS_14) / _BITS_14


class EmulatedAWG70002A(_EmulatedAWG):
    """Two channels that take waveforms as files."""

    def __init__(self) -> None:
        super().__init__("TEKTRONIX,AWG70002A,B010001,FV:7.8", 2)
        self._files: dict[str, bytes] = {}
        self._keep("CLOCk:SRATe", "clock", "1.0E+9")
        self._keep("SOURce{n}:RMODe", "mode", "CONT")
        self._keep("SOURce{n}:TINPut", "input", "ITR")
        self._keep("SOURce{n}:VOLTage", "amplitude", "0.5")
        self._keep("SOURce{n}:CASSet:WAVeform", "waveform", '""')
        self.on("MMEMory:DELete", lambda name: void(self._files.pop(name.strip('"'), None)))
        self.on("MMEMory:DATA", lambda name, _: self._files.__setitem__(name.strip('"'), self.block))
        self.on("MMEMory:OPEN", self._open)
        self.on("SYSTem:ERRor:CODE?", lambda: "0")
        self.on("TRIGger:IMMediate", lambda _: self._trigger())

    def _open(self, path: str) -> None:
        name = path.strip('"').rpartition("\\")[2]
        raw = self._files[name]
        offset, samples = re.search(rb'offset="(\d+)"', raw), re.search(rb"<NumberSamples>(\d+)<", raw)
        if offset is None or samples is None:
            raise ValueError("no header of a waveform file")
        self._list[name.removesuffix(".wfmx")] = np.frombuffer(raw, "<f4", int(samples[1]), int(offset[1])).astype(
            np.float64
        )


def void(_: object) -> None:
    """Return nothing, whatever was done."""
