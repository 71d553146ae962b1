"""Run changes of a key store in transactions: one after the other, and those that wait together in one commit.

Waiting for the disk is what a change costs. Changes that are asked for while a commit is under way are gathered and
made by whichever of their threads comes first, each within a savepoint of its own, and share one commit and one step of
the anchor. One that is refused is undone alone; if the commit or the anchor fails, all of them fail and what they were
to hand out is overwritten.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from faintlink.core.errors import FaintlinkError, StoreError
from faintlink.delivery.keystore.anchor import Anchor
from faintlink.delivery.keystore.database import Database
from faintlink.delivery.keystore.epochs import Epochs
from faintlink.delivery.keystore.opening import next_mark
from faintlink.delivery.keystore.sealing import wipe

_T = TypeVar("_T")


def _nothing(_: Any) -> Iterable[bytearray]:
    return ()


@dataclass(slots=True, eq=False)
class _Job:
    work: Callable[[], Any]
    secrets: Callable[[Any], Iterable[bytearray]]
    releases: bool
    result: Any = None
    error: BaseException | None = None
    is_done: bool = False


class Commits:
    """The transactions of an open store; for several threads."""

    def __init__(self, database: Database, anchor: Anchor, epochs: Epochs) -> None:
        self._db = database
        self._anchor = anchor
        self._epochs = epochs
        self._lock = threading.Lock()
        self._waiting: deque[_Job] = deque()

    def __repr__(self) -> str:
        return f"Commits({self._db.where!r}, {len(self._waiting)} wait)"

    def run(
        self,
        work: Callable[[], _T],
        *,
        releases: bool = False,
        secrets: Callable[[_T], Iterable[bytearray]] = _nothing,
    ) -> _T:
        """Make a change and return what it returns, once it is on the disk.

        Parameters
        ----------
        work
            Changes the database; undone if it raises.
        releases
            Whether key material leaves the store by it: the anchor takes a step.
        secrets
            What of the result to overwrite if it may not be handed out.
        """
        job = _Job(work, secrets, releases)
        self._waiting.append(job)
        with self._lock:
            if not job.is_done:
                self._serve()
        if job.error is not None:
            raise job.error
        result: _T = job.result
        return result

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep every change out, for upkeep."""
        with self._lock:
            yield

    def _serve(self) -> None:
        jobs = [self._waiting.popleft() for _ in range(len(self._waiting))]
        try:
            self._require_anchor()
            with self._db.transaction():
                for job in jobs:
                    self._do(job, shares=len(jobs) > 1)
                releases = any(job.releases and job.error is None for job in jobs)
                count, mark = next_mark(self._db) if releases else (0, b"")
            self._epochs.keep()
            if releases:
                self._anchor.advance(count, mark)
        except BaseException as error:
            self._epochs.undo()
            self._fail([job for job in jobs if job.error is None], error)
            if not isinstance(error, Exception):
                raise
        finally:
            for job in jobs:
                job.is_done = True

    def _do(self, job: _Job, *, shares: bool) -> None:
        begun = self._epochs.begun
        if shares:
            self._db.run("SAVEPOINT one_of_several")
        try:
            job.result = job.work()
        except FaintlinkError as error:
            job.error = error
            if not shares:
                raise
            self._db.run("ROLLBACK TO SAVEPOINT one_of_several")
            self._epochs.undo(begun)
        if shares:
            self._db.run("RELEASE SAVEPOINT one_of_several")

    def _require_anchor(self) -> None:
        # More than one step ahead of its anchor a database could not be told from another one.
        if not self._anchor.is_usable:
            raise StoreError(
                f"the key store {self._db.where} is closed, or its anchor could not be written",
                hint="open the store again",
            )

    @staticmethod
    def _fail(jobs: list[_Job], error: BaseException) -> None:
        for job in jobs:
            if job.result is not None:
                wipe(*job.secrets(job.result))
                job.result = None
            job.error = _copied(error) if len(jobs) > 1 else error


def _copied(error: BaseException) -> BaseException:
    """Return an error of its own for each thread that raises it."""
    if isinstance(error, FaintlinkError):
        copy: BaseException = type(error)(error.message, hint=error.hint, **error.fields)
    else:
        copy = StoreError(
            f"the transaction was broken off by a {type(error).__name__}", hint="nothing was changed; try again"
        )
    copy.__cause__ = error
    return copy
