"""The fewest bits that a stream of tags can take: the entropy of its distances and of its channels.

The archive command prints its size beside this. Distances have far more values than a sample has rows, so counting
them as they are would put the entropy much too low. They are counted in bins wide enough to hold 32 of the sample on
average, the width of the bin is added as if the distances were even within it, and the bias of the counting is
corrected. Where a period is known, the distances count as periods and rests, and the smaller result holds.

Sources: T. M. Cover, J. A. Thomas, Elements of Information Theory, 2nd ed., theorem 8.3.1 (quantised entropy);
G. A. Miller, in Information Theory in Psychology (1955), for the correction (bins - 1) / (2 n ln 2).
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from faintlink.core.runfile.archive import FS_PER_PS, Split

_ROWS_PER_BIN = 32


def entropy_bits(values: npt.NDArray[Any]) -> float:
    """Return the entropy in bits of independent integers (n,), from their histogram."""
    if values.size < 2:
        return 0.0
    numbers = values.astype(np.int64)
    shift = 0
    while True:
        counts = np.unique(numbers >> shift, return_counts=True)[1]
        if counts.size <= max(numbers.size // _ROWS_PER_BIN, 1):
            break
        shift += 1
    shares = counts / counts.sum()
    return float(shift - (shares * np.log2(shares)).sum() + (counts.size - 1) / (2 * numbers.size * np.log(2)))


def distance_bits(distances: npt.NDArray[np.int64], periods_ps: Sequence[float] = ()) -> float:
    """Return the entropy in bits of distances (n,) int64: the smallest over no period and the given ones."""
    splits = [Split(round(period * FS_PER_PS), 0, ()) for period in periods_ps]
    plain = entropy_bits(distances)
    return min([plain, *(sum(entropy_bits(part) for part in split.numbers(distances)) for split in splits)])


def poisson_bits(rate_hz: float) -> float:
    """Return the entropy in bits of the distance between tags of a constant rate, at steps of 1 ps.

    Notes
    -----
    log2(e / (rate * 1 ps)): the differential entropy of an exponential distribution.
    """
    return math.log2(math.e / (rate_hz * 1e-12))
