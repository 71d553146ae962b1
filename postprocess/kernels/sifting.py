"""Sift detections against settings, and count what was sifted, in one pass each.

Both nodes of a link use them; the plain numpy reference is in the tests.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from faintlink.core.units import Bits

_SYNC, _BASIS_SHIFT, _INTENSITY_SHIFT = 0x80, 1, 2


@njit(cache=True, nogil=True)
def keep_equal_bases(
    codes: npt.NDArray[np.uint8],
    found: npt.NDArray[np.bool_],
    bases: npt.NDArray[np.uint8],
    out_kept: Bits,
    out_basis: npt.NDArray[np.uint8],
    out_intensity: npt.NDArray[np.uint8],
    out_bit: Bits,
) -> int:
    """Keep the detections with equal bases and return their number, in O(n).

    Parameters
    ----------
    codes, found
        (n,) setting codes of the detections' slots, and whether each is on record.
    bases
        (n,) measured basis.
    out_kept
        (n,), filled: 1 for each that is kept; slots of the public pattern are not.
    out_basis, out_intensity, out_bit
        (n,), filled as far as detections are kept.
    """
    rows = 0
    for i in range(codes.size):
        code = codes[i]
        keep = found[i] and code & _SYNC == 0 and (code >> _BASIS_SHIFT) & 1 == bases[i]
        out_kept[i] = keep
        if keep:
            out_basis[rows] = bases[i]
            out_intensity[rows] = (code >> _INTENSITY_SHIFT) & 3
            out_bit[rows] = code & 1
            rows += 1
    return rows


@njit(cache=True, nogil=True)
def tally(
    basis: npt.NDArray[np.uint8],
    intensity: npt.NDArray[np.uint8],
    wrong: npt.NDArray[np.bool_],
    out_counts: npt.NDArray[np.int64],
) -> int:
    """Count sifted detections by intensity and return how many are of the test basis, in O(n).

    Parameters
    ----------
    basis, intensity
        (n,) of the sifted detections; basis 1 tests, intensities are below k.
    wrong
        (t,) which of the test basis differ.
    out_counts
        (3, k), added to: detections of the key basis, of the test basis, and errors of the test basis.
    """
    tested = 0
    for i in range(basis.size):
        out_counts[basis[i], intensity[i]] += 1
        if basis[i]:
            out_counts[2, intensity[i]] += wrong[tested]
            tested += 1
    return tested
