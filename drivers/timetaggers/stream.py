"""What all tag streams of drivers share: tags in order, losses as gap records, silence that is noticed.

Every driver in this folder composes its stream of a `TagAssembler` (which no device sees) and derives it from
`DeviceStream`, which fills the role `TagStream`. Neither sorts over block borders: a tag that comes after a later one
was handed on is dropped, and counted in a gap.
"""

import time
from abc import ABC, abstractmethod

import numpy as np

from faintlink.core.errors import ConnectionLostError, LocalProtocolError
from faintlink.core.tags import UNKNOWN_LOSS, GapCause, GapRecord, TagBlock
from faintlink.core.units import Channels, TimesPs

POLL_S = 0.001
"""How long a stream sleeps between two looks at a device that cannot wake it."""


class TagAssembler:
    """Makes blocks of a device's tags and of what it says about lost ones."""

    def __init__(self) -> None:
        self.last_ps: int | None = None
        """Time of the newest tag handed on."""
        self._open: dict[GapCause, tuple[int | None, int]] = {}
        self._closed: list[GapRecord] = []

    def lose(self, cause: GapCause, *, lost: int = UNKNOWN_LOSS, since_ps: int | None = None) -> None:
        """Open a gap that the next tag ends; open gaps of one cause are one gap.

        It begins with the newest tag, or at ``since_ps`` if that is known to be earlier.
        """
        start_ps, before = self._open.get(cause, (self.last_ps if since_ps is None else since_ps, 0))
        unknown = UNKNOWN_LOSS in (before, lost)
        self._open[cause] = (start_ps, UNKNOWN_LOSS if unknown else before + lost)

    def note(self, start_ps: int, end_ps: int, cause: GapCause, *, lost: int = UNKNOWN_LOSS) -> None:
        """Add a gap whose ends the device told."""
        self._closed.append(GapRecord(start_ps, max(start_ps, end_ps), lost, cause))

    @property
    def has_gaps(self) -> bool:
        """Whether gaps wait for the next block."""
        return bool(self._open or self._closed)

    def block(self, times_ps: TimesPs, channels: Channels) -> TagBlock:
        """Return tags (n,) int64 and (n,) uint8 as a block in order, with every gap that is complete.

        The arrays go into the block and must not be written again.
        """
        if times_ps.size:
            times_ps, channels = self._in_order(times_ps, channels)
        if times_ps.size:
            self._close_gaps(int(times_ps[0]))
            self.last_ps = int(times_ps[-1])
        return TagBlock(times_ps, channels, self._take())

    def finish(self) -> TagBlock:
        """Return the gaps that no tag ended any more, as a block without tags."""
        self._close_gaps(self.last_ps or 0)
        return TagBlock.empty(self._take())

    def _in_order(self, times_ps: TimesPs, channels: Channels) -> tuple[TimesPs, Channels]:
        if bool(np.any(times_ps[1:] < times_ps[:-1])):
            order = np.argsort(times_ps, kind="stable")
            times_ps, channels = times_ps[order], channels[order]
        late = 0 if self.last_ps is None else int(np.searchsorted(times_ps, self.last_ps))
        if late:
            self.lose(GapCause.RECORD_DAMAGED, lost=late)
        return times_ps[late:], channels[late:]

    def _close_gaps(self, end_ps: int) -> None:
        for cause, (start_ps, lost) in self._open.items():
            start = end_ps if start_ps is None else start_ps
            self._closed.append(GapRecord(start, max(start, end_ps), lost, cause))
        self._open.clear()

    def _take(self) -> tuple[GapRecord, ...]:
        gaps, self._closed = sorted(self._closed, key=lambda gap: gap.start_ps), []
        return tuple(gaps)


class Silence:
    """Notices that a device which must speak does not.

    Parameters
    ----------
    limit_s
        Longest silence of a device that works.
    """

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._since_s = time.monotonic()

    def broken(self) -> None:
        """Note a sign of life."""
        self._since_s = time.monotonic()

    def require_short(self, who: str, hint: str) -> None:
        """Raise if the silence is too long.

        Raises
        ------
        ConnectionLostError
            No sign of life came for the limit.
        """
        quiet_s = time.monotonic() - self._since_s
        if quiet_s > self.limit_s:
            raise ConnectionLostError(
                f"{who} sent nothing for {quiet_s:.1f} s while it should stream", hint=hint, device=who
            )


class DeviceStream(ABC):
    """The life of a stream; a driver fills in what its device does. Fills the role `TagStream`."""

    def __init__(self) -> None:
        self.tags = TagAssembler()
        self._is_running = False
        self._rest = TagBlock.empty()

    @property
    def is_running(self) -> bool:
        """Whether it records now."""
        return self._is_running

    def start(self) -> None:
        """Begin to record.

        Raises
        ------
        LocalProtocolError
            The stream runs already, or has run: its time base would start anew.
        """
        if self._is_running or self.tags.last_ps is not None:
            raise LocalProtocolError(
                "the stream runs already or has run", hint="take a new stream from the tagger for a new recording"
            )
        self._begin()
        self._is_running = True

    def read(self, timeout_s: float) -> TagBlock:
        """Return what came since the last call, waiting at most ``timeout_s``; see the driver for its errors."""
        if self._is_running:
            return self._collect(timeout_s)
        rest, self._rest = self._rest, TagBlock.empty()
        return rest

    def stop(self) -> None:
        """End recording; what the device still held can be read once more. Stopping twice is harmless."""
        if self._is_running:
            self._is_running = False
            self._rest = self._end()

    @abstractmethod
    def _begin(self) -> None:
        """Make the device record."""

    @abstractmethod
    def _collect(self, timeout_s: float) -> TagBlock:
        """Return the next block."""

    @abstractmethod
    def _end(self) -> TagBlock:
        """Make the device stop, and return what it still held."""
