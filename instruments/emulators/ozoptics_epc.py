"""An emulated OZ Optics polarization controller with four squeezers.

Sources: as the driver, `faintlink.drivers.polarization.ozoptics_epc`.
"""

import re
from collections.abc import Sequence

from faintlink.instruments.emulators.kit.device import LineDevice
from faintlink.instruments.emulators.kit.knob import Cell, Knob

_SQUEEZERS = 4
_GREATEST_MV = 5000
_GREATEST_HZ = 100
_HIGH_LOW_ZERO = {"H": _GREATEST_MV, "L": -_GREATEST_MV, "Z": 0}
_REFUSED = "Error"


class EmulatedEPC(LineDevice):
    """A driver of four squeezers.

    Parameters
    ----------
    voltages
        Knobs in V of the first squeezers; the others only remember.
    """

    terminator = b"\r\n"

    def __init__(self, voltages: Sequence[Knob] = ()) -> None:
        super().__init__()
        self._knobs: list[Knob] = [*voltages, *(Cell(0.0) for _ in range(_SQUEEZERS - len(voltages)))]
        self._power_on()

    def _power_on(self) -> None:
        self._millivolts = [0] * _SQUEEZERS
        self._frequencies_hz = [7, 17, 37, 71]
        self._mode = "DC"
        self._waveform = "Sine"
        self._apply()

    def reboot(self) -> None:
        """Restart without voltages."""
        super().reboot()
        self._power_on()

    def _apply(self) -> None:
        for knob, millivolts in zip(self._knobs, self._millivolts, strict=True):
            knob(millivolts * 1e-3)

    def handle(self, line: str) -> bytes:
        """Answer a command with one line and ``Done``."""
        return self._run(line.strip()).encode("ascii") + b"\r\nDone\r\n"

    def _run(self, line: str) -> str:
        if line.endswith("?"):
            return self._query(line)
        if match := re.fullmatch(r"M(AC|DC)", line):
            self._mode = match[1]
        elif match := re.fullmatch(r"WF([12])", line):
            self._waveform = "Sine" if match[1] == "1" else "Triangle"
        elif match := re.fullmatch(r"V([HLZ])([1-4])", line):
            self._millivolts[int(match[2]) - 1] = _HIGH_LOW_ZERO[match[1]]
        elif match := re.fullmatch(r"([VF])([1-4]),([+-]?\d+)", line):
            if not self._put(match[1], int(match[2]), int(match[3])):
                return _REFUSED
        elif line != "SAVE":
            return _REFUSED
        self._apply()
        return line

    def _put(self, kind: str, number: int, value: int) -> bool:
        low, high = (-_GREATEST_MV, _GREATEST_MV) if kind == "V" else (0, _GREATEST_HZ)
        if not low <= value <= high:
            return False
        values = self._millivolts if kind == "V" else self._frequencies_hz
        values[number - 1] = value
        return True

    def _query(self, line: str) -> str:
        if line == "V?":
            return "Voltage(mV): " + " ".join(f"CH{n} {mv:+05d}" for n, mv in enumerate(self._millivolts, 1))
        if line == "F?":
            return "Frequency(Hz): " + "  ".join(f"CH{n} {hz:03d}" for n, hz in enumerate(self._frequencies_hz, 1))
        if line == "M?":
            return f"Operating Mode: {self._mode}"
        if line == "WF?":
            return f"AC Waveform: {self._waveform}"
        return _REFUSED
