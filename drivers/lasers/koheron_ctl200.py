"""Koheron CTL200 and CTL300E controllers of laser diode and thermoelectric cooler, over a serial port.

Fills the role Laser. Every setting is read back; the error register is read after each. The controller regulates the
resistance of a thermistor, which the driver turns into a temperature. Nothing is switched on unless it is asked for,
and no current above the limit in the controller is ever sent.

Sources: command names and units, echo and prompt, error bits from open drivers of others (VeriQloud kiwi_hw_control,
pymeasure), not from a manual; not tried on a device.
"""

from typing import TYPE_CHECKING, Any, ClassVar, Self

from qcodes.parameters import Parameter
from qcodes.validators import Bool, Numbers

from faintlink.core.errors import DeviceReportedError, InterlockError
from faintlink.drivers.base import Capabilities
from faintlink.drivers.dialogue import DialogueInstrument
from faintlink.drivers.lasers.koheron_ctl200_codec import (
    INTERLOCK_BITS,
    PROMPT,
    encode_command,
    error_names,
    parse_answer,
)
from faintlink.drivers.lasers.thermistor import SteinhartHart
from faintlink.drivers.transport.link import ByteLink
from faintlink.drivers.transport.step import Marker

if TYPE_CHECKING:
    from qcodes.instrument import InstrumentBaseKWArgs
    from qcodes.validators import Validator
    from typing_extensions import Unpack

MODELS = ("CTL200", "CTL300E")
_OHMS = Numbers(100.0, 1e6)


class KoheronCTL200(DialogueInstrument):
    """A laser diode controller.

    Parameters
    ----------
    name
        Instrument name.
    address
        Serial port, or ``tcp://host:port``.
    diode_limit
        Greatest current of the diode in A; neither current nor limit can be set above it.
    thermistor
        Steinhart-Hart coefficients a, b, c of the thermistor in the laser, in 1/K and ohm; without them those of
        common 10 kohm thermistors, which may be wrong by some tenths of a degree.
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
    marker: Marker | None = Marker.of(b"model\r\n", rb"model[^>]*>>")
    default_baud: ClassVar[int] = 115200

    def __init__(
        self,
        name: str,
        address: str,
        *,
        diode_limit: float = 1.0,
        thermistor: tuple[float, float, float] | list[float] | None = None,
        link: ByteLink | None = None,
        **kwargs: "Unpack[InstrumentBaseKWArgs]",
    ) -> None:
        self.thermistor_law = SteinhartHart(*thermistor) if thermistor else SteinhartHart()
        self._diode_limit_a = diode_limit
        super().__init__(name, address, link=link, **kwargs)

    def _add_parameters(self) -> None:
        self._add_laser(self._diode_limit_a)
        self._add_cooler()
        self._add_protection()

    def _identify(self) -> None:
        self._model = self.ask_raw("model")
        self._refuse_unless(f"^({'|'.join(MODELS)})(-|$)", asked="model", answer=self._model)
        self.capabilities = Capabilities(self._model)

    def ask_raw(self, cmd: str) -> str:
        """Return the value line of a command."""
        return self._command(encode_command(cmd))

    def _command(self, request: bytes) -> str:
        answer = self.exchange(request, lambda: self.link.read_until(PROMPT))
        try:
            return parse_answer(request, answer)
        except ValueError as error:
            raise self.garbled("no echo and value", sent=request, seen=answer) from error

    def _number(self, command: str, scale: float = 1.0) -> float:
        text = self.ask_raw(command)
        try:
            return float(text) * scale
        except ValueError as error:
            raise self.garbled("no number", sent=command, seen=text) from error

    def _set(self, command: str, value: float) -> None:
        """Make a setting in units of the wire, read the errors and read it back."""
        with self.lock:
            self._command(encode_command(command, value))
            self._raise_errors(command)
            self.remember(command, value, lambda: self._number(command), tolerance=1e-3 * abs(value) + 1e-4)

    def _raise_errors(self, command: str) -> None:
        bits = self._error_bits()
        if not bits:
            return
        self.clear_errors()
        if bits & INTERLOCK_BITS:
            raise InterlockError(
                f"{self.full_name} reports after {command!r}: {', '.join(error_names(bits))}",
                hint="close the interlock loop, then switch the laser on again",
                device=self.full_name,
                sent=command,
                seen=f"{bits:#x}",
            )
        raise self.reported(", ".join(error_names(bits)), sent=command, seen=f"{bits:#x}")

    def _error_bits(self) -> int:
        text = self.ask_raw("err")
        try:
            return int(text, 16)
        except ValueError as error:
            raise self.garbled("no hexadecimal error register", sent="err", seen=text) from error

    def _knob(
        self, name: str, command: str, label: str, unit: str, vals: "Validator[Any]", *, scale: float = 1.0
    ) -> Parameter[float, Any]:
        """Add a setting; ``scale`` turns the wire's unit into ours."""
        return self.add_parameter(
            name,
            label=label,
            unit=unit,
            get_cmd=lambda: self._number(command, scale),
            set_cmd=lambda value: self._set(command, value / scale),
            vals=vals,
        )

    def _reading(self, name: str, command: str, label: str, unit: str, scale: float = 1.0) -> Parameter[float, Any]:
        return self.add_parameter(
            name, label=label, unit=unit, get_cmd=lambda: self._number(command, scale), set_cmd=False
        )

    def _switch(self, name: str, command: str, label: str) -> Parameter[bool, Any]:
        return self.add_parameter(
            name,
            label=label,
            get_cmd=lambda: bool(self._number(command)),
            set_cmd=lambda on: self._set(command, int(on)),
            vals=Bool(),
        )

    def _add_laser(self, diode_limit: float) -> None:
        amperes = Numbers(0.0, diode_limit)
        self.enabled: Parameter[bool, Self] = self.add_parameter(
            "enabled",
            label="Emission",
            get_cmd=lambda: bool(self._number("lason")),
            set_cmd=self._set_enabled,
            vals=Bool(),
        )
        """Whether the diode gets its current; refused if the controller restarted since its settings were made."""
        self.current: Parameter[float, Self] = self.add_parameter(
            "current",
            label="Diode current",
            unit="A",
            get_cmd=lambda: self._number("ilaser", 1e-3),
            set_cmd=self._set_current,
            vals=amperes,
        )
        """Set current of the diode; refused above ``current_limit``."""
        self.current_limit: Parameter[float, Self] = self.add_parameter(
            "current_limit",
            label="Current limit",
            unit="A",
            get_cmd=lambda: self._number("ilmax", 1e-3),
            set_cmd=self._set_limit,
            vals=amperes,
        )
        """Greatest current that the controller lets through; refused below ``current``."""
        self.start_delay: Parameter[float, Self] = self._knob(
            "start_delay", "ldelay", "Start delay", "s", Numbers(0.01, 100.0), scale=1e-3
        )
        """Time from switching on to light."""
        self.diode_voltage: Parameter[float, Self] = self._reading("diode_voltage", "vlaser", "Diode voltage", "V")
        """Measured voltage of the diode."""
        self.photodiode_current: Parameter[float, Self] = self._reading(
            "photodiode_current", "iphd", "Monitor photodiode", "A", 1e-3
        )
        """Measured current of the monitor photodiode in the laser."""

    def _add_cooler(self) -> None:
        self.cooler_enabled: Parameter[bool, Self] = self._switch("cooler_enabled", "tecon", "Cooler on")
        """Whether the temperature is regulated."""
        self.resistance_setpoint: Parameter[float, Self] = self._knob(
            "resistance_setpoint", "rtset", "Thermistor set point", "ohm", _OHMS
        )
        """Resistance to which the thermistor is regulated."""
        self.resistance: Parameter[float, Self] = self._reading("resistance", "rtact", "Thermistor", "ohm")
        """Measured resistance of the thermistor."""
        law = self.thermistor_law
        self.temperature_setpoint: Parameter[float, Self] = self.add_parameter(
            "temperature_setpoint",
            label="Laser temperature set point",
            unit="degC",
            get_cmd=lambda: self._temperature("rtset"),
            set_cmd=lambda value: self._set("rtset", law.resistance_ohm(value)),
            vals=Numbers(0.0, 60.0),
        )
        """The set point as a temperature."""
        self.temperature: Parameter[float, Self] = self.add_parameter(
            "temperature",
            label="Laser temperature",
            unit="degC",
            get_cmd=lambda: self._temperature("rtact"),
            set_cmd=False,
        )
        """Measured temperature of the laser."""
        self.cooler_current: Parameter[float, Self] = self._reading("cooler_current", "itec", "Cooler current", "A")
        """Measured current of the cooler."""
        self.cooler_voltage: Parameter[float, Self] = self._reading("cooler_voltage", "vtec", "Cooler voltage", "V")
        """Measured voltage of the cooler."""
        gain = Numbers(0.0, 1000.0)
        self.proportional_gain: Parameter[float, Self] = self._knob("proportional_gain", "pgain", "P", "", gain)
        """Proportional gain of the loop, in the controller's own units."""
        self.integral_gain: Parameter[float, Self] = self._knob("integral_gain", "igain", "I", "", gain)
        """Integral gain of the loop."""
        self.differential_gain: Parameter[float, Self] = self._knob("differential_gain", "dgain", "D", "", gain)
        """Differential gain of the loop."""

    def _add_protection(self) -> None:
        self.interlock_enabled: Parameter[bool, Self] = self._switch("interlock_enabled", "lckon", "Interlock used")
        """Whether an open interlock loop switches the laser off."""
        self.is_protected: Parameter[bool, Self] = self._switch("is_protected", "tprot", "Temperature protection")
        """Whether the laser is switched off when its thermistor leaves the window."""
        self.least_resistance: Parameter[float, Self] = self._knob(
            "least_resistance", "rtmin", "Hot end of the window", "ohm", Numbers(0.0, 1e6)
        )
        """Resistance below which the protection acts."""
        self.greatest_resistance: Parameter[float, Self] = self._knob(
            "greatest_resistance", "rtmax", "Cold end of the window", "ohm", Numbers(0.0, 1e6)
        )
        """Resistance above which the protection acts."""
        self.least_cooler_voltage: Parameter[float, Self] = self._knob(
            "least_cooler_voltage", "vtmin", "Least cooler voltage", "V", Numbers(-3.0, 0.0)
        )
        """Limit of the cooler's negative voltage."""
        self.greatest_cooler_voltage: Parameter[float, Self] = self._knob(
            "greatest_cooler_voltage", "vtmax", "Greatest cooler voltage", "V", Numbers(0.0, 3.0)
        )
        """Limit of the cooler's positive voltage."""
        self.board_temperature: Parameter[float, Self] = self._reading(
            "board_temperature", "tboard", "Board temperature", "degC"
        )
        """Measured temperature of the controller."""

    def _temperature(self, command: str) -> float:
        resistance_ohm = self._number(command)
        if resistance_ohm <= 0.0:
            raise self.reported("no thermistor", sent=command, seen=f"{resistance_ohm:g}", hint="check its cable")
        return self.thermistor_law.temperature_c(resistance_ohm)

    def _set_enabled(self, is_on: bool) -> None:
        with self.lock:
            if is_on:
                # What the register holds from before must not be blamed on this, nor be found with the light on.
                self._raise_errors("err")
                self.check_settings()
                self._refuse_above_limit(float(self.current()), float(self.current_limit()))
            self._command(encode_command("lason", int(is_on)))
            try:
                self._raise_errors("lason")
            except (DeviceReportedError, InterlockError):
                self._command(encode_command("lason", 0))
                raise
            # Not remembered: the controller itself may switch the light off.
            self.confirm("lason", int(is_on), lambda: self._number("lason"))

    def _set_current(self, current_a: float) -> None:
        with self.lock:
            self._refuse_above_limit(current_a, float(self.current_limit()))
            self._set("ilaser", current_a * 1e3)

    def _set_limit(self, limit_a: float) -> None:
        with self.lock:
            self._refuse_above_limit(float(self.current()), limit_a)
            self._set("ilmax", limit_a * 1e3)

    def _refuse_above_limit(self, current_a: float, limit_a: float) -> None:
        # A value must not be refused for the last digit of its decimal form.
        if current_a > limit_a * (1.0 + 1e-9):
            raise InterlockError(
                f"{self.full_name}: a current of {current_a * 1e3:g} mA is above the limit of {limit_a * 1e3:g} mA",
                hint="lower the current, or raise current_limit if the diode's data sheet allows it",
                device=self.full_name,
                expected=limit_a,
                seen=current_a,
            )

    def errors(self) -> tuple[str, ...]:
        """Return what stands in the error register."""
        return error_names(self._error_bits())

    def clear_errors(self) -> None:
        """Clear the error register."""
        self.ask_raw("errclr")

    def save(self) -> None:
        """Make the present settings, the emission among them, those of power-on."""
        self.ask_raw("save")

    def get_idn(self) -> dict[str, str | None]:
        """Return what the controller says it is."""
        return {
            "vendor": "Koheron",
            "model": self._model,
            "serial": self.ask_raw("serial"),
            "firmware": self.ask_raw("version"),
        }

    def safe_state(self) -> None:
        """Switch the light off; the cooler keeps the diode at its temperature."""
        self.forget_settings()
        with self.lock:
            # Errors in the register must not keep it from being dark.
            self._command(encode_command("lason", 0))
            self.confirm("lason", 0, lambda: self._number("lason"))
