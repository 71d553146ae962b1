"""Bring snapshots from where they are made to where they are drawn, without ever making the drawer wait.

A `Feed` is a queue with a thread behind it: of a run folder, of a publisher, or of a run in this program. Snapshots
are dropped when nobody fetches them; each holds totals, so that none is needed for the next.
"""

import logging
import math
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Self

from faintlink.acquisition.statistics.following import FolderWatch
from faintlink.acquisition.statistics.publishing import StatisticsPublisher, StatisticsSubscriber
from faintlink.acquisition.statistics.snapshot import Snapshot
from faintlink.core.config.loader import load_link
from faintlink.core.errors import ConfigError

_log = logging.getLogger(__name__)
_WAITING = 8192
_POLL_S = 0.05
_JOIN_S = 5.0
_SILENCE_S = 5.0
"""After so long without a word a run is taken for gone."""
_STAMP = "[0-9]" * 8 + "T" + "[0-9]" * 6 + "Z"

Emit = Callable[[Snapshot], None]


class Feed:
    """Snapshots on their way to a viewer.

    Parameters
    ----------
    work
        Runs in a thread of its own and emits snapshots; None for a feed that is filled with `put`.
    closing
        What ``work`` looks at to know when to end.
    is_replay
        Whether the run was over before it was opened.
    """

    def __init__(
        self, work: Callable[[Emit], None] | None = None, *, closing: Event | None = None, is_replay: bool = False
    ) -> None:
        self.is_replay = is_replay
        self._waiting: deque[Snapshot] = deque(maxlen=_WAITING)
        self._came = Event()
        self._closing = closing or Event()
        self._work = work
        self._thread = Thread(target=self._run, daemon=True, name="live-feed") if work is not None else None
        self.error: Exception | None = None
        """What ended the source before its time; shown by the viewers."""
        if self._thread is not None:
            self._thread.start()

    def _run(self) -> None:
        if self._work is None:
            return
        try:
            self._work(self.put)
        except Exception as error:  # a thread has nobody to tell but the viewer, which shows it
            _log.debug("the feed ended", exc_info=True)
            self.error = error
        self._came.set()

    def put(self, snapshot: Snapshot) -> None:
        """Add a snapshot; never waits."""
        self._waiting.append(snapshot)
        self._came.set()

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come."""
        return self._thread is not None and not self._thread.is_alive() and not self._waiting

    def take(self, wait_s: float = 0.0) -> list[Snapshot]:
        """Return all snapshots that wait, oldest first, waiting at most ``wait_s`` for the first."""
        if wait_s and not self._waiting:
            self._came.wait(wait_s)
        self._came.clear()
        return [self._waiting.popleft() for _ in range(len(self._waiting))]

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(_JOIN_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def folder_feed(folder: Path, *, keys: Path | None = None, calibrations: Path | None = None) -> Feed:
    """Return the feed of a run folder, growing or finished.

    Raises
    ------
    SchemaError
        It is none that can be watched.
    """
    # Opened here, so that a wrong folder is refused before a window comes up.
    closing = Event()
    watch = FolderWatch(folder, closing=closing, keys=keys, calibrations=calibrations)
    return Feed(watch.follow, closing=closing, is_replay=not watch.is_growing)


def published_feed(address: str, *, folder: Path | None = None) -> Feed:
    """Return the feed of a publisher.

    Parameters
    ----------
    address
        Where it publishes.
    folder
        Of a run that publishes itself and says something at least once a second: its files are read if it no longer
        does. Without one the publisher is waited for.

    Raises
    ------
    ConfigError
        ``address`` is none.
    """
    subscriber = StatisticsSubscriber(address)
    closing = Event()

    def work(emit: Emit) -> None:
        _hear(subscriber, emit, closing, patience_s=math.inf if folder is None else _SILENCE_S)
        if folder is not None and not closing.is_set():
            FolderWatch(folder, closing=closing).follow(emit)

    return Feed(work, closing=closing)


def _hear(subscriber: StatisticsSubscriber, emit: Emit, closing: Event, *, patience_s: float) -> None:
    """Hand on what a publisher says until its run is over, the feed is closed, or it is silent for too long.

    After the end of a run ``closing`` is set: there is nothing more to come from anywhere.
    """
    heard_s = time.monotonic()
    with subscriber:
        while not closing.is_set() and time.monotonic() - heard_s < patience_s:
            for snapshot in subscriber.poll(_POLL_S):
                heard_s = time.monotonic()
                emit(snapshot)
                if snapshot.is_over:
                    closing.set()


def open_feed(target: str, *, via: str = "", keys: Path | None = None, calibrations: Path | None = None) -> Feed:
    """Return the feed of what ``target`` names: tcp://…, a run folder or one of its files, or a link file.

    With ``via``, an address, the run is heard there as long as it says anything.

    Raises
    ------
    ConfigError
        The address or the link file is wrong, or the link has no run yet.
    SchemaError
        The folder is no run that can be watched.
    """
    if "://" in target:
        return published_feed(target)
    if via:
        return published_feed(via, folder=run_folder(Path(target)))
    return folder_feed(run_folder(Path(target)), keys=keys, calibrations=calibrations)


def run_folder(target: Path, runs: Path = Path("runs")) -> Path:
    """Return the run folder that ``target`` names; of a link file, the newest run of its link below ``runs``.

    Raises
    ------
    ConfigError
        The link file is wrong, or its link has no run there.
    """
    if target.suffix not in (".yaml", ".yml"):
        return target.parent if target.is_file() else target
    name = load_link(target).name
    found = sorted(runs.glob(f"{_STAMP}-{name}"))
    if not found:
        raise ConfigError(
            f"no run of link {name} below {runs}/",
            hint=f"`faintlink run {target} --watch` takes one and shows it; a run elsewhere is named by its folder",
        )
    return found[-1]


def relay(feed: Feed, address: str) -> int:
    """Publish a feed until its run is over; return 0, or 3 when its source failed before.

    Raises
    ------
    ConfigError
        The address cannot be bound.
    """
    with feed, StatisticsPublisher(address) as publisher:
        _log.info("publishing at %s", publisher.address)
        newest: Snapshot | None = None
        is_pending = False
        while not feed.has_ended:
            taken = feed.take(_POLL_S)
            newest, is_pending = (taken[-1], True) if taken else (newest, is_pending)
            if newest is not None and is_pending:
                is_pending = not publisher.send(newest)
        if newest is not None:
            publisher.send_last(newest)
    if feed.error is not None:
        _log.error("no more statistics: %s", getattr(feed.error, "message", feed.error))
        return 3
    return 0
