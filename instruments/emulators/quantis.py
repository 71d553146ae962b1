"""An emulated Quantis: a named pipe that gives bytes of the operating system, and worse ones on request.

Sources: fifo(7).
"""

import contextlib
import os
import secrets
import select
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

_PIECE = 4096
_POLL_S = 0.02


class EmulatedQuantis:
    """A named pipe with a feeder; a context manager.

    Parameters
    ----------
    path
        Where to make the pipe.
    source
        Gives as many bytes as asked; replace it (attribute ``source``) to let the device fail. None: silence.
    """

    def __init__(self, path: Path, source: Callable[[int], bytes] | None = secrets.token_bytes) -> None:
        self.path = path
        self.source = source
        """What feeds the pipe; None keeps it silent."""
        self._stop = threading.Event()
        os.mkfifo(path)
        # Open for both, so that the pipe stays while readers come and go.
        self._file = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self._thread = threading.Thread(target=self._feed, name="emulator-quantis", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Where a driver finds it."""
        return str(self.path)

    def _feed(self) -> None:
        while not self._stop.is_set():
            _, ready, _ = select.select([], [self._file], [], _POLL_S)
            source = self.source
            if not ready or source is None:
                self._stop.wait(_POLL_S)
                continue
            with contextlib.suppress(BlockingIOError):
                os.write(self._file, source(_PIECE))

    def empty(self) -> None:
        """Throw away what is in the pipe."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._file, 1 << 16):
                pass

    def cut(self) -> None:
        """Go away, as a pulled card; twice does no harm."""
        if not self._stop.is_set():
            self._stop.set()
            self._thread.join(timeout=2.0)
            os.close(self._file)
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()
