"""Convolutions in blocks: sums of products of spectra, and the way from bits to numbers and back.

The kernels of `faintlink.postprocess.qkd.amplify`; they know nothing of keys or matrices.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from faintlink.core.units import Bits

Spectra = npt.NDArray[np.complex128]

_CHUNK = 128
"""Frequencies at a time: the numbers of all spectra at these stay in the second cache."""


@njit(cache=True, nogil=True)
def _split(
    spectra: Spectra, start: int, stop: int, real: npt.NDArray[np.float64], imag: npt.NDArray[np.float64]
) -> None:
    for index in range(spectra.shape[0]):
        for at in range(start, stop):
            real[index, at - start] = spectra[index, at].real
            imag[index, at - start] = spectra[index, at].imag


@njit(cache=True, nogil=True)
def sum_of_products(seeds: Spectra, keys: Spectra, first: int, out: Spectra) -> None:
    """Write the sums over j of ``seeds[(first + i - j) % s] * keys[j]`` to ``out[i]``.

    Parameters
    ----------
    seeds
        A ring of s spectra, (s, m) complex128.
    keys
        g <= s spectra, (g, m) complex128.
    first
        Slot of the seed spectrum that belongs to key spectrum 0 in row 0.
    out
        (k, m) complex128.

    Notes
    -----
    Real and imaginary parts are kept apart, so that the inner loop is vector arithmetic. O(k g m).
    """
    ring, size = seeds.shape
    seed_re, seed_im = np.empty((ring, _CHUNK)), np.empty((ring, _CHUNK))
    key_re, key_im = np.empty((keys.shape[0], _CHUNK)), np.empty((keys.shape[0], _CHUNK))
    sum_re, sum_im = np.empty(_CHUNK), np.empty(_CHUNK)
    for start in range(0, size, _CHUNK):
        stop = min(start + _CHUNK, size)
        _split(seeds, start, stop, seed_re, seed_im)
        _split(keys, start, stop, key_re, key_im)
        for row in range(out.shape[0]):
            sum_re[:] = 0.0
            sum_im[:] = 0.0
            for index in range(keys.shape[0]):
                slot = (first + row - index) % ring
                for at in range(stop - start):
                    a, b = seed_re[slot, at], seed_im[slot, at]
                    c, d = key_re[index, at], key_im[index, at]
                    sum_re[at] += a * c - b * d
                    sum_im[at] += a * d + b * c
            for at in range(stop - start):
                out[row, start + at] = complex(sum_re[at], sum_im[at])


@njit(cache=True, nogil=True)
def signs_of(packed: Bits, first: int, out: npt.NDArray[np.float64]) -> None:
    """Write bits ``first`` … ``first + out.size`` as 1 - 2 bit; what lies outside of ``packed`` becomes 0. O(m).

    Bit k is the bit of value 2**(7 - k % 8) of byte k // 8.
    """
    for at in range(out.size):
        bit = first + at
        if 0 <= bit < 8 * packed.size:
            out[at] = 1.0 - 2.0 * ((packed[bit >> 3] >> np.uint8(7 - (bit & 7))) & 1)
        else:
            out[at] = 0.0


@njit(cache=True, nogil=True)
def add_parities(sums: npt.NDArray[np.float64], weight: int, margin: float, out: Bits) -> int:
    """Add (weight - sums) / 2 modulo 2 to ``out``; return how many are further than ``margin`` off an integer. O(m)."""
    inexact = 0
    for at in range(out.size):
        count = (weight - sums[at]) * 0.5
        whole = np.rint(count)
        if not abs(count - whole) <= margin:  # nan must count, too
            inexact += 1
        else:
            out[at] ^= np.uint8(np.int64(whole) & 1)
    return inexact
