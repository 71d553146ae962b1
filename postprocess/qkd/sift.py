"""Keep the detections in which both parties used the same basis, and cut them into key blocks.

A key block is a fixed stretch of slots (or of time, for a pair source), decided before the first pulse: it never
ends on a count, since that would let an adversary choose when it ends.

Sources: C. Pfister, N. Lütkenhaus, S. Wehner, P. J. Coles, New J. Phys. 18, 053001 (2016) (sifting attacks).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faintlink.core.errors import CorruptBlockError, TagOrderError
from faintlink.core.records import DecoyCounts
from faintlink.core.symbols import Basis, is_sync, setting_basis, setting_bit, setting_intensity
from faintlink.core.units import Bits
from faintlink.postprocess.kernels.detect import join_settings
from faintlink.postprocess.qkd.detection import Detections


@dataclass(frozen=True, slots=True, eq=False)
class SiftedBits:
    """Detections with equal bases, in order."""

    positions: npt.NDArray[np.int64]
    """(n,) int64, the sender's slot, or the time in ps of a pair."""
    basis: npt.NDArray[np.uint8]
    """(n,) uint8 of `Basis`."""
    intensity: npt.NDArray[np.uint8]
    """(n,) uint8, index into the link's intensities; 0 for pairs."""
    alice: Bits
    """(n,) uint8."""
    bob: Bits
    """(n,) uint8."""

    def __len__(self) -> int:
        return int(self.positions.size)

    def __repr__(self) -> str:
        return f"SiftedBits({len(self)} bits)"

    def between(self, start: int, end: int) -> "SiftedBits":
        """Return the bits with start <= position < end."""
        first, last = np.searchsorted(self.positions, (start, end))
        cut = slice(int(first), int(last))
        return SiftedBits(self.positions[cut], self.basis[cut], self.intensity[cut], self.alice[cut], self.bob[cut])

    def in_basis(self, basis: Basis) -> "SiftedBits":
        """Return the bits of one basis."""
        keep = self.basis == basis
        return SiftedBits(
            self.positions[keep], self.basis[keep], self.intensity[keep], self.alice[keep], self.bob[keep]
        )

    def counts(self, intensities: int) -> DecoyCounts:
        """Return detections and errors by basis and intensity."""
        code = self.intensity + intensities * ((self.alice != self.bob) + 2 * self.basis.astype(np.int64))
        table = np.bincount(code, minlength=4 * intensities).reshape(2, 2, intensities).tolist()
        (z_right, z_wrong), (x_right, x_wrong) = table
        return DecoyCounts(
            n_key=tuple(a + b for a, b in zip(z_right, z_wrong, strict=True)),
            n_test=tuple(a + b for a, b in zip(x_right, x_wrong, strict=True)),
            m_key=tuple(z_wrong),
            m_test=tuple(x_wrong),
        )


@dataclass(frozen=True, slots=True)
class SiftCount:
    """What became of the detections; adds."""

    detections: int = 0
    """Detections that came in."""
    without_setting: int = 0
    """Those for which the sender's file has no setting."""
    sync: int = 0
    """Those in the public preamble."""
    other_basis: int = 0
    """Those measured in the other basis."""
    sifted: int = 0
    """Those kept."""

    def __add__(self, other: "SiftCount") -> "SiftCount":
        return SiftCount(
            self.detections + other.detections,
            self.without_setting + other.without_setting,
            self.sync + other.sync,
            self.other_basis + other.other_basis,
            self.sifted + other.sifted,
        )


def sift(
    detections: Detections, setting_slots: npt.NDArray[np.int64], settings: npt.NDArray[np.uint8]
) -> tuple[SiftedBits, SiftCount]:
    """Return the sifted bits of detections and the count of all others.

    Parameters
    ----------
    detections
        With slots strictly increasing.
    setting_slots, settings
        (m,) int64 strictly increasing and (m,) uint8: the sender's record, covering the detections' slots.
    """
    n = detections.slots.size
    code, found = np.empty(n, np.uint8), np.empty(n, np.bool_)
    hits = join_settings(detections.slots, setting_slots, settings, code, found)
    sync = found & is_sync(code)
    basis = detections.outcomes >> np.uint8(1)
    same = found & ~sync & (setting_basis(code) == basis)
    bits = SiftedBits(
        detections.slots[same],
        basis[same],
        setting_intensity(code[same]),
        setting_bit(code[same]),
        detections.outcomes[same] & np.uint8(1),
    )
    in_sync = int(np.count_nonzero(sync))
    return bits, SiftCount(n, n - hits, in_sync, hits - in_sync - len(bits), len(bits))


class SettingsCursor:
    """Walk along a sender's record beside a stream of detections, holding only what is near.

    Parameters
    ----------
    blocks
        (slots, codes) in order, as `PartyRecording.settings` yields them.
    """

    def __init__(self, blocks: Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]]) -> None:
        self._blocks = blocks
        self._slots = np.empty(0, np.int64)
        self._codes = np.empty(0, np.uint8)
        self._is_done = False

    def upto(self, first: int, last: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
        """Return the record of the slots first..last; ``first`` must not decrease from call to call.

        Raises
        ------
        CorruptBlockError
            The record names a slot twice.
        """
        start = int(np.searchsorted(self._slots, first))
        slots, codes = [self._slots[start:]], [self._codes[start:]]
        while not self._is_done and (not slots[-1].size or slots[-1][-1] <= last):
            block = next(self._blocks, None)
            if block is None:
                self._is_done = True
            else:
                slots.append(block[0])
                codes.append(block[1])
        self._slots, self._codes = np.concatenate(slots), np.concatenate(codes)
        if self._slots.size and bool(np.any(self._slots[1:] <= self._slots[:-1])):
            raise CorruptBlockError(
                "the sender's settings do not have strictly increasing slots",
                hint="the sender's file is damaged or was made by two runs; record again",
            )
        return self._slots, self._codes


class BlockCutter:
    """Collect sifted bits into blocks of a fixed stretch.

    Parameters
    ----------
    length
        Of a block, in slots or picoseconds.
    start
        Position at which block 0 starts.
    """

    def __init__(self, length: int, *, start: int = 0) -> None:
        self._length = length
        self._next = start
        self._parts: list[SiftedBits] = []
        self._seen = start

    def feed(self, bits: SiftedBits, reached: int) -> Iterator[tuple[int, SiftedBits]]:
        """Add bits and yield (start, bits) of each block that ended.

        Parameters
        ----------
        bits
            In order, none before what was given earlier.
        reached
            Position up to which the stream is complete: a block is yielded once it lies below.

        Raises
        ------
        TagOrderError
            The stream went backwards.
        """
        if reached < self._seen:
            raise TagOrderError(f"sifted bits went back from position {self._seen} to {reached}")
        self._seen = reached
        if len(bits):
            self._parts.append(bits)
        while self._next + self._length <= reached:
            whole = join(self._parts)
            end = self._next + self._length
            self._parts = [whole.between(end, 1 << 62)]
            yield self._next, whole.between(self._next, end)
            self._next = end

    @property
    def left_over(self) -> int:
        """Bits of the block that has not ended; they make no key."""
        return sum(len(part) for part in self._parts)


def join(parts: list[SiftedBits]) -> SiftedBits:
    """Return the bits of consecutive stretches as one."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        none = np.empty(0, np.uint8)
        return SiftedBits(np.empty(0, np.int64), none, none, none, none)
    return SiftedBits(
        np.concatenate([part.positions for part in parts]),
        np.concatenate([part.basis for part in parts]),
        np.concatenate([part.intensity for part in parts]),
        np.concatenate([part.alice for part in parts]),
        np.concatenate([part.bob for part in parts]),
    )
