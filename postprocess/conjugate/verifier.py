"""Compare claimed outcomes with what was sent: the one check behind tokens, money and payments.

A verifier knows bits and bases; the other side claims outcomes for a set of positions. Only positions whose basis
fits count; the claim stands when errors do not exceed a share of these that was fixed before.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faintlink.core.errors import RemoteProtocolError
from faintlink.core.records import ErrorCount
from faintlink.core.units import Bits


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verifier found."""

    count: ErrorCount
    """Positions compared and errors among them."""
    max_error_rate: float
    """Fixed before."""
    min_positions: int
    """Fewer than that are refused, whatever they say."""

    @property
    def is_accepted(self) -> bool:
        """Whether the claim stands."""
        allowed = int(self.max_error_rate * self.count.bits)
        return self.count.bits >= self.min_positions and self.count.errors <= allowed


def compare(
    claimed: Bits, sent: Bits, counted: npt.NDArray[np.bool_], *, max_error_rate: float, min_positions: int = 1
) -> Verdict:
    """Return the verdict over the positions that count.

    Parameters
    ----------
    claimed, sent
        (n,) uint8.
    counted
        (n,) bool, the positions whose basis fits.
    max_error_rate
        Largest share of errors.
    min_positions
        Least number of positions.

    Raises
    ------
    RemoteProtocolError
        The claim has another length, or holds anything but bits.
    """
    if claimed.shape != sent.shape or (claimed.size and int(claimed.max()) > 1):
        raise RemoteProtocolError(f"the claim must be {sent.size} bits, got an array of shape {claimed.shape}")
    wrong = int(np.count_nonzero((claimed != sent) & counted))
    return Verdict(ErrorCount(int(np.count_nonzero(counted)), wrong), max_error_rate, min_positions)
