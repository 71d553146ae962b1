"""The side of a reconciliation that asks: one request at a time, one answer to each, every answered bit counted.

`faintlink.postprocess.qkd.cascade.CascadeBob` and `faintlink.postprocess.qkd.ldpc.LdpcBob` derive from `Asking`;
whoever carries their messages needs to know no more than this. What is asked and what is learnt is theirs.
"""

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt

from faintlink.core.errors import LocalProtocolError, RemoteProtocolError
from faintlink.core.units import Bits


class Asking(ABC):
    """A party that corrects its bits by asking, sans I/O."""

    def __init__(self) -> None:
        self._waits = False
        self._asked = 0
        self._next: bytes | None = None
        self.leaked_bits = 0
        """Bits that have come from the other party."""

    def next_request(self) -> bytes | None:
        """Return what to ask next, or None when all frames are done.

        Raises
        ------
        LocalProtocolError
            The last request is not answered yet.
        """
        if self._waits:
            raise LocalProtocolError("the last request is not answered yet", hint="call receive() first")
        self._waits = self._next is not None
        return self._next

    def receive(self, answer: bytes) -> None:
        """Take the answer to the last request, correct what it shows, and prepare the next request.

        Raises
        ------
        LocalProtocolError
            Nothing was asked.
        RemoteProtocolError
            The answer has a wrong size or padding, or contradicts earlier ones.
        """
        if not self._waits:
            raise LocalProtocolError("no request waits for an answer", hint="call next_request() first")
        if len(answer) != (self._asked + 7) // 8:
            raise RemoteProtocolError(f"expected an answer of {self._asked} bits, got {len(answer)} bytes")
        if self._asked % 8 and answer[-1] >> (self._asked % 8):
            raise RemoteProtocolError(f"an answer of {self._asked} bits is not padded with zeros")
        self._waits = False
        self.leaked_bits += self._asked
        self._learn(np.frombuffer(answer, np.uint8))

    @abstractmethod
    def _learn(self, answer: npt.NDArray[np.uint8]) -> None:
        """Take an answer of the right size and set ``_next`` and ``_asked``."""

    @abstractmethod
    def corrected(self) -> Bits:
        """Return the bits as corrected so far, (n,) uint8."""

    @property
    @abstractmethod
    def corrected_errors(self) -> int:
        """Bits flipped so far."""

    @property
    @abstractmethod
    def exhausted_frames(self) -> int:
        """Frames given up; they still hold errors."""
