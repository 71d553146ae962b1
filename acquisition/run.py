"""One run from preflight to seal.

A `Run` binds a link to a station and goes through explicit phases: `preflight` checks, `arm` starts the writer
process, the taggers and the sender, `stream` lets tags flow, `stop` ends the flow and lets the live analysis catch
up, `seal` closes the files. `execute` does all of it, seals also after Ctrl-C and after a fault, and is what
commands call. It touches instruments only through their roles and never writes a file itself.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from faintlink.acquisition.analysis import AnalysisThread, LiveAnalysis, SettingsLog
from faintlink.acquisition.follower import BlockFollower
from faintlink.acquisition.ingest import Ingest, as_stream_error
from faintlink.acquisition.parties import SETTINGS, TAGS, draw_squash_seeds, party_plans
from faintlink.acquisition.preflight import (
    RESERVE_BYTES,
    Station,
    require_disk_space,
    require_link_matches_station,
    require_new_folder,
    require_shared_memory,
)
from faintlink.acquisition.recorder import Recorder
from faintlink.acquisition.report import RunReport, RunStatus
from faintlink.acquisition.ring_layout import RingLayout
from faintlink.acquisition.statistics.running import RunStatistics
from faintlink.acquisition.watch import EventWatch
from faintlink.acquisition.writer_plan import SealReport, WriterPlan
from faintlink.core.config.link import LinkConfig
from faintlink.core.errors import LocalProtocolError
from faintlink.core.runfile.party_writer import new_run_id
from faintlink.core.symbols import Party

_log = logging.getLogger(__name__)
EXPECTED_RATE_HZ = 1e6
"""Tags per second and receiver that the disk must hold, unless the caller knows better."""
STALL_S = 10.0
"""A run past its length ends when no tag came for so long."""
_TICK_S = 0.05

Progress = Callable[[RunStatus], None]


class Run:
    """One run of a link on a station.

    Parameters
    ----------
    link
        What is played and recorded.
    station
        Has the instruments that ``link.roles`` and ``link.receivers`` name.
    out
        New run folder.
    analysis
        Sees every recorded block and says which settings to ask the sender for.
    context
        Texts for every file, by name: ``link`` and ``station``, the texts of both YAML files. The run adds
        ``snapshot`` and, for receivers, ``squash_seed``.
    squash_seeds
        Each receiver's secret of this run, as the analysis has it; drawn if None.
    expected_rate_hz
        Tags per second and receiver that the disk must hold.
    statistics
        Told of blocks and events; for error rates, its `add_piece` is the ``on_piece`` of the analysis.
    """

    def __init__(
        self,
        link: LinkConfig,
        station: Station,
        out: Path,
        *,
        analysis: LiveAnalysis,
        context: Mapping[str, str],
        squash_seeds: Mapping[Party, bytes] | None = None,
        expected_rate_hz: float = EXPECTED_RATE_HZ,
        statistics: RunStatistics | None = None,
    ) -> None:
        self.run_id = new_run_id()
        self.folder = out
        self._statistics = statistics
        if statistics is not None:
            statistics.describe(self.run_id, context)
            analysis = statistics.beside(analysis)
        self._link = link
        self._station = station
        self._analysis = analysis
        self._context = dict(context)
        self._squash_seeds = squash_seeds or draw_squash_seeds(link)
        self._expected_rate_hz = expected_rate_hz
        self._phase = "new"
        self._recorder: Recorder | None = None
        self._ingests: list[Ingest] = []
        self._thread: AnalysisThread | None = None
        self._settings: SettingsLog | None = None
        self._sender: Any = None
        self._sender_runs = False
        self._watch: EventWatch | None = None
        self._duration_s = link.acquisition.duration_s
        self._started_s = self._wall_s = 0.0
        self._interrupted = False

    def _enter(self, phase: str, *allowed: str) -> None:
        if self._phase not in allowed:
            raise LocalProtocolError(f"a run that is {self._phase} cannot become {phase}", hint="use Run.execute")
        self._phase = phase

    def preflight(self, duration_s: float | None = None) -> None:
        """Check everything that can be checked before anything is started.

        Raises
        ------
        ConfigError
            Link and station do not fit; lists every mismatch.
        RunExistsError
            The run folder exists.
        RunfileError
            Too little disk or shared memory.
        """
        self._enter("checked", "new")
        self._duration_s = duration_s or self._link.acquisition.duration_s
        require_link_matches_station(self._link, self._station)
        require_new_folder(self.folder)
        rate_hz = self._expected_rate_hz * len(self._link.receivers)
        require_disk_space(self.folder, rate_hz=rate_hz, duration_s=self._duration_s)
        acquisition = self._link.acquisition
        layout = RingLayout(acquisition.buffer_blocks, acquisition.block_tags)
        require_shared_memory(layout.size_bytes * len(self._link.receivers))

    def arm(self) -> None:
        """Start the writer process, the taggers, and last the sender: its first slot must be on record."""
        self._enter("armed", "checked")
        acquisition = self._link.acquisition
        self._recorder = Recorder(self._plan(), blocks=acquisition.buffer_blocks, block_rows=acquisition.block_tags)
        self._recorder.start()
        self._watch = EventWatch(self._link, self._note)
        self._thread = self._analysis_thread(self._recorder)
        self._thread.start()
        for party, receiver in self._link.receivers.items():
            self._ingests.append(
                Ingest(
                    party,
                    self._station.component(receiver.tagger).stream(),
                    self._recorder.producer(party, TAGS),
                    tap=self._thread.offer,
                    commit_s=acquisition.commit_ms * 1e-3,
                )
            )
        for ingest in self._ingests:
            ingest.arm()
        if self._sender is not None:
            self._sender_runs = True
            self._sender.start()
        self._started_s = time.monotonic()
        for ingest in self._ingests:
            ingest.start()
        self._watch.say("armed: taggers and sender run")

    def _note(self, text: str, *, level: int = logging.INFO) -> None:
        self._must_record().note(text, level=level)
        if self._statistics is not None:
            self._statistics.add_event(text, level=level)

    def _plan(self) -> WriterPlan:
        snapshot = json.dumps(self._station.snapshot(), default=str)
        context = {**self._context, "snapshot": snapshot}
        parties = party_plans(self._link, self._station, context, self._squash_seeds)
        commit_s = self._link.acquisition.commit_ms * 1e-3
        return WriterPlan(self.folder, self.run_id, parties, commit_s=commit_s, reserve_bytes=RESERVE_BYTES)

    def _analysis_thread(self, recorder: Recorder) -> AnalysisThread:
        if self._link.source is not None:
            self._sender = self._station.component(self._link.roles["sender"])
            self._settings = SettingsLog(self._sender, recorder.producer(Party.ALICE, SETTINGS))
        followers = {party: BlockFollower(self.folder, party, TAGS) for party in self._link.receivers}
        return AnalysisThread(self._analysis, settings=self._settings, followers=followers)

    def stream(self, progress: Progress | None = None) -> None:
        """Let tags flow until the run has its length.

        Raises
        ------
        FaintlinkError
            A tagger, the analysis or the writer failed. `stop` and `seal` still save what there is.
        """
        self._enter("armed", "armed")
        while not self._is_long_enough():
            time.sleep(_TICK_S)
            self._check()
            status = self.status()
            self._must_watch().look(status)
            if progress is not None:
                progress(status)

    def end_early(self) -> None:
        """Let the run end now as Ctrl-C does: its files are sealed. May be called from any thread."""
        self._interrupted = True

    def _is_long_enough(self) -> bool:
        if self._interrupted or min(ingest.span_s for ingest in self._ingests) >= self._duration_s:
            return True
        now = time.monotonic()
        quiet_s = now - min(ingest.last_arrival_s for ingest in self._ingests)
        if now - self._started_s < self._duration_s or quiet_s < STALL_S:
            return False
        self._must_watch().warn(f"no tag came for {quiet_s:.0f} s; the run ended before its length was recorded")
        return True

    def _check(self) -> None:
        recorder, thread = self._must_record(), self._must_analyse()
        recorder.check()
        for ingest in self._ingests:
            if ingest.error is not None:
                raise as_stream_error(ingest.party, ingest.error) from ingest.error
        if thread.error is not None:
            raise thread.error

    def status(self) -> RunStatus:
        """Return the figures of this moment; from `arm` on."""
        thread = self._must_analyse()
        return RunStatus(
            elapsed_s=min((ingest.span_s for ingest in self._ingests), default=0.0),
            duration_s=self._duration_s,
            wall_s=time.monotonic() - self._started_s if self._started_s else 0.0,
            tags=sum(ingest.tags for ingest in self._ingests),
            lost=sum(ingest.lost for ingest in self._ingests),
            waiting_blocks=thread.waiting,
            live=thread.summary,
        )

    def stop(self) -> None:
        """Stop taggers, let the analysis ask for the last settings, stop the sender.

        Raises
        ------
        FaintlinkError
            What failed on the way, after everything was stopped.
        """
        self._enter("stopped", "armed")
        self._wall_s = time.monotonic() - self._started_s if self._started_s else 0.0
        for ingest in self._ingests:
            ingest.stop()
        try:
            if self._thread is not None:
                self._thread.finish(tick=self._must_record().check)
        finally:
            self._stop_sender()
        if self._thread is not None:
            self._must_watch().look(self.status(), is_last=True)
            self._check()

    def _stop_sender(self) -> None:
        if self._sender_runs:
            self._sender_runs = False
            self._sender.stop()

    def seal(self) -> RunReport:
        """Seal the files and return the report.

        Raises
        ------
        FaintlinkError
            The writer failed; everything committed is kept.
        """
        self._enter("sealed", "stopped")
        watch = self._watch
        if self._settings is not None and self._settings.late and watch is not None:
            watch.warn(f"{self._settings.late} slots were asked for too late and have no settings")
        if watch is not None:
            watch.say("stop: interrupted by the operator" if self._interrupted else "stop")
        return self._report(self._must_record().seal())

    def _report(self, sealed: SealReport) -> RunReport:
        receivers = [f"{party}/{TAGS}" for party in self._link.receivers]
        return RunReport(
            run_id=self.run_id,
            folder=self.folder,
            tags=sum(sealed.rows[name] for name in receivers),
            lost=sealed.lost,
            gaps=sum(ingest.gaps for ingest in self._ingests),
            settings=sum(rows for name, rows in sealed.rows.items() if name not in receivers),
            duration_s=min((ingest.span_s for ingest in self._ingests), default=0.0),
            wall_s=self._wall_s,
            files=sealed.files,
            bytes=sealed.bytes,
            interrupted=self._interrupted,
            warnings=tuple(self._watch.warnings) if self._watch is not None else (),
            live=self._thread.summary if self._thread is not None else self._analysis.summary(),
        )

    def execute(self, duration_s: float | None = None, progress: Progress | None = None) -> RunReport:
        """Take the whole run; Ctrl-C ends it early and seals it, and the report says so.

        Parameters
        ----------
        duration_s
            Length on the receiver's clock; the link file's if None.
        progress
            Called some times a second with the `RunStatus`.

        Raises
        ------
        FaintlinkError
            What ended the run before its time. What was recorded is sealed if the disk allows.
        """
        self.preflight(duration_s)
        try:
            self.arm()
            self.stream(progress)
        except KeyboardInterrupt:
            if self._recorder is None:
                raise
            self._interrupted = True
        except Exception as error:
            self._salvage(error)
            raise
        try:
            self.stop()
        except Exception as error:
            self._salvage(error)
            raise
        return self.seal()

    def _salvage(self, error: Exception) -> None:
        """Stop and seal what can be, after a fault that the caller will hear of."""
        if self._watch is not None:
            self._watch.fail(getattr(error, "message", f"{type(error).__name__}: {error}"))
        for step in (self.stop, self.seal):
            try:
                step()
            except Exception as another:
                # Mostly the same fault again; the first one is what the caller needs to know.
                _log.debug("while saving the run: %s", another)

    def __repr__(self) -> str:
        return f"<run {self.run_id} of {self._link.name} in {self.folder}, {self._phase}>"

    def _must_record(self) -> Recorder:
        if self._recorder is None:
            raise LocalProtocolError("the run is not armed")
        return self._recorder

    def _must_analyse(self) -> AnalysisThread:
        if self._thread is None:
            raise LocalProtocolError("the run is not armed")
        return self._thread

    def _must_watch(self) -> EventWatch:
        if self._watch is None:
            raise LocalProtocolError("the run is not armed")
        return self._watch

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Free threads, pipes and memory; a writer that still works seals by itself."""
        if self._thread is not None:
            self._thread.abandon()
        for ingest in self._ingests:
            ingest.abandon()
        try:
            self._stop_sender()
        finally:
            if self._recorder is not None:
                self._recorder.close()
