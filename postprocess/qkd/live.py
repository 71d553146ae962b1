"""The live side of the pipeline: the same stages as offline, fed block by block during acquisition.

`PulsedLive` tells the acquisition which settings to ask the sender for, `PairLive` correlates two receivers; both
keep running counts and hand each `SiftedPiece` on to whoever shows them. Neither makes key.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from faintlink.core.config.link import LinkConfig
from faintlink.core.errors import ClockLostError
from faintlink.core.records import ErrorCount
from faintlink.core.symbols import Party
from faintlink.core.tags import TagBlock
from faintlink.core.units import PS_PER_S, Slots
from faintlink.postprocess.qkd.clock import SlottedTags
from faintlink.postprocess.qkd.detection import ArrivalStatistics, Detections
from faintlink.postprocess.qkd.pairs import PairSifter
from faintlink.postprocess.qkd.pieces import SiftedPiece
from faintlink.postprocess.qkd.pulsed import PulsedReceiver, pulsed_source, wanted_slots
from faintlink.postprocess.qkd.sift import sift

_NONE = np.empty(0, np.int64)

OnPiece: TypeAlias = Callable[[SiftedPiece], None]
"""Takes what was sifted; called in the analysis's thread."""


@dataclass(frozen=True, slots=True)
class LiveSummary:
    """What a watcher wants to know, at one moment."""

    elapsed_s: float = 0.0
    """Receiver's time since the first tag."""
    tags: int = 0
    """Tags seen."""
    lost: int = 0
    """Tags known to be missing."""
    rate_hz: Mapping[int, float] = field(default_factory=dict)
    """Rate of each tagger channel over the last stretch."""
    qber_key: ErrorCount = field(default_factory=ErrorCount)
    """Key basis, since the start."""
    qber_test: ErrorCount = field(default_factory=ErrorCount)
    """Test basis, since the start."""
    recent_key: ErrorCount = field(default_factory=ErrorCount)
    """Key basis, last stretch."""
    clock_ppm: float | None = None
    """Frequency of the sender against the receiver; None without a lock."""
    state: str = "searching the clock"
    """In words."""


class RateMeter:
    """Tags, losses and channel rates of the streams, over about a second."""

    def __init__(self) -> None:
        self._first_ps: int | None = None
        self._last_ps = 0
        self._counts = np.zeros(256, np.int64)
        self._since_ps = 0
        self._rates: dict[int, float] = {}
        self.tags = 0
        self.lost = 0

    def feed(self, block: TagBlock) -> None:
        """Count a block."""
        self.lost += block.lost
        if not len(block):
            return
        self.tags += len(block)
        if self._first_ps is None:
            self._first_ps = self._since_ps = int(block.times_ps[0])
        self._last_ps = int(block.times_ps[-1])
        self._counts += np.bincount(block.channels, minlength=256)
        span = self._last_ps - self._since_ps
        if span > PS_PER_S // 2:
            seen = np.flatnonzero(self._counts).tolist()
            self._rates = {channel: float(self._counts[channel]) * PS_PER_S / span for channel in seen}
            self._counts[:] = 0
            self._since_ps = self._last_ps

    def summary(self) -> LiveSummary:
        """Return a summary that knows rates only."""
        elapsed = (self._last_ps - self._first_ps) / PS_PER_S if self._first_ps is not None else 0.0
        return LiveSummary(elapsed_s=elapsed, tags=self.tags, lost=self.lost, rate_hz=dict(self._rates))


class PulsedLive:
    """Live analysis of a pulsed link.

    Parameters
    ----------
    link
        Its configuration.
    squash_seed
        The receiver's secret of this run.
    on_piece
        Is given every piece that was sifted, in order, to count; it must keep no bit of it.
    """

    def __init__(self, link: LinkConfig, squash_seed: bytes, *, on_piece: OnPiece | None = None) -> None:
        self._on_piece = on_piece
        self._receiver = PulsedReceiver(link, squash_seed)
        self._nominal_ps = pulsed_source(link).period_ps
        self._intensities = len(pulsed_source(link).intensities)
        self._meter = RateMeter()
        self._waiting: deque[tuple[Detections, ArrivalStatistics, int]] = deque()
        self._asked = -1
        self._reached = 0
        self._newest = (np.empty(0, np.int64), np.empty(0, np.uint8))
        self._ppm: float | None = None
        self._key = self._test = ErrorCount()
        self._recent: deque[ErrorCount] = deque(maxlen=50)
        self._failure = ""

    def feed(self, party: Party, block: TagBlock) -> Slots:
        """Take Bob's next block and return the slots to ask the sender for, strictly increasing over all calls."""
        if party is not Party.BOB:
            return _NONE
        self._meter.feed(block)
        if self._failure:
            return _NONE
        try:
            return self._ask(self._receiver.counter.feed(block))
        except ClockLostError as error:
            self._failure = f"clock lost: {error.message}"
            return _NONE

    def finish(self) -> Slots:
        """Return the slots that still have to be asked for at the end of the stream."""
        if self._failure:
            return _NONE
        try:
            return self._ask(self._receiver.counter.finish())
        except ClockLostError as error:
            self._failure = f"clock lost: {error.message}"
            return _NONE

    def account(self, slots: Slots, codes: npt.NDArray[np.uint8]) -> None:
        """Take the sender's settings of the slots returned last and count errors."""
        # The last slot asked for earlier may have got its detection only now.
        slots, codes = np.concatenate((self._newest[0], slots)), np.concatenate((self._newest[1], codes))
        self._newest = (slots[-1:], codes[-1:])
        while self._waiting:
            detections, arrivals, last = self._waiting.popleft()
            bits, count = sift(detections, slots, codes)
            start, self._reached = self._reached, max(self._reached, last)
            if self._on_piece is not None:
                parties = {Party.BOB: arrivals}
                self._on_piece(SiftedPiece(bits, start, self._reached, detections.time_ps, parties, count))
            counts = bits.counts(self._intensities)
            self._key += counts.key
            self._test += counts.test
            self._recent.append(counts.key)

    def summary(self) -> LiveSummary:
        """Return the figures of this moment."""
        recent = sum(self._recent, ErrorCount())
        locked = self._receiver.counter.is_locked
        state = self._failure or ("locked" if locked else "searching the clock")
        return replace(
            self._meter.summary(),
            qber_key=self._key,
            qber_test=self._test,
            recent_key=recent,
            clock_ppm=self._ppm if locked else None,
            state=state,
        )

    def _ask(self, pieces: list[SlottedTags]) -> Slots:
        wanted = []
        for tags in pieces:
            last = int(tags.slots[-1]) if tags.slots.size else 0
            self._waiting.append((*self._receiver.detect(tags), last))
            slots = wanted_slots(tags, self._asked)
            if slots.size:
                self._asked = int(slots[-1])
                wanted.append(slots)
            self._ppm = (self._nominal_ps / tags.model.period_ps - 1.0) * 1e6
        return np.concatenate(wanted) if wanted else _NONE


class PairLive:
    """Live analysis of a link with a pair source; it asks no sender.

    Parameters
    ----------
    link
        Its configuration.
    seeds
        Each receiver's secret of this run.
    on_piece
        Is given every piece that was sifted, in order, to count; it must keep no bit of it.
    """

    def __init__(self, link: LinkConfig, seeds: Mapping[Party, bytes], *, on_piece: OnPiece | None = None) -> None:
        self._on_piece = on_piece
        self._sifter = PairSifter(link, seeds)
        self._meters = {party: RateMeter() for party in link.receivers}
        self._key = self._test = ErrorCount()
        self._recent = ErrorCount()
        self._failure = ""

    def feed(self, party: Party, block: TagBlock) -> Slots:
        """Take a party's next block; there is never a slot to ask for."""
        self._meters[party].feed(block)
        if not self._failure:
            self._guarded(lambda: self._sifter.feed(party, block))
        return _NONE

    def finish(self) -> Slots:
        """Sift what is left at the end of the streams."""
        if not self._failure:
            self._guarded(self._sifter.finish)
        return _NONE

    def account(self, slots: Slots, codes: npt.NDArray[np.uint8]) -> None:
        """Nothing is asked, so nothing is answered."""

    def summary(self) -> LiveSummary:
        """Return the figures of this moment; rates are those of Bob's channels."""
        seen = {party: meter.summary() for party, meter in self._meters.items()}
        state = self._failure or ("locked" if self._sifter.is_locked else "searching the clock")
        return replace(
            seen[Party.BOB],
            tags=sum(one.tags for one in seen.values()),
            lost=sum(one.lost for one in seen.values()),
            qber_key=self._key,
            qber_test=self._test,
            recent_key=self._recent,
            clock_ppm=self._sifter.frequency_ppm,
            state=state,
        )

    def _guarded(self, work: Callable[[], Iterable[SiftedPiece]]) -> None:
        try:
            for piece in work():
                if self._on_piece is not None:
                    self._on_piece(piece)
                counts = piece.bits.counts(1)
                self._recent = counts.key
                self._key += counts.key
                self._test += counts.test
        except ClockLostError as error:
            self._failure = f"clock lost: {error.message}"


def live_analysis(
    link: LinkConfig, seeds: Mapping[Party, bytes], *, on_piece: OnPiece | None = None
) -> PulsedLive | PairLive:
    """Return the live analysis of a link; ``seeds`` are the receivers' secrets of this run."""
    if link.source is not None:
        return PulsedLive(link, seeds[Party.BOB], on_piece=on_piece)
    return PairLive(link, seeds, on_piece=on_piece)
