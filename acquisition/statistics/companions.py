"""Programs beside a run that show it or publish its statistics, each in a process of its own.

They read the growing files, so that nothing they do, or fail to do, touches the acquisition. They run at a lower
priority, start with the first status of a run, and outlive it: a publisher until it has said that the run is over, a
window until it is closed.
"""

import logging
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from faintlink.acquisition.report import RunStatus

_log = logging.getLogger(__name__)
_MODULE = "faintlink.acquisition.commands.watch"
_END_S = 10.0
_MOST_SAID = 500

Progress = Callable[[RunStatus], None]


class Companions:
    """Starts companions of one run.

    Parameters
    ----------
    folder
        Of the run.
    publish
        Address to publish at; empty for none.
    window
        Whether to show the live view.
    """

    def __init__(self, folder: Path, *, publish: str = "", window: bool = False) -> None:
        self._wanted = [["--publish", publish]] if publish else []
        self._wanted += [[]] if window else []
        self._folder = folder
        self._running: list[tuple[list[str], subprocess.Popen[bytes], IO[bytes]]] = []

    def beside(self, progress: Progress | None) -> Progress | None:
        """Return a run's ``progress`` that starts the companions as soon as the run's files are there."""
        if not self._wanted:
            return progress

        def start_and_go_on(status: RunStatus) -> None:
            while self._wanted:
                self._start(self._wanted.pop(0))
            if progress is not None:
                progress(status)

        return start_and_go_on

    def _start(self, options: list[str]) -> None:
        said = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the run has ended
        command = [sys.executable, "-m", _MODULE, str(self._folder), *options]
        # A session of their own: Ctrl-C ends the run, and they still have to see its end.
        process = subprocess.Popen(  # noqa: S603 - our own module
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said, start_new_session=True
        )
        self._running.append((options, process, said))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait until publishers have said that the run is over; windows stay as long as somebody looks at them."""
        for options, process, said in self._running:
            if "--publish" in options:
                self._end(process)
            if process.poll() not in (None, 0):
                said.seek(0)
                reason = said.read()[-_MOST_SAID:].decode(errors="replace").strip()
                _log.warning("a viewer beside the run failed: %s", reason)
            said.close()

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            # On a busy computer it lags behind; it ends by itself once it has caught up.
            _log.warning("the publisher still catches up with the run; until it is done, its address is in use")
