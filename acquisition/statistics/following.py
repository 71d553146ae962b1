"""Follow a run folder, growing or finished, and say what is in it as snapshots.

A `FolderWatch` reads like post-processing does and feeds the same stages; it never writes, and the acquisition does
not know of it. It works in the caller's thread, which a viewer makes for it.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from threading import Event

from faintlink.acquisition.statistics.codec import MAX_LINES
from faintlink.acquisition.statistics.facts import calibration_history, calibrations_in_force, event_lines, facts_of
from faintlink.acquisition.statistics.keyrate import Forecast, KeyPool
from faintlink.acquisition.statistics.recordings import GrowingWatched, Tapped, is_growing
from faintlink.acquisition.statistics.snapshot import RunFacts, Snapshot
from faintlink.acquisition.statistics.tally import Tally
from faintlink.core.config.link import LinkConfig
from faintlink.core.config.loader import parse_yaml
from faintlink.core.errors import SchemaError, StreamError
from faintlink.core.runfile.folder import PartyRecording, Run, open_run
from faintlink.core.runfile.reader import RunFileReader
from faintlink.core.symbols import Party
from faintlink.core.tags import TagBlock
from faintlink.postprocess.qkd.pairs import PairRun
from faintlink.postprocess.qkd.pulsed import PulsedRun

_log = logging.getLogger(__name__)
STEP_S = 0.05
"""Receiver's time between two snapshots."""
_NEWS_S = 1.0
_PLACES = 4000
_MANIFEST_S = 1.0
_FILES_S = 10.0
_OTHERS_S = 1.0
_POLL_S = 0.02

Emit = Callable[[Snapshot], None]


class FolderWatch:
    """Makes snapshots of one run folder.

    Parameters
    ----------
    folder
        Of the run.
    closing
        Ends `follow` soon after it is set.
    keys
        Folder of a key store to watch.
    calibrations
        Folder of calibration records to list.

    Raises
    ------
    SchemaError
        The folder is no run that can be watched.
    """

    def __init__(
        self,
        folder: Path,
        *,
        closing: Event,
        keys: Path | None = None,
        calibrations: Path | None = None,
    ) -> None:
        self._emit: Emit = lambda _snapshot: None
        self._closing = closing
        self._pool = KeyPool(keys) if keys is not None else None
        self.is_growing = _wait_for_run(folder)
        self._recordings = _recordings(folder, closing, is_growing=self.is_growing)
        self.link = link_of(folder, self._recordings)
        self._tally = Tally(self.link)
        self._main = self._tally.main
        if self._main not in self._recordings:
            raise SchemaError(
                f"{folder} has no file of {self._main}, whose tags are what is watched",
                hint="watch on the receiver's computer, or a `faintlink run --publish` of it over tcp://",
            )
        self._facts = self._first_facts(calibrations)
        self._sifting: PulsedRun | PairRun | None = None
        self._state = "searching the clock"
        self._events_seen: dict[str, int] = {}
        self._shown = (0.0, 0.0)
        self._step_s = STEP_S
        self._sent_s = 0.0
        self._news_s = -_NEWS_S
        self._pool_bits: int | None = None
        self._forecast = Forecast(self.link)

    def _first_facts(self, calibrations: Path | None) -> RunFacts:
        main = self._recordings[self._main]
        lines = calibrations_in_force(main.context)
        if calibrations is not None:
            lines = calibration_history(calibrations, self.link.name) + lines
        origin = main.context.get("origin", "unknown")
        return facts_of(self.link, run_id=main.header.run_id, origin=origin, calibrations=lines)

    def follow(self, emit: Emit) -> None:
        """Call ``emit`` with snapshots until the run has ended or the watch is closed; the last says that it ended."""
        self._emit = emit
        main = self._recordings[self._main]
        for recording in self._recordings.values():
            if isinstance(recording, GrowingWatched):
                recording.on_wait = self._while_waiting
        if not isinstance(main, GrowingWatched):
            self._read_finished(main)
        tapped = {party: Tapped(one, self._look_at_tags, self._closing) for party, one in self._recordings.items()}
        self._send()
        self._sift(tapped)
        if not self._closing.is_set():
            self._look_for_news(is_last=True)
            self._send(is_last=True)

    def _sift(self, recordings: dict[Party, Tapped]) -> None:
        """Run the pipeline's stages over the recordings; where they give up, go on counting tags."""
        run = Run(self._facts.run_id, dict[Party, PartyRecording](recordings))
        try:
            if self.link.source is not None:
                self._sifting = PulsedRun(run, self.link)
            elif self.link.pairs is not None:
                self._sifting = PairRun(run, self.link)
            for piece in self._sifting.pieces() if self._sifting else ():
                self._state = "locked"
                self._tally.add_piece(piece)
                self._send_if_due()
            self._state = self._state if self._sifting else "rates only: this protocol has no error rates"
        except (StreamError, SchemaError) as error:
            self._state = f"no error rates: {error.message}"
            _log.info("the watch goes on with rates only: %s", error.message)
        rest = [recordings[party].tags() for party in self.link.receivers if party in recordings]
        while rest:
            rest = [stream for stream in rest if next(stream, None) is not None]

    def _look_at_tags(self, party: Party, block: TagBlock) -> None:
        self._tally.add_tags(party, block)
        self._send_if_due()

    def _while_waiting(self) -> None:
        self._send_if_due()
        if time.monotonic() - self._sent_s >= _NEWS_S:
            # Says that the watch is alive, and that nothing came.
            self._look_for_news()
            self._send()

    def _send_if_due(self) -> None:
        elapsed_s, sifted_s = self._shown
        if self._tally.elapsed_s - elapsed_s >= self._step_s or self._tally.sifted_s - sifted_s >= self._step_s:
            self._look_for_news()
            self._send()

    def _send(self, *, is_last: bool = False) -> None:
        self._shown, self._sent_s = (self._tally.elapsed_s, self._tally.sifted_s), time.monotonic()
        seen = bool(sum(self._shown)) or is_last
        snapshot = self._tally.snapshot("sealed" if is_last else "recording" if seen else "waiting", self._state)
        ppm = self._sifting.clock_facts().get("last_ppm") if self._sifting else None
        self._emit(
            replace(
                snapshot,
                clock_ppm=float(ppm) if isinstance(ppm, float) else None,
                key_rate_bps=self._forecast.at(snapshot),
                pool_bits=self._pool_bits,
                facts=self._facts,
            )
        )

    def _look_for_news(self, *, is_last: bool = False) -> None:
        """Read new events and the key store, once a second."""
        now = time.monotonic()
        if now - self._news_s < _NEWS_S and not is_last:
            return
        self._news_s = now
        self._pool_bits = self._pool.bits() if self._pool is not None else None
        main = self._recordings[self._main]
        if not isinstance(main, GrowingWatched) or main.open_file is None:
            return
        if is_last:
            # Its reader has left the file, so that it may be opened anew.
            with RunFileReader(main.open_file.path) as reader:
                self._read_events(reader)
        else:
            self._read_events(main.open_file)

    def _read_events(self, reader: RunFileReader) -> None:
        for stream in reader.of_kind("events"):
            stream.refresh()
            seen = self._events_seen.get(str(reader.path), 0)
            lines = event_lines(stream.blocks(seen))
            self._events_seen[str(reader.path)] = len(stream.index)
            if lines:
                self._facts = replace(self._facts, events=(*self._facts.events, *lines)[-MAX_LINES:])

    def _read_finished(self, main: PartyRecording) -> None:
        """Read all events of a finished run, and choose a step that gives a slider of some thousand places."""
        spans = []
        for path in main.paths:
            with RunFileReader(path) as reader:
                self._read_events(reader)
                spans += [stream.key_span for stream in reader.of_kind("tags")]
        span_s = (max(last for _, last in spans) - min(first for first, _ in spans)) * 1e-12 if spans else 0.0
        self._step_s = max(STEP_S, span_s / _PLACES)


def _wait_for_run(folder: Path) -> bool:
    """Wait until a run folder is there, and return whether it grows."""
    deadline = time.monotonic() + _MANIFEST_S
    while True:
        try:
            return is_growing(folder)
        except SchemaError:
            if time.monotonic() > deadline or not folder.is_dir():
                raise
        time.sleep(_POLL_S)


def _recordings(folder: Path, closing: Event, *, is_growing: bool) -> dict[Party, PartyRecording]:
    if not is_growing:
        return dict(open_run([folder]).parties)
    there = _appeared(folder, set(Party), wait_s=_FILES_S, least=1)
    if not there:
        raise SchemaError(f"{folder} has no run files yet", hint="watch it again when the run has started")
    found: dict[Party, PartyRecording] = {party: GrowingWatched(folder, party, closing) for party in there}
    link = link_of(folder, found)
    # The writer makes all files before the first tag; on a node of its own there is one party's only.
    wanted = {*link.receivers, *([Party.ALICE] if link.source else [])} - set(found)
    for party in _appeared(folder, wanted, wait_s=_OTHERS_S, least=len(wanted)):
        found[party] = GrowingWatched(folder, party, closing)
    return found


def _appeared(folder: Path, parties: set[Party], *, wait_s: float, least: int) -> list[Party]:
    """Return whose first files are there, once they are ``least`` or the wait is over."""
    deadline = time.monotonic() + wait_s
    while True:
        there = [party for party in sorted(parties) if (folder / f"{party}-0000.h5").exists()]
        if len(there) >= least or time.monotonic() > deadline:
            return there
        time.sleep(_POLL_S)


def link_of(folder: Path, recordings: Mapping[Party, PartyRecording]) -> LinkConfig:
    """Return the link of a run, as its files have it.

    Raises
    ------
    SchemaError
        They have none.
    """
    text = next((one.context["link"] for one in recordings.values() if "link" in one.context), None)
    if text is None:
        raise SchemaError(f"{folder} holds no link", hint="only runs that faintlink took or imported can be watched")
    return parse_yaml(text, LinkConfig, f"{folder}: link")
