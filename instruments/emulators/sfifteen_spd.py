"""An emulated S-Fifteen single-photon detector.

Sources: as the driver, `faintlink.drivers.detectors.sfifteen_spd`.
"""

from faintlink.instruments.emulators.kit.device import LineDevice
from faintlink.instruments.emulators.kit.knob import Cell, Knob

_POWER_ON = {
    "hvolt": 0.0,
    "threshvolt": 100.0,
    "constp": 1.0,
    "consti": 0.1,
    "loop": 0.0,
    "pvolt": 0.0,
    "time": 100.0,
    "settemp": -20.0,
    "delay": 0.0,
}
_BREAKDOWN_V = 150.0
_LIMIT_V = 250.0
_ROOM_C = 25.0


class EmulatedSPD(LineDevice):
    """A detector.

    Parameters
    ----------
    enabled
        Knob of the diode behind it: whether its bias is above breakdown.
    count_rate
        Knob in Hz of its clicks.
    """

    terminator = b"\r\n"

    def __init__(self, enabled: Knob | None = None, count_rate: Knob | None = None) -> None:
        super().__init__()
        self._enabled = enabled or Cell(False)
        self._count_rate = count_rate or Cell(1000.0)
        self._saved = dict(_POWER_ON)
        self._values = dict(_POWER_ON)
        self._apply()

    def reboot(self) -> None:
        """Restart with the settings that were saved."""
        super().reboot()
        self._values = dict(self._saved)
        self._apply()

    def _apply(self) -> None:
        self._enabled(self._values["hvolt"] > _BREAKDOWN_V)

    def handle(self, line: str) -> bytes:
        """Answer a query; a setting has no answer."""
        name, _, argument = line.strip().partition(" ")
        if name == "*idn?":
            return b"SPD S-Fifteen SN1\r\n"
        if name == "save":
            self._saved = dict(self._values)
            return b"saved\r\n"
        if name.endswith("?"):
            return self._query(name[:-1]).encode("ascii") + b"\r\n"
        if name in self._values:
            self._put(name, float(argument))
        return b""

    def _put(self, name: str, value: float) -> None:
        self._values[name] = min(value, _LIMIT_V) if name == "hvolt" else value
        self._apply()

    def _query(self, name: str) -> str:
        if name == "counts":
            counts = float(self._count_rate()) * self._values["time"] * 1e-3 if self._enabled() else 0.0
            return str(round(counts))
        if name == "temp":
            return f"{self._values['settemp'] if self._values['loop'] else _ROOM_C:.2f}"
        value = self._values.get(name)
        if value is None:
            return "unknown command"
        return f"{value:.0f}" if name in ("loop", "time") else f"{value:.3f}"
