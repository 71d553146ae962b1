"""An emulated Keysight N7764A: four attenuators that answer the INPut and OUTPut commands.

Sources: as the driver, `faintlink.drivers.attenuators.keysight_n776x`.
"""

from collections.abc import Sequence

from faintlink.instruments.emulators.kit.knob import Cell, Knob
from faintlink.instruments.emulators.kit.scpi import ScpiDevice, number_in

_ATTENUATORS = 4
_RANGE_DB = 45.0
_CLOSED_DB = 60.0


class EmulatedN7764A(ScpiDevice):
    """Four attenuators.

    Parameters
    ----------
    attenuations
        Knobs in dB of the first attenuators; the others only remember.
    """

    def __init__(self, attenuations: Sequence[Knob] = ()) -> None:
        super().__init__("Keysight Technologies,N7764A,DE00000001,1.16")
        spare = [Cell(0.0) for _ in range(_ATTENUATORS - len(attenuations))]
        self._knobs: list[Knob] = [*attenuations, *spare]
        self._power_on()
        self.on("INPut{n}:ATTenuation", self._set_attenuation)
        self.on("INPut{n}:ATTenuation?", lambda n: f"{self._set_db[n - 1]:+.8E}")
        self.on("INPut{n}:OFFSet", lambda n, v: self._put(self._offset_db, n, number_in(v, -200, 200, unit="dB")))
        self.on("INPut{n}:OFFSet?", lambda n: f"{self._offset_db[n - 1]:+.8E}")
        self.on("INPut{n}:WAVelength", lambda n, v: self._put(self._wavelength_m, n, number_in(v, 1.26e-6, 1.64e-6)))
        self.on("INPut{n}:WAVelength?", lambda n: f"{self._wavelength_m[n - 1]:+.8E}")
        self.on("OUTPut{n}:STATe", lambda n, v: self._set_open(n, bool(number_in(v, 0, 1))))
        self.on("OUTPut{n}:STATe?", lambda n: str(int(self._open[n - 1])))

    def _power_on(self) -> None:
        self._offset_db = [0.0] * _ATTENUATORS
        self._wavelength_m = [1.55e-6] * _ATTENUATORS
        self._open = [True] * _ATTENUATORS
        self._set_db = [float(knob()) for knob in self._knobs]

    def reboot(self) -> None:
        """Restart with open shutters and no attenuation."""
        super().reboot()
        self._power_on()
        for number in range(1, _ATTENUATORS + 1):
            self._set_db[number - 1] = 0.0
            self._apply(number)

    def _put(self, values: list[float], number: int, value: float) -> None:
        values[number - 1] = value

    def _set_attenuation(self, number: int, text: str) -> None:
        self._set_db[number - 1] = number_in(text, 0.0, _RANGE_DB, unit="dB")
        self._apply(number)

    def _set_open(self, number: int, is_open: bool) -> None:
        self._open[number - 1] = is_open
        self._apply(number)

    def _apply(self, number: int) -> None:
        """Turn the knob: a closed shutter is as much loss as the table knows."""
        self._knobs[number - 1](self._set_db[number - 1] if self._open[number - 1] else _CLOSED_DB)
