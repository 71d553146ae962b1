"""The mock pattern generator: the card that drives the modulators and remembers what it played."""

import math
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
from qcodes.parameters import Parameter
from qcodes.validators import Ints, Numbers, Validator

from faintlink.core.errors import InterlockError, UnsupportedFeatureError
from faintlink.core.units import Slots
from faintlink.instruments.mocks.base import MockInstrument
from faintlink.instruments.roles import Preamble

if TYPE_CHECKING:
    from qcodes.instrument import InstrumentBaseKWArgs
    from typing_extensions import Unpack


class Probabilities(Validator[Any]):
    """Accepts a sequence of probabilities of a given length that add up to 1."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._valid_values = ([1.0] + [0.0] * (length - 1),)

    def validate(self, value: Any, context: str = "") -> None:
        """Raise ValueError or TypeError unless ``value`` is acceptable."""
        shares = [float(share) for share in value]
        if len(shares) != self._length or min(shares) < 0.0 or abs(math.fsum(shares) - 1.0) > 1e-9:
            raise ValueError(f"{value!r} must be {self._length} probabilities that add up to 1; {context}")


class MockPatternGenerator(MockInstrument):
    """Plays the public preamble once, then random settings; any slot can be asked for later.

    Parameters
    ----------
    preamble_seed
        Public seed of the preamble.
    preamble_length
        Its number of slots.
    """

    def __init__(
        self,
        name: str,
        bench: str,
        *,
        preamble_seed: int = 1,
        preamble_length: int = 2**18,
        **kwargs: "Unpack[InstrumentBaseKWArgs]",
    ) -> None:
        super().__init__(name, bench, **kwargs)
        if not self.engine.is_pulsed:
            self.close()
            raise UnsupportedFeatureError(
                "a pair source plays no pattern", hint="leave the pattern generator out of a bbm92 station"
            )
        self.engine.update("programme", preamble_seed=int(preamble_seed), preamble_length=int(preamble_length))
        self._add_parameters()

    def _add_parameters(self) -> None:
        engine = self.engine
        levels = len(engine.state.source.intensities)
        shares = engine.state.programme.intensity_probabilities
        if len(shares) != levels:
            engine.update("programme", intensity_probabilities=(1.0 / levels,) * levels)
        self.pulse_rate_hz: Parameter[float, Self] = self._knob(
            "pulse_rate_hz", read=lambda: engine.state.pulse_rate_hz, unit="Hz", label="Pulse rate"
        )
        """Slots per second."""
        self.intensity_probabilities: Parameter[tuple[float, ...], Self] = self._knob(
            "intensity_probabilities",
            read=lambda: engine.state.programme.intensity_probabilities,
            write=lambda p: self._program(intensity_probabilities=tuple(float(share) for share in p)),
            unit="",
            label="Play probability of each intensity",
            vals=Probabilities(levels),
        )
        """How often each intensity is played, brightest first."""
        self.basis_probability_z: Parameter[float, Self] = self._knob(
            "basis_probability_z",
            read=lambda: engine.state.programme.basis_probability_z,
            write=lambda share: self._program(basis_probability_z=share),
            unit="",
            label="Play probability of basis Z",
            vals=Numbers(0.0, 1.0),
        )
        """How often basis Z is played."""
        self.constant_setting: Parameter[int, Self] = self._knob(
            "constant_setting",
            read=lambda: engine.state.programme.constant_setting,
            write=lambda code: self._program(constant_setting=code),
            unit="",
            label="Constant setting",
            vals=Ints(-1, 4 * levels - 1),
        )
        """A setting code to play in every slot after the preamble, for calibration; -1 for random settings."""
        self.is_running: Parameter[bool, Self] = self._knob(
            "is_running", read=lambda: engine.state.programme.running, unit="", label="Playing"
        )
        """Whether it drives the modulators."""

    def _program(self, **changes: Any) -> None:
        if self.engine.state.programme.running:
            raise InterlockError(
                f"{self.name} is playing: a change now would falsify what it remembers",
                hint="call stop() first",
                device=self.name,
            )
        self.engine.update("programme", **changes)

    @property
    def preamble(self) -> Preamble:
        """The public pattern that it plays first."""
        part = self.engine.state.programme
        return Preamble(part.preamble_seed, part.preamble_length)

    def start(self) -> None:
        """Play from slot 0, beginning now, with fresh random settings."""
        self.engine.start_pattern()

    def stop(self) -> None:
        """Stop driving the modulators."""
        self.engine.stop_pattern()

    def settings_at(self, slots: Slots) -> npt.NDArray[np.uint8]:
        """Return what was played in slots (n,) int64 counted from the last start, as setting codes (n,) uint8."""
        return self.engine.settings_at(slots)

    def safe_state(self) -> None:
        """Stop driving the modulators."""
        self.stop()
