"""An emulated Santec TSL-570: wavelength, power, alerts and sweeps that take their time.

Sources: as the driver, `faintlink.drivers.lasers.santec_tsl570`.
"""

import math
import time

from faintlink.instruments.emulators.kit.knob import Cell, Knob
from faintlink.instruments.emulators.kit.scpi import ScpiDevice, ScpiError, number_in

RANGE_NM = (1480.0, 1640.0)
_RANGE_MW = (0.04, 20.0)
_SPEEDS = (1, 2, 5, 10, 20, 50, 100, 200)


class EmulatedTSL570(ScpiDevice):
    """One tunable laser.

    Parameters
    ----------
    enabled, wavelength, power
        Knobs: whether it shines, vacuum wavelength in nm, power in W.
    """

    terminator = b"\r"

    def __init__(
        self, *, enabled: Knob | None = None, wavelength: Knob | None = None, power: Knob | None = None
    ) -> None:
        super().__init__("SANTEC,TSL-570,21020001,0001.000.0001")
        self._enabled = enabled or Cell(False)
        self._wavelength = wavelength or Cell(1550.0)
        self._power = power or Cell(1e-3)
        self.alerts: list[str] = []
        """What ``:SYST:ALER?`` reports, one after the other, as long as it lasts."""
        self._next_alert = 0
        self._power_on()
        self._register_light()
        self._register_sweep()

    def _power_on(self) -> None:
        self._is_mw = False
        self._coherence = 0
        self._sweep = {"STAR": RANGE_NM[0], "STOP": RANGE_NM[1], "SPE": 10.0, "CYCL": 1.0, "MOD": 1.0}
        self._sweep_began_s: float | None = None

    def reboot(self) -> None:
        """Restart dark, in dBm, with the sweep of power-on."""
        super().reboot()
        self._power_on()
        self._enabled(False)

    def _register_light(self) -> None:
        self.on("WAVelength", lambda v: self._wavelength(number_in(v, *RANGE_NM)))
        self.on("WAVelength?", lambda: f"{self._now_nm():.4f}")
        self.on("WAVelength:MINimum?", lambda: f"{RANGE_NM[0]:.4f}")
        self.on("WAVelength:MAXimum?", lambda: f"{RANGE_NM[1]:.4f}")
        self.on("POWer:STATe", lambda v: self._enabled(bool(number_in(v, 0, 1))))
        self.on("POWer:STATe?", lambda: str(int(self._enabled())))
        self.on("POWer:UNIT", self._set_unit)
        self.on("POWer:UNIT?", lambda: str(int(self._is_mw)))
        self.on("POWer", self._set_power)
        self.on("POWer?", lambda: self._shown(self._power()))
        self.on("POWer:ACTual?", lambda: self._shown(self._power() if self._enabled() else 1e-9))
        self.on("COHCtrl", self._set_coherence)
        self.on("COHCtrl?", lambda: str(self._coherence))
        self.on("SYSTem:ALERt?", self._alert)

    def _register_sweep(self) -> None:
        limits = {"STARt": RANGE_NM, "STOP": RANGE_NM, "SPEed": (1, 200), "CYCLe": (0, 999), "MODe": (0, 3)}
        for word, (low, high) in limits.items():
            key = "".join(letter for letter in word if letter.isupper())
            self.on(f"WAVelength:SWEep:{word}", lambda v, k=key, a=low, b=high: self._set_sweep(k, number_in(v, a, b)))
            self.on(f"WAVelength:SWEep:{word}?", lambda k=key: f"{self._sweep[k]:g}")
        self.on("WAVelength:SWEep:STATe", self._run_sweep)
        self.on("WAVelength:SWEep:STATe?", lambda: str(int(self._is_sweeping())))

    def _set_unit(self, text: str) -> None:
        self._is_mw = bool(number_in(text, 0, 1))

    def _set_coherence(self, text: str) -> None:
        self._coherence = int(number_in(text, 0, 1))

    def _set_power(self, text: str) -> None:
        value_mw = float(text) if self._is_mw else 10.0 ** (float(text) / 10.0)
        self._power(number_in(repr(value_mw), *_RANGE_MW) * 1e-3)

    def _shown(self, power_w: float) -> str:
        return f"{power_w * 1e3:.6f}" if self._is_mw else f"{10.0 * math.log10(power_w * 1e3):.6f}"

    def _alert(self) -> str:
        if self._next_alert < len(self.alerts):
            self._next_alert += 1
            return self.alerts[self._next_alert - 1]
        self._next_alert = 0
        return "No alerts."

    def _set_sweep(self, key: str, value: float) -> None:
        if key == "SPE" and value not in _SPEEDS:
            raise ScpiError(-222, "Data out of range")
        self._sweep[key] = value

    def _run_sweep(self, text: str) -> None:
        if number_in(text, 0, 1):
            self._sweep_began_s = time.monotonic()
        else:
            self._wavelength(self._now_nm())
            self._sweep_began_s = None

    def _is_sweeping(self) -> bool:
        self._now_nm()
        return self._sweep_began_s is not None

    def _now_nm(self) -> float:
        """Return the wavelength now; a sweep that is over ends here."""
        if self._sweep_began_s is None:
            return float(self._wavelength())
        start, stop, speed = self._sweep["STAR"], self._sweep["STOP"], self._sweep["SPE"]
        span_s = abs(stop - start) / speed
        passed_s = time.monotonic() - self._sweep_began_s
        if passed_s >= span_s * max(1.0, self._sweep["CYCL"]):
            self._sweep_began_s = None
            self._wavelength(stop)
            return stop
        return start + (stop - start) * (passed_s % span_s) / span_s if span_s else stop
