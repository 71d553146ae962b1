"""The stream of an IDQ time controller: messages of sub-acquisitions and channels to tags in order.

Used by `idq_id900` through `Recorder`. In each sub-acquisition times start anew and each channel sends one message;
an empty one is that of a channel without events.

Sources: as `faintlink.drivers.timetaggers.idq_id900`.
"""

import time
from collections import deque
from typing import Protocol

import numpy as np

from faintlink.core.errors import ConnectionLostError
from faintlink.core.tags import GapCause, TagBlock, concatenate
from faintlink.core.units import PS_PER_S, Channels, TimesPs
from faintlink.drivers.timetaggers.stream import DeviceStream, Silence
from faintlink.drivers.transport.zmq_link import ZmqPull

DEAD_PS = 400_000
"""Dead time between sub-acquisitions; the controller needs 40 ns."""
SPLIT_TAGS = 100_000_000
"""A message of so many tags or more is followed by another one of the same sub-acquisition."""
MOST_AHEAD = 3
"""Sub-acquisitions by which one channel may be ahead of another."""
_TAG_BYTES = 8
_DRAIN_S = 2.0
_QUIET_S = 0.2


def merged(messages: dict[int, bytes], *, origin_ps: int, length_ps: int) -> tuple[TimesPs, Channels, int]:
    """Return the tags of one sub-acquisition in order of time, and how many words cannot be times of it.

    Parameters
    ----------
    messages
        uint64 little-endian ps since the start of the sub-acquisition, by channel.
    origin_ps
        Start of the sub-acquisition.
    length_ps
        Its length with dead time.
    """
    times: list[TimesPs] = [np.empty(0, np.int64)]
    channels: list[Channels] = [np.empty(0, np.uint8)]
    bad = 0
    for channel, message in messages.items():
        raw = np.frombuffer(message, "<u8", len(message) // _TAG_BYTES)
        kept = raw[raw < length_ps]
        bad += len(raw) - len(kept) + (len(message) % _TAG_BYTES > 0)
        times.append(kept.astype(np.int64) + origin_ps)
        channels.append(np.full(len(kept), channel, np.uint8))
    all_times, all_channels = np.concatenate(times), np.concatenate(channels)
    order = np.argsort(all_times, kind="stable")
    return all_times[order], all_channels[order], bad


class Recorder(Protocol):
    """What the stream needs of the controller."""

    @property
    def full_name(self) -> str:
        """Name of the instrument."""
        ...

    def begin_stream(self, length_ps: int, period_ps: int) -> dict[int, ZmqPull]:
        """Start recording; return where each channel's messages come."""
        ...

    def lost_since_last_asked(self) -> int:
        """Return how many time stamps the controller lost since it was asked last."""
        ...

    def end_recording(self) -> None:
        """Record no more."""
        ...

    def end_stream(self) -> None:
        """Stop the data link."""
        ...


class IDQStream(DeviceStream):
    """A stream of the enabled inputs.

    Raises
    ------
    ConnectionLostError
        On reading: nothing came for several sub-acquisitions, or one channel ceased to send.
    """

    def __init__(self, controller: Recorder, *, sub_acquisition_s: float, silence_s: float) -> None:
        super().__init__()
        self._controller = controller
        self._pulls: dict[int, ZmqPull] = {}
        self._waiting: dict[int, deque[bytes]] = {}
        self._index = 0
        self._length_ps = round(sub_acquisition_s * PS_PER_S)
        self._period_ps = self._length_ps + DEAD_PS
        self._silence = Silence(silence_s + MOST_AHEAD * sub_acquisition_s)

    def _begin(self) -> None:
        self._pulls = self._controller.begin_stream(self._length_ps, self._period_ps)
        self._waiting = {channel: deque() for channel in self._pulls}
        self._silence.broken()

    def _receive(self, timeout_s: float) -> bool:
        """Take in what came, waiting for one channel only; return whether anything did."""
        came = False
        for channel, pull in self._pulls.items():
            wait_s = 0.0 if came or self._waiting[channel] else timeout_s / len(self._pulls)
            while (message := pull.receive(wait_s)) is not None:
                came, wait_s = True, 0.0
                queue = self._waiting[channel]
                if queue and len(queue[-1]) >= SPLIT_TAGS * _TAG_BYTES:
                    queue[-1] += message
                else:
                    queue.append(message)
        return came

    def _collect(self, timeout_s: float) -> TagBlock:
        if self._receive(timeout_s):
            self._silence.broken()
        else:
            self._silence.require_short(
                self._controller.full_name, "the data link or the controller stopped or restarted: start a new stream"
            )
        self._require_abreast()
        blocks = []
        while all(self._waiting.values()):
            blocks.append(self._sub_acquisition({n: queue.popleft() for n, queue in self._waiting.items()}))
        return concatenate(blocks)

    def _require_abreast(self) -> None:
        waiting = {channel: len(queue) for channel, queue in self._waiting.items()}
        if max(waiting.values()) - min(waiting.values()) > MOST_AHEAD:
            raise ConnectionLostError(
                f"{self._controller.full_name}: channels are no longer abreast; sub-acquisitions waiting {waiting}",
                hint="a message was lost, so that times are no longer known: start a new stream",
                device=self._controller.full_name,
            )

    def _sub_acquisition(self, messages: dict[int, bytes]) -> TagBlock:
        before_ps = self.tags.last_ps
        origin_ps = self._index * self._period_ps
        self._index += 1
        times_ps, channels, bad = merged(messages, origin_ps=origin_ps, length_ps=self._period_ps)
        block = self.tags.block(times_ps, channels)
        self.tags.note(origin_ps + self._length_ps, origin_ps + self._period_ps, GapCause.PLANNED_DEAD_TIME)
        if bad:
            self.tags.lose(GapCause.RECORD_DAMAGED, lost=bad, since_ps=before_ps)
        lost = self._controller.lost_since_last_asked() if self.is_running else 0
        if lost:
            self.tags.lose(GapCause.DEVICE_OVERFLOW, lost=lost, since_ps=before_ps)
        return block

    def _end(self) -> TagBlock:
        deadline = time.monotonic() + _DRAIN_S
        try:
            self._controller.end_recording()
            while self._receive(_QUIET_S) and time.monotonic() < deadline:
                pass
        finally:
            self._controller.end_stream()
            for pull in self._pulls.values():
                pull.close()
        blocks = []
        while any(self._waiting.values()):
            messages = {n: queue.popleft() if queue else b"" for n, queue in self._waiting.items()}
            blocks.append(self._sub_acquisition(messages))
        return concatenate([*blocks, self.tags.finish()])
