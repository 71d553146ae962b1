"""An emulated Agiltron FF switch.

Sources: as the driver, `faintlink.drivers.switches.agiltron_ff`.
"""

from faintlink.instruments.emulators.kit.device import EmulatedDevice, Session
from faintlink.instruments.emulators.kit.knob import Cell, Knob

_SIZE = 4


class _FourBytes(Session):
    """A connection on which every request has four bytes."""

    def __init__(self, device: "EmulatedFF") -> None:
        self._device = device
        self._buffer = b""

    def receive(self, data: bytes) -> bytes:
        self._buffer += data
        answers = []
        while len(self._buffer) >= _SIZE:
            request, self._buffer = self._buffer[:_SIZE], self._buffer[_SIZE:]
            with self._device.lock:
                answers.append(self._device.handle(request))
        return b"".join(answers)


class EmulatedFF(EmulatedDevice):
    """A switch of one fibre to several.

    Parameters
    ----------
    position
        Knob of the connected output, from 1.
    outputs
        Number of outputs.
    """

    def __init__(self, position: Knob | None = None, *, outputs: int = 4) -> None:
        super().__init__()
        self._knob = position or Cell(1)
        self._outputs = outputs
        self._knob(1)

    def session(self) -> Session:
        """Return a new connection."""
        return _FourBytes(self)

    def reboot(self) -> None:
        """Restart at output 1."""
        super().reboot()
        self._knob(1)

    def handle(self, request: bytes) -> bytes:
        """Return the answer to four bytes."""
        if request[:2] == b"\x01\x11":
            return request[:3] + bytes([int(self._knob())])
        if request[:2] == b"\x01\x12":
            if 1 <= request[3] <= self._outputs:
                self._knob(request[3])
            return request[:3] + bytes([int(self._knob())])
        return b""
