"""From the server's time tags to arrivals and outcomes, by the triggers that mark its slots.

The server's own program uses it on fresh tags, and the analysis on recorded ones, so that both see the same.

Slots come in batches of a attempts of n vertices: first a n preparation slots, attempt by attempt; then for each
vertex in order of measurement a slots, one an attempt. Each slot starts with a trigger.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from faintlink.core.config.applications.bqc import BqcPolicy, BqcWindow
from faintlink.core.errors import TagOverflowError, UnknownChannelError
from faintlink.core.tags import TagBlock
from faintlink.core.units import Channels, TimesPs
from faintlink.postprocess.bqc.messages import LOST

NO_TAG = -1
"""Time of a qubit without a tag that counts."""


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What the tags of some slots say."""

    trigger_ps: TimesPs
    """(m,) int64: start of each slot."""
    arrived: npt.NDArray[np.uint8]
    """(m,) uint8: 1 or `LOST`, for preparation slots."""
    herald_ps: TimesPs
    """(m,) int64: the first herald, or -1."""
    outcome: npt.NDArray[np.uint8]
    """(m,) uint8: 0, 1 or `LOST`, for measurement slots."""
    outcome_ps: TimesPs
    """(m,) int64: the outcome's tag, or -1."""
    doubles: int
    """Slots with more than one outcome tag; these are lost."""

    def __len__(self) -> int:
        return int(self.trigger_ps.size)

    def part(self, first: int, count: int) -> "Reading":
        """Return some slots; their doubles are not counted anew."""
        cut = slice(first, first + count)
        times = self.trigger_ps[cut], self.arrived[cut], self.herald_ps[cut]
        return Reading(*times, self.outcome[cut], self.outcome_ps[cut], 0)


def read_slots(block: TagBlock, policy: BqcPolicy) -> Reading:
    """Return what the tags say, slot by slot. Tags outside the windows, and before the first trigger, do not count.

    Raises
    ------
    TagOverflowError
        Tags are missing: the slots could no longer be counted.
    UnknownChannelError
        A tag's channel has no meaning.
    """
    if block.gaps:
        raise TagOverflowError(
            f"the server's tags have {len(block.gaps)} gaps with {block.lost} known losses",
            hint="slots are counted by their triggers, all of which are needed; repeat the session",
        )
    channels = policy.channels
    known = {channels.trigger, channels.herald, channels.outcome_0, channels.outcome_1}
    strange = set(np.flatnonzero(np.bincount(block.channels, minlength=1)).tolist()) - known
    if strange:
        raise UnknownChannelError(f"channels {sorted(strange)} have no meaning here", hint="see bqc.channels")
    triggers = block.times_ps[block.channels == channels.trigger]
    herald, herald_ps = _counted(block, triggers, policy.herald_window, channels.herald)
    plus, plus_ps = _counted(block, triggers, policy.outcome_window, channels.outcome_0)
    minus, minus_ps = _counted(block, triggers, policy.outcome_window, channels.outcome_1)
    single = plus + minus == 1
    return Reading(
        trigger_ps=triggers,
        arrived=np.where(herald > 0, 1, LOST).astype(np.uint8),
        herald_ps=herald_ps,
        outcome=np.where(single, minus, LOST).astype(np.uint8),
        outcome_ps=np.where(single, np.maximum(plus_ps, minus_ps), NO_TAG),
        doubles=int(np.count_nonzero(plus + minus > 1)),
    )


def _counted(
    block: TagBlock, triggers: TimesPs, window: BqcWindow, channel: int
) -> tuple[npt.NDArray[np.int64], TimesPs]:
    """Return how many tags of a channel each slot has in the window, and the time of the first."""
    times = block.times_ps[block.channels == channel]
    slots = np.searchsorted(triggers, times, side="right") - 1
    times, slots = times[slots >= 0], slots[slots >= 0]
    offset = times - triggers[slots]
    counts = (offset >= window.start_ps) & (offset < window.end_ps)
    times, slots = times[counts], slots[counts]
    first = np.full(triggers.size, NO_TAG, np.int64)
    first[slots[::-1]] = times[::-1]
    return np.bincount(slots, minlength=triggers.size).astype(np.int64), first


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """What the server's tags say of each attempt; arrays (a, n)."""

    arrived: npt.NDArray[np.uint8]
    """uint8: 1 or `LOST`."""
    herald_ps: TimesPs
    """int64, or -1."""
    outcome: npt.NDArray[np.uint8]
    """uint8: 0, 1 or `LOST`."""
    trigger_ps: TimesPs
    """int64: the server's electronics had the angle."""
    outcome_ps: TimesPs
    """int64, or -1."""
    doubles: int
    """Measurement slots with more than one outcome tag."""

    def channel(self, policy: BqcPolicy) -> Channels:
        """Return the tagger channel of each outcome, (a, n) uint8; 0 for a loss."""
        codes = np.array([policy.channels.outcome_0, policy.channels.outcome_1, 0], np.uint8)
        return codes[self.outcome]


def observe_attempts(reading: Reading, sizes: npt.NDArray[np.int64], order: tuple[int, ...]) -> Observed:
    """Return what each attempt's qubits did, given the number of attempts of each batch, (b,) int64.

    Raises
    ------
    TagOverflowError
        The tags hold another number of slots than the clients have sent settings for.
    """
    n = len(order)
    expected = 2 * n * int(sizes.sum())
    if len(reading) != expected:
        raise TagOverflowError(
            f"the server's tags hold {len(reading)} slots, the clients have settings for {expected}",
            hint="the run and the clients' records belong to different sessions, or tags are missing",
        )
    parts = [_batch(reading, first, size, order) for first, size in _batches(sizes, n)]

    def joined(at: int, kind: type) -> npt.NDArray[Any]:
        return np.concatenate([np.zeros((0, n), kind), *(part[at] for part in parts)])

    return Observed(
        arrived=joined(0, np.uint8),
        herald_ps=joined(1, np.int64),
        outcome=joined(2, np.uint8),
        trigger_ps=joined(3, np.int64),
        outcome_ps=joined(4, np.int64),
        doubles=reading.doubles,
    )


def _batches(sizes: npt.NDArray[np.int64], n: int) -> Iterator[tuple[int, int]]:
    """Yield the first slot and the attempts of each batch."""
    at = 0
    for size in sizes.tolist():
        yield at, size
        at += 2 * size * n


def _batch(reading: Reading, first: int, size: int, order: tuple[int, ...]) -> tuple[npt.NDArray[Any], ...]:
    n = len(order)
    prepared, measured = reading.part(first, size * n), reading.part(first + size * n, size * n)
    back = np.argsort(order)

    def by_vertex(column: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return column.reshape(n, size).T[:, back]

    return (
        prepared.arrived.reshape(size, n),
        prepared.herald_ps.reshape(size, n),
        by_vertex(measured.outcome),
        by_vertex(measured.trigger_ps),
        by_vertex(measured.outcome_ps),
    )
