"""An emulated Koheron CTL200 with the diode, thermistor and interlock loop behind it.

Sources: as the driver, `faintlink.drivers.lasers.koheron_ctl200`.
"""

from faintlink.instruments.emulators.kit.device import LineDevice
from faintlink.instruments.emulators.kit.knob import Cell, Knob

_SETTINGS: dict[str, tuple[float, float, float]] = {
    "lason": (0.0, 0.0, 1.0),
    "ilaser": (0.0, 0.0, 1000.0),
    "ilmax": (200.0, 0.0, 1000.0),
    "ldelay": (1000.0, 10.0, 1e5),
    "tecon": (0.0, 0.0, 1.0),
    "rtset": (10_000.0, 0.0, 1e6),
    "pgain": (0.02, 0.0, 0.1),
    "igain": (0.001, 0.0, 0.1),
    "dgain": (0.0, 0.0, 0.1),
    "lckon": (0.0, 0.0, 1.0),
    "tprot": (0.0, 0.0, 1.0),
    "rtmin": (5_000.0, 0.0, 1e6),
    "rtmax": (20_000.0, 0.0, 1e6),
    "vtmin": (-1.0, -3.0, 0.0),
    "vtmax": (1.0, 0.0, 3.0),
}
"""Settings by command: value at power-on, least and greatest."""
_UNKNOWN, _INVALID = 1 << 4, 1 << 5
_ON_WHILE_OPEN, _OPENED = 1 << 6, 1 << 7
_AMBIENT_OHM = 11_000.0
_PROMPT = b">>"


class EmulatedCTL200(LineDevice):
    """A laser controller.

    Parameters
    ----------
    emission
        Knob of the light: whether it is on.
    model
        What it answers to ``model``.
    """

    terminator = b"\r\n"

    def __init__(self, emission: Knob | None = None, *, model: str = "CTL200-0") -> None:
        super().__init__()
        self._emission = emission or Cell(False)
        self._words = {"model": model, "serial": "K0000001", "version": "V0.17"}
        self._saved = {name: start for name, (start, _, _) in _SETTINGS.items()}
        self._errors = 0
        self.is_interlock_closed = True
        self._values = dict(self._saved)
        self._shine()

    def reboot(self) -> None:
        """Restart with the settings that were saved."""
        super().reboot()
        self._values = dict(self._saved)
        self._errors = 0
        self._shine()

    def open_interlock(self) -> None:
        """Open the interlock loop."""
        with self.lock:
            self.is_interlock_closed = False
            if self._values["lckon"] and self._values["lason"]:
                self._values["lason"] = 0.0
                self._errors |= _OPENED
                self._shine()

    def _shine(self) -> None:
        self._emission(bool(self._values["lason"]))

    def handle(self, line: str) -> bytes:
        """Echo a command and answer with its value and the prompt."""
        name, _, argument = line.strip().partition(" ")
        value = self._run(name, argument.strip())
        return line.encode("latin-1") + b"\r\n" + value.encode("ascii") + b"\r\n" + _PROMPT

    def _run(self, name: str, argument: str) -> str:
        if name in self._words:
            return self._words[name]
        if name in _SETTINGS:
            return self._setting(name, argument)
        if name == "err":
            return f"{self._errors:x}"
        if name == "errclr":
            self._errors = 0
        elif name == "save":
            self._saved = dict(self._values)
        elif (reading := self._readings().get(name)) is not None:
            return f"{reading:.6f}"
        else:
            self._errors |= _UNKNOWN
        return ""

    def _setting(self, name: str, argument: str) -> str:
        if argument:
            self._put(name, argument)
        value = self._values[name]
        return f"{value:.0f}" if name in ("lason", "tecon", "lckon", "tprot", "ldelay") else f"{value:.6f}"

    def _put(self, name: str, argument: str) -> None:
        _, low, high = _SETTINGS[name]
        try:
            value = float(argument)
        except ValueError:
            self._errors |= _INVALID
            return
        if not low <= value <= high:
            self._errors |= _INVALID
        elif name == "lason" and value and self._values["lckon"] and not self.is_interlock_closed:
            self._errors |= _ON_WHILE_OPEN
        else:
            self._values[name] = value
            self._shine()

    def _readings(self) -> dict[str, float]:
        is_on, is_cooled = self._values["lason"], self._values["tecon"]
        current_ma = min(self._values["ilaser"], self._values["ilmax"]) * is_on
        return {
            "vlaser": 1.0 + 2e-3 * current_ma if is_on else 0.0,
            "iphd": 1e-3 * current_ma,
            "rtact": self._values["rtset"] if is_cooled else _AMBIENT_OHM,
            "itec": 0.1 * is_cooled,
            "vtec": 0.2 * is_cooled,
            "tboard": 31.5,
        }
