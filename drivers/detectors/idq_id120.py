"""ID Quantique ID120 free-running silicon avalanche detector, over SCPI.

Fills the role SinglePhotonDetector. The device counts in µV, µs, ms and m°C and knows no efficiency; the driver
converts to V, s and °C, and takes the efficiency from a calibration. High voltage is applied only by ``enabled(True)``,
and only up to an operating bias that was set before. The device has no error queue: every setting is read back.

Sources: commands, units and limits as Instrumental's driver for this detector uses them; ID Quantique's manual was
not at hand, so the unit of the dead time above all wants a check against ``DEADTIME:CAPABILITY?``. Unverified.
"""

from typing import Any, ClassVar, Self

from qcodes.parameters import Parameter
from qcodes.validators import Bool, Enum, Numbers

from faintlink.core.errors import DeviceReportedError, InterlockError
from faintlink.drivers.base import Capabilities
from faintlink.drivers.scpi import ScpiInstrument

GREATEST_BIAS_V = 250.0
MICRO = 1e-6
MILLI = 1e-3


def to_device(value: float, unit: float) -> int:
    """Return a value in SI units as the whole number of ``unit`` that the device takes."""
    return round(value / unit)


def from_device(text: str, unit: float) -> float:
    """Return the device's answer, a number of ``unit``, in SI units.

    Raises
    ------
    ValueError
        It is no number.
    """
    return float(text) * unit


class IdqID120(ScpiInstrument):
    """A single-photon detector.

    Parameters
    ----------
    name
        Instrument name.
    address
        VISA resource name, such as ``USB0::0x1DDC::0x0330::002008::INSTR``.

    Raises
    ------
    ConnectionLostError
        The device cannot be reached.
    UnsupportedFeatureError
        Another device answers.
    """

    verified_on_hardware: ClassVar[str | None] = None
    identity = r"ID120"
    error_query = ""
    default_timeout = 5.0

    def _identify(self) -> None:
        self.capabilities = Capabilities("ID120")

    def _add_parameters(self) -> None:
        self._add_bias()
        self._add_counting()
        self._add_cooling()
        for output in (1, 2):
            self.add_parameter(
                f"output{output}_polarity",
                label=f"Polarity of output {output}",
                get_cmd=lambda o=output: self.ask(f"OUTPUT{o}:POLARITY?").strip().lower(),
                set_cmd=lambda word, o=output: self._set(f"OUTPUT{o}:POLARITY", word.upper()),
                vals=Enum("positive", "negative"),
            )

    def _add_bias(self) -> None:
        self.bias: Parameter[float, Self] = self._quantity(
            "bias", "BIAS:VOLTAGE", "V", MICRO, label="Bias voltage", vals=None
        )
        """Bias across the diode now."""
        self.operating_bias: Parameter[float, Self] = self.add_parameter(
            "operating_bias",
            label="Operating bias",
            unit="V",
            get_cmd=None,
            set_cmd=None,
            initial_value=0.0,
            vals=Numbers(0.0, GREATEST_BIAS_V),
        )
        """Bias that ``enabled(True)`` applies; from the device's test sheet."""
        self.enabled: Parameter[bool, Self] = self.add_parameter(
            "enabled", label="Bias", get_cmd=lambda: self.bias.get() > 0.0, set_cmd=self._set_enabled, vals=Bool()
        )
        """Whether there is bias across the diode."""
        self.efficiency: Parameter[float, Self] = self.add_parameter(
            "efficiency",
            label="Detection efficiency",
            unit="",
            get_cmd=None,
            set_cmd=None,
            initial_value=0.0,
            vals=Numbers(0.0, 1.0),
        )
        """From a calibration at the operating bias; 0 until somebody sets it, for the device does not know."""

    def _add_counting(self) -> None:
        self.threshold: Parameter[float, Self] = self._quantity(
            "threshold", "THRESHOLD:VOLTAGE", "V", MICRO, label="Threshold", vals=Numbers(0.0, 1.047)
        )
        """Pulse height from which the device counts."""
        self.dead_time: Parameter[float, Self] = self._quantity(
            "dead_time", "DEADTIME:TIME", "s", MICRO, label="Dead time", vals=Numbers(40e-6, 1.0)
        )
        """Time after a click in which it is blind."""
        self.counting_time: Parameter[float, Self] = self._quantity(
            "counting_time", "COUNTERS:INTEGRATION_TIME", "s", MILLI, label="Counting time", vals=Numbers(0.2, 100.0)
        )
        """Time over which it counts."""
        self.count_rate: Parameter[float, Self] = self._quantity(
            "count_rate", "COUNTERS:DETECTION_FREQ", "Hz", 1.0, label="Count rate", vals=None
        )
        """Clicks per second over the last ``counting_time``."""
        self.counts: Parameter[float, Self] = self._quantity(
            "counts", "COUNTERS:DETECTION_COUNT", "", 1.0, label="Counts", vals=None
        )
        """Clicks in the last ``counting_time``."""

    def _add_cooling(self) -> None:
        self.temperature: Parameter[float, Self] = self._quantity(
            "temperature", "REG:MEASURED_TEMP", "degC", MILLI, label="Temperature", vals=None
        )
        """Temperature of the diode."""
        self.temperature_setpoint: Parameter[float, Self] = self._quantity(
            "temperature_setpoint",
            "REG:TEMP_SET_POINT",
            "degC",
            MILLI,
            label="Temperature setpoint",
            vals=Numbers(-50.0, -10.0),
        )
        """Temperature to which it cools."""
        self.cooling: Parameter[bool, Self] = self.add_parameter(
            "cooling",
            label="Cooling",
            get_cmd=lambda: self.ask("REG:RUN?").strip().upper() in ("TRUE", "1"),
            set_cmd=lambda on: self._set("REG:RUN", "TRUE" if on else "FALSE"),
            vals=Bool(),
        )
        """Whether the temperature is regulated."""

    def _quantity(
        self, name: str, command: str, si_unit: str, scale: float, *, label: str, vals: Numbers | None
    ) -> Parameter[Any, Any]:
        """Add a parameter of the device in SI units; without validator it is only read."""
        return self.add_parameter(
            name,
            label=label,
            unit=si_unit,
            get_cmd=lambda: self._number(f"{command}?", scale),
            set_cmd=(lambda value: self._set(command, str(to_device(value, scale)))) if vals else False,
            vals=vals,
        )

    def _number(self, query: str, scale: float) -> float:
        answer = self.ask(query)
        try:
            return from_device(answer, scale)
        except ValueError:
            raise self._reported("the answer is no number", query, answer) from None

    def _set(self, command: str, text: str) -> None:
        with self.lock:
            self.write(f"{command} {text}")
            kept = self.ask(f"{command}?").strip()
        if kept.upper() != text and not _is_same_number(kept, text):
            raise self._reported(f"the setting was not taken, the device keeps {kept!r}", f"{command} {text}", kept)

    def _set_enabled(self, is_on: bool) -> None:
        wanted_v = float(self.operating_bias()) if is_on else 0.0
        if is_on and wanted_v == 0.0:
            raise InterlockError(
                f"{self.full_name} has no operating bias, so it stays off",
                hint="set operating_bias to the voltage of the detector's test sheet first",
                device=self.full_name,
            )
        self._set("BIAS:VOLTAGE", str(to_device(wanted_v, MICRO)))

    def _reported(self, what: str, sent: str, seen: str) -> DeviceReportedError:
        return DeviceReportedError(
            f"{self.full_name}: {what}; sent {sent!r}, seen {seen!r}",
            hint="compare with the limits that the device names when asked <command>:CAPABILITY?",
            device=self.full_name,
            sent=sent,
            seen=seen,
        )

    def safe_state(self) -> None:
        """Take the bias off; cooling goes on."""
        self.enabled(False)


def _is_same_number(first: str, second: str) -> bool:
    try:
        return float(first) == float(second)
    except ValueError:
        return False
