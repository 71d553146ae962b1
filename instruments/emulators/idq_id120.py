"""An emulated ID Quantique ID120.

Sources: as the driver, `faintlink.drivers.detectors.idq_id120`.
"""

from faintlink.instruments.emulators.kit.knob import Cell, Knob
from faintlink.instruments.emulators.kit.scpi import ScpiDevice, ScpiError, number_in


class EmulatedID120(ScpiDevice):
    """One detector.

    Parameters
    ----------
    enabled, dead_time, count_rate
        Knobs: whether the detector has bias, its dead time in s, and clicks per second (only read).
    """

    def __init__(
        self, *, enabled: Knob | None = None, dead_time: Knob | None = None, count_rate: Knob | None = None
    ) -> None:
        super().__init__("IDQuantique,ID120,002008,1.0")
        self._enabled = enabled or Cell(False)
        self._dead_time = dead_time or Cell(40e-6)
        self._count_rate = count_rate or Cell(1000.0)
        self._power_on()
        for command, (low, high) in {
            "THRESHOLD:VOLTAGE": (0, 1_047_000),
            "COUNTERS:INTEGRATION_TIME": (200, 100_000),
            "REG:TEMP_SET_POINT": (-50_000, -10_000),
        }.items():
            self.on(command, lambda v, k=command, a=low, b=high: self._keep(k, number_in(v, a, b)))
            self.on(f"{command}?", lambda k=command: str(self._kept[k]))
        self._register()

    def _power_on(self) -> None:
        self._kept = {"THRESHOLD:VOLTAGE": 100_000, "COUNTERS:INTEGRATION_TIME": 200, "REG:TEMP_SET_POINT": -40_000}
        self._bias_uv = 0
        self._is_cooling = True
        self._polarity = {1: "POSITIVE", 2: "POSITIVE"}

    def _register(self) -> None:
        self.on("BIAS:VOLTAGE", self._set_bias)
        self.on("BIAS:VOLTAGE?", lambda: str(self._bias_uv))
        self.on("DEADTIME:TIME", lambda v: self._dead_time(number_in(v, 40, 1_000_000) * 1e-6))
        self.on("DEADTIME:TIME?", lambda: str(round(self._dead_time() * 1e6)))
        self.on("COUNTERS:DETECTION_FREQ?", lambda: str(self._rate()))
        self.on("COUNTERS:DETECTION_COUNT?", self._count)
        self.on("REG:RUN", self._set_cooling)
        self.on("REG:RUN?", lambda: "TRUE" if self._is_cooling else "FALSE")
        self.on("REG:MEASURED_TEMP?", lambda: str(self._kept["REG:TEMP_SET_POINT"] if self._is_cooling else 25_000))
        self.on("OUTPUT{n}:POLARITY", self._set_polarity)
        self.on("OUTPUT{n}:POLARITY?", lambda n: self._polarity[n])

    def reboot(self) -> None:
        """Restart without bias."""
        super().reboot()
        self._power_on()
        self._enabled(False)

    def _keep(self, key: str, value: float) -> None:
        self._kept[key] = int(value)

    def _set_bias(self, text: str) -> None:
        self._bias_uv = int(number_in(text, 0, 250_000_000))
        self._enabled(self._bias_uv > 0)

    def _set_cooling(self, text: str) -> None:
        if text not in ("TRUE", "FALSE"):
            raise ScpiError(-104, "Data type error")
        self._is_cooling = text == "TRUE"

    def _set_polarity(self, number: int, text: str) -> None:
        if text not in ("POSITIVE", "NEGATIVE"):
            raise ScpiError(-104, "Data type error")
        self._polarity[number] = text

    def _rate(self) -> int:
        return round(self._count_rate()) if self._bias_uv else 0

    def _count(self) -> str:
        return str(round(self._rate() * self._kept["COUNTERS:INTEGRATION_TIME"] * 1e-3))
