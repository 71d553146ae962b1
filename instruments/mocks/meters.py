"""A mock power meter at the sender's output."""

from typing import TYPE_CHECKING, Self

import numpy as np
from qcodes.parameters import Parameter
from qcodes.validators import Numbers

from faintlink.core.units import photon_energy_j
from faintlink.instruments.mocks.base import MockInstrument
from faintlink.instruments.mocks.rates import DARK_LEVEL, mean_photons

if TYPE_CHECKING:
    from qcodes.instrument import InstrumentBaseKWArgs
    from typing_extensions import Unpack


class MockPowerMeter(MockInstrument):
    """A meter that sees the average power leaving the sender.

    Parameters
    ----------
    noise_w
        Standard deviation of its reading without light.
    relative_noise
        Standard deviation of its reading in units of the power.
    seed
        Of the noise.
    """

    def __init__(
        self,
        name: str,
        bench: str,
        *,
        noise_w: float = 0.1e-12,
        relative_noise: float = 0.005,
        seed: int = 1,
        **kwargs: "Unpack[InstrumentBaseKWArgs]",
    ) -> None:
        super().__init__(name, bench, **kwargs)
        self._noise_w, self._relative = noise_w, relative_noise
        self._rng = np.random.default_rng(seed)
        self.wavelength: Parameter[float, Self] = self.add_parameter(
            "wavelength",
            label="Wavelength",
            unit="nm",
            get_cmd=None,
            set_cmd=None,
            initial_value=1550.12,
            vals=Numbers(800.0, 1700.0),
        )
        """Wavelength for which the sensor is corrected."""
        self.power: Parameter[float, Self] = self._knob(
            "power", read=self._read, unit="W", label="Power", is_kept_in_snapshot=False
        )
        """Average power of what is played now; the preamble counts as what follows it."""

    def _read(self) -> float:
        state = self.engine.state
        photons, part = mean_photons(state), state.programme
        mean = float(photons[DARK_LEVEL])
        if part.running:
            mean = sum(float(p) * float(mu) for p, mu in zip(part.intensity_probabilities, photons, strict=False))
        power_w = mean * state.pulse_rate_hz * photon_energy_j(self.wavelength())
        noise = self._rng.normal(scale=self._noise_w) + power_w * self._rng.normal(scale=self._relative)
        return float(power_w + noise)

    def safe_state(self) -> None:
        """Do nothing: a meter only looks."""
