"""What a sender over an arbitrary waveform generator is made of: channels that drive modulators, and validators.

`awg_sender` uses it.

Sources: none; see `faintlink.drivers.generators.players` for those of the devices.
"""

import math
import threading
from collections.abc import Sequence as Levels
from typing import Any, NamedTuple, Self

from qcodes.instrument import Instrument, InstrumentChannel
from qcodes.parameters import DelegateParameter, Parameter, ParameterBase
from qcodes.validators import Numbers, Sequence, Validator

from faintlink.drivers.base import Capabilities, DriverMixin

GREATEST_V = 5.0


class Sender(Instrument):
    """What a drive needs of the instrument that it belongs to."""

    lock: threading.RLock
    capabilities: Capabilities

    def safe_state(self) -> None:
        """Stop, and turn the outputs off."""
        raise NotImplementedError

    def replay(self) -> None:
        """Play again with the drive levels of now, if it was started."""
        raise NotImplementedError


class Preamble(NamedTuple):
    """The public pattern at the start, as the role PatternGenerator knows it."""

    seed: int
    """Public seed."""
    length: int
    """Number of slots."""


class Shares(Validator[Any]):
    """Accepts a given number of probabilities that add up to 1."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._valid_values = ([1.0] + [0.0] * (length - 1),)

    def validate(self, value: Any, context: str = "") -> None:
        """Raise ValueError unless ``value`` is acceptable."""
        shares = [float(share) for share in value]
        if len(shares) != self._length or min(shares) < 0.0 or abs(math.fsum(shares) - 1.0) > 1e-9:
            raise ValueError(f"{value!r} must be {self._length} probabilities that add up to 1; {context}")


class AWGDrive(DriverMixin, InstrumentChannel["Sender"]):
    """One channel that drives a modulator."""

    def __init__(
        self,
        parent: "Sender",
        name: str,
        levels_v: Levels[float],
        *,
        bias: ParameterBase | None = None,
        half_wave_v: float | None = None,
    ) -> None:
        super().__init__(parent, name)
        self.lock = parent.lock
        self.capabilities = parent.capabilities
        self._levels_v = tuple(float(level) for level in levels_v)
        self.drive_levels: Parameter[tuple[float, ...], Self] = self.add_parameter(
            "drive_levels",
            label="Drive levels",
            unit="V",
            get_cmd=lambda: self._levels_v,
            set_cmd=self._set_levels,
            vals=Sequence(Numbers(-GREATEST_V, GREATEST_V), length=len(levels_v)),
        )
        """Voltage of each intensity, brightest first, or of each state by bit + 2 basis; taken over at once."""
        if bias is not None:
            self.bias_voltage: DelegateParameter[float, Self] = self.add_parameter(
                "bias_voltage",
                DelegateParameter,
                source=bias,
                label="Bias",
                unit="V",
                vals=bias.vals or Numbers(-GREATEST_V, GREATEST_V),
            )
            """Bias of the modulator, on another instrument; there if one was named."""
        if half_wave_v is not None:
            self.half_wave_voltage: Parameter[float, Self] = self.add_parameter(
                "half_wave_voltage", label="Half-wave voltage", unit="V", get_cmd=lambda: half_wave_v, set_cmd=False
            )
            """Half-wave voltage of the modulator behind it; there if it was given."""

    def _set_levels(self, levels_v: Levels[float]) -> None:
        before, self._levels_v = self._levels_v, tuple(float(level) for level in levels_v)
        try:
            self.parent.replay()
        except BaseException:
            self._levels_v = before
            raise

    def safe_state(self) -> None:
        """Stop the whole generator: one channel alone does not stop."""
        self.parent.safe_state()
