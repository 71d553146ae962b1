"""A mock delay: of one arm of an interferometer, or of the detectors' gates."""

import math
from typing import TYPE_CHECKING, Any, Self

from qcodes.parameters import Parameter
from qcodes.validators import Numbers

from faintlink.core.errors import ConfigError
from faintlink.instruments.mocks.base import MockInstrument

if TYPE_CHECKING:
    from qcodes.instrument import InstrumentBaseKWArgs
    from typing_extensions import Unpack


class MockDelayLine(MockInstrument):
    """A delay whose distance from the best one costs visibility, or counts, as a Gaussian.

    Parameters
    ----------
    best_ps
        Best delay; it starts there. A real device keeps this to itself.
    width_ps
        Standard deviation of visibility or counts over the delay.
    acts_on
        ``visibility``, or ``gate``: counts, as loss in the line.
    """

    def __init__(
        self,
        name: str,
        bench: str,
        *,
        best_ps: float = 50.0,
        width_ps: float = 4.0,
        acts_on: str = "visibility",
        **kwargs: "Unpack[InstrumentBaseKWArgs]",
    ) -> None:
        super().__init__(name, bench, **kwargs)
        if acts_on not in ("visibility", "gate"):
            self.close()
            raise ConfigError(f"acts_on of {name} must be 'visibility' or 'gate', got {acts_on!r}")
        self._best_ps, self._width_ps, self._acts_on = float(best_ps), float(width_ps), acts_on
        self._factor = 1.0
        self._delay_ps = float(best_ps)
        self.delay: Parameter[float, Self] = self._knob(
            "delay",
            read=lambda: self._delay_ps,
            write=self._move,
            unit="ps",
            label="Delay",
            vals=Numbers(0.0, 10_000.0),
        )
        """Delay against the shortest one."""

    def _move(self, delay_ps: Any) -> None:
        self._delay_ps = float(delay_ps)
        exponent = 0.5 * ((self._delay_ps - self._best_ps) / self._width_ps) ** 2
        if self._acts_on == "visibility":
            # What others set meanwhile stays in force: only the own factor is exchanged.
            full = self.engine.state.link.visibility / self._factor
            self._factor = math.exp(-min(exponent, 50.0))
            self.engine.update("link", visibility=min(full * self._factor, 1.0))
        else:
            self.bench.set_attenuation("line", self.name, min(10.0 * math.log10(math.e) * exponent, 60.0))

    def safe_state(self) -> None:
        """Stay where it is: moving would undo an alignment."""
