"""Thorlabs PM100D optical power meter, over SCPI.

Fills the role PowerMeter. Each reading of ``power`` is one fresh measurement, as long as the device takes for it:
nothing waits by the clock. The range of wavelengths is that of the sensor that is plugged in.

Sources: MEASure, SENSe:POWer, SENSe:CORRection and SYSTem:SENSor commands as in QMI's driver for this meter; UNIT,
AVERage and ZERO from the command list of Thorlabs' PM100D operation manual. Unverified on a device.
"""

import math
import time
from typing import ClassVar, Self

from qcodes.parameters import Parameter
from qcodes.validators import Bool, Ints, Numbers

from faintlink.core.errors import ConnectionLostError, DeviceReportedError
from faintlink.drivers.base import Capabilities
from faintlink.drivers.scpi import ScpiInstrument

SCPI_INFINITY = 9.9e37
"""What SCPI devices answer when a measurement is beyond their range (SCPI-1999 volume 1, 7.2.1)."""
_POLL_S = 0.05


class ThorlabsPM100D(ScpiInstrument):
    """An optical power meter.

    Parameters
    ----------
    name
        Instrument name.
    address
        VISA resource name, such as ``USB0::0x1313::0x8078::P0000001::INSTR``.

    Raises
    ------
    ConnectionLostError
        The device cannot be reached.
    UnsupportedFeatureError
        Another device answers.
    """

    verified_on_hardware: ClassVar[str | None] = None
    identity = r"PM100D"

    def _identify(self) -> None:
        self.capabilities = Capabilities("PM100D")

    def _add_parameters(self) -> None:
        self.write("SENS:POW:UNIT W")
        self._add_measurements()
        self._add_settings()

    def _add_measurements(self) -> None:
        self.power: Parameter[float, Self] = self.add_parameter(
            "power", label="Optical power", unit="W", get_cmd=lambda: self._measured("MEAS:POW?"), set_cmd=False
        )
        """Measured optical power; each reading is a fresh one."""
        self.photocurrent: Parameter[float, Self] = self.add_parameter(
            "photocurrent", label="Photocurrent", unit="A", get_cmd=lambda: self._measured("MEAS:CURR?"), set_cmd=False
        )
        """Current of the photodiode."""
        self.sensor: Parameter[str, Self] = self.add_parameter(
            "sensor", label="Sensor", get_cmd="SYST:SENS:IDN?", set_cmd=False, get_parser=str.strip
        )
        """The sensor that is plugged in, in its own words."""

    def _add_settings(self) -> None:
        shortest_nm, longest_nm = (float(self.ask(f"SENS:CORR:WAV? {end}")) for end in ("MIN", "MAX"))
        self.wavelength: Parameter[float, Self] = self.add_parameter(
            "wavelength",
            label="Wavelength",
            unit="nm",
            get_cmd="SENS:CORR:WAV?",
            set_cmd="SENS:CORR:WAV {:.2f}",
            get_parser=float,
            vals=Numbers(shortest_nm, longest_nm),
        )
        """Wavelength for which the sensor is corrected."""
        self.range: Parameter[float, Self] = self.add_parameter(
            "range",
            label="Range",
            unit="W",
            get_cmd="SENS:POW:RANG?",
            set_cmd="SENS:POW:RANG {:.6E}",
            get_parser=float,
            vals=Numbers(0.0, 100.0),
        )
        """Upper end of the range; the device takes the next greater one. Setting it ends the automatic choice."""
        self.auto_range: Parameter[bool, Self] = self.add_parameter(
            "auto_range",
            label="Automatic range",
            get_cmd="SENS:POW:RANG:AUTO?",
            set_cmd=lambda on: self.write(f"SENS:POW:RANG:AUTO {int(on)}"),
            get_parser=lambda text: bool(int(text)),
            vals=Bool(),
        )
        """Whether the device chooses its range."""
        self.averages: Parameter[int, Self] = self.add_parameter(
            "averages",
            label="Averages",
            get_cmd="SENS:AVER:COUN?",
            set_cmd="SENS:AVER:COUN {}",
            get_parser=lambda text: int(float(text)),
            vals=Ints(1, 3000),
        )
        """Samples per reading, about 0.3 ms each."""

    def _measured(self, query: str) -> float:
        answer = self.ask(query).strip()
        try:
            value = float(answer)
        except ValueError:
            raise self._unusable("the answer is no number", query, answer) from None
        if not math.isfinite(value) or abs(value) >= SCPI_INFINITY:
            raise self._unusable("the light is beyond the range", query, answer)
        return value

    def _unusable(self, what: str, sent: str, seen: str) -> DeviceReportedError:
        return DeviceReportedError(
            f"{self.full_name}: {what}; sent {sent!r}, seen {seen!r}",
            hint="choose a greater range or auto_range(True), and check that a sensor is plugged in",
            device=self.full_name,
            sent=sent,
            seen=seen,
        )

    def zero(self, timeout_s: float = 30.0) -> None:
        """Take what the dark sensor reads as zero; cover the sensor before.

        Raises
        ------
        ConnectionLostError
            It has not ended within ``timeout_s``.
        """
        self.write("SENS:CORR:COLL:ZERO:INIT")
        deadline = time.monotonic() + timeout_s
        while int(float(self.ask("SENS:CORR:COLL:ZERO:STAT?"))):
            if time.monotonic() > deadline:
                raise ConnectionLostError(
                    f"{self.full_name} has not found its zero within {timeout_s:g} s",
                    hint="cover the sensor and try again",
                    device=self.full_name,
                )
            time.sleep(_POLL_S)

    def safe_state(self) -> None:
        """Let the device choose its range; it emits nothing."""
        self.auto_range(True)
