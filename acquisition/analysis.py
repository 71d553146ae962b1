"""Run a live analysis in a thread of its own, beside the recording and never in its way.

Each block that went to the writer is offered to the `AnalysisThread`, which feeds it to a `LiveAnalysis`, asks the
sender for the settings of the slots that the analysis wants, and sends them to the writer. Up to ``backlog_tags``
tags wait in memory. Beyond that only the block's number is kept, and the analysis reads the block back from the
growing run file when its turn comes: a slow analysis costs delay, never tags and never memory. At the end of the
run it catches up before the files are sealed.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

from faintlink.acquisition.follower import BlockFollower
from faintlink.acquisition.ingest import pieces
from faintlink.acquisition.ring import RingProducer
from faintlink.core.errors import LocalProtocolError
from faintlink.core.symbols import Party
from faintlink.core.tags import TagBlock
from faintlink.core.units import Slots
from faintlink.postprocess.qkd.live import LiveSummary

_log = logging.getLogger(__name__)
BACKLOG_TAGS = 8 << 20
"""Tags that wait in memory for the analysis: 75 MB."""
_SUMMARY_S = 0.2
_ABANDON_S = 5.0
_SETTINGS_WAIT_S = 600.0


class LiveAnalysis(Protocol):
    """What the acquisition asks of a live analysis."""

    def feed(self, party: Party, block: TagBlock) -> Slots:
        """Take the next block of a party; return the slots, (n,) int64, whose settings to ask the sender for."""
        ...

    def account(self, slots: Slots, codes: npt.NDArray[np.uint8]) -> None:
        """Take the sender's answer: the slots asked for and their setting codes."""
        ...

    def finish(self) -> Slots:
        """Return the slots still to be asked for, after the last block."""
        ...

    def summary(self) -> LiveSummary:
        """Return the figures of this moment."""
        ...


class SettingsSource(Protocol):
    """What is asked of a sender while a run is analysed; a `PatternGenerator` of the instruments is one."""

    def settings_at(self, slots: Slots) -> npt.NDArray[np.uint8]:
        """Return the setting code, (n,) uint8, of each slot."""
        ...


class SettingsLog:
    """Ask a sender for settings and record the answers.

    Parameters
    ----------
    sender
        Whom to ask.
    ring
        Leads to the stream of settings of the sender's file.
    """

    def __init__(self, sender: SettingsSource, ring: RingProducer) -> None:
        self._sender = sender
        self._ring = ring
        self._last = -1
        self.late = 0
        """Slots asked for after a later one was recorded; they cannot be recorded, and count as undetected."""

    @property
    def rows(self) -> int:
        """Settings recorded."""
        return self._ring.passed

    def ask(self, slots: Slots) -> tuple[Slots, npt.NDArray[np.uint8]]:
        """Return the slots, sorted and each once, with their settings, after recording them.

        Raises
        ------
        LocalProtocolError
            The sender answered with another number of settings.
        """
        wanted = _sorted_once(slots)
        fresh = wanted[wanted > self._last]
        self.late += int(np.count_nonzero(wanted < self._last))
        if not fresh.size:
            return fresh, np.empty(0, np.uint8)
        codes = self._sender.settings_at(fresh)
        if codes.shape != fresh.shape or codes.dtype != np.uint8:
            raise LocalProtocolError(
                f"asked the sender for {fresh.size} settings, got {codes.dtype} {codes.shape}",
                hint="settings_at must answer one uint8 per slot",
            )
        for piece in pieces(TagBlock(fresh, codes), self._ring.block_rows):
            self._ring.put_patiently(piece, wait_s=_SETTINGS_WAIT_S)
        self._last = int(fresh[-1])
        return fresh, codes


def _sorted_once(slots: Slots) -> Slots:
    # An analysis mostly asks in order; numpy's own unique takes 170 ms for 300 000 slots in order.
    rises = slots[1:] > slots[:-1]
    if rises.all():
        return slots
    ordered = np.sort(slots)
    return ordered[np.concatenate(([True], ordered[1:] > ordered[:-1]))]


class AnalysisThread:
    """The thread that feeds a `LiveAnalysis`.

    Parameters
    ----------
    analysis
        Gets every block, in the order of each party's stream.
    settings
        Answers for the sender; None on links without one.
    followers
        Read a party's blocks back.
    backlog_tags
        Tags that may wait in memory.
    """

    def __init__(
        self,
        analysis: LiveAnalysis,
        *,
        settings: SettingsLog | None,
        followers: Mapping[Party, BlockFollower],
        backlog_tags: int = BACKLOG_TAGS,
    ) -> None:
        self._analysis = analysis
        self._settings = settings
        self._followers = followers
        self._backlog_tags = backlog_tags
        self._queue: deque[tuple[Party, int, TagBlock | None]] = deque()
        self._numbers = dict.fromkeys(followers, 0)
        self._held = 0
        self._change = threading.Condition()
        self._ending = False
        self._abandoned = False
        self._thread = threading.Thread(target=self._run, daemon=True, name="analysis")
        self._summary_at = 0.0
        self.summary: LiveSummary = analysis.summary()
        """The analysis's figures, at most a fifth of a second older than the last analysed block."""
        self.error: Exception | None = None
        """What ended the thread before its time."""
        self.reread = 0
        """Blocks that had to be read back from the file."""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def offer(self, party: Party, block: TagBlock) -> None:
        """Take a block that went to the writer; never waits."""
        with self._change:
            if self.error is not None:
                return
            fits = self._held + len(block) <= self._backlog_tags
            self._queue.append((party, self._numbers[party], block if fits else None))
            self._numbers[party] += 1
            self._held += len(block) if fits else 0
            self._change.notify()

    @property
    def waiting(self) -> int:
        """Blocks that wait to be analysed."""
        return len(self._queue)

    def finish(self, tick: Callable[[], None] = lambda: None) -> None:
        """Analyse what still waits; ``tick`` is called now and then and may raise to end the wait."""
        with self._change:
            self._ending = True
            self._change.notify()
        while self._thread.is_alive():
            self._thread.join(0.05)
            tick()
        self._close()

    def abandon(self) -> None:
        """Stop after the block at hand; what still waits is not analysed."""
        self._abandoned = True
        with self._change:
            self._ending = True
            self._queue.clear()
            self._change.notify()
        if self._thread.is_alive():
            self._thread.join(_ABANDON_S)

    def _close(self) -> None:
        for follower in self._followers.values():
            follower.close()

    def _run(self) -> None:
        try:
            while (item := self._next()) is not None:
                party, number, block = item
                if block is None:
                    self.reread += 1
                    block = self._followers[party].read(number)
                self._ask(self._analysis.feed(party, block))
                self._refresh_summary()
            if not self._abandoned:
                self._ask(self._analysis.finish())
        except Exception as error:  # whatever an analysis raises must end the run, not just its thread
            _log.debug("the live analysis ended", exc_info=True)
            with self._change:
                self.error = error
                self._queue.clear()
        self.summary = self._analysis.summary()

    def _next(self) -> tuple[Party, int, TagBlock | None] | None:
        with self._change:
            while not self._queue and not self._ending:
                self._change.wait()
            if not self._queue:
                return None
            item = self._queue.popleft()
            self._held -= len(item[2]) if item[2] is not None else 0
            return item

    def _ask(self, slots: Slots) -> None:
        if not slots.size:
            return
        if self._settings is None:
            raise LocalProtocolError("the live analysis asks for settings, but this link has no sender")
        asked, codes = self._settings.ask(slots)
        if asked.size:
            self._analysis.account(asked, codes)

    def _refresh_summary(self) -> None:
        now = time.monotonic()
        if now - self._summary_at >= _SUMMARY_S:
            self._summary_at = now
            self.summary = self._analysis.summary()
