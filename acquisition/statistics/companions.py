"""Who looks at a run while it is taken: publishers, listeners in the same program, a window in a process of its own.

They are told by the run's `RunStatistics` and never waited for; nothing they do, or fail to do, touches the
acquisition. The window runs at a lower priority, starts with the first status of the run, and outlives it until it is
closed.
"""

import logging
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from faintlink.acquisition.report import RunStatus
from faintlink.acquisition.statistics.publishing import StatisticsPublisher
from faintlink.acquisition.statistics.running import Listener, RunStatistics
from faintlink.core.config.link import LinkConfig

_log = logging.getLogger(__name__)
_MODULE = "faintlink.acquisition.commands.watch"
_HERE = "tcp://127.0.0.1:*"
_MOST_SAID = 500

Progress = Callable[[RunStatus], None]


def publisher_here() -> StatisticsPublisher:
    """Return a publisher for this computer only, at an address of its own, which holds nothing back."""
    return StatisticsPublisher(_HERE, period_s=0.0, bytes_per_s=math.inf)


class Companions:
    """Those who look at one run; a context manager around its execution.

    Parameters
    ----------
    link
        That of the run.
    publish
        Address to publish at; empty for none.
    window
        Whether to show the live view.
    listener
        Is given every snapshot, in the run's threads; it must not wait.
    """

    def __init__(
        self, link: LinkConfig, *, publish: str = "", window: bool = False, listener: Listener | None = None
    ) -> None:
        self._publish = publish
        self._wants_window = window
        self.statistics = RunStatistics(link) if publish or window or listener else None
        """To be given to the run; None if nobody looks."""
        if self.statistics is not None and listener is not None:
            self.statistics.tell(listener)
        self._publishers: list[StatisticsPublisher] = []
        self._window: tuple[subprocess.Popen[bytes], IO[bytes]] | None = None
        self._sockets = ExitStack()

    def __enter__(self) -> Self:
        try:
            if self._publish:
                self._publish_at(StatisticsPublisher(self._publish))
            if self._wants_window:
                self._publish_at(publisher_here())
        except BaseException:
            self._sockets.close()
            raise
        return self

    def _publish_at(self, publisher: StatisticsPublisher) -> None:
        self._publishers.append(self._sockets.enter_context(publisher))
        if self.statistics is not None:
            self.statistics.tell(publisher.send)

    def beside(self, folder: Path, progress: Progress | None) -> Progress | None:
        """Return the ``progress`` of a run into ``folder`` that keeps its companions up to date, too."""
        statistics = self.statistics
        if statistics is None:
            return progress

        def tell_and_go_on(status: RunStatus) -> None:
            if self._wants_window:
                self._wants_window = False
                self._open_window(folder, self._publishers[-1].address)
            statistics.beat(status)
            if progress is not None:
                progress(status)

        return tell_and_go_on

    def _open_window(self, folder: Path, address: str) -> None:
        said = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the run has ended
        command = [sys.executable, "-m", _MODULE, str(folder), "--via", address]
        # A session of its own: Ctrl-C ends the run, and the window still has to show its end.
        process = subprocess.Popen(  # noqa: S603 - our own module
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said, start_new_session=True
        )
        self._window = process, said

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Say that the run is over; the window stays as long as somebody looks at it."""
        with self._sockets:
            if self.statistics is not None:
                last = self.statistics.end()
                for publisher in self._publishers:
                    publisher.send_last(last)
        if self._window is None:
            return
        process, said = self._window
        with said:
            if process.poll() not in (None, 0):
                said.seek(0)
                reason = said.read()[-_MOST_SAID:].decode(errors="replace").strip()
                _log.warning("the live view beside the run failed: %s", reason)
