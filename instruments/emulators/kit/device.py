"""An emulated device without a transport: bytes in, bytes out.

A server of `servers` gives each client a session of the device. The device's state is shared by its sessions, as in a
real box; a session holds only what belongs to one connection. Neither knows sockets or ports.
"""

import threading
from abc import ABC, abstractmethod


class Session(ABC):
    """One connection to a device."""

    def greeting(self) -> bytes:
        """Return what the device says first; nothing unless overridden."""
        return b""

    @abstractmethod
    def receive(self, data: bytes) -> bytes:
        """Take the client's next bytes, cut anywhere, and return the answer."""

    def pending(self) -> bytes:
        """Return what the device sends unasked, such as a stream; nothing unless overridden."""
        return b""


class EmulatedDevice(ABC):
    """A device that sessions talk to. Handlers run under ``lock``."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.boots = 0
        """How often it restarted."""

    @abstractmethod
    def session(self) -> Session:
        """Return a new connection."""

    def reboot(self) -> None:
        """Restart; a device with settings overrides it to fall back to those of power-on."""
        self.boots += 1


class LineSession(Session):
    """A connection of a device that takes lines of text.

    Parameters
    ----------
    device
        Whose `LineDevice.handle` answers.
    """

    def __init__(self, device: "LineDevice") -> None:
        self._device = device
        self._buffer = b""

    def receive(self, data: bytes) -> bytes:
        """Answer each line that is complete."""
        self._buffer += data
        answers = []
        while self._device.terminator in self._buffer:
            line, self._buffer = self._buffer.split(self._device.terminator, 1)
            with self._device.lock:
                answers.append(self._device.handle(line.decode("latin-1")))
        return b"".join(answers)


class LineDevice(EmulatedDevice):
    """A device that takes lines of text."""

    terminator = b"\n"
    """What ends a command."""

    def session(self) -> Session:
        """Return a new connection."""
        return LineSession(self)

    @abstractmethod
    def handle(self, line: str) -> bytes:
        """Return the whole answer to a command without its terminator, empty for none."""
