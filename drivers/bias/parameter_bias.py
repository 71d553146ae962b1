"""A bias controller made of any instrument's voltage parameter: a converter's channel, a source-measure unit, a supply.

Fills the role BiasController. It keeps the voltage within limits of its own and never jumps: each change is a ramp in
small steps, also on the way to the safe state. It opens no device; the instrument it wraps must be opened first.

Sources: none; it speaks to no device itself.
"""

import logging
import math
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Self

from qcodes.instrument import Instrument
from qcodes.parameters import Parameter, ParameterBase
from qcodes.validators import Bool, Numbers

from faintlink.core.errors import ConfigError, InterlockError
from faintlink.drivers.base import Capabilities, DriverMixin

if TYPE_CHECKING:
    from qcodes.instrument import InstrumentBaseKWArgs
    from typing_extensions import Unpack

logger = logging.getLogger(__name__)

_VOLTS_PER_UNIT = {"V": 1.0, "mV": 1e-3, "kV": 1e3}


def ramp(start_v: float, stop_v: float, step_v: float) -> list[float]:
    """Return the voltages of a ramp, without its start and with its stop, in equal steps of at most ``step_v``."""
    count = max(1, math.ceil(abs(stop_v - start_v) / step_v - 1e-9))
    return [start_v + (stop_v - start_v) * step / count for step in range(1, count)] + [stop_v]


class ParameterBias(DriverMixin, Instrument):
    """A bias source over a parameter.

    Parameters
    ----------
    name
        Instrument name.
    parameter
        The voltage parameter, or its dotted name such as ``dac.ch3.voltage``; in V, mV or kV.
    limits_v
        Least and greatest bias.
    slew_v_per_s
        Fastest change.
    step_v
        Greatest single step.
    switch
        The parameter, or its dotted name, that turns the output on (True) and off (False), if there is one.
    rest_v
        Bias at which what is biased may be left alone.
    sleep
        What waits between steps.

    Raises
    ------
    ConfigError
        There is no such parameter, its unit is no voltage, or the limits make no sense.
    """

    verified_on_hardware: ClassVar[str | None] = None

    def __init__(
        self,
        name: str,
        parameter: str | ParameterBase,
        *,
        limits_v: tuple[float, float],
        slew_v_per_s: float = 1.0,
        step_v: float = 0.05,
        switch: str | ParameterBase | None = None,
        rest_v: float = 0.0,
        sleep: Callable[[float], None] = time.sleep,
        **kwargs: "Unpack[InstrumentBaseKWArgs]",
    ) -> None:
        super().__init__(name, **kwargs)
        self.lock = threading.RLock()
        self.capabilities = Capabilities("parameter bias")
        self._slew_v_per_s, self._step_v, self._rest_v, self._sleep = slew_v_per_s, step_v, rest_v, sleep
        try:
            self._limits_v = self._checked_limits(limits_v)
            self._source: Any = self._found(parameter)
            self._switch: Any = None if switch is None else self._found(switch)
            self._volts_per_unit = self._scale()
        except BaseException:
            self.close()
            raise
        self._last_bias_v = rest_v
        self.bias: Parameter[float, Self] = self.add_parameter(
            "bias", label="Bias", unit="V", get_cmd=self._read, set_cmd=self._set_bias, vals=Numbers(*self._limits_v)
        )
        """Bias, as the wrapped parameter reads it."""
        self.enabled: Parameter[bool, Self] = self.add_parameter(
            "enabled", label="Output", get_cmd=self._is_enabled, set_cmd=self._set_enabled, vals=Bool()
        )
        """Whether the output is on; without a switch, whether the bias is elsewhere than at rest."""

    def _checked_limits(self, limits_v: tuple[float, float]) -> tuple[float, float]:
        low_v, high_v = (float(limit) for limit in limits_v)
        if not (low_v <= self._rest_v <= high_v and self._step_v > 0.0 and self._slew_v_per_s > 0.0):
            raise ConfigError(
                f"{self.name}: limits {limits_v} V must enclose the rest at {self._rest_v} V, and step and slew rate "
                f"be positive, got {self._step_v} V and {self._slew_v_per_s} V/s",
                hint="correct the station file",
            )
        return low_v, high_v

    def _found(self, wanted: str | ParameterBase) -> ParameterBase:
        if isinstance(wanted, ParameterBase):
            return wanted
        first, *rest = wanted.split(".")
        found: Any = Instrument.find_instrument(first) if Instrument.exist(first) else None
        for part in rest:
            found = getattr(found, part, None)
        if not isinstance(found, ParameterBase):
            raise ConfigError(
                f"{self.name} looks for a parameter {wanted!r}, which is not there",
                hint="name it as instrument.parameter or instrument.channel.parameter, and open the instrument first",
            )
        return found

    def _scale(self) -> float:
        unit = getattr(self._source, "unit", "")
        if unit not in _VOLTS_PER_UNIT:
            raise ConfigError(
                f"{self.name}: {self._source.full_name} is in {unit!r}, expected one of {', '.join(_VOLTS_PER_UNIT)}",
                hint="wrap the parameter that sets the voltage",
            )
        return _VOLTS_PER_UNIT[unit]

    def get_idn(self) -> dict[str, str | None]:
        """Return what it is; the wrapped instrument answers for itself."""
        return {"vendor": "faintlink", "model": "ParameterBias", "serial": self._source.full_name, "firmware": None}

    def _read(self) -> float:
        return float(self._source.get()) * self._volts_per_unit

    def _ramp_to(self, target_v: float) -> None:
        with self.lock:
            start_v = self._read()
            logger.debug("%s ramps from %g V to %g V", self.full_name, start_v, target_v)
            for volts in ramp(start_v, target_v, self._step_v):
                self._source.set(volts / self._volts_per_unit)
                self._sleep(min(abs(target_v - start_v), self._step_v) / self._slew_v_per_s)

    def _set_bias(self, bias_v: float) -> None:
        self._ramp_to(bias_v)
        self._last_bias_v = bias_v

    def _is_enabled(self) -> bool:
        return bool(self._switch.get()) if self._switch is not None else self._read() != self._rest_v

    def _set_enabled(self, is_on: bool) -> None:
        with self.lock:
            if self._switch is None:
                self._enable_without_switch(is_on)
            elif is_on != bool(self._switch.get()):
                self._turn_switch(is_on)

    def _enable_without_switch(self, is_on: bool) -> None:
        if is_on and self._last_bias_v == self._rest_v:
            raise InterlockError(
                f"{self.full_name} has never had a bias to go back to",
                hint="set bias, which turns it on",
                device=self.full_name,
            )
        self._ramp_to(self._last_bias_v if is_on else self._rest_v)

    def _turn_switch(self, is_on: bool) -> None:
        """Turn the output only while it is at rest, and come back to the bias that was set."""
        bias_v = self._read()
        if not is_on:
            self._ramp_to(self._rest_v)
            self._switch.set(False)
        # The output is off here: what the source is set to reaches nothing, so it may jump.
        self._source.set((self._rest_v if is_on else bias_v) / self._volts_per_unit)
        if is_on:
            self._switch.set(True)
            self._ramp_to(bias_v)

    def safe_state(self) -> None:
        """Ramp to rest, and turn the output off if there is a switch."""
        self._ramp_to(self._rest_v)
        if self._switch is not None:
            self._switch.set(False)
