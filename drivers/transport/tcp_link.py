"""A link over TCP."""

import select
import socket

from faintlink.core.errors import ConnectionLostError
from faintlink.drivers.transport.link import ByteLink

_CHUNK = 1 << 18


class TcpLink(ByteLink):
    """A TCP connection.

    Parameters
    ----------
    host, port
        Where to connect.
    timeout_s
        As for `ByteLink`; also for connecting.

    Raises
    ------
    ConnectionLostError
        Nobody answers there.
    """

    def __init__(self, host: str, port: int, *, timeout_s: float = 2.0) -> None:
        super().__init__(f"{host}:{port}", timeout_s=timeout_s)
        try:
            self._socket = socket.create_connection((host, port), timeout=timeout_s)
        except OSError as error:
            raise ConnectionLostError(
                f"{host}:{port} does not answer: {error}",
                hint="check address, network and power; many instruments serve one client at a time",
                address=f"{host}:{port}",
            ) from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _send(self, data: bytes) -> None:
        self._socket.settimeout(self.timeout_s)
        self._socket.sendall(data)

    def _receive(self, timeout_s: float) -> bytes:
        if self._socket.fileno() < 0:
            raise ConnectionResetError("the connection is closed")
        ready, _, _ = select.select([self._socket], [], [], timeout_s)
        if not ready:
            return b""
        data = self._socket.recv(_CHUNK)
        if not data:
            raise ConnectionResetError("the instrument closed the connection")
        return data

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()
