"""Show a run's progress: a bar on a terminal, a line every few seconds elsewhere, to standard error.

Used by the commands; a `ProgressView` is called with each `RunStatus` and decides itself when to draw.
"""

import time
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from faintlink.acquisition.report import RunStatus

_DRAW_S = 0.25
_LINE_S = 5.0
_RATE_S = 0.5


class RateOverTime:
    """Tags per second of the receiver's clock, over the last half second or more."""

    def __init__(self) -> None:
        self._last = (0.0, 0)
        self._rate_hz = 0.0

    def update(self, elapsed_s: float, tags: int) -> float:
        """Return the rate in Hz after ``tags`` tags in ``elapsed_s`` seconds."""
        since_s = elapsed_s - self._last[0]
        if since_s >= _RATE_S:
            self._rate_hz = (tags - self._last[1]) / since_s
            self._last = (elapsed_s, tags)
        return self._rate_hz


class ProgressView:
    """Draws the status of one run.

    Parameters
    ----------
    quiet
        Draw nothing at all.
    console
        Where to; standard error if None.
    """

    def __init__(self, *, quiet: bool = False, console: Console | None = None) -> None:
        self._quiet = quiet
        self._console = console or Console(stderr=True, highlight=False)
        self._rate = RateOverTime()
        self._drawn_s = 0.0
        # The figures have a line of their own below the bar: both fit on 80 columns.
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(None), TextColumn("left"), TimeRemainingColumn()
        )
        self._task = self._bar.add_task("recording", total=None)
        self._text = Text(no_wrap=True, overflow="ellipsis")
        self._live: Live | None = None
        if self._console.is_terminal and not quiet:
            self._live = Live(Group(self._bar, self._text), console=self._console, auto_refresh=False)

    def __call__(self, status: RunStatus) -> None:
        """Draw ``status`` if it is time to."""
        rate_hz = self._rate.update(status.elapsed_s, status.tags)
        now = time.monotonic()
        if self._quiet or now - self._drawn_s < (_DRAW_S if self._live is not None else _LINE_S):
            return
        self._drawn_s = now
        if self._live is None:
            line = f"{status.elapsed_s:.1f}/{status.duration_s:g} s  {status.figures(rate_hz)}"
            self._console.print(line, soft_wrap=True)
            return
        self._bar.update(
            self._task,
            description=f"{status.elapsed_s:6.1f}/{status.duration_s:g} s",
            completed=min(status.elapsed_s, status.duration_s),
            total=status.duration_s,
        )
        self._text.plain = status.figures(rate_hz)
        self._live.refresh()

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
