"""An emulated Toptica DLC pro with one CTL laser: the DeCoF command line with ``param-ref`` and ``param-set!``.

Sources: as the driver, `faintlink.drivers.lasers.toptica_dlcpro`. Toptica's own SDK is the judge of what it says.
"""

import re

from faintlink.instruments.emulators.kit.device import LineDevice, LineSession, Session
from faintlink.instruments.emulators.kit.knob import Cell, Knob

PROMPT = b"\r\n> "
_RANGE_NM = (1510.0, 1630.0)
_GREATEST_CURRENT_MA = 300.0
_COMMAND = re.compile(r"\(param-(ref|set!) '([\w:-]+)(?:\s+(.+))?\)")


class _DecofSession(LineSession):
    def greeting(self) -> bytes:
        """Return the banner and the first prompt."""
        return b"\r\nWelcome to DLC pro DeCoF Command Line" + PROMPT


class EmulatedDLCpro(LineDevice):
    """A controller with one laser.

    Parameters
    ----------
    enabled, wavelength
        Knobs: whether it shines, and its vacuum wavelength in nm.
    """

    def __init__(self, *, enabled: Knob | None = None, wavelength: Knob | None = None) -> None:
        super().__init__()
        self.values: dict[str, object] = {
            "system-type": "DLCpro",
            "serial-number": "DLC PRO_012345",
            "fw-ver": "3.2.0",
            "interlock-open": False,
            "frontkey-locked": False,
            "laser1:ctl:wavelength-min": _RANGE_NM[0],
            "laser1:ctl:wavelength-max": _RANGE_NM[1],
        }
        """What it answers, by parameter name."""
        self.uptime_s = 1000
        self._knobs: dict[str, Knob] = {
            "laser1:dl:cc:enabled": enabled or Cell(False),
            "laser1:ctl:wavelength-set": wavelength or Cell(1550.0),
            "laser1:dl:cc:current-set": Cell(100.0),
        }

    def session(self) -> Session:
        """Return a new connection."""
        return _DecofSession(self)

    def reboot(self) -> None:
        """Restart dark; the time since start begins anew."""
        super().reboot()
        self.uptime_s = 0
        self._knobs["laser1:dl:cc:enabled"](False)

    def handle(self, line: str) -> bytes:
        """Answer a command."""
        match = _COMMAND.fullmatch(line.strip())
        if match is None:
            answer = "Error: -5 syntax error"
        elif match.group(1) == "ref":
            answer = self._get(match.group(2))
        else:
            answer = self._set(match.group(2), match.group(3) or "")
        return answer.encode() + PROMPT

    def _get(self, name: str) -> str:
        if name == "uptime":
            self.uptime_s += 1
            return str(self.uptime_s)
        if name == "laser1:ctl:wavelength-act":
            name = "laser1:ctl:wavelength-set"
        value = self._knobs[name]() if name in self._knobs else self.values.get(name)
        if value is None:
            return f"Error: -3 invalid parameter name '{name}'"
        if isinstance(value, bool):
            return "#t" if value else "#f"
        return f'"{value}"' if isinstance(value, str) else repr(value)

    def _set(self, name: str, text: str) -> str:
        if name not in self._knobs:
            return "Error: -3 invalid parameter name"
        if name.endswith("enabled"):
            self._knobs[name](text == "#t")
            return "0"
        low, high = _RANGE_NM if name.endswith("wavelength-set") else (0.0, _GREATEST_CURRENT_MA)
        if not low <= float(text) <= high:
            return "-8"
        self._knobs[name](float(text))
        return "0"
