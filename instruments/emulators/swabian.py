"""A stand-in for the package ``Swabian.TimeTagger`` with one emulated tagger.

Give it to the driver as ``library=``. Overflows, missed events and clock errors are injected by its methods.

Sources: as the driver, `faintlink.drivers.timetaggers.swabian`.
"""

# ruff: noqa: N802 - the names are the maker's

from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

from faintlink.core.tags import TagBlock
from faintlink.core.units import TimesPs
from faintlink.instruments.emulators.kit.tag_source import TagSource
from faintlink.instruments.roles import TagStream

TIME_TAG, ERROR, OVERFLOW_BEGIN, OVERFLOW_END, MISSED_EVENTS = range(5)


class FakeBuffer:
    """What ``getData`` returns."""

    def __init__(
        self, times: TimesPs, channels: npt.NDArray[np.int32], kinds: npt.NDArray[np.uint8], missed: npt.NDArray[Any]
    ) -> None:
        self._columns = times, channels, kinds, missed
        self.size = len(times)
        self.hasOverflows = bool(np.any(kinds >= OVERFLOW_BEGIN))

    def getTimestamps(self) -> TimesPs:
        """Return times in ps."""
        return self._columns[0]

    def getChannels(self) -> npt.NDArray[np.int32]:
        """Return channels."""
        return self._columns[1]

    def getEventTypes(self) -> npt.NDArray[np.uint8]:
        """Return event types."""
        return self._columns[2]

    def getMissedEvents(self) -> npt.NDArray[Any]:
        """Return how many events each missed-event entry stands for."""
        return self._columns[3]


class FakeTimeTagger:
    """The emulated tagger with its settings."""

    def __init__(self, inputs: int) -> None:
        self.inputs = inputs
        self.is_plugged = True
        self.special: deque[tuple[int, int]] = deque()
        """(event type, missed events) to put behind the next tags."""
        self._settings: dict[tuple[str, int], float] = {}
        self.reference: int | None = None

    def getModel(self) -> str:
        """Return the model."""
        return "Time Tagger Ultra"

    def getSerial(self) -> str:
        """Return the serial number."""
        return "emulated-1"

    def getFirmwareVersion(self) -> str:
        """Return the firmware."""
        return "1,1"

    def getChannelList(self) -> list[int]:
        """Return inputs with both edges."""
        return [*range(1, self.inputs + 1), *range(-1, -self.inputs - 1, -1)]

    def setReferenceClock(self, channel: int, frequency_hz: float) -> None:  # noqa: ARG002
        """Lock the time base."""
        self.reference = channel

    def disableReferenceClock(self) -> None:
        """Unlock it."""
        self.reference = None

    def __getattr__(self, name: str) -> Any:
        """Return a getter or setter of one input's setting."""
        kind, key = name[:3], name[3:]
        if kind == "get" and key:
            return lambda channel: self._settings.get((key, channel), 1.0 if key == "EventDivider" else 0.0)
        if kind == "set" and key:
            return lambda channel, value: self._put(key, channel, value)
        raise AttributeError(name)

    def _put(self, key: str, channel: int, value: float) -> None:
        if not self.is_plugged:
            raise RuntimeError("The Time Tagger is not connected")
        self._settings[key, channel] = value


class FakeTagStream:
    """What ``TimeTagStream`` makes."""

    def __init__(self, tagger: FakeTimeTagger, source: TagSource, events: int, channels: list[int]) -> None:
        self._tagger = tagger
        self._events = events
        self._channels = channels
        self._stream: TagStream | None = source()
        self._stream.start()
        self._last_ps = 0

    def isRunning(self) -> bool:
        """Return whether it runs."""
        return self._stream is not None and self._tagger.is_plugged

    def stop(self) -> None:
        """End it."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.stop()

    def getData(self) -> FakeBuffer:
        """Return what came since the last call, at most as much as the buffer holds."""
        if not self._tagger.is_plugged:
            raise RuntimeError("The Time Tagger was disconnected")
        block = self._stream.read(0.01) if self._stream is not None else TagBlock.empty()
        wanted = np.isin(block.channels, self._channels)
        times = block.times_ps[wanted][: self._events]
        channels = block.channels[wanted][: self._events].astype(np.int32)
        self._last_ps = int(times[-1]) if len(times) else self._last_ps
        extra = [self._tagger.special.popleft() for _ in range(len(self._tagger.special))]
        ends = np.full(len(extra), self._last_ps) + 1000 * np.arange(1, len(extra) + 1)
        kinds = np.zeros(len(times) + len(extra), np.uint8)
        missed = np.zeros(len(kinds), np.uint16)
        if extra:
            kinds[len(times) :], missed[len(times) :] = np.array(extra).T
        return FakeBuffer(
            np.concatenate([times, ends]), np.concatenate([channels, np.ones(len(extra), np.int32)]), kinds, missed
        )


class FakeSwabian:
    """The package.

    Parameters
    ----------
    source
        Where the tagger's tags come from.
    inputs
        Number of inputs.
    """

    def __init__(self, source: TagSource, *, inputs: int = 8) -> None:
        self.tagger = FakeTimeTagger(inputs)
        self._source = source

    def createTimeTagger(self, serial: str) -> FakeTimeTagger:
        """Open the tagger."""
        if not self.tagger.is_plugged or serial not in ("", "emulated-1"):
            raise RuntimeError("No Time Tagger found")
        return self.tagger

    def freeTimeTagger(self, tagger: FakeTimeTagger) -> None:
        """Give it back."""

    def TimeTagStream(self, tagger: FakeTimeTagger, events: int, channels: list[int]) -> FakeTagStream:
        """Return a stream that runs."""
        return FakeTagStream(tagger, self._source, events, channels)
