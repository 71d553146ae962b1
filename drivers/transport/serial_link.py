"""A link over a serial port, by pyserial."""

import contextlib
import os
from collections.abc import Iterator

import serial

from faintlink.core.errors import ConnectionLostError
from faintlink.drivers.transport.link import ByteLink


class SerialLink(ByteLink):
    """A serial port.

    Parameters
    ----------
    port
        Device file or port name, such as ``/dev/ttyUSB0`` or ``COM3``.
    baud
        Bits per second.
    rtscts
        Hardware handshake.
    timeout_s
        As for `ByteLink`.

    Raises
    ------
    ConnectionLostError
        The port cannot be opened.
    """

    def __init__(self, port: str, *, baud: int, rtscts: bool = False, timeout_s: float = 2.0) -> None:
        super().__init__(port, timeout_s=timeout_s)
        try:
            self._port = serial.Serial(port, baud, rtscts=rtscts, timeout=0.0, write_timeout=timeout_s, exclusive=True)
        except (OSError, ValueError) as error:
            raise ConnectionLostError(
                f"{port} cannot be opened: {error}",
                hint="check the name (ls /dev/serial/by-id), the rights on it, and that no other program holds it",
                address=port,
            ) from error

    def _send(self, data: bytes) -> None:
        with _terminal_errors():
            self._port.write(data)
            self._port.flush()

    def _receive(self, timeout_s: float) -> bytes:
        with _terminal_errors():
            return self._read(timeout_s)

    def _read(self, timeout_s: float) -> bytes:
        waiting = self._port.in_waiting
        if not waiting:
            if self._port.timeout != timeout_s:
                self._port.timeout = timeout_s
            first: bytes = self._port.read(1)
            return first + self._port.read(self._port.in_waiting) if first else b""
        return bytes(self._port.read(waiting))

    def close(self) -> None:
        """Close the port."""
        self._port.close()


@contextlib.contextmanager
def _terminal_errors() -> Iterator[None]:
    """Turn ``termios.error``, which a pulled cable raises and which is no OSError, into one."""
    if os.name != "posix":
        yield
        return
    import termios

    try:
        yield
    except termios.error as error:
        raise OSError(*error.args) from error
