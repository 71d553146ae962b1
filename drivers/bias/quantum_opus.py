"""Quantum Opus amp-sim, which biases one nanowire and amplifies its pulses, in a SIM900 mainframe.

Fills the role BiasController: the bias is the voltage in front of a 100 kΩ resistor, so 2.5 V drive 25 µA. The module
has no switch; it is off at zero, and ``enabled(True)`` goes back to the last bias that was set. It cannot be asked for
the gain of its voltmeter, so the driver sets it when it opens.

Sources: command letters, scales and times as QMI's driver for this module uses them. The answer to ``+A?`` is not
documented there, so any module that gives one is accepted. Unverified on a device.
"""

from typing import TYPE_CHECKING, ClassVar, Self

from qcodes.parameters import Parameter
from qcodes.validators import Bool, Numbers

from faintlink.core.errors import InterlockError
from faintlink.drivers.base import Capabilities
from faintlink.drivers.bias.srs_sim900 import Sim900Module

if TYPE_CHECKING:
    from qcodes.instrument import InstrumentBaseKWArgs
    from typing_extensions import Unpack

FULL_SCALE = 65_535
GREATEST_BIAS_V = 2.5
RESISTOR_OHM = 100e3
_HIGH_GAIN_V = 1.1
_LOW_GAIN_V = 5.0
_TICK_S = 0.01


def bias_to_steps(bias_v: float) -> int:
    """Return the converter's setting, 0 to 65 535, for a bias in V."""
    return round(bias_v / GREATEST_BIAS_V * FULL_SCALE)


def steps_to_bias(steps: float) -> float:
    """Return the bias in V for the converter's setting."""
    return steps / FULL_SCALE * GREATEST_BIAS_V


class QuantumOpusAmpSim(Sim900Module):
    """Bias and amplifier of one nanowire.

    Parameters
    ----------
    name
        Instrument name.
    address
        Name of the mainframe, which must be opened first.
    port
        Number of the slot's port, 1 to 8.

    Raises
    ------
    ConfigError
        There is no such mainframe, or no such port.
    ConnectionLostError
        The module does not answer.
    """

    verified_on_hardware: ClassVar[str | None] = None
    identity_query: ClassVar[str] = "+A?"

    def __init__(self, name: str, address: str, *, port: int, **kwargs: "Unpack[InstrumentBaseKWArgs]") -> None:
        super().__init__(name, address, port=port, **kwargs)
        self.capabilities = Capabilities("amp-sim")
        self._last_bias_v = 0.0
        try:
            self.idn_text = self.ask(self.identity_query)
            self._set_low_gain(False)
        except BaseException:
            self.close()
            raise
        self._add_bias()
        self._add_latch()

    def _add_bias(self) -> None:
        self.bias: Parameter[float, Self] = self.add_parameter(
            "bias",
            label="Bias",
            unit="V",
            get_cmd=lambda: steps_to_bias(self.number("+B?")),
            set_cmd=self._set_bias,
            vals=Numbers(0.0, GREATEST_BIAS_V),
        )
        """Voltage in front of the resistor."""
        self.bias_current: Parameter[float, Self] = self.add_parameter(
            "bias_current",
            label="Bias current",
            unit="A",
            get_cmd=lambda: self.bias.get() / RESISTOR_OHM,
            set_cmd=False,
        )
        """Current through the superconducting wire, up to 25 µA."""
        self.enabled: Parameter[bool, Self] = self.add_parameter(
            "enabled", label="Bias on", get_cmd=lambda: self.number("+B?") > 0, set_cmd=self._set_enabled, vals=Bool()
        )
        """Whether there is bias."""
        self.low_gain: Parameter[bool, Self] = self.add_parameter(
            "low_gain",
            label="Low gain",
            get_cmd=lambda: self._is_low_gain,
            set_cmd=self._set_low_gain,
            vals=Bool(),
        )
        """Whether the voltmeter reads up to 5 V instead of 1.1 V."""
        self.wire_voltage: Parameter[float, Self] = self.add_parameter(
            "wire_voltage", label="Voltage across the wire", unit="V", get_cmd=self._wire_voltage, set_cmd=False
        )
        """Voltage across the wire; far from zero when it has latched."""

    def _add_latch(self) -> None:
        self.auto_reset: Parameter[bool, Self] = self.add_parameter(
            "auto_reset",
            label="Automatic reset",
            get_cmd=lambda: bool(self.number("+E?")),
            set_cmd=lambda on: self._set("+E", int(on)),
            vals=Bool(),
        )
        """Whether the module takes the bias off for a while by itself when the wire has latched."""
        self.reset_time: Parameter[float, Self] = self.add_parameter(
            "reset_time",
            label="Reset time",
            unit="s",
            get_cmd=lambda: self.number("+D?") * _TICK_S,
            set_cmd=lambda seconds: self._set("+D", round(seconds / _TICK_S)),
            vals=Numbers(0.0, 2.55),
        )
        """How long a reset keeps the bias off."""
        self.stored_bias: Parameter[float, Self] = self.add_parameter(
            "stored_bias",
            label="Stored bias",
            unit="V",
            get_cmd=lambda: steps_to_bias(self.number("+H?;")),
            set_cmd=False,
        )
        """Bias in the module's memory; see `store_bias`."""

    def get_idn(self) -> dict[str, str | None]:
        """Return what the module says of itself."""
        return {"vendor": "Quantum Opus", "model": "amp-sim", "serial": self.idn_text, "firmware": None}

    def _set(self, letter: str, value: int) -> None:
        with self.lock:
            self.write(f"{letter}{value};")
            kept = self.number(f"{letter}?")
        if kept != value:
            raise self.reported(f"the setting was not taken, it keeps {kept:g}", sent=f"{letter}{value};", seen=kept)

    def _set_bias(self, bias_v: float) -> None:
        self._set("+B", bias_to_steps(bias_v))
        self._last_bias_v = bias_v or self._last_bias_v

    def _set_enabled(self, is_on: bool) -> None:
        if is_on and not self._last_bias_v:
            raise InterlockError(
                f"{self.full_name} has never had a bias to go back to",
                hint="set bias, which turns it on",
                device=self.full_name,
            )
        self._set("+B", bias_to_steps(self._last_bias_v) if is_on else 0)

    def _set_low_gain(self, is_low: bool) -> None:
        self.write(f"+C{int(is_low)};")
        self._is_low_gain = is_low

    def _wire_voltage(self) -> float:
        return self.number("+C?") / FULL_SCALE * (_LOW_GAIN_V if self._is_low_gain else _HIGH_GAIN_V)

    def reset_wire(self) -> None:
        """Take the bias off for ``reset_time`` and put it back, so that a latched wire becomes superconducting."""
        self.write("+F;")

    def start_auto_bias(self) -> None:
        """Let the module look for the bias at which the wire latches and take about 95 % of it; keep light away."""
        self.write("+G;")

    def store_bias(self) -> None:
        """Write the bias of now into the module's memory, which bears some 100 000 writes."""
        self.write(f"+H{bias_to_steps(self.bias.get())};")

    def use_stored_bias(self) -> None:
        """Apply the bias from the module's memory."""
        self.write("+H;")

    def safe_state(self) -> None:
        """Take the bias off."""
        self.enabled(False)
