"""An emulated Quantum Opus amp-sim with a nanowire that latches, a module for the emulated mainframe.

Sources: as the driver, `faintlink.drivers.bias.quantum_opus`.
"""

import re

from faintlink.instruments.emulators.kit.knob import Cell, Knob

_FULL_SCALE = 65_535
_GREATEST_V = 2.5


class EmulatedAmpSim:
    """Bias and amplifier of one nanowire.

    Parameters
    ----------
    bias
        Knob in V in front of the resistor.
    latching_v
        Bias at which the wire becomes normal and stays so.
    """

    def __init__(self, bias: Knob | None = None, *, latching_v: float = 2.0) -> None:
        self._bias = bias or Cell(0.0)
        self._latching_steps = round(latching_v / _GREATEST_V * _FULL_SCALE)
        self._memory = 0
        self._power_on()

    def _power_on(self) -> None:
        self._values = {"B": 0, "C": 0, "D": 10, "E": 0}
        self._is_latched = False
        self._apply()

    def reboot(self) -> None:
        """Fall back to no bias."""
        self._power_on()

    def _apply(self) -> None:
        steps = self._values["B"]
        self._is_latched = steps > 0 and (self._is_latched or steps >= self._latching_steps)
        self._bias(steps / _FULL_SCALE * _GREATEST_V)

    def answer(self, message: str) -> str | None:
        """Return the answer to a message."""
        match = re.fullmatch(r"\+([A-H])(\d*)(\??);?", message)
        if match is None:
            return None
        letter, digits, question = match.groups()
        if question:
            return self._asked(letter)
        self._run(letter, digits)
        return None

    def _asked(self, letter: str) -> str:
        if letter == "C":
            full_scale_v = 5.0 if self._values["C"] else 1.1
            return str(round(min(1.0, 0.8 * self._is_latched / full_scale_v) * _FULL_SCALE))
        special = {"A": "Quantum Opus amp-sim 7", "H": f"{self._memory}.0"}
        return special.get(letter) or str(self._values[letter])

    def _run(self, letter: str, digits: str) -> None:
        if letter == "H" and digits:
            self._memory = int(digits)
        elif letter == "H":
            self._values["B"] = self._memory
        elif letter == "F":
            self._is_latched = self._values["B"] >= self._latching_steps
        elif letter == "G":
            self._values["B"], self._is_latched = round(0.95 * self._latching_steps), False
        elif int(digits) <= (_FULL_SCALE if letter == "B" else 255):
            self._values[letter] = int(digits)
        self._apply()
