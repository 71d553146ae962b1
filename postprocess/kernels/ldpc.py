"""Layered decoding of quasi-cyclic LDPC codes on 16-bit integers, and their syndromes.

A code is a sparse base matrix of cyclic shifts: check x of row r touches position (x + shift) mod L of each column of
the row. All arrays hold L lanes side by side, so that each step is a plain loop over contiguous int16, which the
compiler turns into vector instructions. F frames go together when lane z F + f holds position z of frame f and the
shifts are multiplied by F: the loops stay long however short the frames are.

Log-likelihood ratios are integers, 64 to one natural unit, positive for bit 0. A check sends two magnitudes
(A-min*): to its least certain neighbour the sum of all others, to everybody else the sum of all.
Flat arrays and offsets, because each view of a row costs a compiled loop more than its work.

Sources: Jones, Valles, Smith, Villasenor, MILCOM 2003 (A-min*); Mansour, Shanbhag, IEEE Trans. VLSI 11 (2003) 976
(layered schedule); Elkouss et al., arXiv:0901.2140 (LDPC syndromes in key distillation).
"""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from numba import njit

Lanes: TypeAlias = npt.NDArray[np.int16]
Ints: TypeAlias = npt.NDArray[np.int32]
Int: TypeAlias = Any

SCALE = 64
"""Integer steps of one natural unit of a log-likelihood ratio."""
MOST = 8_000
"""Largest magnitude that enters a check: sums of two must fit 16 bits."""
CERTAIN = 16_000
"""Log-likelihood ratio of a known bit; far above `MOST`, so that no check can overrule it."""
_ZERO = np.int16(0)


class Workspace(NamedTuple):
    """Room for one decoding; nothing is allocated inside."""

    messages: Lanes
    """Last message of each edge, (edges * L,) int16."""
    incoming: Lanes
    """Messages into the checks of one row, (widest row * L,) int16."""
    least: Lanes
    """Least magnitude so far, (L,) int16."""
    rest: Lanes
    """Sum of all others, (L,) int16."""
    whole: Lanes
    """Sum of all, (L,) int16."""
    signs: Lanes
    """Sign bits, (L,) int16."""


@njit(cache=True, nogil=True, inline="always")
def correction(u: np.int16) -> np.int16:
    """Return 64 ln(1 + exp(-u / 64)) for u >= 0, from straight pieces whose slopes are powers of two."""
    steep = np.int16(np.int16(43) - np.int16(u >> 2))
    steep = np.int16(steep - np.int16(u >> 3))
    middle = np.int16(np.int16(24) - np.int16(u >> 3))
    flat = np.int16(np.int16(15) - np.int16(u >> 4))
    return max(steep, middle, flat, _ZERO)


@njit(cache=True, nogil=True, inline="always")
def boxplus(a: np.int16, b: np.int16) -> np.int16:
    """Return the magnitude that two magnitudes make at a check."""
    apart = np.int16(a - b)
    return np.int16(np.int16(min(a, b) + correction(np.int16(a + b))) - correction(max(apart, np.int16(_ZERO - apart))))


@njit(cache=True, nogil=True)
def _subtract(total: Lanes, messages: Lanes, out: Lanes) -> None:
    for i in range(out.size):
        t = np.int16(total[i] - messages[i])
        out[i] = min(max(t, np.int16(-MOST)), np.int16(MOST))


@njit(cache=True, nogil=True)
def _begin(incoming: Lanes, syndrome: Lanes, least: Lanes, rest: Lanes, signs: Lanes) -> None:
    for i in range(least.size):
        t = incoming[i]
        least[i] = max(t, np.int16(_ZERO - t))
        rest[i] = np.int16(MOST)
        signs[i] = np.int16(t ^ syndrome[i])


@njit(cache=True, nogil=True)
def _accumulate(incoming: Lanes, least: Lanes, rest: Lanes, signs: Lanes) -> None:
    for i in range(least.size):
        t = incoming[i]
        size = max(t, np.int16(_ZERO - t))
        low = least[i]
        rest[i] = boxplus(rest[i], max(size, low))
        least[i] = min(size, low)
        signs[i] = np.int16(signs[i] ^ t)


@njit(cache=True, nogil=True)
def _finish(least: Lanes, rest: Lanes, whole: Lanes) -> None:
    for i in range(least.size):
        sent = boxplus(rest[i], least[i])
        whole[i] = max(sent, _ZERO)
        rest[i] = max(rest[i], _ZERO)


@njit(cache=True, nogil=True)
def _unmet(signs: Lanes) -> Int:
    unmet = np.int16(0)
    for i in range(signs.size):
        unmet = np.int16(unmet - np.int16(signs[i] >> 15))
    return unmet


@njit(cache=True, nogil=True)
def _send(incoming: Lanes, least: Lanes, rest: Lanes, whole: Lanes, signs: Lanes, messages: Lanes) -> None:
    for i in range(least.size):
        t = incoming[i]
        size = max(t, np.int16(_ZERO - t))
        is_least = np.int16(np.int16(np.int16(size - least[i]) - np.int16(1)) >> 15)
        chosen = np.int16(whole[i] ^ np.int16(np.int16(whole[i] ^ rest[i]) & is_least))
        sign = np.int16(np.int16(signs[i] ^ t) >> 15)
        messages[i] = np.int16(np.int16(chosen ^ sign) - sign)


@njit(cache=True, nogil=True)
def _put(incoming: Lanes, messages: Lanes, total: Lanes) -> None:
    for i in range(total.size):
        total[i] = np.int16(incoming[i] + messages[i])


@njit(cache=True, nogil=True)
def sweep(rows: Ints, columns: Ints, shifts: Ints, totals: Lanes, syndrome: Lanes, work: Workspace) -> int:
    """Pass once over all rows, and return how many checks their incoming messages did not meet.

    Parameters
    ----------
    rows, columns, shifts
        First edge of each row, (r + 1,) int32; column and shift of each edge, (edges,) int32.
    totals
        Log-likelihood ratio of each bit, (columns * L,) int16; updated.
    syndrome
        0 for parity 0 and -1 for parity 1 of each check, (r * L,) int16.
    work
        `Workspace` whose messages are 0 before the first pass.

    Notes
    -----
    O(edges L).
    """
    lanes = work.least.size
    messages, incoming, least, rest, whole, signs = work
    unmet = 0
    for row in range(rows.size - 1):
        first, stop = rows[row], rows[row + 1]
        for edge in range(first, stop):
            total = totals[columns[edge] * lanes : (columns[edge] + 1) * lanes]
            old, new = (
                messages[edge * lanes : (edge + 1) * lanes],
                incoming[(edge - first) * lanes : (edge - first + 1) * lanes],
            )
            shift = shifts[edge]
            head = lanes - shift
            _subtract(total[shift:], old[:head], new[:head])
            _subtract(total[:shift], old[head:], new[head:])
            if edge == first:
                _begin(new, syndrome[row * lanes : (row + 1) * lanes], least, rest, signs)
            else:
                _accumulate(new, least, rest, signs)
        unmet += _unmet(signs)
        _finish(least, rest, whole)
        for edge in range(first, stop):
            total = totals[columns[edge] * lanes : (columns[edge] + 1) * lanes]
            old, new = (
                messages[edge * lanes : (edge + 1) * lanes],
                incoming[(edge - first) * lanes : (edge - first + 1) * lanes],
            )
            shift = shifts[edge]
            head = lanes - shift
            _send(new, least, rest, whole, signs, old)
            _put(new[:head], old[:head], total[shift:])
            _put(new[head:], old[head:], total[:shift])
    return unmet


@njit(cache=True, nogil=True)
def syndrome_of(
    rows: Ints, columns: Ints, shifts: Ints, bits: npt.NDArray[np.uint8], out: npt.NDArray[np.uint8]
) -> None:
    """Write the parity of each check, (r * L,) uint8, of (columns * L,) uint8 bits. O(edges L)."""
    lanes = out.size // (rows.size - 1)
    out[:] = 0
    for row in range(rows.size - 1):
        parity = out[row * lanes : (row + 1) * lanes]
        for edge in range(rows[row], rows[row + 1]):
            column = bits[columns[edge] * lanes : (columns[edge] + 1) * lanes]
            shift = shifts[edge]
            _toggle(parity[: lanes - shift], column[shift:])
            _toggle(parity[lanes - shift :], column[:shift])


@njit(cache=True, nogil=True)
def _toggle(parity: npt.NDArray[np.uint8], bits: npt.NDArray[np.uint8]) -> None:
    for i in range(parity.size):
        parity[i] = np.uint8(parity[i] ^ bits[i])
