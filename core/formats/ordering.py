"""Put tags that came slightly late back in order, with bounded memory and a count of how many there were.

Recording readers hand their decoded tags through a `Reorderer`, so that every `TagBlock` and every sequence of
blocks is in order of time. It never drops a tag and never sorts over an arbitrary distance: a tag later than the
window is an error of the recording, not something to be hidden.
"""

from collections.abc import Iterator

import numpy as np
from numba import njit

from faintlink.core.errors import TagOrderError
from faintlink.core.tags import TagBlock
from faintlink.core.units import Channels, TimesPs

DEFAULT_DEPTH = 131_072
"""Most tags held back; bounds the memory when a window is full of tags."""


@njit(cache=True, nogil=True)
def _is_sorted(times_ps: TimesPs) -> bool:
    # Counting to the end instead of stopping early lets the compiler use vector instructions.
    descents = 0
    for i in range(1, times_ps.size):
        descents += times_ps[i] < times_ps[i - 1]
    return descents == 0


class Reorderer:
    """Hold back the newest tags of a stream until nothing earlier can still arrive.

    Parameters
    ----------
    window_ps
        How much later than the newest tag a tag may arrive, in its own time.
    depth
        Most tags held back. Where more than ``depth`` tags lie inside one window, the oldest of them leave
        early and a late tag may then be refused although it is inside the window.

    Notes
    -----
    The caller asks for `room`, decodes into it and says how much it `filled`: the tags held back are then
    already in front of the new ones and nothing is copied twice.
    """

    def __init__(self, *, window_ps: int, depth: int = DEFAULT_DEPTH) -> None:
        self.window_ps = window_ps
        self.depth = depth
        self.reordered = 0
        self._held = TagBlock.empty()
        self._times: TimesPs = self._held.times_ps
        self._channels: Channels = self._held.channels
        self._left_ps: int | None = None

    def room(self, count: int) -> tuple[TimesPs, Channels]:
        """Return writable arrays (count,) int64 and (count,) uint8 for the next tags."""
        held = len(self._held)
        self._times = np.empty(held + count, np.int64)
        self._channels = np.empty(held + count, np.uint8)
        self._times[:held] = self._held.times_ps
        self._channels[:held] = self._held.channels
        return self._times[held:], self._channels[held:]

    def filled(self, count: int, *, max_tags: int) -> Iterator[TagBlock]:
        """Yield the tags that are settled after ``count`` new ones, in blocks of at most ``max_tags``.

        Raises
        ------
        TagOrderError
            A tag is later than the window, or than the tags that have left already.
        """
        total = len(self._held) + count
        block = self._in_order(TagBlock(self._times[:total], self._channels[:total]))
        settled = 0
        if total:
            newest_ps = int(block.times_ps[-1])
            settled = int(np.searchsorted(block.times_ps, newest_ps - self.window_ps, side="left"))
            settled = max(settled, total - self.depth)
        # Copied, so that the few tags held back do not keep a whole chunk alive.
        self._held = TagBlock(block.times_ps[settled:].copy(), block.channels[settled:].copy())
        yield from self._leave(block, settled, max_tags)

    def flush(self, *, max_tags: int) -> Iterator[TagBlock]:
        """Yield what is still held back, at the end of the stream."""
        rest, self._held = self._held, TagBlock.empty()
        yield from self._leave(rest, len(rest), max_tags)

    def _in_order(self, block: TagBlock) -> TagBlock:
        times_ps = block.times_ps
        if _is_sorted(times_ps):
            self._refuse_departed(times_ps)
            return block
        lateness_ps = np.maximum.accumulate(times_ps) - times_ps
        late = int(np.argmax(lateness_ps > self.window_ps))
        if lateness_ps[late] > self.window_ps:
            raise _too_late(int(times_ps[late]), int(lateness_ps[late]), self.window_ps)
        self.reordered += int(np.count_nonzero(lateness_ps))
        order = np.argsort(times_ps, kind="stable")
        self._refuse_departed(times_ps[order[:1]])
        return TagBlock(times_ps[order], block.channels[order])

    def _refuse_departed(self, times_ps: TimesPs) -> None:
        if self._left_ps is not None and times_ps.size and times_ps[0] < self._left_ps:
            raise _too_late(int(times_ps[0]), self._left_ps - int(times_ps[0]), self.window_ps)

    def _leave(self, block: TagBlock, count: int, max_tags: int) -> Iterator[TagBlock]:
        if count:
            self._left_ps = int(block.times_ps[count - 1])
        for start in range(0, count, max_tags):
            stop = min(start + max_tags, count)
            yield TagBlock(block.times_ps[start:stop], block.channels[start:stop])


def _too_late(time_ps: int, lateness_ps: int, window_ps: int) -> TagOrderError:
    return TagOrderError(
        f"a tag at {time_ps} ps comes {lateness_ps} ps after a later one; at most {window_ps} ps can be put in order",
        hint="the recording is damaged, of another format or word order, or joined from two runs",
        time_ps=time_ps,
        lateness_ps=lateness_ps,
        window_ps=window_ps,
    )
