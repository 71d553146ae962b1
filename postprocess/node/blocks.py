"""A node's own data, block by block: Bob's detections and Alice's record, from run files.

Each node reads its own party's files only. The stages are those of the pipeline.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faintlink.core.config.link import LinkConfig
from faintlink.core.runfile.folder import PartyRecording
from faintlink.core.symbols import Party
from faintlink.core.units import Slots
from faintlink.postprocess.kernels.detect import join_settings
from faintlink.postprocess.node.alice import Recorded
from faintlink.postprocess.qkd.clock import SlottedTags
from faintlink.postprocess.qkd.detection import ArrivalStatistics, Detections
from faintlink.postprocess.qkd.monitors import MonitorReading
from faintlink.postprocess.qkd.pulsed import PulsedReceiver, squash_seed
from faintlink.postprocess.qkd.receiver_watch import receiver_readings
from faintlink.postprocess.qkd.sift import SettingsCursor


@dataclass(frozen=True, slots=True, eq=False)
class DetectionBlock:
    """All detections of one block."""

    number: int
    """From 0."""
    detections: Detections
    """Slots within the block, strictly increasing."""
    readings: tuple[MonitorReading, ...]
    """What the monitors say of the clicks."""


class BlockReader:
    """Cut Bob's recording into blocks of a fixed number of slots.

    Parameters
    ----------
    recording
        Bob's files.
    link
        Of a prepare-and-measure protocol.
    """

    def __init__(self, recording: PartyRecording, link: LinkConfig) -> None:
        self._recording = recording
        self._link = link
        self._receiver = PulsedReceiver(link, squash_seed(recording))
        self._slots: list[npt.NDArray[np.int64]] = []
        self._outcomes: list[npt.NDArray[np.uint8]] = []
        self._arrivals = ArrivalStatistics.zero()
        self._next = 0

    def blocks(self) -> Iterator[DetectionBlock]:
        """Yield each whole block; the incomplete one at the end makes no key."""
        for tags in self._receiver.counter.stretches(self._recording.tags()):
            yield from self._take(tags)

    def _take(self, tags: SlottedTags) -> Iterator[DetectionBlock]:
        detections, arrivals = self._receiver.detect(tags)
        self._slots.append(detections.slots)
        self._outcomes.append(detections.outcomes)
        self._arrivals += arrivals
        reached = int(tags.slots[-1]) if tags.slots.size else 0
        ended = False
        while (self._next + 1) * self._link.block_slots <= reached:
            ended = True
            yield self._cut()
        if ended:
            self._arrivals = ArrivalStatistics.zero()

    def _cut(self) -> DetectionBlock:
        slots, outcomes = np.concatenate(self._slots), np.concatenate(self._outcomes)
        at = int(np.searchsorted(slots, (self._next + 1) * self._link.block_slots))
        self._slots, self._outcomes = [slots[at:]], [outcomes[at:]]
        number, self._next = self._next, self._next + 1
        readings = receiver_readings(Party.BOB, self._arrivals, self._link.security.monitors)
        return DetectionBlock(number, Detections(slots[:at], outcomes[:at], 0), tuple(readings))


class SettingsRecord:
    """Look up Alice's recorded settings; slots must be asked for block by block, in order.

    Parameters
    ----------
    recording
        Alice's files.
    """

    def __init__(self, recording: PartyRecording) -> None:
        self._cursor = SettingsCursor(recording.settings())

    def __call__(self, slots: Slots) -> Recorded:
        """Return what was played in slots (n,) int64."""
        codes, found = np.zeros(slots.size, np.uint8), np.zeros(slots.size, np.bool_)
        if slots.size:
            join_settings(slots, *self._cursor.upto(int(slots[0]), int(slots[-1])), codes, found)
        return Recorded(codes, found)
