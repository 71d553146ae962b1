"""S-Fifteen single-photon detector: bias, threshold, Peltier cooler and counter, over a serial port.

The device has no switch for its bias: ``enabled`` puts the working voltage on or takes it down to 0. It knows neither
its efficiency nor its dead time; these come from a calibration and are given to the driver. With both the driver fills
the role SinglePhotonDetector, without them the role is refused.

Sources: command names and the unit of the counting time from an open driver of the maker (pyS15), not from a manual;
not tried on a device. The source names no unit for threshold and loop constants, nor the range of the bias: these go
over the wire as they are, and the greatest bias must be given from the data sheet of the diode.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Self

from qcodes.parameters import Parameter
from qcodes.validators import Bool, Numbers

from faintlink.core.errors import InterlockError
from faintlink.drivers.base import Capabilities
from faintlink.drivers.dialogue import DialogueInstrument
from faintlink.drivers.transport.link import ByteLink
from faintlink.drivers.transport.step import Marker

if TYPE_CHECKING:
    from qcodes.instrument import InstrumentBaseKWArgs
    from qcodes.validators import Validator
    from typing_extensions import Unpack

_OFF_V = 1.0
"""Below this the bias counts as off; the device may measure what it set."""


class SFifteenSPD(DialogueInstrument):
    """A single-photon detector.

    Parameters
    ----------
    name
        Instrument name.
    address
        Serial port, or ``tcp://host:port``.
    greatest_bias
        Greatest bias of the diode in V, from its data sheet.
    efficiency
        Detection efficiency from a calibration, 0 to 1.
    dead_time
        Dead time from a calibration, in s.
    link
        An open link to use instead of opening ``address``.

    Raises
    ------
    ConnectionLostError
        The device cannot be reached.
    UnsupportedFeatureError
        Another device answers.
    """

    verified_on_hardware: ClassVar[str | None] = None
    marker: Marker | None = Marker.of(b"*idn?\r\n", rb"SPD[^\r]*\r\n")
    default_baud: ClassVar[int] = 9600

    def __init__(
        self,
        name: str,
        address: str,
        *,
        greatest_bias: float,
        efficiency: float | None = None,
        dead_time: float | None = None,
        link: ByteLink | None = None,
        **kwargs: "Unpack[InstrumentBaseKWArgs]",
    ) -> None:
        self._greatest_bias_v, self._efficiency, self._dead_time_s = greatest_bias, efficiency, dead_time
        super().__init__(name, address, link=link, **kwargs)

    def _add_parameters(self) -> None:
        self._add_bias(self._greatest_bias_v)
        self._add_cooler()
        self._add_counter()
        if self._efficiency is not None:
            self.efficiency: Parameter[float, Self] = self._given("efficiency", "Efficiency", "", self._efficiency)
            """Detection efficiency of the calibration; there if it was given."""
        if self._dead_time_s is not None:
            self.dead_time: Parameter[float, Self] = self._given("dead_time", "Dead time", "s", self._dead_time_s)
            """Dead time of the calibration; there if it was given."""

    def _identify(self) -> None:
        self._idn = self.ask_raw("*idn?")
        self._refuse_unless("SPD", asked="*idn?", answer=self._idn)
        self.capabilities = Capabilities(self._idn)

    def _add_bias(self, greatest_bias: float) -> None:
        self.working_bias: Parameter[float, Self] = self.add_parameter(
            "working_bias",
            label="Working bias",
            unit="V",
            get_cmd=None,
            set_cmd=None,
            vals=Numbers(_OFF_V, greatest_bias),
        )
        """Bias to which ``enabled`` goes; kept by the driver, and to be set before."""
        self.bias: Parameter[float, Self] = self._knob(
            "bias", "hvolt", "Bias", "V", Numbers(0.0, greatest_bias), tolerance=_OFF_V
        )
        """Bias of the diode now."""
        self.enabled: Parameter[bool, Self] = self.add_parameter(
            "enabled",
            label="Bias on",
            get_cmd=lambda: self._number("hvolt?") >= _OFF_V,
            set_cmd=self._set_enabled,
            vals=Bool(),
        )
        """Whether the bias is on."""
        self.threshold: Parameter[float, Self] = self._knob(
            "threshold", "threshvolt", "Discriminator threshold", "", Numbers(-1e4, 1e4), tolerance=1e-2
        )
        """Threshold of the discriminator, in the device's own unit."""

    def _add_cooler(self) -> None:
        self.temperature: Parameter[float, Self] = self.add_parameter(
            "temperature", label="Diode temperature", unit="degC", get_cmd=lambda: self._number("temp?"), set_cmd=False
        )
        """Measured temperature of the diode."""
        self.temperature_setpoint: Parameter[float, Self] = self._knob(
            "temperature_setpoint", "settemp", "Set point", "degC", Numbers(-60.0, 40.0), tolerance=0.1
        )
        """Temperature to which the loop regulates."""
        self.cooler_enabled: Parameter[bool, Self] = self.add_parameter(
            "cooler_enabled",
            label="Temperature loop",
            get_cmd=lambda: bool(self._number("loop?")),
            set_cmd=lambda on: self._set("loop", int(on), 0.0),
            vals=Bool(),
        )
        """Whether the loop regulates."""
        self.cooler_voltage: Parameter[float, Self] = self.add_parameter(
            "cooler_voltage", label="Peltier voltage", unit="V", get_cmd=lambda: self._number("pvolt?"), set_cmd=False
        )
        """Voltage on the Peltier element."""
        constant = Numbers(0.0, 1e6)
        self.proportional_constant: Parameter[float, Self] = self._knob(
            "proportional_constant", "constp", "P", "", constant, tolerance=1e-2
        )
        """Proportional constant of the loop, in the device's own unit."""
        self.integral_constant: Parameter[float, Self] = self._knob(
            "integral_constant", "consti", "I", "", constant, tolerance=1e-2
        )
        """Integral constant of the loop, in the device's own unit."""

    def _add_counter(self) -> None:
        self.counting_time: Parameter[float, Self] = self._knob(
            "counting_time", "time", "Counting time", "s", Numbers(1e-3, 60.0), scale=1e-3, tolerance=0.5
        )
        """Time over which ``count_rate`` counts, in whole milliseconds."""
        self.count_rate: Parameter[float, Self] = self.add_parameter(
            "count_rate", label="Count rate", unit="Hz", get_cmd=self._count, set_cmd=False, snapshot_get=False
        )
        """Clicks per second over the next ``counting_time``, for which reading it waits."""

    def _given(self, name: str, label: str, unit: str, value: float) -> Parameter[float, Any]:
        return self.add_parameter(
            name, label=label, unit=unit, get_cmd=None, set_cmd=False, initial_cache_value=float(value)
        )

    def _knob(
        self,
        name: str,
        command: str,
        label: str,
        unit: str,
        vals: "Validator[Any]",
        *,
        scale: float = 1.0,
        tolerance: float,
    ) -> Parameter[float, Any]:
        """Add a setting; ``scale`` turns the wire's unit into ours, ``tolerance`` is in that of the wire."""
        return self.add_parameter(
            name,
            label=label,
            unit=unit,
            get_cmd=lambda: self._number(f"{command}?") * scale,
            set_cmd=lambda value: self._set(command, value / scale, tolerance),
            vals=vals,
        )

    def ask_raw(self, cmd: str) -> str:
        """Return the line that answers a query."""
        return self._line(cmd, lambda: self.link.read_until(b"\r\n"))

    def _line(self, query: str, receive: Callable[[], bytes]) -> str:
        request = query.encode("ascii") + b"\r\n"
        answer = self.exchange(request, receive)
        try:
            return answer.decode("ascii").strip()
        except UnicodeDecodeError as error:
            raise self.garbled("no text", sent=request, seen=answer) from error

    def _number(self, query: str) -> float:
        return self._parsed(query, self.ask_raw(query))

    def _parsed(self, query: str, text: str) -> float:
        try:
            return float(text)
        except ValueError as error:
            raise self.garbled("no number", sent=query, seen=text) from error

    def _set(self, command: str, value: float, tolerance: float) -> None:
        """Make a setting, which has no answer, and read it back."""
        with self.lock:
            self.exchange(f"{command} {value:.9g}\r\n".encode("ascii"), lambda: b"")
            self.remember(command, value, lambda: self._number(f"{command}?"), tolerance=tolerance)

    def _set_enabled(self, is_on: bool) -> None:
        with self.lock:
            if not is_on:
                self._set("hvolt", 0.0, _OFF_V)
                return
            working = self.working_bias()
            if working is None:
                raise InterlockError(
                    f"{self.full_name}: the bias cannot be switched on, its working value is not set",
                    hint="set working_bias from the calibration of this diode first",
                    device=self.full_name,
                )
            self.check_settings()
            self._set("hvolt", float(working), _OFF_V)

    def _count(self) -> float:
        with self.lock:
            milliseconds = self._number("time?")
            if milliseconds <= 0.0:
                raise self.garbled("no counting time", sent="time?", seen=f"{milliseconds:g}")
            wait_s = milliseconds * 1e-3 + self.link.timeout_s
            text = self._line("counts?", lambda: self.link.read_until(b"\r\n", timeout_s=wait_s))
            return self._parsed("counts?", text) / (milliseconds * 1e-3)

    def save(self) -> None:
        """Make the present settings, the bias among them, those of power-on."""
        self.ask_raw("save")

    def get_idn(self) -> dict[str, str | None]:
        """Return what the detector says it is."""
        return {"vendor": "S-Fifteen Instruments", "model": self._idn, "serial": None, "firmware": None}

    def safe_state(self) -> None:
        """Take the bias off; the cooler stays as it is."""
        self.forget_settings()
        self.enabled(False)
