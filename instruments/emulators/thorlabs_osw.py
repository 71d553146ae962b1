"""An emulated Thorlabs OSW22-1310E switch.

Sources: as the driver, `faintlink.drivers.switches.thorlabs_osw`.
"""

import re

from faintlink.instruments.emulators.kit.device import LineDevice
from faintlink.instruments.emulators.kit.knob import Cell, Knob


class EmulatedOSW(LineDevice):
    """A switch.

    Parameters
    ----------
    position
        Knob of the connected position, from 1.
    positions
        Number of positions.
    is_stuck
        Whether it stays where it is.
    """

    terminator = b"\n"

    def __init__(self, position: Knob | None = None, *, positions: int = 2, is_stuck: bool = False) -> None:
        super().__init__()
        self._knob = position or Cell(1)
        self._positions = positions
        self._is_stuck = is_stuck
        self._knob(1)

    def reboot(self) -> None:
        """Restart at position 1."""
        super().reboot()
        self._knob(1)

    def handle(self, line: str) -> bytes:
        """Answer a query; a setting has no answer."""
        command = line.strip()
        answers = {"S?": str(int(self._knob())), "T?": "2", "I?": "OSW22-1310E v1.0"}
        if command in answers:
            return answers[command].encode("ascii") + b"\r\n"
        wanted = re.fullmatch(r"S (\d+)", command)
        if wanted and 1 <= int(wanted[1]) <= self._positions and not self._is_stuck:
            self._knob(int(wanted[1]))
        return b""
