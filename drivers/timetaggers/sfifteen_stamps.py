"""Bytes of an S-Fifteen time-stamp stream, cut anywhere and perhaps damaged, to tags in order with their gaps.

Used by `sfifteen_tdc`; words are decoded by `faintlink.core.formats.sfifteen.StampDecoder`. No I/O.

Damage is found where a word's filler bits are wrong or its time steps back by more than `REORDER_WINDOW_PS`. Then
everything up to the next run of `AGREEMENT` words that agree with each other is skipped and reported as a gap. A
damaged word that happens to look right cannot be told; nor can whole words that were lost on the way.

Sources: as `faintlink.core.formats.sfifteen`. A TDC1 counter wraps after 0.27 s: the tagger's dummy words must come
more often than every half of that for the time to be unwrapped.
"""

import numpy as np
import numpy.typing as npt

from faintlink.core.formats.detection import FILLER
from faintlink.core.formats.sfifteen import DETECTORS, REORDER_WINDOW_PS, StampDecoder, StampLayout, Words
from faintlink.core.tags import GapCause, TagBlock
from faintlink.core.units import Channels, TimesPs
from faintlink.drivers.timetaggers.stream import TagAssembler

AGREEMENT = 16
"""Words in a row that must agree before a damaged stream is trusted again."""
_NEVER = 1 << 62

Raw = npt.NDArray[np.int64]


class StampStream:
    """Turns bytes into blocks.

    Parameters
    ----------
    layout
        Kind of word.
    tags
        Takes the tags and gaps.
    """

    def __init__(self, layout: StampLayout, tags: TagAssembler) -> None:
        self.layout = layout
        self._tags = tags
        self._size = 4 * layout.columns
        self._range = 1 << layout.bits
        self._window = (REORDER_WINDOW_PS << layout.shift) // layout.multiplier
        self._decoder = StampDecoder(layout)
        self._origin_ps = 0
        self._bytes = b""
        self._is_lost = self._is_announced = False
        self._since_ps: int | None = None
        self._last: int | None = None
        self._behind = 0
        self._anchor: int | None = None
        self._held: tuple[TimesPs, Channels] = (np.empty(0, np.int64), np.empty(0, np.uint8))

    def feed(self, data: bytes) -> TagBlock:
        """Take the next bytes and return the tags that no later one can overtake."""
        self._bytes += data
        parts = [self._held]
        while not self._is_lost or self._find_again(parts):
            words = np.frombuffer(self._bytes, "<u4", len(self._bytes) // self._size * self.layout.columns)
            words = words.reshape(-1, self.layout.columns)
            good = self._good(words)
            parts.append(self._decoded(words[:good]))
            self._bytes = self._bytes[good * self._size :]
            if good == len(words):
                return self._settled(parts, REORDER_WINDOW_PS)
            self._distrust(parts)
        return self._settled_lost(parts)

    def _distrust(self, parts: list[tuple[TimesPs, Channels]]) -> None:
        """Begin to be lost. The last words before damage was seen may be damaged too: take them back."""
        times_ps = np.concatenate([times for times, _ in parts])
        channels = np.concatenate([channel for _, channel in parts])
        kept = max(0, times_ps.size - AGREEMENT)
        parts[:] = [(times_ps[:kept], channels[:kept])]
        self._is_lost, self._is_announced = True, False
        self._since_ps = int(times_ps[:kept].max()) if kept else self._tags.last_ps
        if self._since_ps is not None:
            self._anchor = self._units(self._since_ps)

    def _settled_lost(self, parts: list[tuple[TimesPs, Channels]]) -> TagBlock:
        """Hand on all that came before the damage; from here on the gap is open."""
        block = self._settled(parts, -1)
        if not self._is_announced:
            self._is_announced = True
            self._tags.lose(GapCause.RECORD_DAMAGED, since_ps=self._since_ps)
        return block

    def flush(self) -> TagBlock:
        """Return the tags still held back, when nothing more comes for now."""
        return self._settled([self._held], -1)

    def _raw(self, words: Words) -> Raw:
        """Return the counters (n,) int64 of words, -1 where a word cannot be."""
        layout = self.layout
        if layout.columns == 1:
            return words[:, 0].astype(np.int64) >> 5
        low = words[:, 1 - layout.high].astype(np.int64)
        raw = (words[:, layout.high].astype(np.int64) << 22) | (low >> 10)
        raw[(low >> 6) & 15 != FILLER] = -1
        return raw

    def _steps(self, raw: Raw, last: int) -> Raw:
        """Return the signed steps (n,) int64 from each counter to the next, ``last`` being the one before."""
        half = self._range >> 1
        steps = (np.diff(raw, prepend=np.int64(last)) + half) & (self._range - 1)
        steps -= half
        return steps

    def _good(self, words: Words) -> int:
        """Return how many words are plausible, and remember how far the last one lies behind the newest."""
        if not len(words):
            return 0
        raw = self._raw(words)
        path = np.cumsum(self._steps(raw, int(raw[0]) if self._last is None else self._last)) - self._behind
        ahead = np.maximum(np.maximum.accumulate(path), 0)
        bad = (ahead - path > self._window) | (raw < 0)
        good = int(np.argmax(bad)) if bad.any() else len(words)
        if good:
            self._last = int(raw[good - 1])
            self._behind = int(ahead[good - 1] - path[good - 1])
        return good

    def _decoded(self, words: Words) -> tuple[TimesPs, Channels]:
        times_ps = np.empty(DETECTORS * len(words), np.int64)
        channels = np.empty(DETECTORS * len(words), np.uint8)
        count = self._decoder.decode_into(words, times_ps, channels)
        return times_ps[:count] + self._origin_ps, channels[:count]

    def _settled(self, parts: list[tuple[TimesPs, Channels]], window_ps: int) -> TagBlock:
        times_ps = np.concatenate([times for times, _ in parts])
        channels = np.concatenate([channel for _, channel in parts])
        if times_ps.size and bool(np.any(times_ps[1:] < times_ps[:-1])):
            order = np.argsort(times_ps, kind="stable")
            times_ps, channels = times_ps[order], channels[order]
        kept = times_ps.size
        if window_ps >= 0 and kept:
            kept = int(np.searchsorted(times_ps, times_ps[-1] - window_ps))
        self._held = times_ps[kept:].copy(), channels[kept:].copy()
        # Without tags the gaps go on waiting: they end with the next tag.
        return self._tags.block(times_ps[:kept], channels[:kept]) if kept else TagBlock.empty()

    def _units(self, time_ps: int) -> int:
        return (time_ps << self.layout.shift) // self.layout.multiplier

    def _find_again(self, parts: list[tuple[TimesPs, Channels]]) -> bool:
        """Skip damaged bytes up to words that agree; return whether there are such."""
        best_cost, best_start = _NEVER, 0
        for offset in range(min(self._size, len(self._bytes))):
            cost, start = self._agreement(offset)
            if cost < best_cost:
                best_cost, best_start = cost, start
        if best_cost == _NEVER:
            # The first of these bytes can belong to no run that is still to come.
            self._bytes = self._bytes[-(AGREEMENT + 1) * self._size :]
            return False
        self._bytes = self._bytes[best_start:]
        self._restart(parts)
        return True

    def _agreement(self, offset: int) -> tuple[int, int]:
        """Return the sum of the last steps of one alignment, and the byte from which on its words agree."""
        count = (len(self._bytes) - offset) // self._size
        if count <= AGREEMENT:
            return _NEVER, 0
        words = np.frombuffer(self._bytes, "<u4", count * self.layout.columns, offset)
        raw = self._raw(words.reshape(-1, self.layout.columns))
        steps = self._steps(raw, int(raw[0]))
        bad = (steps < -self._window) | (raw < 0)
        bad[1:] |= raw[:-1] < 0
        first = count - int(np.argmax(bad[::-1])) - (0 if raw[count - 1 - int(np.argmax(bad[::-1]))] < 0 else 1)
        first = first if bad.any() else 0
        if count - first < AGREEMENT:
            return _NEVER, 0
        return int(np.abs(steps[-AGREEMENT + 1 :]).sum()), offset + first * self._size

    def _restart(self, parts: list[tuple[TimesPs, Channels]]) -> None:
        """Begin anew at the first byte, in the turn of the counter that lies nearest to the last sure tag."""
        words = np.frombuffer(self._bytes, "<u4", self.layout.columns).reshape(1, -1)
        raw = int(self._raw(words)[0])
        turns = 0 if self._anchor is None else round((self._anchor - raw) / self._range)
        self._decoder = StampDecoder(self.layout)
        self._origin_ps = (turns * self._range * self.layout.multiplier) >> self.layout.shift
        self._last, self._behind, self._is_lost = raw, 0, False
        resumed_ps = self._origin_ps + ((raw * self.layout.multiplier) >> self.layout.shift)
        # Tags not yet handed on that lie after the resumption came from damaged words.
        for at, (times_ps, channels) in enumerate(parts):
            sure = times_ps <= resumed_ps
            parts[at] = times_ps[sure], channels[sure]
        if not self._is_announced:
            start_ps = resumed_ps if self._since_ps is None else min(self._since_ps, resumed_ps)
            self._tags.note(start_ps, resumed_ps, GapCause.RECORD_DAMAGED)
