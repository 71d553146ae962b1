"""Cut a connection whose server does not answer in time: whoever waits for it gets an error and not nothing."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Patience:
    """Watches a connection in a thread of its own.

    Parameters
    ----------
    handle
        Of the connection's socket.
    """

    def __init__(self, handle: int) -> None:
        # A handle of its own: the driver's may be another connection's by the time it is cut.
        self._line = socket.socket(fileno=os.dup(handle))
        self._within_s = 0.0
        self._deadline = float("inf")
        self._changed = threading.Condition()
        self._is_over = False
        threading.Thread(target=self._watch, name="key-store-patience", daemon=True).start()

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Give each statement of a block so long."""
        self._within_s = seconds
        self._deadline = time.monotonic() + seconds
        try:
            yield
        finally:
            self._deadline = float("inf")

    def go_on(self) -> None:
        """Note that the server has answered so far: the time begins anew."""
        if self._deadline != float("inf"):
            self._deadline = time.monotonic() + self._within_s

    def end(self) -> None:
        """Watch no more."""
        with self._changed:
            self._is_over = True
            self._changed.notify()
            self._line.close()

    def _watch(self) -> None:
        with self._changed:
            while not self._changed.wait_for(lambda: self._is_over, self._pause_s()):
                if time.monotonic() > self._deadline:
                    with suppress(OSError):
                        self._line.shutdown(socket.SHUT_RDWR)

    def _pause_s(self) -> float:
        return min(1.0, max(0.05, self._within_s / 4 or 1.0))
