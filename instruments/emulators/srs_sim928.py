"""An emulated SRS SIM928, a module for the emulated mainframe.

Sources: as the driver, `faintlink.drivers.bias.srs_sim928`.
"""

from faintlink.instruments.emulators.kit.knob import Cell, Knob

_GREATEST_V = 20.0


class EmulatedSIM928:
    """One isolated voltage source.

    Parameters
    ----------
    voltage
        Knob in V at the output: zero while it is off.
    """

    def __init__(self, voltage: Knob | None = None) -> None:
        self._voltage = voltage or Cell(0.0)
        self._power_on()

    def _power_on(self) -> None:
        self._set_v = 0.0
        self._is_on = False
        self._errors = {"LEXE?": 0, "LCME?": 0}
        self._apply()

    def reboot(self) -> None:
        """Fall back to zero and off."""
        self._power_on()

    def _apply(self) -> None:
        self._voltage(self._set_v if self._is_on else 0.0)

    def answer(self, message: str) -> str | None:
        """Return the answer to a message."""
        command, _, value = message.partition(" ")
        if command in self._errors:
            code, self._errors[command] = self._errors[command], 0
            return str(code)
        known = {"*IDN?": "Stanford_Research_Systems,SIM928,s/n003173,ver2.2", "BATS?": "1,2,0"}
        known |= {"VOLT?": f"{self._set_v:+.6E}", "EXON?": str(int(self._is_on))}
        if command in known:
            return known[command]
        self._run(command, value)
        return None

    def _run(self, command: str, value: str) -> None:
        if command in ("OPON", "OPOF"):
            self._is_on = command == "OPON"
        elif command == "VOLT" and abs(float(value)) <= _GREATEST_V:
            self._set_v = round(float(value), 3)
        else:
            self._errors["LEXE?" if command == "VOLT" else "LCME?"] = 1
        self._apply()
