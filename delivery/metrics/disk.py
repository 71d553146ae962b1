"""Room on the disk, and what a site still does when there is little of it.

SQLite cannot even delete on a full disk, and an audit log that cannot be written stops every release at once. So the
site stops by itself before: below `WARN_BELOW` it warns, below `STOP_BELOW` it promises no new keys, while voiding,
handing out what is promised, and destroying go on. It begins again only when there is clearly more room.
"""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from faintlink.core.errors import StoreError

WARN_BELOW = 0.10
STOP_BELOW = 0.05
AGAIN_ABOVE = 0.06
"""Share of free room at which promising begins again."""


class Room(IntEnum):
    """How much room there is."""

    ENOUGH = 0
    LITTLE = 1
    NONE = 2


@dataclass(frozen=True, slots=True)
class DiskState:
    """What a look at the disk found."""

    room: Room
    free_bytes: int
    """That the site's user may write."""
    size_bytes: int

    @property
    def share(self) -> float:
        """Free over all."""
        return self.free_bytes / self.size_bytes if self.size_bytes else 0.0


class DiskWatch:
    """Watches the file system of a folder; may be asked by any thread.

    Parameters
    ----------
    folder
        Of the store or the audit log.
    statvfs
        How to look; for tests.
    """

    def __init__(self, folder: Path, *, statvfs: Callable[[Path], os.statvfs_result] = os.statvfs) -> None:
        self._folder = folder
        self._statvfs = statvfs
        self._is_stopped = False
        self._lock = threading.Lock()

    def look(self) -> DiskState:
        """Return the state of the disk. One that cannot be looked at has no room."""
        try:
            found = self._statvfs(self._folder)
        except OSError:
            return DiskState(Room.NONE, 0, 0)
        free, size = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
        share = free / size if size else 0.0
        with self._lock:
            self._is_stopped = share < (AGAIN_ABOVE if self._is_stopped else STOP_BELOW)
            stopped = self._is_stopped
        room = Room.NONE if stopped else Room.LITTLE if share < WARN_BELOW else Room.ENOUGH
        return DiskState(room, free, size)

    def require_room(self) -> None:
        """Let a site promise new keys.

        Raises
        ------
        StoreError
            There is too little room for it.
        """
        state = self.look()
        if state.room is Room.NONE:
            raise StoreError(
                f"{state.share:.1%} of the disk is free, no new keys are promised below {STOP_BELOW:.0%}",
                hint=f"free the file system of {self._folder}; keys that are promised can still be fetched",
                path=str(self._folder),
            )
