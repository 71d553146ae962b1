"""Faults of a transport, injected between an emulated device and its client.

A server asks `Faults.strike` for each answer. Faults strike a number of answers and are then used up, so that a test
can see whether a driver recovers.
"""

import threading
import time
from collections import deque
from enum import StrEnum

GARBAGE = b"\xff\x00\x81?garbage\xfe"


class Fault(StrEnum):
    """What goes wrong with an answer."""

    SILENT = "silent"
    """It is swallowed."""
    GARBAGE = "garbage"
    """Other bytes come in its place."""
    HALF = "half"
    """It stops in the middle."""
    SLOW = "slow"
    """It comes late."""
    REBOOT = "reboot"
    """The device restarts instead of answering: its settings are those of power-on."""
    CUT = "cut"
    """The connection breaks."""


class Faults:
    """Faults that wait to strike.

    Parameters
    ----------
    delay_s
        How late a slow answer is.
    """

    def __init__(self, *, delay_s: float = 0.5) -> None:
        self.delay_s = delay_s
        self._waiting: deque[Fault] = deque()
        self._lock = threading.Lock()

    def inject(self, fault: Fault | str, times: int = 1) -> None:
        """Let the next ``times`` answers suffer."""
        with self._lock:
            self._waiting.extend([Fault(fault)] * times)

    def next(self) -> Fault | None:
        """Return the fault of the next answer and use it up."""
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def strike(self, fault: Fault | None, answer: bytes) -> bytes:
        """Return what becomes of an answer; `Fault.CUT` and `Fault.REBOOT` are the server's business."""
        if fault is Fault.SLOW:
            time.sleep(self.delay_s)
        if fault in (Fault.SILENT, Fault.CUT, Fault.REBOOT):
            return b""
        if fault is Fault.GARBAGE:
            return GARBAGE
        if fault is Fault.HALF:
            return answer[: len(answer) // 2]
        return answer
