"""The process that turns a link's published statistics into metrics: listens to ZeroMQ, answers Prometheus.

Run by `faintlink monitor`. It needs no data of the recording and no permission on its files, and the recording does not
notice whether it runs.
"""

import logging
from collections.abc import Callable
from typing import Any

from faintlink.core.errors import ConfigError, PeerUnavailableError, SchemaError
from faintlink.delivery.health import Check, Monitoring, serve_monitoring
from faintlink.delivery.metrics.catalogue import Feeder
from faintlink.delivery.metrics.link import MAX_BYTES, LinkFeed
from faintlink.delivery.metrics.registry import Metrics

_log = logging.getLogger(__name__)
_TICK_S = 1.0


class LinkMonitor:
    """Metrics and health of one link."""

    def __init__(self, name: str) -> None:
        self._metrics = Metrics(Feeder.LINK)
        self._feed = LinkFeed(self._metrics)
        self._has_warned = False
        self.monitoring = Monitoring(name, {"link": Check(self._require_up, is_vital=False)}, self._metrics.render)

    def take(self, message: bytes | None) -> None:
        """Take a message, or None where none came for a second; one that is no snapshot is passed over."""
        if message is None:
            self._feed.tick()
            return
        try:
            self._feed.receive(message)
        except SchemaError as error:
            # A publisher of another version would fill the log with one line a message.
            _log.log(logging.DEBUG if self._has_warned else logging.WARNING, "passed over: %s", error.message)
            self._has_warned = True

    def _require_up(self) -> None:
        if not self._feed.is_up:
            raise PeerUnavailableError("no statistics of the link come in", hint="is it recorded with --publish?")


async def run_monitor(address: str, *, host: str, port: int, on_ready: Callable[[int], None]) -> None:
    """Export the statistics that come from ``address`` until cancelled.

    Parameters
    ----------
    address
        Of the publisher, as tcp://host:port.
    host, port
        Where to answer; 0 takes any port.
    on_ready
        Called with the port once it answers.

    Raises
    ------
    ConfigError
        An address cannot be used, or pyzmq is not installed.
    """
    socket = _subscribe(address)
    monitor = LinkMonitor(address)
    try:
        runner = await serve_monitoring(monitor.monitoring, host=host, port=port)
        try:
            on_ready(runner.addresses[0][1])
            while True:
                monitor.take(await socket.recv() if await socket.poll(_TICK_S * 1000) else None)
        finally:
            await runner.cleanup()
    finally:
        socket.close(0)


def _subscribe(address: str) -> Any:
    try:
        import zmq
        import zmq.asyncio
    except ModuleNotFoundError as error:
        raise ConfigError("published statistics need pyzmq", hint='pip install "faintlink[lab]"') from error
    socket = zmq.asyncio.Context.instance().socket(zmq.SUB)
    socket.set(zmq.SUBSCRIBE, b"")
    socket.set(zmq.MAXMSGSIZE, MAX_BYTES)
    try:
        socket.connect(address)
    except zmq.ZMQError as error:
        socket.close(0)
        raise ConfigError(f"cannot use {address}: {error}", hint="name it like tcp://127.0.0.1:5599") from error
    return socket
