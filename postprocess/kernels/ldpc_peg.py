"""Progressive edge growth of quasi-cyclic base matrices: where the next edge closes the longest cycle.

Used only to derive the shipped codes. Each edge of a column goes to a row of least degree, at the shift whose check
is farthest from the column in the graph so far, all shifts of the lifted graph considered.

Sources: Hu, Eleftheriou, Arnold, IEEE Trans. Inf. Theory 51 (2005) 386 (progressive edge growth); Fossorier, ibid. 50
(2004) 1788 (cycles of quasi-cyclic codes are sums of shifts).
"""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from numba import njit

Ints: TypeAlias = npt.NDArray[np.int32]
Int: TypeAlias = Any
UNREACHED = 127
CROWD = 64
"""The search ends where one step reaches this part of all variables: nearly every check is one step further."""


@njit(cache=True, nogil=True)
def _distances(
    column: Int, degrees: Ints, rows: Ints, shifts: Ints, row_degrees: Ints, columns: Ints, row_shifts: Ints, lift: Int
) -> npt.NDArray[np.int8]:
    # Steps from position 0 of ``column`` to each check, breadth first.
    count = row_degrees.size * lift
    level = np.full(count, UNREACHED, np.int8)
    seen = np.zeros(degrees.size * lift, np.bool_)
    queue = np.empty(degrees.size * lift, np.int32)
    queue[0] = column * lift
    seen[queue[0]] = True
    head, tail, depth, left = 0, 1, 0, count
    while 0 < tail - head <= seen.size // CROWD:
        stop, depth = tail, depth + 1
        for place in range(head, stop):
            variable = queue[place]
            source, z = variable // lift, variable % lift
            for k in range(degrees[source]):
                row = rows[source, k]
                x = (z - shifts[source, k]) % lift
                if level[row * lift + x] != UNREACHED:
                    continue
                level[row * lift + x] = depth
                left -= 1
                if left == 0:
                    return level
                for j in range(row_degrees[row]):
                    to = columns[row, j] * lift + (x + row_shifts[row, j]) % lift
                    if not seen[to]:
                        seen[to] = True
                        queue[tail] = to
                        tail += 1
        head = stop
    return level


@njit(cache=True, nogil=True)
def _is_free(
    taken: npt.NDArray[np.bool_], column: Int, count: Int, rows: Ints, shifts: Ints, row: Int, shift: Int
) -> bool:
    # Whether no other column holds the same pair of rows at the same difference of shifts, modulo the unit.
    unit = taken.shape[2]
    for k in range(count):
        other = rows[column, k]
        if other == row or taken[row, other, (shift - shifts[column, k]) % unit]:
            return False
    return True


@njit(cache=True, nogil=True)
def _place(
    level: npt.NDArray[np.int8],
    draw: Int,
    taken: npt.NDArray[np.bool_],
    column: Int,
    count: Int,
    rows: Ints,
    shifts: Ints,
    row_degrees: Ints,
) -> tuple[Int, Int]:
    # The farthest free (row, shift) among the rows of least degree that have one, or (-1, 0).
    lift = level.size // row_degrees.size
    farthest = level.max()
    for degree in range(row_degrees.min(), row_degrees.max() + 1):
        best, best_row, best_shift = -1, -1, 0
        for step in range(row_degrees.size):
            row = (draw + step) % row_degrees.size
            if row_degrees[row] != degree:
                continue
            for offset in range(lift):
                x = (draw // 65_536 + offset) % lift
                reach = level[row * lift + x]
                shift = (lift - x) % lift
                if reach > best and _is_free(taken, column, count, rows, shifts, row, shift):
                    best, best_row, best_shift = reach, row, shift
                    if reach == farthest:
                        return best_row, best_shift
        if best_row >= 0:
            return best_row, best_shift
    return -1, 0


@njit(cache=True, nogil=True)
def grow(targets: Ints, row_count: Int, lift: Int, unit: Int, draws: npt.NDArray[np.uint64]) -> tuple[Ints, Ints, Ints]:
    """Return (degrees, rows, shifts) of the columns of a base matrix without cycles of four.

    Parameters
    ----------
    targets
        Wanted degree of each column, ascending, (n,) int32.
    row_count
        Rows of the base matrix.
    lift
        Size of a circulant.
    unit
        No cycle of four exists in any lift to a multiple of this divisor of ``lift``.
    draws
        Random words, one an edge, (edges,) uint64.

    Notes
    -----
    A column that finds no place gets fewer edges. O(edges^2 lift).
    """
    widest = int(targets.max())
    degrees = np.zeros(targets.size, np.int32)
    rows = np.zeros((targets.size, widest), np.int32)
    shifts = np.zeros((targets.size, widest), np.int32)
    row_degrees = np.zeros(row_count, np.int32)
    columns = np.zeros((row_count, targets.size), np.int32)
    row_shifts = np.zeros((row_count, targets.size), np.int32)
    taken = np.zeros((row_count, row_count, unit), np.bool_)
    drawn = 0
    for column in range(targets.size):
        for count in range(targets[column]):
            level = _distances(column, degrees, rows, shifts, row_degrees, columns, row_shifts, lift)
            draw = np.int64(draws[drawn] >> np.uint64(2))
            drawn += 1
            best_row, best_shift = _place(level, draw, taken, column, count, rows, shifts, row_degrees)
            if best_row < 0:
                break
            for k in range(count):
                other, apart = rows[column, k], best_shift - shifts[column, k]
                taken[best_row, other, apart % unit] = True
                taken[other, best_row, (-apart) % unit] = True
            rows[column, count], shifts[column, count] = best_row, best_shift
            columns[best_row, row_degrees[best_row]] = column
            row_shifts[best_row, row_degrees[best_row]] = best_shift
            row_degrees[best_row] += 1
            degrees[column] += 1
    return degrees, rows, shifts
