"""Gate the tags of a pulsed link and make at most one detection of each slot.

`PulsedDetector` is the same object live and offline. It knows nothing of the sender's settings.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from faintlink.core.config.link import Gate, Receiver
from faintlink.core.errors import UnknownChannelError
from faintlink.core.units import Slots
from faintlink.postprocess.kernels import detect as kernel
from faintlink.postprocess.qkd.clock import SlottedTags
from faintlink.postprocess.qkd.floor import FloorCounts, count_floor
from faintlink.postprocess.qkd.squash import squash

HISTOGRAM_BINS = 250


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """At most one detection per slot."""

    slots: Slots
    """(n,) int64, strictly increasing."""
    outcomes: npt.NDArray[np.uint8] = field(repr=False)
    """(n,) uint8, 2*basis + bit after squashing."""
    time_ps: int
    """Receiver's time of the first tag of this stretch; of a pulse inside it when there are no tags."""


@dataclass(frozen=True, slots=True, eq=False)
class ArrivalStatistics:
    """Counts of clicks by outcome, and when in the slot they came; adds."""

    tags: int
    """Tags seen."""
    outside: int
    """Clicks outside the gate."""
    in_dead_time: int
    """Clicks ignored because some detector was blind."""
    ignored: int
    """Tags on channels that carry no detections."""
    events: int
    """Slots with a valid detection."""
    multi: int
    """Those with more than one click."""
    moments: npt.NDArray[np.int64]
    """(4, 3) int64 by outcome: valid clicks, sum of phases in ps, sum of their squares."""
    histogram: npt.NDArray[np.int64]
    """(4, bins) int64 by outcome: phases of all clicks over one slot period."""
    floor: FloorCounts = field(default_factory=FloorCounts)
    """Clicks far from any pulse; empty for pairs."""

    @classmethod
    def zero(cls) -> "ArrivalStatistics":
        """Return the statistics of nothing."""
        moments, histogram = np.zeros((4, 3), np.int64), np.zeros((4, HISTOGRAM_BINS), np.int64)
        return cls(0, 0, 0, 0, 0, 0, moments, histogram)

    def __add__(self, other: "ArrivalStatistics") -> "ArrivalStatistics":
        return ArrivalStatistics(
            self.tags + other.tags,
            self.outside + other.outside,
            self.in_dead_time + other.in_dead_time,
            self.ignored + other.ignored,
            self.events + other.events,
            self.multi + other.multi,
            self.moments + other.moments,
            self.histogram + other.histogram,
            self.floor + other.floor,
        )

    @property
    def clicks(self) -> npt.NDArray[np.int64]:
        """(4,) valid clicks by outcome."""
        return self.moments[:, 0]


class PulsedDetector:
    """Detections of one receiver of a pulsed link.

    Parameters
    ----------
    receiver
        Channel map and dead time.
    gate
        Gate around the recovered pulse.
    period_ps
        Of the slots.
    squash_seed
        The receiver's secret for multi-click slots, see `faintlink.postprocess.qkd.squash`.
    """

    def __init__(self, receiver: Receiver, gate: Gate, *, period_ps: float, squash_seed: bytes) -> None:
        self._meaning = channel_meaning(receiver)
        self._seed = squash_seed
        self._name = receiver.tagger
        self._has_ignored = bool(receiver.ignored_channels)
        self._period_ps = period_ps
        half_period = round(period_ps / 2)
        self._gate = np.array([gate.center_ps, gate.half_width_ps, receiver.dead_time_ps, -half_period], np.int64)
        self._state = np.array([-(1 << 62), -1, -1], np.int64)

    def detect(self, tags: SlottedTags) -> tuple[Detections, ArrivalStatistics]:
        """Return the detections of the next stretch, and its statistics.

        Slots before the sender's first one hold no detections.

        Raises
        ------
        UnknownChannelError
            A tag came on a channel that the map does not name.
        """
        n = tags.times_ps.size
        slots, masks = np.empty(n, np.int64), np.empty(n, np.uint8)
        counters = np.zeros(kernel.COUNTERS, np.int64)
        moments, histogram = np.zeros((4, 3), np.int64), np.zeros((4, HISTOGRAM_BINS), np.int64)
        rows = kernel.detections(
            tags.times_ps,
            tags.channels,
            tags.slots,
            tags.phases_ps,
            self._meaning,
            self._gate,
            self._state,
            counters,
            moments,
            histogram,
            slots,
            masks,
        )
        if self._state[2] >= 0:
            raise unknown_channel(int(self._state[2]), self._name, self._meaning)
        outcomes = squash(slots[:rows], masks[:rows], self._seed)
        time_ps = int(tags.times_ps[0]) if n else tags.model.t0_ps
        counted = (int(counters[at]) for at in range(kernel.COUNTERS))
        tags_, outside, dead, ignored, events, multi = counted
        floor = self._floor(tags)
        statistics = ArrivalStatistics(tags_, outside, dead, ignored, events, multi, moments, histogram, floor)
        return Detections(slots[:rows], outcomes, time_ps), statistics

    def _floor(self, tags: SlottedTags) -> FloorCounts:
        times, phases = tags.times_ps, tags.phases_ps
        if self._has_ignored:
            carries = self._meaning[tags.channels] < kernel.IGNORED
            times, phases = times[carries], phases[carries]
        center, half_width = self._gate.tolist()[:2]
        return count_floor(times, phases, center_ps=center, half_width_ps=half_width, period_ps=self._period_ps)


def channel_meaning(receiver: Receiver) -> npt.NDArray[np.uint8]:
    """Return the outcome 2*basis + bit of each channel, (256,) uint8, or `kernel.IGNORED`, `kernel.UNKNOWN`."""
    meaning = np.full(256, kernel.UNKNOWN, np.uint8)
    meaning[list(receiver.ignored_channels)] = kernel.IGNORED
    for number, what in receiver.channels.items():
        meaning[number] = 2 * what.basis_code + what.bit
    return meaning


def unknown_channel(channel: int, tagger: str, meaning: npt.NDArray[np.uint8]) -> UnknownChannelError:
    """Return the error for a tag on a channel that the map does not name."""
    known = np.flatnonzero(meaning != kernel.UNKNOWN).tolist()
    return UnknownChannelError(
        f"{tagger} delivered a tag on channel {channel}; the link's channel map knows {known}",
        hint="add the channel under receivers: channels, or under ignored_channels if it carries no detections",
        channel=channel,
    )
