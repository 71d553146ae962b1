"""Datasets that grow by appending; archives and the HDF5 exports write through them."""

from typing import Any

import h5py
import numpy.typing as npt

from faintlink.core.runfile.schema import CHUNK_ROWS


class GrowingTable:
    """A dataset that grows by appending.

    Parameters
    ----------
    group, name, dtype
        Where it is, and of what.
    chunk_rows
        Rows of a chunk; a short table needs no long one.
    settings
        Filters, as `h5py.Group.create_dataset` takes them.
    """

    def __init__(
        self,
        group: h5py.Group,
        name: str,
        dtype: npt.DTypeLike,
        *,
        chunk_rows: int = CHUNK_ROWS,
        **settings: Any,
    ) -> None:
        self._rows = 0
        self.dataset = group.create_dataset(
            name, shape=(0,), maxshape=(None,), chunks=(chunk_rows,), dtype=dtype, **settings
        )

    def append(self, rows: npt.NDArray[Any]) -> None:
        """Append rows."""
        if rows.size:
            self.dataset.resize((self._rows + rows.size,))
            self.dataset[self._rows :] = rows
            self._rows += rows.size
