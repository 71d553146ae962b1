"""Pack one stream of a run file into an archive, and say what it takes beside its entropy.

Used by `repacking`. How the keys are split and which filters the other columns get is decided by a sample of blocks
spread evenly over the stream; whatever the rest holds, it is stored exactly.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from faintlink.core.exports.bound import distance_bits, entropy_bits
from faintlink.core.runfile.archive import DEFLATE, DistanceWriter, Split, choose_split, deflated_bits
from faintlink.core.runfile.reader import StreamReader
from faintlink.core.runfile.schema import CHUNK_ROWS, COLUMNS, SMALL_CHUNK_ROWS
from faintlink.core.runfile.tables import GrowingTable

_SAMPLE_ROWS = 1 << 20
_SAMPLE_BLOCKS = 16
_LARGEST_STEP = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSize:
    """What a stream takes in the archive, and what it must take at least."""

    file: str
    """File of the archive."""
    stream: str
    """The stream."""
    rows: int
    """Its rows."""
    stored_bytes: int
    """Bytes of its columns, gaps and index in the archive."""
    bits_per_row: float
    """The same for one row."""
    bound_bits_per_row: float
    """Entropy of the distances and of the second column; see `faintlink.core.exports.bound`."""

    @property
    def ratio(self) -> float:
        """Stored size over the bound; infinite where the bound is 0."""
        return self.bits_per_row / self.bound_bits_per_row if self.bound_bits_per_row else float("inf")


def pack_stream(
    stream: StreamReader, raw: h5py.Group, group: h5py.Group, periods_ps: Sequence[float], done: Callable[[int], None]
) -> float:
    """Write the columns, gaps and index of a stream; return the bound in bits a row.

    Parameters
    ----------
    stream, raw
        The stream, and its group in the original.
    group
        Where it goes.
    periods_ps
        Periods of the light to try.
    done
        Called with the rows of each block.
    """
    (key, _), *others = COLUMNS[stream.spec.kind]
    distances, values = _sample(stream)
    periods_ps = [*periods_ps, *_grid(distances)]
    split, _ = choose_split(distances, periods_ps) if distances.size else (Split(0, 0, (0,)), 0.0)
    # Packed columns fill their last chunk, so that the chunks of a stream are of one size.
    chunks = max(1, -(-stream.rows // CHUNK_ROWS))
    chunk_rows = max(SMALL_CHUNK_ROWS, -(-stream.rows // chunks))
    keys = DistanceWriter(group, key, split, chunk_rows=chunk_rows)
    filters = _filters(values[0])
    columns = [
        GrowingTable(
            group, name, dtype, chunk_rows=chunk_rows, **(filters if dtype.itemsize == 1 and at == 0 else DEFLATE)
        )
        for at, (name, dtype) in enumerate(others)
    ]
    for block in stream.blocks():
        keys.append(block.columns[0])
        for table, column in zip(columns, block.columns[1:], strict=True):
            table.append(column)
        done(int(block.columns[0].size))
    GrowingTable(group, "gaps", raw["gaps"].dtype, chunk_rows=SMALL_CHUNK_ROWS, **DEFLATE).append(raw["gaps"][:])
    GrowingTable(group, "index", raw["index"].dtype, chunk_rows=SMALL_CHUNK_ROWS, **DEFLATE).append(stream.index)
    return distance_bits(distances, periods_ps) + entropy_bits(values[0])


def _grid(distances: npt.NDArray[np.int64]) -> list[float]:
    """Return the step of a tagger whose times are coarser than the unit, as a period."""
    step = int(np.gcd.reduce(distances)) if distances.size else 0
    return [float(step)] if 1 < step <= _LARGEST_STEP else []


def _sample(stream: StreamReader) -> tuple[npt.NDArray[np.int64], list[npt.NDArray[Any]]]:
    """Return distances and further columns of blocks spread evenly over the stream."""
    filled = np.flatnonzero(stream.index["rows"] > 1)
    chosen = filled[np.unique(np.linspace(0, len(filled) - 1, _SAMPLE_BLOCKS).astype(int))] if len(filled) else filled
    # Many small blocks give as good a sample as few large ones only when there are more of them.
    if len(filled) and int(stream.index["rows"][chosen].sum()) < _SAMPLE_ROWS:
        step = max(1, int(stream.index["rows"][filled].sum()) // _SAMPLE_ROWS)
        chosen = filled[::step]
    blocks = [stream.read_block(int(number)).columns for number in chosen]
    if not blocks:
        return np.empty(0, np.int64), list(stream.empty_columns()[1:])
    each = max(_SAMPLE_ROWS // len(blocks), 2)
    distances = np.concatenate([np.diff(columns[0][:each]) for columns in blocks])
    return distances, [np.concatenate(parts) for parts in zip(*(c[1:] for c in blocks), strict=True)]


def _filters(values: npt.NDArray[Any]) -> Mapping[str, Any]:
    """Return the filters of a column: of bytes, the cheaper of packing and deflating."""
    if values.dtype.itemsize != 1 or not values.size:
        return DEFLATE
    # One more code than values, for the filter's own use.
    packed_bits = (int(values.max()) - int(values.min()) + 1).bit_length()
    return {"scaleoffset": 0} if packed_bits <= deflated_bits(values) else DEFLATE


def stream_size(file: str, stream: str, rows: int, group: h5py.Group, bound: float) -> StreamSize:
    """Return what the datasets of a packed stream take in the file."""
    stored = 0

    def add(name: str, item: h5py.Group | h5py.Dataset) -> None:
        nonlocal stored
        del name
        if isinstance(item, h5py.Dataset):
            stored += item.id.get_storage_size()

    group.file.flush()
    group.visititems(add)
    return StreamSize(
        file=file,
        stream=stream,
        rows=rows,
        stored_bytes=stored,
        bits_per_row=8 * stored / rows,
        bound_bits_per_row=bound,
    )
