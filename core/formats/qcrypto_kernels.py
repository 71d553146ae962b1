"""Compiled bit streams of the qcrypto epoch files; `qcrypto` calls them.

A stream is the most significant bit first of each 32-bit word. An entry is a code of ``width`` bits, then
``base_bits`` of basis. Code 0 announces 32 more bits, before the basis, that hold the difference; code 1 ends the
stream. The kernels read no byte outside the array they get.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

OVERRUN = -1
"""The stream ends inside an entry."""
NO_END = -2
"""More entries than the header counts."""
ESCAPE = 0
END = 1
LONG_BITS = 32

Words = npt.NDArray[np.uint32]
Integers = npt.NDArray[np.int64]
Small = npt.NDArray[np.uint8]


@njit(cache=True, nogil=True)
def _take(words: Words, at: int, width: int) -> int:
    """Return ``width`` <= 32 bits from bit ``at``; the caller has checked that they exist."""
    value: Any = 0
    for bit in range(at, at + width):
        value = (value << 1) | ((np.int64(words[bit >> 5]) >> (31 - (bit & 31))) & 1)
    taken: int = value
    return taken


@njit(cache=True, nogil=True)
def _put(words: Words, at: int, width: int, value: int) -> None:
    for i in range(width):
        if (value >> (width - 1 - i)) & 1:
            bit = at + i
            words[bit >> 5] = words[bit >> 5] | (np.uint32(1) << np.uint32(31 - (bit & 31)))


@njit(cache=True, nogil=True)
def unpack_entries(words: Words, width: int, base_bits: int, differences: Integers, bases: Small) -> int:
    """Fill differences and bases; return their number, `OVERRUN` or `NO_END`."""
    total = words.size * 32
    at = 0
    for i in range(differences.size + 1):
        if at + width + base_bits > total:
            return OVERRUN
        code = _take(words, at, width)
        at += width
        if code == END:
            return i
        if i == differences.size:
            return NO_END
        if code == ESCAPE:
            if at + LONG_BITS + base_bits > total:
                return OVERRUN
            code = _take(words, at, LONG_BITS)
            at += LONG_BITS
        differences[i] = code
        bases[i] = _take(words, at, base_bits)
        at += base_bits
    return NO_END


@njit(cache=True, nogil=True)
def pack_entries(differences: Integers, bases: Small, width: int, base_bits: int, words: Words) -> int:
    """Fill zeroed ``words`` with the entries and the end; return the bits written."""
    at = 0
    for i in range(differences.size):
        if differences[i] >> width or differences[i] <= END:
            at += width
            _put(words, at, LONG_BITS, differences[i])
            at += LONG_BITS
        else:
            _put(words, at, width, differences[i])
            at += width
        _put(words, at, base_bits, bases[i])
        at += base_bits
    _put(words, at, width, END)
    return at + width + base_bits


@njit(cache=True, nogil=True)
def unpack_fixed(words: Words, width: int, values: Small) -> None:
    """Fill values of ``width`` <= 8 bits each; the caller has checked that the bits exist."""
    for i in range(values.size):
        values[i] = _take(words, i * width, width)


@njit(cache=True, nogil=True)
def pack_fixed(values: Small, width: int, words: Words) -> None:
    """Fill zeroed ``words`` with values of ``width`` bits each."""
    for i in range(values.size):
        _put(words, i * width, width, values[i])


@njit(cache=True, nogil=True)
def widen_steps(times: Integers, least: int) -> Integers:
    """Return the differences of ``times`` from 0 on, each at least ``least``, moving later times as needed."""
    out = np.empty(times.size, np.int64)
    reached = 0
    for i in range(times.size):
        step = max(times[i] - reached, least)
        out[i] = step
        reached += step
    return out
