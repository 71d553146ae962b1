"""An emulated OZ Optics ODL-650 delay line that moves at a finite speed.

Sources: as the driver, `faintlink.drivers.delays.ozoptics_odl650`.
"""

import re
import time
from collections.abc import Callable

from faintlink.instruments.emulators.kit.device import LineDevice
from faintlink.instruments.emulators.kit.knob import Cell, Knob

_PS_PER_STEP = 5.08 / 0.299792458 / 32768
_END_STEPS = round(650.0 / _PS_PER_STEP)


class EmulatedODL650(LineDevice):
    """A delay line.

    Parameters
    ----------
    delay
        Knob in ps, turned when a move begins.
    steps_per_s
        Speed of the motor.
    clock
        Monotonic time in s.
    """

    terminator = b"\r\n"

    def __init__(
        self, delay: Knob | None = None, *, steps_per_s: float = 1e7, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._knob = delay or Cell(0.0)
        self._steps_per_s = steps_per_s
        self._clock = clock
        self._echoes = True
        self._is_homed = False
        self._start = self._target = 0
        self._began = clock()

    def reboot(self) -> None:
        """Restart without knowing the position."""
        super().reboot()
        self._is_homed = False

    def _steps(self) -> int:
        way = self._target - self._start
        done = min(abs(way), int((self._clock() - self._began) * self._steps_per_s))
        return self._start + (done if way > 0 else -done)

    def _go(self, steps: int) -> None:
        self._start, self._target, self._began = self._steps(), steps, self._clock()
        self._knob(steps * _PS_PER_STEP)

    def handle(self, line: str) -> bytes:
        """Answer a command with its echo, its content and ``Done``."""
        command = line.strip()
        echo = command if self._echoes else ""
        content = self._run(command)
        return f"{echo}\r\n{content}\r\nDone\r\n".encode("ascii") if content else f"{echo}\r\nDone\r\n".encode("ascii")

    def _run(self, command: str) -> str:
        answers = {"V1": "ODL-650-MCV2.0_1", "V2": "104000-01", "d?": "2020/01/31", "S?": self._shown()}
        if command in answers:
            return answers[command]
        if match := re.fullmatch(r"S(\d+)", command):
            return self._move(int(match[1]))
        if match := re.fullmatch(r"e([01])", command):
            self._echoes = match[1] == "1"
        elif command == "FH":
            self._is_homed = True
            self._start = self._target = 0
            self._knob(0.0)
        elif command == "RESET":
            self.reboot()
        elif command == "G0":
            self._go(self._steps())
        elif command in ("GF", "GR"):
            return self._move(_END_STEPS if command == "GF" else 0)
        else:
            return "Error"
        return ""

    def _shown(self) -> str:
        return f"POS:{self._steps()}" if self._is_homed else "POS:UNKNOWN"

    def _move(self, steps: int) -> str:
        if not self._is_homed or steps > _END_STEPS:
            return "Error"
        self._go(steps)
        return ""
