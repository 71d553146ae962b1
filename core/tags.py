"""Blocks of time tags with their losses: what every tagger delivers and every stage consumes.

Loss is data. A tagger that overflowed, or a buffer that had to drop, says so with a `GapRecord` inside the
block; a stage that needs a whole stream discards what a gap touches and counts it.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from faintlink.core.errors import TagOrderError
from faintlink.core.units import Channels, TimesPs

UNKNOWN_LOSS = -1
"""``lost`` of a gap in which the number of missing tags is not known."""


class GapCause(IntEnum):
    """Why tags are missing; the value is the code in the run file."""

    DEVICE_OVERFLOW = 1
    """The tagger's own memory or bus was full."""
    BUFFER_FULL = 2
    """The program could not write as fast as the tagger delivered."""
    REFERENCE_LOST = 3
    """The external clock was lost: times across this gap do not belong together."""
    RECORD_DAMAGED = 4
    """Bytes of the stream could not be decoded."""
    DEVICE_RESTART = 5
    """The tagger started anew; its time base may have jumped."""
    PLANNED_DEAD_TIME = 6
    """The tagger was blind as its manual says, such as between two recordings; nothing failed."""


@dataclass(frozen=True, slots=True)
class GapRecord:
    """A stretch of time in which tags are missing."""

    start_ps: int
    """Last moment known to be whole."""
    end_ps: int
    """First moment known to be whole again."""
    lost: int
    """Number of missing tags, or `UNKNOWN_LOSS`."""
    cause: GapCause
    """Why."""

    def __post_init__(self) -> None:
        if self.end_ps < self.start_ps:
            raise TagOrderError(f"a gap ends at {self.end_ps} ps before it starts at {self.start_ps} ps")
        if self.lost < UNKNOWN_LOSS:
            raise ValueError(f"lost must be a count or {UNKNOWN_LOSS} for unknown, got {self.lost}")


@dataclass(frozen=True, slots=True, eq=False)
class TagBlock:
    """Time tags of one stretch, in order of time, with the gaps that fall into it.

    Use `TagBlock.checked` for data from outside: the bare constructor trusts its caller.
    """

    times_ps: TimesPs
    """(n,) int64, never decreasing."""
    channels: Channels
    """(n,) uint8."""
    gaps: tuple[GapRecord, ...] = ()
    """Losses in this stretch, in order of time."""

    @classmethod
    def checked(cls, times_ps: TimesPs, channels: Channels, gaps: Iterable[GapRecord] = ()) -> "TagBlock":
        """Return a block after checking types, lengths and order.

        Raises
        ------
        TypeError
            An array is not int64 or uint8, or not one-dimensional.
        ValueError
            The arrays differ in length.
        TagOrderError
            Times run backwards; the message names the first place.
        """
        if times_ps.dtype != np.int64 or channels.dtype != np.uint8 or times_ps.ndim != 1 or channels.ndim != 1:
            raise TypeError(
                f"a block takes 1-d int64 times and uint8 channels, got {times_ps.dtype} and {channels.dtype}"
            )
        if times_ps.size != channels.size:
            raise ValueError(f"{times_ps.size} times but {channels.size} channels")
        if times_ps.size and bool(np.any(times_ps[1:] < times_ps[:-1])):
            at = int(np.argmax(times_ps[1:] < times_ps[:-1]))
            raise TagOrderError(
                f"times run backwards at tag {at + 1}: {times_ps[at + 1]} ps after {times_ps[at]} ps",
                hint="sort the tags of each block before handing them on",
            )
        return cls(times_ps, channels, tuple(gaps))

    @classmethod
    def empty(cls, gaps: Iterable[GapRecord] = ()) -> "TagBlock":
        """Return a block without tags, which may still report gaps."""
        return cls(np.empty(0, np.int64), np.empty(0, np.uint8), tuple(gaps))

    def __len__(self) -> int:
        return int(self.times_ps.size)

    def __repr__(self) -> str:
        span = f"{self.times_ps[0]}..{self.times_ps[-1]} ps" if len(self) else "empty"
        return f"TagBlock({len(self)} tags, {span}, {len(self.gaps)} gaps)"

    @property
    def lost(self) -> int:
        """Number of tags known to be missing; gaps of unknown size count as nothing here."""
        return sum(gap.lost for gap in self.gaps if gap.lost > 0)

    def between(self, start_ps: int, end_ps: int) -> "TagBlock":
        """Return the tags with start_ps <= time < end_ps and the gaps that touch that stretch."""
        first, last = np.searchsorted(self.times_ps, (start_ps, end_ps))
        gaps = tuple(gap for gap in self.gaps if gap.start_ps < end_ps and gap.end_ps >= start_ps)
        return TagBlock(self.times_ps[first:last], self.channels[first:last], gaps)


def concatenate(blocks: Iterable[TagBlock]) -> TagBlock:
    """Return one block of all tags and gaps of blocks that follow each other in time.

    Raises
    ------
    TagOrderError
        A block starts before its predecessor ends.
    """
    parts = list(blocks)
    if not parts:
        return TagBlock.empty()
    filled = [part for part in parts if len(part)]
    for before, after in itertools.pairwise(filled):
        if after.times_ps[0] < before.times_ps[-1]:
            raise TagOrderError(f"a block starts at {after.times_ps[0]} ps, before {before.times_ps[-1]} ps")
    return TagBlock(
        np.concatenate([part.times_ps for part in parts]),
        np.concatenate([part.channels for part in parts]),
        tuple(gap for part in parts for gap in part.gaps),
    )
