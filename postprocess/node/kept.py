"""One side's sifted detections."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from faintlink.core.errors import LocalProtocolError
from faintlink.core.records import DecoyCounts
from faintlink.core.symbols import MAX_INTENSITIES
from faintlink.core.units import Bits
from faintlink.postprocess.kernels.sifting import split_marked, tally


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """One side's sifted detections, by basis."""

    key: Bits = field(repr=False)
    """(n,) uint8, this side's bits of the key basis."""
    key_intensity: npt.NDArray[np.uint8]
    """(n,) uint8."""
    test: Bits = field(repr=False)
    """(t,) uint8, this side's bits of the test basis."""
    test_intensity: npt.NDArray[np.uint8]
    """(t,) uint8."""

    @classmethod
    def of(
        cls, outcomes: npt.NDArray[np.uint8], marks: npt.NDArray[np.uint8], intensity: npt.NDArray[np.uint8]
    ) -> "Kept":
        """Return what a side keeps of its detections.

        Parameters
        ----------
        outcomes
            (n,) uint8 whose two lowest bits are basis and bit: Bob's outcomes, or Alice's setting codes.
        marks
            (n,) uint8, 1 for each that is kept.
        intensity
            (k,) uint8 of those kept.
        """
        parts = [np.empty(outcomes.size, np.uint8) for _ in range(4)]
        key, test = split_marked(outcomes, marks, intensity, *parts)
        return cls(parts[0][:key], parts[1][:key], parts[2][:test], parts[3][:test])

    @property
    def size(self) -> int:
        """Number of detections in both bases."""
        return self.key.size + self.test.size

    def counts(self, theirs: Bits, intensities: int) -> DecoyCounts:
        """Return the counts that both sides know after the test; errors of the key basis come later.

        Parameters
        ----------
        theirs
            The other side's bits of the test basis, (t,) uint8.
        intensities
            Number of the link's intensities.

        Raises
        ------
        LocalProtocolError
            A detection has an intensity that the link does not have.
        """
        table = np.zeros((2, 2, MAX_INTENSITIES), np.int64)
        tally(self.key_intensity, np.zeros(0, np.bool_), table[0])
        tally(self.test_intensity, self.test != theirs, table[1])
        if table[:, :, intensities:].any():
            raise LocalProtocolError(
                f"the record names an intensity beyond the link's {intensities}", hint="use the link file of the run"
            )
        (n_key, _), (n_test, m_test) = ((tuple(row) for row in basis) for basis in table[:, :, :intensities].tolist())
        return DecoyCounts(n_key, n_test, (0,) * intensities, m_test)
