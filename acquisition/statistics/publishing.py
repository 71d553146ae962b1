"""Send snapshots to whoever listens, over ZeroMQ, and never wait for them.

A `StatisticsPublisher` drops what a listener cannot take, and keeps to 20 messages and 100 kB a second unless told
otherwise. A
`StatisticsSubscriber` takes what has come. Nothing is authenticated or encrypted: bind to this computer, or to a
network that only the operators can reach, and go through an ssh tunnel from elsewhere.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from faintlink.acquisition.statistics.codec import MAX_BYTES, decode, encode
from faintlink.acquisition.statistics.snapshot import Snapshot
from faintlink.core.errors import ConfigError, FaintlinkError

PERIOD_S = 0.05
"""Shortest time between two messages to another computer."""
BYTES_PER_S = 100_000
"""Most that is sent to another computer."""
FACTS_S = 2.0
"""A listener that comes late waits so long for what hardly changes."""
_HIGH_WATER = 32
_LINGER_MS = 500
_LAST_TIMES = 3
_ADDRESS = "name it like tcp://127.0.0.1:5599"


def _socket(kind: str, address: str) -> Any:
    scheme, _, place = address.partition("://")
    port = place.rpartition(":")[2]
    if scheme == "tcp" and port != "*" and not (port.isdecimal() and 0 < int(port) < 65536):
        # ZeroMQ would take a larger number modulo 65536.
        raise ConfigError(f"cannot use {address}: no port from 1 to 65535", hint=_ADDRESS)
    try:
        import zmq
    except ModuleNotFoundError as error:
        raise FaintlinkError("published statistics need pyzmq", hint='pip install "faintlink[lab]"') from error
    return zmq.Context.instance().socket(getattr(zmq, kind))


def _attach(socket: Any, method: str, address: str) -> None:
    import zmq

    try:
        getattr(socket, method)(address)
    except zmq.ZMQError as error:
        socket.close(0)
        raise ConfigError(f"cannot use {address}: {error}", hint=_ADDRESS) from error


class _Endpoint:
    """One end of a connection, closed with its block."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket

    def close(self) -> None:
        """Close it; what a publisher has on its way has half a second to leave."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class StatisticsPublisher(_Endpoint):
    """Publishes the newest snapshot of a run.

    Parameters
    ----------
    address
        Where to bind, as tcp://host:port.
    period_s, bytes_per_s
        Shortest time between two messages, and most that is sent.
    clock
        Monotonic seconds, replaceable in tests.

    Raises
    ------
    ConfigError
        It cannot be bound.
    """

    def __init__(
        self,
        address: str,
        *,
        period_s: float = PERIOD_S,
        bytes_per_s: float = BYTES_PER_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._period_s, self._bytes_per_s = period_s, bytes_per_s
        self._clock = clock
        super().__init__(_socket("PUB", address))
        import zmq

        self._socket.setsockopt(zmq.SNDHWM, _HIGH_WATER)
        self._socket.setsockopt(zmq.LINGER, _LINGER_MS)
        _attach(self._socket, "bind", address)
        self.address: str = self._socket.LAST_ENDPOINT.decode()
        """Where it is bound."""
        self._ready_s = 0.0
        self._facts_s = 0.0
        self.sent_bytes = 0
        """Handed to ZeroMQ so far."""

    def send(self, snapshot: Snapshot) -> bool:
        """Publish a snapshot unless the last one was too short ago; return whether it went out."""
        import zmq

        now = self._clock()
        if now < self._ready_s:
            return False
        has_facts = now >= self._facts_s or snapshot.is_over
        message = encode(snapshot if has_facts else replace(snapshot, facts=None))
        if len(message) > MAX_BYTES:
            message = encode(replace(snapshot, facts=None))
        self._ready_s = now + max(self._period_s, len(message) / self._bytes_per_s)
        self._facts_s = now + FACTS_S if has_facts else self._facts_s
        try:
            self._socket.send(message, zmq.NOBLOCK)
        except zmq.Again:
            return False
        self.sent_bytes += len(message)
        return True

    def send_last(self, snapshot: Snapshot) -> None:
        """Publish the last snapshot of a run several times, since any message may be dropped."""
        for _ in range(_LAST_TIMES):
            time.sleep(max(0.0, self._ready_s - self._clock()))
            self.send(snapshot)


class StatisticsSubscriber(_Endpoint):
    """Receives the snapshots of a publisher; it connects again by itself.

    Parameters
    ----------
    address
        Where the acquisition publishes.

    Raises
    ------
    ConfigError
        It is no address.
    """

    def __init__(self, address: str) -> None:
        super().__init__(_socket("SUB", address))
        import zmq

        self._socket.setsockopt(zmq.RCVHWM, _HIGH_WATER)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_BYTES)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.SUBSCRIBE, b"")
        _attach(self._socket, "connect", address)

    def poll(self, wait_s: float = 0.0) -> list[Snapshot]:
        """Return all snapshots that have come, waiting at most ``wait_s`` for the first.

        Raises
        ------
        SchemaError
            Something else was sent there.
        """
        found: list[Snapshot] = []
        wait_ms = round(1e3 * wait_s)
        while len(found) < _HIGH_WATER and self._socket.poll(wait_ms):
            found.append(decode(self._socket.recv()))
            wait_ms = 0
        return found


def require_free(address: str) -> None:
    """Refuse an address that cannot be bound now, before anything depends on it.

    Raises
    ------
    ConfigError
        It cannot be bound.
    """
    StatisticsPublisher(address).close()
