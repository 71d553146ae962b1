"""The shipped codes: base matrices of 800 columns, splitting of their rows, and lifting to frames.

The tables are derived by `faintlink.postprocess.qkd.ldpc.derive`. Splitting a check in two adds one bit of leak and
keeps every cycle or opens it, so that each number of rows between two tables has a code, too.

Sources: as `faintlink.postprocess.kernels.ldpc`.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from faintlink.core.errors import LocalProtocolError

Ints = npt.NDArray[np.int32]

COLUMNS = 800
LIFT = 1_024
"""Largest circulant, and the one the shifts are made for."""
SHIFT_BITS = 10
CODES_FILE = Path(__file__).with_name("qc800.npz")


@dataclass(frozen=True, slots=True, eq=False)
class BaseMatrix:
    """Where the circulants of a code stand; equal at both parties."""

    rows: Ints
    """First edge of each row, (rows + 1,) int32."""
    columns: Ints
    """Column of each edge, (edges,) int32."""
    shifts: Ints
    """Shift of each edge, 0 to 1023, (edges,) int32."""
    unit: int
    """Lifts to multiples of this have no cycle of four."""

    @property
    def row_count(self) -> int:
        """Rows, each of which discloses one bit per lane."""
        return self.rows.size - 1

    def lifted(self, lift: int, frames: int = 1) -> "BaseMatrix":
        """Return the matrix whose shifts rotate ``frames`` interleaved frames of circulants of size ``lift``."""
        return BaseMatrix(self.rows, self.columns, (self.shifts % lift * frames).astype(np.int32), self.unit)


@lru_cache(maxsize=1)
def _tables() -> dict[int, BaseMatrix]:
    with np.load(CODES_FILE) as file:
        counts, units = file["row_counts"].astype(np.int64), file["units"]
        bounds = np.concatenate((np.zeros(1, np.int64), np.cumsum(file["widths"], dtype=np.int64)))
        columns = (np.cumsum(file["column_steps"], dtype=np.int64) % COLUMNS).astype(np.int32)
        bits = np.unpackbits(file["shifts"], count=columns.size * SHIFT_BITS).reshape(-1, SHIFT_BITS)
    shifts = (bits.astype(np.int32) @ (1 << np.arange(SHIFT_BITS, dtype=np.int32))).astype(np.int32)
    found, at = {}, 0
    for count, unit in zip(counts, units, strict=True):
        rows = bounds[at : at + count + 1]
        edges = slice(rows[0], rows[-1])
        found[int(count)] = BaseMatrix((rows - rows[0]).astype(np.int32), columns[edges], shifts[edges], int(unit))
        at += count
    return found


def table_rows() -> tuple[int, ...]:
    """Return the row counts that have a table, ascending."""
    return tuple(_tables())


def table(row_count: int) -> BaseMatrix:
    """Return the shipped matrix of ``row_count`` rows, which must be one of `table_rows`."""
    return _tables()[row_count]


@lru_cache(maxsize=32)
def base_matrix(row_count: int) -> BaseMatrix:
    """Return a code of exactly ``row_count`` rows: the next smaller table with its first rows split in two.

    Raises
    ------
    LocalProtocolError
        No table can reach that many rows.
    """
    counts = table_rows()
    if not counts[0] <= row_count <= 2 * counts[-1]:
        raise LocalProtocolError(
            f"codes have {counts[0]} to {2 * counts[-1]} rows, asked for {row_count}",
            hint="the QBER is outside what these codes serve",
        )
    base = table(max(count for count in counts if count <= row_count))
    extra = row_count - base.row_count
    degrees = np.bincount(base.columns, minlength=COLUMNS)
    bounds, order = [0], []
    for row in range(base.row_count):
        edges = np.arange(base.rows[row], base.rows[row + 1])
        if row < extra:
            # Every other edge by degree: both halves see the same mix of strong and weak neighbours.
            ranked = edges[np.argsort(degrees[base.columns[edges]], kind="stable")]
            parts = [np.sort(ranked[0::2]), np.sort(ranked[1::2])]
        else:
            parts = [edges]
        for part in parts:
            order.append(part)
            bounds.append(bounds[-1] + part.size)
    chosen = np.concatenate(order)
    return BaseMatrix(np.array(bounds, np.int32), base.columns[chosen], base.shifts[chosen], base.unit)
