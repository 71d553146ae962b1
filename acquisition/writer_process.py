"""The process that owns all HDF5 writing of a run.

Started by `faintlink.acquisition.recorder.Recorder`. It takes blocks from the rings, appends and commits them,
waits for the disk every few seconds, rotates files and seals them at the end. It lives in its own process
because a full disk can take the interpreter down with HDF5, and because a tagger's thread must not share a lock
with a disk. It ignores Ctrl-C (the parent coordinates), and when the parent dies it seals what it has. It
imports no instruments.

Messages: the parent sends JSON lines through ``control`` (``note`` and ``stop``); the process answers through
``status`` with ``("ready", None)``, ``("failed", error)`` and ``("sealed", SealReport)``.
"""

import json
import logging
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np

from faintlink.acquisition.disk import DiskSyncer, as_runfile_error, require_space
from faintlink.acquisition.writer_plan import EVENTS, PartyPlan, RingPlan, SealReport, WriterPlan
from faintlink.core.errors import FaintlinkError
from faintlink.core.runfile.manifest import Manifest
from faintlink.core.runfile.party_writer import PartyWriter, create_run
from faintlink.core.tags import TagBlock

_TEXT_BYTES = 240
_TAG_BLOCKS_IN_A_ROW = 8


def record(plan: WriterPlan, rings: Sequence[RingPlan], control: Connection, status: Connection) -> None:
    """Write a run until told to stop, or until the parent dies: the entry point of the process."""
    _leave_signals_to_the_parent()
    try:
        for ring in rings:
            ring.end.attach()
        writing = _Writing(plan, rings, control)
        _tell(status, "ready", None)
        _tell(status, *_served_and_sealed(writing))
    except (OSError, RuntimeError, ValueError, FaintlinkError) as error:
        _tell(status, "failed", as_runfile_error(error, plan.folder))
        # HDF5 cannot close a file it cannot flush, and takes the interpreter down at exit when it tries. A file
        # left open holds everything committed.
        os._exit(1)
    for ring in rings:
        ring.end.close()


def _served_and_sealed(writing: "_Writing") -> tuple[str, object]:
    try:
        writing.serve()
    except FaintlinkError as error:
        # Refused before HDF5 saw it: the files are sound and can be sealed.
        writing.seal()
        return "failed", error
    return "sealed", writing.seal()


def _leave_signals_to_the_parent() -> None:
    """Ignore what ends a whole group of processes: the parent says stop, and if it is killed, that is seen."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _tell(status: Connection, what: str, content: object) -> None:
    # When the parent has gone, the files say the rest.
    with suppress(OSError):
        status.send((what, content))


class _Writing:
    """The open files of a run and the loop that feeds them."""

    def __init__(self, plan: WriterPlan, rings: Sequence[RingPlan], control: Connection) -> None:
        self._plan = plan
        self._control = control
        self._manifest = create_run(plan.folder, plan.run_id)
        self._writers = {party.party: _open_writer(plan, party, self._manifest) for party in plan.parties}
        self._rings = {ring.end.descriptors: ring for ring in rings}
        self._rows = {f"{ring.party}/{ring.stream}": 0 for ring in rings}
        self._lost = 0
        self._last_note_ns = 0
        self._commit_at = self._sync_at = time.monotonic()
        self._has_uncommitted = False
        self._is_stopping = self._was_told_to_stop = False
        self._syncer = DiskSyncer(plan.folder)

    def serve(self) -> None:
        """Write whatever comes, until every ring has ended and the parent said stop, or until the parent dies."""
        parent = parent_process()
        while self._rings or not self._is_stopping:
            sources: list[Any] = [*self._rings, *([] if self._is_stopping else [self._control])]
            if parent is not None:
                sources.append(parent.sentinel)
            ready = wait(sources, timeout=self._plan.commit_s / 2 if self._has_uncommitted else 0.1)
            waiting = [self._rings[source] for source in ready if source in self._rings]
            # Settings can wait, tags cannot; but settings must not starve either.
            for ring in sorted(waiting, key=lambda ring: ring.kind != "tags"):
                self._drain(ring, at_most=_TAG_BLOCKS_IN_A_ROW if ring.kind == "tags" else 1)
            if self._control in ready:
                self._obey()
            self._keep_safe()
            if parent is not None and parent.sentinel in ready:
                break
        self._drain_all()
        if not self._was_told_to_stop:
            self._note("the recording program ended without stopping the run", logging.ERROR, None)

    def _drain(self, ring: RingPlan, *, at_most: int) -> None:
        for _ in range(at_most):
            if ring.end.descriptors not in self._rings or not ring.end.descriptors.poll(0.0):
                return
            self._drain_one(ring)

    def _drain_one(self, ring: RingPlan) -> None:
        """Write one waiting block, or strike the ring off if it has ended."""
        try:
            number, block = ring.end.take()
        except (EOFError, ConnectionResetError):
            del self._rings[ring.end.descriptors]
            return
        self._append(ring, block)
        del block  # its views must go before the memory can be unmapped
        ring.end.give_back(number)
        self._has_uncommitted = True

    def _append(self, ring: RingPlan, block: TagBlock) -> None:
        writer = self._writers[ring.party]
        if ring.kind == "tags":
            writer.append_tags(ring.stream, block)
        else:
            writer.append(ring.stream, (block.times_ps, block.channels))
        self._rows[f"{ring.party}/{ring.stream}"] += len(block)
        self._lost += block.lost

    def _drain_all(self) -> None:
        """Write what still lies in the pipes, whoever has stopped or died meanwhile."""
        for ring in list(self._rings.values()):
            self._drain(ring, at_most=ring.end.layout.blocks + 1)

    def _obey(self) -> None:
        try:
            message = json.loads(self._control.recv_bytes())
        except (EOFError, ConnectionResetError):
            self._is_stopping = True
            return
        if message["do"] == "note":
            self._note(message["text"], message["level"], message["party"])
        else:
            self._is_stopping = self._was_told_to_stop = True

    def _note(self, text: str, level: int, party: str | None) -> None:
        # The wall clock may be set back; the key of a stream must not be.
        self._last_note_ns = max(self._last_note_ns, time.time_ns())
        short = text.encode()[:_TEXT_BYTES].decode(errors="ignore").encode()
        row = (np.array([self._last_note_ns]), np.array([level], np.uint8), np.array([short], f"S{_TEXT_BYTES}"))
        for name, writer in self._writers.items():
            if party in (None, name):
                writer.append(EVENTS.name, row)
        self._has_uncommitted = True

    def _keep_safe(self) -> None:
        now = time.monotonic()
        if self._has_uncommitted and now - self._commit_at >= self._plan.commit_s / 2:
            self._commit()
        if now - self._sync_at >= self._plan.sync_s:
            self._sync_at = now
            self._syncer.start_sync([*self._writers])
            require_space(self._plan.folder, self._plan.reserve_bytes)

    def _commit(self) -> None:
        for writer in self._writers.values():
            writer.commit()
        self._commit_at = time.monotonic()
        self._has_uncommitted = False

    def seal(self) -> SealReport:
        """Seal every file and the manifest."""
        self._syncer.finish()
        for writer in self._writers.values():
            writer.seal()
        self._manifest.status = "closed"
        self._manifest.write(self._plan.folder)
        segments = [segment for party in self._manifest.parties.values() for segment in party]
        files = tuple(segment.file for segment in segments)
        return SealReport(dict(self._rows), self._lost, files, sum(segment.bytes for segment in segments))


def _open_writer(plan: WriterPlan, party: PartyPlan, manifest: Manifest) -> PartyWriter:
    return PartyWriter(
        plan.folder,
        manifest,
        party.party,
        streams=[*party.streams, EVENTS],
        context=party.context,
        rotate_bytes=plan.rotate_bytes,
        rotate_s=plan.rotate_s,
    )
