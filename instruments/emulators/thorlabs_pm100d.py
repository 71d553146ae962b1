"""An emulated Thorlabs PM100D with a germanium sensor.

Sources: as the driver, `faintlink.drivers.meters.thorlabs_pm100d`.
"""

from faintlink.instruments.emulators.kit.knob import Cell, Knob
from faintlink.instruments.emulators.kit.scpi import ScpiDevice, number_in

_WAVELENGTHS_NM = (700.0, 1800.0)
_RANGES_W = tuple(40e-3 * 10.0**-decade for decade in range(7, -1, -1))
_RESPONSIVITY_A_PER_W = 0.9
_ZERO_POLLS = 2


class EmulatedPM100D(ScpiDevice):
    """One power meter.

    Parameters
    ----------
    power
        Knob in W of the light on the sensor; only read.
    """

    def __init__(self, power: Knob | None = None) -> None:
        super().__init__("Thorlabs,PM100D,P0000001,2.4.0")
        self._power = power or Cell(1e-6)
        self._power_on()
        self.on("MEASure:POWer?", lambda: f"{self._reading(self._power()):.8E}")
        self.on("MEASure:CURRent?", lambda: f"{self._reading(self._power()) * _RESPONSIVITY_A_PER_W:.8E}")
        self.on("SENSe:POWer:UNIT", lambda v: self._keep("_unit", v))
        self.on("SENSe:POWer:RANGe", self._set_range)
        self.on("SENSe:POWer:RANGe?", lambda: f"{self._range_w:.8E}")
        self.on("SENSe:POWer:RANGe:AUTO", lambda v: self._keep("_auto", int(number_in(v, 0, 1))))
        self.on("SENSe:POWer:RANGe:AUTO?", lambda: str(self._auto))
        self.on("SENSe:AVERage:COUNt", lambda v: self._keep("_averages", int(number_in(v, 1, 3000))))
        self.on("SENSe:AVERage:COUNt?", lambda: str(self._averages))
        self.on("SENSe:CORRection:WAVelength", lambda v: self._keep("_nm", number_in(v, *_WAVELENGTHS_NM)))
        self.on("SENSe:CORRection:WAVelength?", self._wavelength)
        self.on("SENSe:CORRection:COLLect:ZERO:INITiate", lambda: self._keep("_polls_left", _ZERO_POLLS))
        self.on("SENSe:CORRection:COLLect:ZERO:STATe?", self._zero_state)
        self.on("SYSTem:SENSor:IDN?", lambda: "S122C,11040529,05-Apr-2011,1,18,289")

    def _power_on(self) -> None:
        self._unit = "W"
        self._nm = 1550.0
        self._auto = 1
        self._averages = 1
        self._range_w = _RANGES_W[-1]
        self._zero_w = 0.0
        self._polls_left = 0

    def reboot(self) -> None:
        """Restart with the settings of power-on."""
        super().reboot()
        self._power_on()

    def _keep(self, name: str, value: float | str) -> None:
        setattr(self, name, value)

    def _reading(self, power_w: float) -> float:
        beyond = not self._auto and power_w > self._range_w
        return 9.91e37 if beyond else power_w - self._zero_w

    def _set_range(self, text: str) -> None:
        wanted = number_in(text, 0.0, _RANGES_W[-1])
        self._range_w = next(top for top in _RANGES_W if top >= wanted)
        self._auto = 0

    def _wavelength(self, which: str = "") -> str:
        named = {"MIN": _WAVELENGTHS_NM[0], "MAX": _WAVELENGTHS_NM[1]}
        return f"{named.get(which.upper(), self._nm):.6E}"

    def _zero_state(self) -> str:
        if self._polls_left:
            self._polls_left -= 1
            if not self._polls_left:
                self._zero_w = float(self._power())
            return "1"
        return "0"
