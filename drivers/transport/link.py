"""A link carries bytes to an instrument and back, with a deadline on every wait.

Drivers of devices that do not speak VISA hold a `ByteLink`. Whatever goes wrong below (a pulled cable, a closed
port, silence) is a `ConnectionLostError` that says what was sent and what came back. All bytes go to the logger
``<module>.wire`` at level DEBUG.
"""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable

from faintlink.core.errors import ConnectionLostError

_wire = logging.getLogger(f"{__name__}.wire")
SHOWN_BYTES = 80
"""Bytes of a message that an error shows."""


class ByteLink(ABC):
    """Bytes to and from one instrument.

    Parameters
    ----------
    address
        Where it leads, for messages.
    timeout_s
        Longest wait for an answer unless a call says otherwise.
    """

    def __init__(self, address: str, *, timeout_s: float = 2.0) -> None:
        self.address = address
        self.timeout_s = timeout_s
        self._buffer = bytearray()
        self._sent = b""

    @abstractmethod
    def _send(self, data: bytes) -> None:
        """Send all bytes or raise OSError."""

    @abstractmethod
    def _receive(self, timeout_s: float) -> bytes:
        """Return one byte or more; nothing after ``timeout_s``; raise OSError when the other end is gone."""

    @abstractmethod
    def close(self) -> None:
        """Close the link; twice does no harm."""

    def write(self, data: bytes) -> None:
        """Send all bytes.

        Raises
        ------
        ConnectionLostError
            The link is down.
        """
        self._sent = data
        _wire.debug("%s > %s", self.address, data)
        try:
            self._send(data)
        except OSError as error:
            raise self._lost(f"cannot send: {error}", b"") from error

    def read_until(self, end: bytes, *, timeout_s: float | None = None, limit: int = 1 << 16) -> bytes:
        """Return the next bytes up to and with ``end``.

        Raises
        ------
        ConnectionLostError
            They did not come in time, the link is down, or more than ``limit`` bytes came without ``end``.
        """
        return self._take(lambda: self._end_of(end, limit), timeout_s)

    def read_exact(self, size: int, *, timeout_s: float | None = None) -> bytes:
        """Return the next ``size`` bytes.

        Raises
        ------
        ConnectionLostError
            They did not come in time, or the link is down.
        """
        return self._take(lambda: size if len(self._buffer) >= size else 0, timeout_s) if size else b""

    def read_some(self, timeout_s: float) -> bytes:
        """Return what is there, waiting at most ``timeout_s`` for a first byte; empty if none came.

        Raises
        ------
        ConnectionLostError
            The link is down.
        """
        if not self._buffer:
            self._fill(timeout_s)
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    def drain(self) -> bytes:
        """Return and forget everything that has come and was not read: stale answers of an earlier quarrel."""
        while self._fill(0.0):
            pass
        return self.read_some(0.0)

    def _end_of(self, end: bytes, limit: int) -> int:
        at = self._buffer.find(end)
        if at < 0 and len(self._buffer) > limit:
            raise self._lost(f"more than {limit} bytes came without {end!r}", bytes(self._buffer))
        return at + len(end) if at >= 0 else 0

    def _take(self, wanted: Callable[[], int], timeout_s: float | None) -> bytes:
        patience = self.timeout_s if timeout_s is None else timeout_s
        deadline = time.monotonic() + patience
        while not (size := wanted()):
            left = deadline - time.monotonic()
            if left <= 0.0 or not self._fill(left):
                seen = bytes(self._buffer)
                self._buffer.clear()
                raise self._lost(f"no whole answer within {patience:g} s", seen)
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def _fill(self, timeout_s: float) -> bool:
        try:
            data = self._receive(timeout_s)
        except OSError as error:
            raise self._lost(f"cannot receive: {error}", bytes(self._buffer)) from error
        if data:
            _wire.debug("%s < %s", self.address, data)
        self._buffer += data
        return bool(data)

    def _lost(self, what: str, seen: bytes) -> ConnectionLostError:
        return ConnectionLostError(
            f"{self.address}: {what}; sent {self._sent[:SHOWN_BYTES]!r}, seen {seen[:SHOWN_BYTES]!r}",
            hint="check cable, power and port, and that no other program holds it; then open the instrument again",
            address=self.address,
            sent=self._sent,
            seen=seen,
        )
