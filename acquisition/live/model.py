"""What the live view shows, without any window: the history of snapshots and the figures made of it.

Used by the window and by the terminal's view. It keeps a bounded history and never touches an instrument. Rates are
those of the last second by the tags' own time, error rates those of the last seconds, with their confidence.

Sources: `faintlink.postprocess.qkd.estimate` (Clopper-Pearson interval).
"""

import time
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faintlink.acquisition.statistics.snapshot import RunFacts, Snapshot
from faintlink.core.records import ErrorCount
from faintlink.postprocess.qkd.estimate import RateEstimate, error_rate

MAX_HISTORY = 4096
RATE_S = 1.0
"""Stretch of the rates."""
RECENT_S = 10.0
"""Stretch of error rates, histogram, matrix and intensities, unless the whole run is shown."""
STALE_S = 3.0
"""After so long without anything new the figures are called stale."""
ALARM = 0.9
"""Share of the highest allowed error rate at which the alarm line lies."""
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Health:
    """Whether what is shown is what happens now."""

    word: str
    """live, stale, silent, sealed, replay or waiting."""
    text: str
    """In words."""
    is_alarm: bool = False


class LiveModel:
    """History of a run's snapshots and what of it is shown.

    Parameters
    ----------
    is_replay
        Whether the run was over before the view was opened.
    max_qber
        Abort line; that of the run's link if None.
    clock
        Monotonic seconds, replaceable in tests.
    """

    def __init__(
        self,
        *,
        is_replay: bool = False,
        max_qber: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.is_replay = is_replay
        self.shows_whole_run = False
        """Whether error rates, histogram, matrix and intensities are those of the run so far."""
        self.facts = RunFacts()
        """The last that came."""
        self.error = ""
        """Why no more snapshots come."""
        self.version = 0
        """Grows with every change, so that a drawer knows when to draw."""
        self._max_qber = max_qber
        self._clock = clock
        self._history: list[Snapshot] = []
        self._times: list[float] = []
        self._shown: int | None = None
        self._came_s = self._moved_s = clock()

    @property
    def history(self) -> list[Snapshot]:
        """Snapshots, oldest first."""
        return self._history

    @property
    def max_qber(self) -> float:
        """Abort line."""
        return self._max_qber if self._max_qber is not None else self.facts.max_qber

    def push(self, snapshot: Snapshot) -> None:
        """Take the next snapshot; one of another run, or of a restarted one, starts the history anew."""
        now = self._clock()
        facts = snapshot.facts
        last = self._history[-1] if self._history else None
        is_other = facts is not None and self.facts.run_id not in ("", facts.run_id)
        if is_other or (last is not None and snapshot.tags < last.tags):
            self._history, self._times, self._shown, last = [], [], None, None
        self.facts = facts or self.facts
        self._came_s = now
        if last is None or snapshot.tags > last.tags or snapshot.sifted_s > last.sifted_s:
            self._moved_s = now
        elif last is not None:
            # Nothing new but the state: the place in the history stays the same.
            self._history.pop()
            self._times.pop()
        self._history.append(snapshot)
        self._times.append(snapshot.elapsed_s)
        if len(self._history) > MAX_HISTORY:
            self._thin()
        self.version += 1

    def _thin(self) -> None:
        # The newest stays: it is what is shown.
        shown = self.current.elapsed_s
        self._history, self._times = self._history[-1::-2][::-1], self._times[-1::-2][::-1]
        if self._shown is not None:
            self._shown = max(0, bisect_right(self._times, shown) - 1)

    def fail(self, error: Exception) -> None:
        """Say that the source failed."""
        reason = str(getattr(error, "message", f"{type(error).__name__}: {error}"))
        self.version += reason != self.error
        self.error = reason

    def show(self, index: int | None) -> None:
        """Show the snapshot with this index; the newest if None."""
        last = len(self._history) - 1
        self._shown = None if index is None or index >= last else max(0, index)
        self.version += 1

    def hold(self) -> None:
        """Go on showing what is shown, whatever comes."""
        self._shown = self.index if self._history else None
        self.version += 1

    def show_time(self, elapsed_s: float) -> None:
        """Show the last snapshot up to a time of the run."""
        self.show(max(0, bisect_right(self._times, elapsed_s) - 1))

    @property
    def index(self) -> int:
        """Index of the snapshot that is shown; -1 without any."""
        return len(self._history) - 1 if self._shown is None else self._shown

    @property
    def is_held(self) -> bool:
        """Whether the past is shown."""
        return self._shown is not None

    @property
    def current(self) -> Snapshot:
        """The snapshot that is shown."""
        return self._history[self.index] if self._history else Snapshot()

    def stretch(self, span_s: float) -> Snapshot:
        """Return what happened in the last ``span_s`` seconds of the run before the shown moment, or somewhat more."""
        if not self._history:
            return Snapshot()
        at = bisect_right(self._times, self.current.elapsed_s - span_s, 0, self.index + 1) - 1
        # Before the first snapshot nothing had happened.
        return self.current.since(self._history[at]) if at >= 0 else self.current

    def recent(self) -> Snapshot:
        """Return the stretch that error rates, histogram, matrix and intensities are taken from."""
        return self.current if self.shows_whole_run else self.stretch(RECENT_S)

    def rates_hz(self) -> dict[str, float]:
        """Return the rate of each detector over the last second of tags."""
        last = self.stretch(RATE_S)
        if last.rates_hz:
            return dict(last.rates_hz)
        return {name: count / span if (span := last.spans_s[name]) else 0.0 for name, count in last.clicks.items()}

    def arrival_ps(self) -> float | None:
        """Return by how much the clicks of the last second come later than the middle of the gate, on average."""
        clicks, total = self.stretch(RATE_S).arrival
        return total / clicks - sum(self.facts.gate_ps) / 2 if clicks else None

    def drift_ppb_per_s(self) -> float | None:
        """Return the slope of the clock's frequency over the last seconds; None before there is one."""
        return frequency_slope(self._history[: self.index + 1])

    def health(self) -> Health:
        """Return whether the newest figures are of now."""
        newest = self._history[-1] if self._history else Snapshot()
        if self.error:
            return Health("stopped", f"stopped: {self.error}", is_alarm=True)
        if newest.is_over:
            return Health("replay", "finished run") if self.is_replay else Health("sealed", "run over, files sealed")
        now = self._clock()
        if not self._history:
            return Health("waiting", f"nothing received yet, for {now - self._came_s:.0f} s")
        if now - self._came_s > STALE_S:
            return Health("silent", f"silent: nothing received for {now - self._came_s:.0f} s", is_alarm=True)
        if newest.phase == "waiting":
            return Health("waiting", "waiting for tags")
        if now - self._moved_s > STALE_S:
            return Health("stale", f"stale: no new tags for {now - self._moved_s:.0f} s", is_alarm=True)
        return Health("live", "live")


def estimate(count: ErrorCount) -> RateEstimate | None:
    """Return an error rate with its 95 % Clopper-Pearson interval; None of nothing."""
    return error_rate(count, CONFIDENCE) if count.bits else None


def frequency_slope(history: list[Snapshot]) -> float | None:
    """Return the slope in parts per billion and second of the clock over the last `RECENT_S` of a history."""
    known = [(one.elapsed_s, one.clock_ppm) for one in history[-400:] if one.clock_ppm is not None]
    last = [entry for entry in known if entry[0] >= known[-1][0] - RECENT_S]
    if len(last) < 3 or last[-1][0] - last[0][0] < 0.5:
        return None
    times: npt.NDArray[np.float64] = np.array([entry[0] for entry in last])
    return float(np.polyfit(times - times[0], [entry[1] for entry in last], 1)[0]) * 1e3
