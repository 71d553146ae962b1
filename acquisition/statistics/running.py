"""A run that tells of itself while it goes: its own analysis, counted and handed on as snapshots.

Nothing is read or analysed a second time, as a viewer of the run's files has to do. `RunStatistics` looks at the
blocks and pieces that pass through the run's live analysis anyway; a run without viewers has none of it.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from faintlink.acquisition.analysis import LiveAnalysis
from faintlink.acquisition.report import RunStatus
from faintlink.acquisition.statistics.codec import MAX_LINES
from faintlink.acquisition.statistics.facts import calibrations_in_force, event_line, facts_of
from faintlink.acquisition.statistics.keyrate import Forecast
from faintlink.acquisition.statistics.snapshot import Phase, RunFacts, Snapshot
from faintlink.acquisition.statistics.tally import Tally
from faintlink.core.config.link import LinkConfig
from faintlink.core.symbols import Party
from faintlink.core.tags import TagBlock
from faintlink.core.units import Slots
from faintlink.postprocess.qkd.live import LiveSummary
from faintlink.postprocess.qkd.pieces import SiftedPiece

_log = logging.getLogger(__name__)
STEP_S = 1 / 30
"""Shortest time between two snapshots."""
BEAT_S = 1.0
"""After so long without news a snapshot says that the run is alive."""

Listener: TypeAlias = Callable[[Snapshot], object]


class RunStatistics:
    """Counts one run and tells who wants to know.

    Snapshots are made in the thread of the run's analysis, the beats in that of the run.

    Parameters
    ----------
    link
        That of the run.
    """

    def __init__(self, link: LinkConfig) -> None:
        self._link = link
        self._tally = Tally(link)
        self._forecast = Forecast(link)
        self._facts = RunFacts()
        self._live = LiveSummary()
        self._lock = threading.Lock()
        self._listeners: list[Listener] = []
        self._sent_s = -BEAT_S
        self._has_news = False
        self._is_over = False

    def describe(self, run_id: str, context: Mapping[str, str]) -> None:
        """Say which run it is, and what its files will say of it."""
        lines = calibrations_in_force(context)
        origin = context.get("origin", "unknown")
        self._facts = facts_of(self._link, run_id=run_id, origin=origin, calibrations=lines)

    def tell(self, listener: Listener) -> None:
        """Hand every snapshot to ``listener`` from now on; it must not wait."""
        self._listeners.append(listener)

    def beside(self, analysis: LiveAnalysis) -> LiveAnalysis:
        """Return an analysis that does the same and lets its blocks and summaries be seen."""
        return _Watched(analysis, self)

    def add_piece(self, piece: SiftedPiece) -> None:
        """Count what the run's analysis has sifted; given to it as ``on_piece``."""
        with self._lock:
            self._tally.add_piece(piece)
            self._has_news = True

    def add_tags(self, party: Party, block: TagBlock) -> None:
        """Count a block of a receiver."""
        with self._lock:
            self._tally.add_tags(party, block)
            self._has_news = True

    def add_event(self, text: str, *, level: int) -> None:
        """Take an event of the run."""
        line = event_line(text, level=level, time_s=time.time())
        with self._lock:
            self._facts = replace(self._facts, events=(*self._facts.events, line)[-MAX_LINES:])
            self._has_news = True

    def look(self, summary: Callable[[], LiveSummary]) -> None:
        """Send a snapshot if there is something new and the last one is old enough."""
        with self._lock:
            if self._has_news and not self._is_over and time.monotonic() - self._sent_s >= STEP_S:
                self._live = summary()
                self._send()

    def beat(self, _status: RunStatus) -> None:
        """Say that the run is alive if nothing was said for long; for a run's progress."""
        with self._lock:
            if not self._is_over and time.monotonic() - self._sent_s >= BEAT_S:
                self._send()

    def end(self) -> Snapshot:
        """Send the last snapshot, which says that nothing more will come, and return it."""
        with self._lock:
            self._is_over = True
            return self._send()

    def _send(self) -> Snapshot:
        self._sent_s, self._has_news = time.monotonic(), False
        snapshot = replace(
            self._tally.snapshot(self._phase(), self._live.state), clock_ppm=self._live.clock_ppm, facts=self._facts
        )
        snapshot = replace(snapshot, key_rate_bps=self._forecast.at(snapshot))
        self._listeners = [listener for listener in self._listeners if _could_tell(listener, snapshot)]
        return snapshot

    def _phase(self) -> Phase:
        if self._is_over:
            return "sealed"
        return "recording" if self._tally.elapsed_s else "waiting"


def _could_tell(listener: Listener, snapshot: Snapshot) -> bool:
    try:
        listener(snapshot)
    except Exception as error:  # whatever a listener raises must not end the run
        _log.warning("a listener to the run's statistics failed and hears no more of them: %r", error)
        return False
    return True


class _Watched:
    """A live analysis whose blocks are counted before, and whose figures are told after each step."""

    def __init__(self, inner: LiveAnalysis, statistics: RunStatistics) -> None:
        self._inner = inner
        self._statistics = statistics

    def feed(self, party: Party, block: TagBlock) -> Slots:
        self._statistics.add_tags(party, block)
        wanted = self._inner.feed(party, block)
        if not wanted.size:
            # Otherwise the sender's answer is on its way, and with it more to tell.
            self._statistics.look(self._inner.summary)
        return wanted

    def account(self, slots: Slots, codes: npt.NDArray[np.uint8]) -> None:
        self._inner.account(slots, codes)
        self._statistics.look(self._inner.summary)

    def finish(self) -> Slots:
        return self._inner.finish()

    def summary(self) -> LiveSummary:
        return self._inner.summary()
