"""An emulated OZ Optics DD-100-MC attenuator.

Sources: as the driver, `faintlink.drivers.attenuators.ozoptics_dd100`.
"""

import re

from faintlink.instruments.emulators.kit.device import LineDevice
from faintlink.instruments.emulators.kit.knob import Cell, Knob

_STEPS_PER_DB = 200
_GREATEST_DB = 60.0


class EmulatedDD100(LineDevice):
    """An attenuator.

    Parameters
    ----------
    attenuation
        Knob in dB.
    """

    terminator = b"\r"

    def __init__(self, attenuation: Knob | None = None) -> None:
        super().__init__()
        self._knob = attenuation or Cell(0.0)
        self._steps = round(float(self._knob()) * _STEPS_PER_DB)

    def reboot(self) -> None:
        """Restart at home."""
        super().reboot()
        self._go(0.0)

    def _go(self, attenuation_db: float) -> None:
        self._steps = round(attenuation_db * _STEPS_PER_DB)
        self._knob(self._steps / _STEPS_PER_DB)

    def handle(self, line: str) -> bytes:
        """Answer a command with its lines, ``Done`` and an empty line."""
        return b"".join(text.encode("ascii") + b"\r\n" for text in (*self._run(line), "Done", ""))

    def _run(self, line: str) -> list[str]:
        if line == "D":
            return [f"DPos:{self._steps}", f"ATTEN:{self._steps / _STEPS_PER_DB:.2f}"]
        if line == "H":
            self._go(0.0)
            return [f"Pos:{self._steps}"]
        if line == "CD":
            return ["MC", "I/O:RS232", f"RANGE:{_GREATEST_DB:.1f}"]
        wanted = re.fullmatch(r"A(\d+(?:\.\d+)?)", line)
        if wanted is None or float(wanted[1]) > _GREATEST_DB:
            return ["Error"]
        self._go(float(wanted[1]))
        return [f"Pos:{self._steps}"]
