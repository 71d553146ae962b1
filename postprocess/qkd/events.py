"""Detections of one receiver of a pair source: clicks that came together are one.

`EventMaker` makes them of tags, `EventQueue` holds them until the other party's are there. A detection is a `TagBlock`
row whose channel is its outcome 2*basis + bit.
"""

import numpy as np
import numpy.typing as npt

from faintlink.core.config.link import Receiver
from faintlink.core.tags import TagBlock, concatenate
from faintlink.core.units import TimesPs
from faintlink.postprocess.kernels import detect as kernel
from faintlink.postprocess.qkd.detection import HISTOGRAM_BINS, ArrivalStatistics, channel_meaning, unknown_channel
from faintlink.postprocess.qkd.squash import squash

LATEST_PS = 1 << 62
"""Later than any tag."""


class EventMaker:
    """Make detections of one receiver's tags: clicks that came together are one.

    Parameters
    ----------
    receiver
        Channel map and dead time.
    window_ps
        Clicks within this time are one detection.
    seed
        The receiver's secret, see `faintlink.postprocess.qkd.squash`.
    """

    def __init__(self, receiver: Receiver, window_ps: int, seed: bytes) -> None:
        self._meaning = channel_meaning(receiver)
        self._name = receiver.tagger
        self._spans = np.array([window_ps, receiver.dead_time_ps], np.int64)
        self._state = np.array([-LATEST_PS, 0, -1, 0, 0], np.int64)
        self._seed = seed

    def events(self, block: TagBlock) -> tuple[TagBlock, ArrivalStatistics]:
        """Return the detections that the next tags finish, with outcomes 2*basis + bit as channels, and statistics.

        The last detection waits for the next call, since a click that belongs to it may still come.

        Raises
        ------
        UnknownChannelError
            A tag came on a channel that the map does not name.
        """
        times, masks = np.empty(len(block), np.int64), np.empty(len(block), np.uint8)
        counters = np.zeros(kernel.COUNTERS, np.int64)
        rows = kernel.clusters(
            block.times_ps, block.channels, self._meaning, self._spans, self._state, counters, times, masks
        )
        if self._state[2] >= 0:
            raise unknown_channel(int(self._state[2]), self._name, self._meaning)
        return self._finished(times[:rows], masks[:rows], counters)

    def finish(self) -> tuple[TagBlock, ArrivalStatistics]:
        """Return the detection that still waits, if there is one, at the end of the stream."""
        times, masks, counters = np.empty(1, np.int64), np.empty(1, np.uint8), np.zeros(kernel.COUNTERS, np.int64)
        rows = kernel.close_cluster(self._state, counters, times, masks, 0)
        return self._finished(times[:rows], masks[:rows], counters)

    def _finished(
        self, times: TimesPs, masks: npt.NDArray[np.uint8], counters: npt.NDArray[np.int64]
    ) -> tuple[TagBlock, ArrivalStatistics]:
        outcomes = squash(times, masks, self._seed)
        moments, histogram = np.zeros((4, 3), np.int64), np.zeros((4, HISTOGRAM_BINS), np.int64)
        moments[:, 0] = np.bincount(outcomes, minlength=4)
        tags, outside, dead, ignored, events, multi = counters.tolist()
        statistics = ArrivalStatistics(tags, outside, dead, ignored, events, multi, moments, histogram)
        return TagBlock(times, outcomes), statistics


class EventQueue:
    """Detections of one party that wait for the other's, and the statistics not yet reported."""

    def __init__(self, maker: EventMaker) -> None:
        self._maker = maker
        self._parts: list[TagBlock] = []
        self._statistics = ArrivalStatistics.zero()
        self.first_ps = LATEST_PS
        """Of the first detection ever."""
        self.last_ps = -LATEST_PS
        """Of the last one so far."""

    def put(self, block: TagBlock) -> None:
        """Take the party's next tags."""
        self._take(*self._maker.events(block))

    def finish(self) -> None:
        """Take the detection that waited for the end of the stream."""
        self._take(*self._maker.finish())

    def _take(self, events: TagBlock, statistics: ArrivalStatistics) -> None:
        self._statistics += statistics
        if len(events):
            self._parts.append(events)
            self.last_ps = int(events.times_ps[-1])
            self.first_ps = min(self.first_ps, int(events.times_ps[0]))

    def all(self) -> TagBlock:
        """Return all detections that wait."""
        self._parts = [concatenate(self._parts)]
        return self._parts[0]

    def keep(self, rest: TagBlock) -> None:
        """Drop all detections but ``rest``."""
        self._parts = [rest]

    def take_statistics(self) -> ArrivalStatistics:
        """Return the statistics of what came since the last call."""
        taken, self._statistics = self._statistics, ArrivalStatistics.zero()
        return taken
