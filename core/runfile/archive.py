"""Keys of an archived stream: gaps between rows, split so that HDF5's built-in filters come near their entropy.

An int64 time is expensive because each repeats most of the one before it. The archive stores, in a group of the
column's name, the distance of each row from the one before. A distance g is either one number, or, where light comes
in pulses of a known period p, two: the number of periods s = round(g / p) and the rest g - floor(s p) plus a bias
that keeps it positive. Each number is split once more: its lowest bits are noise and are packed without compression
(HDF5's scale-offset filter), what lies above them has few values and is deflated. Every filter is part of HDF5
itself, so that h5py alone reads the digits, and a few lines give the times back.

    g = number, or floor(s * period_fs / 1000) + rest - bias     with  number = coarse << shift | fine
    key of row i of a block = first_key of the block + sum of g over rows 1..i of the block

The first distance of a block is 0 and not used. `RunFileReader` reads such a column as if it held the keys; the
checksums of the blocks are those of the original, over the keys themselves.

Sources: R. F. Rice, JPL Publication 79-22 (1979), for splitting off incompressible low bits; HDF5 filters 1 (deflate),
2 (shuffle), 6 (scale-offset).
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from faintlink.core.runfile.schema import CHUNK_ROWS
from faintlink.core.runfile.tables import GrowingTable

ENCODING = "faintlink-distances/1"
DEFLATE_LEVEL = 4
DEFLATE: Mapping[str, Any] = {"shuffle": True, "compression": "gzip", "compression_opts": DEFLATE_LEVEL}
"""Filters of everything that is deflated."""
FS_PER_PS = 1000
_LARGEST = 1 << 52
"""Distances beyond it count as this many ps when periods are counted; the rest carries what is left."""
_MAX_SHIFT = 32
_MEASURED_ROWS = 1 << 18

Distances = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Split:
    """How the distances of a column are stored."""

    period_fs: int
    """Period of the light in femtoseconds, 0 for none."""
    bias: int
    """Added to the rest after whole periods."""
    shifts: tuple[int, ...]
    """Bits packed as they are: of the distance; or of the periods and of the rest."""

    def numbers(self, distances: Distances) -> list[Distances]:
        """Return what is stored for distances (n,) int64: one array, or periods and rests."""
        if not self.period_fs:
            return [distances]
        counted = np.minimum(distances, _LARGEST)
        periods = (counted * FS_PER_PS + self.period_fs // 2) // self.period_fs
        return [periods, distances - periods * self.period_fs // FS_PER_PS + self.bias]

    def distances(self, numbers: Sequence[Distances]) -> Distances:
        """Return the distances again."""
        if not self.period_fs:
            return numbers[0]
        periods, rest = numbers
        return periods * self.period_fs // FS_PER_PS + rest - self.bias


def choose_split(distances: Distances, periods_ps: Sequence[float] = ()) -> tuple[Split, float]:
    """Return the split that makes a sample smallest, and the bits a row that it then takes.

    Parameters
    ----------
    distances
        (n,) int64 sample.
    periods_ps
        Periods to try besides none.
    """
    best: tuple[Split, float] | None = None
    for period_fs in (0, *(round(period * FS_PER_PS) for period in periods_ps)):
        numbers = Split(period_fs, 0, ()).numbers(distances[:_MEASURED_ROWS])
        found = [_best_shift(numbers[0], 0), *(_best_shift(rest, period_fs) for rest in numbers[1:])]
        bits = sum(cost for _, cost in found)
        if best is None or bits < best[1]:
            shifts = tuple(shift for shift, _ in found)
            best = (Split(period_fs, _bias(shifts[-1], period_fs), shifts), bits)
    assert best is not None
    return best


def _best_shift(number: Distances, period_fs: int) -> tuple[int, float]:
    if not number.size:
        return 0, 0.0
    # The useful shifts leave a few bits of the spread above them; deflate itself says which is best.
    top = int(2 * np.median(np.abs(number - int(np.median(number))))).bit_length()
    trials = range(max(0, top - 8), min(_MAX_SHIFT, top + 1))
    costs = {shift: shift + deflated_bits((number + _bias(shift, period_fs)) >> shift) for shift in trials}
    best = min(costs, key=lambda shift: costs[shift])
    return best, costs[best]


def _bias(shift: int, period_fs: int) -> int:
    """Return what makes rests of a period positive, and puts rest 0 in the middle of the lowest coarse byte.

    Elsewhere the second byte would change with the sign, at the price of a bit a row.
    """
    if not period_fs:
        return 0
    return (1 << max((period_fs // FS_PER_PS).bit_length(), shift + 8)) + (128 << shift)


def deflated_bits(values: npt.NDArray[Any]) -> float:
    """Return the bits a value takes after HDF5's shuffle and deflate."""
    planes = values.view(np.uint8).reshape(-1, values.dtype.itemsize).T.tobytes()
    return 8 * len(zlib.compress(planes, DEFLATE_LEVEL)) / max(values.size, 1)


class DistanceWriter:
    """Write keys as split distances into a group of the column's name."""

    def __init__(self, stream: h5py.Group, name: str, split: Split, *, chunk_rows: int = CHUNK_ROWS) -> None:
        group = stream.create_group(name)
        group.attrs["encoding"] = ENCODING
        group.attrs["period_fs"] = split.period_fs
        group.attrs["bias"] = split.bias
        self._split = split
        self._parts = []
        for part, shift in zip(_parts(split), split.shifts, strict=True):
            coarse = GrowingTable(group, f"{part}_coarse", np.int64, chunk_rows=chunk_rows, **DEFLATE)
            coarse.dataset.attrs["shift"] = shift
            fine = GrowingTable(group, f"{part}_fine", np.uint32, chunk_rows=chunk_rows, scaleoffset=0)
            self._parts.append((shift, coarse, fine))

    def append(self, keys: npt.NDArray[np.int64]) -> None:
        """Append the keys of one block."""
        distances = np.zeros(keys.size, np.int64)
        np.subtract(keys[1:], keys[:-1], out=distances[1:])
        for number, (shift, coarse, fine) in zip(self._split.numbers(distances), self._parts, strict=True):
            coarse.append(number >> shift)
            fine.append((number & ((1 << shift) - 1)).astype(np.uint32))


def _parts(split: Split) -> tuple[str, ...]:
    return ("periods", "rest") if split.period_fs else ("distance",)


class ArchivedKeys:
    """Keys stored as split distances, with as much of a dataset's manners as the reader needs.

    Parameters
    ----------
    group
        The column.
    index
        Committed blocks, (n,) `INDEX_DTYPE`.

    Raises
    ------
    ValueError, LookupError
        The group is of another encoding, or incomplete.
    """

    def __init__(self, group: h5py.Group, index: npt.NDArray[np.void]) -> None:
        encoding = group.attrs["encoding"]
        if encoding != ENCODING:
            raise ValueError(f"{group.name} has encoding {encoding!r}; this program reads {ENCODING!r}")
        split = Split(int(group.attrs["period_fs"]), int(group.attrs["bias"]), ())
        self._parts = [(group[f"{part}_coarse"], group[f"{part}_fine"]) for part in _parts(split)]
        self._shifts = [int(coarse.attrs["shift"]) for coarse, _ in self._parts]
        self._split = split
        filled = index[index["rows"] > 0]
        self._first_rows = filled["first_row"].astype(np.int64)
        self._first_keys = filled["first_key"]
        self.shape = (min(int(dataset.shape[0]) for part in self._parts for dataset in part),)

    def refresh(self) -> None:
        """Do nothing: an archive does not grow."""

    def __getitem__(self, rows: slice) -> npt.NDArray[np.int64]:
        """Return the keys of a range of rows, (n,) int64."""
        start, stop, _ = rows.indices(self.shape[0])
        if stop <= start or not self._first_rows.size:
            return np.empty(0, np.int64)
        block = int(np.searchsorted(self._first_rows, start, side="right")) - 1
        keys = []
        while block < self._first_rows.size and (first := int(self._first_rows[block])) < stop:
            end = int(self._first_rows[block + 1]) if block + 1 < self._first_rows.size else self.shape[0]
            keys.append(self._block(first, min(end, stop), block)[max(start - first, 0) :])
            block += 1
        return np.concatenate(keys)

    def _block(self, first: int, end: int, block: int) -> npt.NDArray[np.int64]:
        numbers = [
            coarse[first:end] << shift | fine[first:end].astype(np.int64)
            for shift, (coarse, fine) in zip(self._shifts, self._parts, strict=True)
        ]
        distances = self._split.distances(numbers)
        distances[0] = self._first_keys[block]
        return np.cumsum(distances, dtype=np.int64)
