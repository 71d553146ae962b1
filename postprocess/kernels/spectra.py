"""Sums of products of spectra, for convolutions in blocks."""

import numpy as np
import numpy.typing as npt
from numba import njit

Spectra = npt.NDArray[np.complex128]

_CHUNK = 1_024


@njit(cache=True, nogil=True)
def sum_of_products(seeds: Spectra, keys: Spectra, first: int, out: npt.NDArray[np.complex128]) -> None:
    """Write the sum over j of ``seeds[(first - j) % g] * keys[j]`` to ``out``.

    Parameters
    ----------
    seeds, keys
        g spectra each, (g, m) complex128.
    first
        Slot of the seed spectrum that belongs to key spectrum 0.
    out
        (m,) complex128.

    Notes
    -----
    In chunks that stay in the first cache. O(g m).
    """
    count, size = keys.shape
    for start in range(0, size, _CHUNK):
        stop = min(start + _CHUNK, size)
        for index in range(count):
            slot = (first - index) % count
            if index == 0:
                for at in range(start, stop):
                    out[at] = seeds[slot, at] * keys[index, at]
            else:
                for at in range(start, stop):
                    out[at] += seeds[slot, at] * keys[index, at]
