"""Polynomials over the field of 2**61 - 1 elements, for universal hashing.

Sources: Wegman and Carter, J. Comput. Syst. Sci. 22 (1981) 265; den Boer, J. Comput. Secur. 2 (1993) 65.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

PRIME = (1 << 61) - 1
FIELD_BITS = 61

_P = np.uint64(PRIME)
_LOW_32 = np.uint64(0xFFFFFFFF)
_LOW_29 = np.uint64((1 << 29) - 1)


@njit(cache=True, nogil=True, forceinline=True)
def multiply(a: np.uint64, b: np.uint64) -> np.uint64:
    """Return a b modulo 2**61 - 1 for a, b < 2**61 - 1, from 32-bit halves and 2**61 = 1."""
    a_high, a_low = a >> np.uint64(32), a & _LOW_32
    b_high, b_low = b >> np.uint64(32), b & _LOW_32
    middle = a_high * b_low + a_low * b_high
    low = a_low * b_low
    total = ((a_high * b_high) << np.uint64(3)) + (middle >> np.uint64(29)) + ((middle & _LOW_29) << np.uint64(32))
    total += (low >> np.uint64(FIELD_BITS)) + (low & _P)
    total = (total >> np.uint64(FIELD_BITS)) + (total & _P)
    return total - _P if total >= _P else total


@njit(cache=True, nogil=True)
def evaluate(leading: np.uint64, coefficients: npt.NDArray[np.uint32], point: np.uint64) -> np.uint64:
    """Return leading x**m + c[0] x**(m-1) + … + c[m-1] at ``point`` (Horner). O(m)."""
    value = leading
    for coefficient in coefficients:
        value = multiply(value, point) + np.uint64(coefficient)
        if value >= _P:
            value -= _P
    return value
