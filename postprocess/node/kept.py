"""One side's sifted detections."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from faintlink.core.symbols import Basis
from faintlink.core.units import Bits


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """One side's sifted detections."""

    basis: npt.NDArray[np.uint8]
    """(n,) uint8 of `Basis`."""
    intensity: npt.NDArray[np.uint8]
    """(n,) uint8."""
    bits: Bits = field(repr=False)
    """(n,) uint8, this side's."""

    def of(self, basis: Basis) -> Bits:
        """Return the bits of one basis."""
        chosen: Bits = self.bits[self.basis == basis]
        return chosen
