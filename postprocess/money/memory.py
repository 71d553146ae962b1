"""What a quantum memory does to a card over the time that it is kept: the model behind ``--storage-us``.

A model and no simulation of a memory: a rehearsal lets the photons fly and puts the memory's loss and dephasing on the
line. Used by the command and by the report.

Notes
-----
A memory gives a photon back with probability efficiency . exp(-t/lifetime). What comes back has lost the contrast of
both bases by exp(-t/coherence): a depolarising model with the same effect on Z and X, so that the error rate goes to
(1 - V exp(-t/coherence))/2. The values are placeholders of a good memory to be, not of a device.

Sources: own model.
"""

import math
from dataclasses import dataclass

from faintlink.core.units import ratio_to_db


@dataclass(frozen=True, slots=True)
class Memory:
    """A memory with exponential decays."""

    efficiency: float = 0.97
    """Of storing and reading without a pause."""
    lifetime_us: float = 500.0
    """1/e time of the retrieval."""
    coherence_us: float = 1000.0
    """1/e time of the contrast."""

    def transmission(self, storage_us: float) -> float:
        """Return the probability to get a photon back."""
        return self.efficiency * math.exp(-storage_us / self.lifetime_us)

    def contrast(self, storage_us: float) -> float:
        """Return the factor on the visibility."""
        return math.exp(-storage_us / self.coherence_us)

    def loss_db(self, storage_us: float) -> float:
        """Return the loss, positive."""
        return ratio_to_db(self.transmission(storage_us))
