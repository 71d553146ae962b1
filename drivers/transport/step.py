"""Falling into step again: after a lost answer no late one may be taken for that of another question.

A device on a stream of bytes answers in the order in which it is asked. So a harmless question whose answer is known,
a marker, tells how far it has got: whatever comes before the marker's answer is stale. Bases of drivers hold a
`Step` per conversation; it knows neither sockets nor ports.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from faintlink.core.errors import ConnectionLostError

_SHOWN_BYTES = 80


@dataclass(frozen=True, slots=True)
class Marker:
    """A question without consequences, and how to know its answer."""

    request: bytes
    """What is sent, with its end."""
    answer: re.Pattern[bytes]
    """Matches its whole answer once, and no part of an answer to anything else."""

    @classmethod
    def of(cls, request: bytes, answer: bytes) -> "Marker":
        """Return a marker from the text of a regular expression, in which ``.`` is any byte."""
        return cls(request, re.compile(answer, re.DOTALL | re.IGNORECASE))


class Step:
    """Whether a conversation is in step, and how it falls into step again.

    Parameters
    ----------
    who
        Name of the device, for messages.
    quiet_s
        How long the line must be silent before the marker.
    patience_s
        How long to wait for that silence, and then for the marker's answer.
    late_s
        Silence after which an answer that still lacks counts as lost and no longer as late. It matters only where
        the lost question was the marker itself, or where there is none.
    """

    def __init__(self, who: str, *, quiet_s: float, patience_s: float, late_s: float) -> None:
        self.who = who
        self.quiet_s, self.patience_s, self.late_s = quiet_s, patience_s, late_s
        self.is_lost = False
        """Whether answers may still be on their way."""
        self._last = b""
        self._markers_owed = 0

    @contextmanager
    def asking(self, request: bytes) -> Iterator[None]:
        """Hold the conversation lost while a request is under way, whatever ends it."""
        self._last = request
        self.is_lost = True
        yield
        self.is_lost = False

    def lose(self) -> None:
        """Note that the last answer made no sense, so that more may follow."""
        self.is_lost = True

    def forget(self) -> None:
        """Note that the way to the device was emptied: nothing is owed any more."""
        self._last, self._markers_owed = b"", 0

    def regain(
        self,
        send: Callable[[bytes], object],
        receive: Callable[[float], bytes],
        marker: Marker | None,
        *,
        waits_for_silence: bool = True,
    ) -> None:
        """Throw away what is stale.

        Parameters
        ----------
        send
            Sends bytes.
        receive
            Returns what came, waiting at most so many seconds for a first byte; empty if none did.
        marker
            Without one only silence tells, and an answer later than that goes unnoticed.
        waits_for_silence
            Whether to read what comes by itself before the marker is sent.

        Raises
        ------
        ConnectionLostError
            The device does not fall silent, or does not answer the marker. It is still out of step then.
        """
        seen = self._silence(receive, self.quiet_s if marker else self.late_s) if waits_for_silence else b""
        if marker is not None:
            self._markers_owed += 1 + (self._last == marker.request)
            self._last = b""
            send(marker.request)
            self._await_markers(seen, receive, marker)
        self.forget()
        self.is_lost = False

    def _silence(self, receive: Callable[[float], bytes], quiet_s: float) -> bytes:
        deadline = time.monotonic() + self.patience_s
        seen = b""
        while data := receive(quiet_s):
            seen += data
            if time.monotonic() > deadline:
                raise self._lost(f"does not fall silent within {self.patience_s:g} s", seen)
        return seen

    def _await_markers(self, seen: bytes, receive: Callable[[float], bytes], marker: Marker) -> None:
        deadline = time.monotonic() + self.patience_s
        before = found = len(marker.answer.findall(seen))
        while found < max(self._markers_owed, before + 1) and time.monotonic() <= deadline + self.late_s:
            data = receive(self.late_s if found > before else max(0.0, deadline - time.monotonic()))
            if not data:
                break
            seen += data
            found = len(marker.answer.findall(seen))
        if found == before:
            # What came before this marker was sent answers earlier ones, which are then owed no longer.
            self._markers_owed = max(1, self._markers_owed - found)
            raise self._lost(f"does not answer {marker.request!r} within {self.patience_s:g} s", seen)

    def _lost(self, what: str, seen: bytes) -> ConnectionLostError:
        return ConnectionLostError(
            f"{self.who} {what} after a lost answer, seen {seen[:_SHOWN_BYTES]!r}",
            hint="check cable, power and baud rate, and that no other program talks to it; then open it again",
            device=self.who,
            seen=seen,
        )
