"""A run that goes on while a script does other things, made by `faintlink.acquisition.scripting.Station.run`.

The run itself is a `Run` in a thread: the same phases, files and faults as with ``faintlink run``. Leaving the
``with`` block waits for its end; an error or Ctrl-C in the block ends it early and seals what was recorded.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from faintlink.acquisition.launch import terminate_as_interrupt
from faintlink.acquisition.report import RunReport, RunStatus
from faintlink.acquisition.run import Run
from faintlink.acquisition.statistics.companions import Companions
from faintlink.core.entropy import OsEntropy
from faintlink.core.errors import ConfigError, LocalProtocolError
from faintlink.core.runfile.folder import open_run
from faintlink.postprocess.qkd.live import LiveSummary

if TYPE_CHECKING:
    from faintlink.postprocess.applications import Outcome
    from faintlink.postprocess.pipeline import Analysis

_log = logging.getLogger(__name__)


class BackgroundRun:
    """A run in the background; a context manager.

    Parameters
    ----------
    run
        Not started yet.
    duration_s
        Length on the receiver's clock; the link file's if None.
    prepare
        Called before the start, for example to turn knobs.
    companions
        Who looks at the run; they gave it their statistics. Nobody if None.
    """

    def __init__(
        self,
        run: Run,
        *,
        duration_s: float | None = None,
        prepare: Callable[[], None] = lambda: None,
        companions: Companions | None = None,
    ) -> None:
        self.run_id = run.run_id
        """In all files of the run."""
        self.folder = run.folder
        """The run folder."""
        self._run = run
        self._duration_s = duration_s
        self._prepare = prepare
        self._companions = companions
        self._thread = threading.Thread(target=self._work, name=f"run-{run.run_id}")
        self._has_news, self._has_ended = threading.Event(), threading.Event()
        self._status: RunStatus | None = None
        self._report: RunReport | None = None
        self._failure: BaseException | None = None
        self._signals = ExitStack()

    def _work(self) -> None:
        try:
            with self._run as run, self._companions or nullcontext() as companions:
                note = companions.beside(run.folder, self._note) if companions is not None else self._note
                self._report = run.execute(self._duration_s, note)
                # A very short run may end before it ever told its figures.
                self._status = run.status()
        except Exception as failure:
            self._failure = failure
        finally:
            self._has_ended.set()
            self._has_news.set()

    def _note(self, status: RunStatus) -> None:
        self._status = status
        self._has_news.set()

    def start(self) -> Self:
        """Start, and wait until tags can flow.

        Raises
        ------
        LocalProtocolError
            It was started before.
        FaintlinkError
            The run cannot be taken; see `Run.execute`.
        """
        if self._thread.ident is not None:
            raise LocalProtocolError(f"run {self.run_id} was started before", hint="take another one: lab.run()")
        self._prepare()
        self._thread.start()
        try:
            self._has_news.wait()
        except KeyboardInterrupt:
            self.stop()
            raise
        if self._failure is not None:
            raise self._failure
        return self

    @property
    def is_running(self) -> bool:
        """Whether the run goes on."""
        return self._thread.is_alive()

    @property
    def status(self) -> RunStatus:
        """The figures of this moment, or the last ones.

        Raises
        ------
        LocalProtocolError
            The run was not started.
        FaintlinkError
            It failed before it had any.
        """
        if self._status is None and self._failure is not None:
            raise self._failure
        if self._status is None:
            raise LocalProtocolError(f"run {self.run_id} was not started", hint="write `with lab.run() as run:`")
        return self._status

    @property
    def live(self) -> LiveSummary:
        """The live analysis: counts of errors, rates of the channels, the clock; the final one once the run ended."""
        return self.status.live if self._report is None else self._report.live

    @property
    def qber(self) -> float:
        """Error rate in the key basis since the start; nan before the first sifted bit."""
        return self.live.qber_key.rate

    @property
    def progress(self) -> float:
        """Share of the planned length that is recorded, 0 to 1."""
        return min(1.0, self.status.elapsed_s / self.status.duration_s)

    @property
    def report(self) -> RunReport:
        """What the run says of itself at its end.

        Raises
        ------
        LocalProtocolError
            It has not ended.
        FaintlinkError
            What ended it before its time.
        """
        if not self._has_ended.is_set():
            raise LocalProtocolError(
                f"run {self.run_id} has not ended", hint="leave the with block first, or call wait()"
            )
        if self._failure is not None:
            raise self._failure
        if self._report is None:
            raise LocalProtocolError(f"run {self.run_id} ended without a report")
        return self._report

    def __iter__(self) -> Iterator[RunStatus]:
        return self.every(0.5)

    def every(self, seconds: float) -> Iterator[RunStatus]:
        """Yield the figures of the moment every so many seconds, until the run has ended."""
        while not self._has_ended.wait(seconds):
            yield self.status

    def wait(self) -> RunReport:
        """Wait for the end, starting the run if nobody did, and return the report.

        Raises
        ------
        FaintlinkError
            What ended the run before its time.
        KeyboardInterrupt
            Ctrl-C, once the run is sealed.
        """
        with terminate_as_interrupt():
            if self._thread.ident is None:
                self.start()
            try:
                self._thread.join()
            except KeyboardInterrupt:
                self.stop()
                raise
        return self.report

    def stop(self) -> None:
        """End the run now and seal its files; what fails on the way is in `report`."""
        self._run.end_early()
        if self.is_running:
            self._thread.join()

    def process(self, out: str | Path | None = None) -> "Analysis":
        """Make the key of the recorded run, as ``faintlink process`` does, and leave keys and reports in a folder.

        Parameters
        ----------
        out
            New folder; one below the run folder by default.

        Raises
        ------
        ConfigError
            The link's protocol makes no key; see `judge`.
        SecurityAbort, StreamError, RunfileError
            As `faintlink.postprocess.pipeline.process`.
        """
        from faintlink.postprocess.results import analyse, link_of, new_folder

        run = open_run([self.report.folder])
        link = link_of(run)
        if not link.protocol.makes_keys:
            raise ConfigError(f"protocol {link.protocol} makes no key", hint="let its application decide: judge()")
        return analyse(run, link, new_folder(_path(out), self.folder))

    def judge(self, out: str | Path | None = None, **rehearsed: str) -> "Outcome":
        """Let the application of the run's protocol (token, money, …) decide on it, and leave its records in a folder.

        Parameters
        ----------
        out
            New folder; one below the run folder by default.
        rehearsed
            ``attack=NAME`` rehearses a cheater of the application.

        Raises
        ------
        ConfigError
            The link's protocol makes keys; see `process`.
        """
        from faintlink.postprocess.applications import application
        from faintlink.postprocess.results import link_of, new_folder

        run = open_run([self.report.folder])
        link = link_of(run)
        return application(link.protocol)(run, link, new_folder(_path(out), self.folder), OsEntropy(), **rehearsed)

    def __enter__(self) -> Self:
        self._signals.enter_context(terminate_as_interrupt())
        try:
            return self.start()
        except BaseException:
            self._signals.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._signals:
            if error is None:
                self.wait()
                return
            self.stop()
            if self._failure is not None and self._failure is not error:
                _log.error("run %s: %s", self.run_id, self._failure)

    def __repr__(self) -> str:
        if self._failure is not None:
            state = f"failed: {type(self._failure).__name__}"
        elif self._report is not None:
            return repr(self._report)
        else:
            state = str(self._status) if self._status is not None else "not started"
        return f"<run {self.run_id} in {self.folder}: {state}>"


def _path(out: str | Path | None) -> Path | None:
    return None if out is None else Path(out)
