"""Turn what happens during a run into events: locks, losses, unknown channels, faults.

An `EventWatch` looks at each `RunStatus` and writes a line into the runs' streams of events when something changed.
It decides nothing.
"""

import logging
import time
from typing import Protocol

from faintlink.acquisition.report import RunStatus
from faintlink.core.config.link import LinkConfig

_log = logging.getLogger(__name__)
_LOSS_S = 1.0


class Note(Protocol):
    """Writes an event into every file of the run."""

    def __call__(self, text: str, *, level: int = logging.INFO) -> None:
        """Write ``text`` with a `logging` level."""
        ...


class EventWatch:
    """Writes events of one run.

    Parameters
    ----------
    link
        Names the channels that may appear.
    note
        Writes an event.
    """

    def __init__(self, link: LinkConfig, note: Note) -> None:
        self._note = note
        self._expected = {
            channel
            for receiver in link.receivers.values()
            for channel in (*receiver.channels, *receiver.ignored_channels)
        }
        self._state = ""
        self._lost = 0
        self._lost_at_s = -_LOSS_S
        self._seen: set[int] = set()
        self.warnings: list[str] = []
        """What the operator should look at."""

    def say(self, text: str) -> None:
        """Write what belongs to the course of the run."""
        self._note(text, level=logging.INFO)

    def warn(self, text: str) -> None:
        """Write what the operator should look at, and keep it for the report."""
        self.warnings.append(text)
        _log.warning("%s", text)
        self._note(text, level=logging.WARNING)

    def fail(self, text: str) -> None:
        """Write what ended the run."""
        self._note(f"failed: {text}", level=logging.ERROR)

    def look(self, status: RunStatus, *, is_last: bool = False) -> None:
        """Write what changed since the last look."""
        if status.live.state != self._state:
            self._state = status.live.state
            self.say(f"live analysis: {self._state}")
        self._look_for_losses(status, is_last=is_last)
        for channel in sorted(set(status.live.rate_hz) - self._expected - self._seen):
            self._seen.add(channel)
            self.warn(f"channel {channel} has tags, but the link file neither maps nor ignores it")

    def _look_for_losses(self, status: RunStatus, *, is_last: bool) -> None:
        now = time.monotonic()
        if status.lost == self._lost or (now - self._lost_at_s < _LOSS_S and not is_last):
            return
        self._note(f"{status.lost - self._lost} tags lost, {status.lost} in all", level=logging.WARNING)
        if not self._lost:
            self.warnings.append("tags were lost; the streams of events say when")
        self._lost, self._lost_at_s = status.lost, now
