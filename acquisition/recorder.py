"""The parent's side of the writer process: start it, feed it, hear from it, seal.

Used by `faintlink.acquisition.run.Run`. One ring per stream leads to the process; a `Recorder` owns the producing
ends, the process and every pipe, and frees all of them whatever happens. It never writes a file itself.
"""

import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from types import ModuleType, TracebackType
from typing import Self

from faintlink.acquisition.ring import RingProducer, make_ring
from faintlink.acquisition.writer_plan import RingPlan, SealReport, WriterPlan
from faintlink.acquisition.writer_process import record
from faintlink.core.errors import FaintlinkError, RunfileError
from faintlink.core.symbols import Party

_log = logging.getLogger(__name__)
_START_S = 60.0
_SEAL_S = 600.0
_SETTINGS_BLOCKS = 8


class Recorder:
    """A running writer process and the rings that lead to it.

    Parameters
    ----------
    plan
        What to write.
    blocks, block_rows
        Size of the ring of each stream of tags; streams of settings get a shorter one, since they may wait.

    Raises
    ------
    RunExistsError
        The run folder exists (from `start`).
    RunfileError
        It cannot be made (from `start`).
    """

    def __init__(self, plan: WriterPlan, *, blocks: int, block_rows: int) -> None:
        self.plan = plan
        self._context = get_context("spawn")
        self._producers: dict[tuple[Party, str], RingProducer] = {}
        self._rings: list[RingPlan] = []
        control_out, self._control = self._context.Pipe(duplex=False)
        self._status, status_in = self._context.Pipe(duplex=False)
        for party in plan.parties:
            for spec in party.streams:
                count = blocks if spec.kind == "tags" else min(blocks, _SETTINGS_BLOCKS)
                producer, end = make_ring(self._context, blocks=count, block_rows=block_rows)
                self._producers[party.party, spec.name] = producer
                self._rings.append(RingPlan(party.party, spec.name, spec.kind, end))
        self._process = self._context.Process(
            target=record, args=(plan, self._rings, control_out, status_in), name="faintlink-writer"
        )
        self._theirs = (control_out, status_in)
        self._lock = threading.Lock()
        self._failure: FaintlinkError | None = None
        self._sealed: SealReport | None = None
        self._is_ready = False

    @property
    def pid(self) -> int | None:
        """Process id of the writer, once started."""
        return self._process.pid

    def start(self) -> None:
        """Start the process and wait until its files are open."""
        with _bare_main(), _without_file_locks(), _interrupts_held():
            self._process.start()
        self._close_their_ends()
        deadline = time.monotonic() + _START_S
        while not self._is_ready:
            self._listen(0.1)
            self.check()
            if time.monotonic() > deadline:
                raise RunfileError(f"the writer process did not start within {_START_S:.0f} s")
        for producer in self._producers.values():
            producer.forget_name()

    def _close_their_ends(self) -> None:
        for ring in self._rings:
            ring.end.close_pipes()
        for connection in self._theirs:
            connection.close()

    def producer(self, party: Party, stream: str) -> RingProducer:
        """Return the end of a stream's ring that takes its blocks."""
        return self._producers[party, stream]

    def note(self, text: str, *, level: int = logging.INFO, party: Party | None = None) -> None:
        """Write an event into the party's file, or into all files."""
        self._send({"do": "note", "text": text, "level": level, "party": party})

    def _send(self, message: dict[str, object]) -> None:
        with self._lock:
            try:
                self._control.send_bytes(json.dumps(message).encode())
            except OSError as error:
                # The process has gone; `check` says why.
                _log.debug("the writer process takes no message: %s", error)

    def check(self) -> None:
        """Raise what went wrong in the process, if anything did.

        Raises
        ------
        FaintlinkError
            What the process reported before it ended.
        RunfileError
            The process ended without a word.
        """
        alive = self._process.is_alive()
        self._listen(0.0)
        if self._failure is not None:
            raise self._failure
        if not alive and self._sealed is None:
            raise self._ended_silently()

    def _listen(self, wait_s: float) -> None:
        try:
            while self._status.poll(wait_s):
                what, content = self._status.recv()
                self._is_ready = self._is_ready or what == "ready"
                self._failure = content if what == "failed" else self._failure
                self._sealed = content if what == "sealed" else self._sealed
                wait_s = 0.0
        except (EOFError, OSError):
            # The process closed its end; a moment later `is_alive` is false.
            time.sleep(min(wait_s, 0.01))

    def _ended_silently(self) -> RunfileError:
        code = self._process.exitcode
        how = f"was killed by {signal.Signals(-code).name}" if code is not None and code < 0 else f"exited with {code}"
        return RunfileError(
            f"the writer process {how} during the run in {self.plan.folder}",
            hint=f"everything committed is kept: `faintlink recover` each *.h5 of {self.plan.folder}",
            exitcode=code,
        )

    def seal(self) -> SealReport:
        """End the streams, wait until everything is written and sealed, and return what was sealed.

        Raises
        ------
        FaintlinkError
            As `check` does.
        """
        for producer in self._producers.values():
            producer.end()
        self._send({"do": "stop"})
        deadline = time.monotonic() + _SEAL_S
        while self._sealed is None:
            self.check()
            self._listen(0.05)
            if time.monotonic() > deadline:
                raise RunfileError(f"the files of {self.plan.folder} were not sealed within {_SEAL_S:.0f} s")
        self._process.join()
        return self._sealed

    def close(self) -> None:
        """Free everything. A process that still writes notices, seals what it has and ends by itself."""
        self._close_their_ends()
        for connection in (self._control, self._status):
            connection.close()
        for producer in self._producers.values():
            producer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextmanager
def _bare_main() -> Iterator[None]:
    """Hide the caller's script while spawning.

    A spawned process imports its parent's ``__main__`` to unpickle functions from it. Ours takes none from there,
    and a lab's script would drag instrument libraries, or a second run, into the writer.
    """
    real = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = real


@contextmanager
def _without_file_locks() -> Iterator[None]:
    """Start the writer without HDF5's advisory locks, which HDF5 reads from the environment when it is loaded.

    A file is created exclusively and has one writer by construction. With locks, a reader that looks at the very
    moment of sealing would make the seal fail.
    """
    name = "HDF5_USE_FILE_LOCKING"
    before = os.environ.get(name)
    os.environ[name] = "FALSE"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold back Ctrl-C while spawning: the child inherits the mask until it has said what it does with it."""
    if os.name != "posix":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
