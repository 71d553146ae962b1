"""Where the parts of a ring's blocks lie in its shared memory. Used by both ends of a ring."""

from dataclasses import dataclass
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np
import numpy.typing as npt

from faintlink.core.runfile.schema import GAP_DTYPE

GAPS_PER_BLOCK = 256
"""Gap records that travel with one block; more wait for the next."""
_ALIGN = 64


def _aligned(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN


@dataclass(frozen=True, slots=True)
class RingLayout:
    """Where the parts of each block lie in the shared memory."""

    blocks: int
    """Number of blocks."""
    block_rows: int
    """Rows that fit into one block."""

    @property
    def _stride(self) -> int:
        gaps = _aligned(GAPS_PER_BLOCK * GAP_DTYPE.itemsize)
        return gaps + _aligned(8 * self.block_rows) + _aligned(self.block_rows)

    @property
    def size_bytes(self) -> int:
        """Size of the whole pool."""
        return self.blocks * self._stride

    def views(
        self, memory: SharedMemory, number: int
    ) -> tuple[npt.NDArray[np.void], npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
        """Return block ``number`` as gap rows, keys (block_rows,) int64 and codes (block_rows,) uint8.

        Notes
        -----
        Views keep the memory mapped; they must be gone before it is closed.
        """
        start = number * self._stride
        keys_at = start + _aligned(GAPS_PER_BLOCK * GAP_DTYPE.itemsize)
        codes_at = keys_at + _aligned(8 * self.block_rows)
        gaps: npt.NDArray[Any] = np.ndarray((GAPS_PER_BLOCK,), GAP_DTYPE, memory.buf, start)
        keys: npt.NDArray[np.int64] = np.ndarray((self.block_rows,), np.int64, memory.buf, keys_at)
        codes: npt.NDArray[np.uint8] = np.ndarray((self.block_rows,), np.uint8, memory.buf, codes_at)
        return gaps, keys, codes
