"""The disk under a run: waiting for it without stopping, and saying clearly when it fails.

Used in the writer process only.
"""

import errno
import re
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path

from faintlink.core.durable import fsync
from faintlink.core.errors import FaintlinkError, RunfileError

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class DiskSyncer:
    """Wait for the disk in a thread of its own, so that the rings are emptied meanwhile."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thread: threading.Thread | None = None
        self._error: OSError | None = None

    def start_sync(self, parties: Sequence[str]) -> None:
        """Begin to sync the newest file of each party, unless the last sync still runs."""
        if self._thread is not None and self._thread.is_alive():
            return
        self.finish()
        self._thread = threading.Thread(target=self._sync, args=(parties,), daemon=True, name="sync")
        self._thread.start()

    def _sync(self, parties: Sequence[str]) -> None:
        try:
            for party in parties:
                fsync(max(self._folder.glob(f"{party}-*.h5")))
        except OSError as error:
            self._error = error

    def finish(self) -> None:
        """Wait for a running sync; raise what went wrong in it."""
        if self._thread is not None:
            self._thread.join()
        if self._error is not None:
            raise self._error


def require_space(folder: Path, reserve_bytes: int) -> None:
    """Raise the error of a full disk while there is still room to seal.

    Raises
    ------
    RunfileError
        Less than ``reserve_bytes`` are free.
    """
    free = shutil.disk_usage(folder).free
    if free < reserve_bytes:
        raise _disk_full(folder, errno.ENOSPC)


def as_runfile_error(error: Exception, folder: Path) -> FaintlinkError:
    """Return any fault of writing as an error that says what to do."""
    if isinstance(error, FaintlinkError):
        return error
    # HDF5 puts the system's error number into its text.
    named = re.search(r"errno\s*=\s*(\d+)", str(error))
    number = int(named[1]) if named else getattr(error, "errno", None)
    if number in _DISK_FULL:
        return _disk_full(folder, number)
    first = str(error).splitlines()[0] if str(error) else ""
    return RunfileError(
        f"{folder} cannot be written: {type(error).__name__} {first}",
        hint="everything committed is kept; look at the disk and at the kernel log",
        errno=number,
    )


def _disk_full(folder: Path, number: int | None) -> RunfileError:
    return RunfileError(
        f"the disk of {folder} is full; the run ended there",
        hint="everything committed is kept: make room, then `faintlink recover FILE` if a file does not open",
        errno=number,
    )
