"""Tell systemd how the service is: the protocol of sd_notify, one datagram a message.

Outside systemd every call does nothing. A message that cannot be sent is never an error: the service does its work.

Sources: sd_notify(3), sd_watchdog_enabled(3).
"""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Mapping

_log = logging.getLogger(__name__)
_SHARE = 1.0 / 3.0
"""Of the watchdog's time after which it is told again."""


class Notifier:
    """Speaks to the service manager that started this process.

    Parameters
    ----------
    environment
        Holds ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID``.
    clock
        Seconds that pass, replaceable in tests.
    """

    def __init__(
        self, environment: Mapping[str, str] = os.environ, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._clock = clock
        self._told_s: float | None = None
        self.watchdog_s = _watchdog_s(environment) if self._address else None
        """How long the service may be silent; None if nobody watches."""

    def ready(self) -> None:
        """Say that the service has started."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """Say in a line what the service does; ``systemctl status`` shows it."""
        line = " ".join(text.split())
        self._send(f"STATUS={line}")

    def stopping(self) -> None:
        """Say that the service ends."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Say that work goes on; call it as often as you like from where the work is done."""
        if self.watchdog_s is None:
            return
        now = self._clock()
        if self._told_s is None or now - self._told_s >= _SHARE * self.watchdog_s:
            self._told_s = now
            self._send("WATCHDOG=1")

    async def keep_alive(self) -> None:
        """Say again and again that the event loop runs; ends at once where nobody watches."""
        while self.watchdog_s is not None:
            self.alive()
            await asyncio.sleep(0.5 * self.watchdog_s)

    def _send(self, message: str) -> None:
        if not self._address:
            return
        # A name that begins with @ stands in Linux's abstract namespace, which begins with a null byte.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                # A manager that does not read must not hold up a run.
                sender.setblocking(False)
                sender.sendto(message.encode(), address)
        except OSError as error:
            _log.debug("%s could not be told to the service manager: %s", message.partition("=")[0], error)


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    meant_for = environment.get("WATCHDOG_PID", "")
    if meant_for and meant_for != str(os.getpid()):
        return None
    microseconds = environment.get("WATCHDOG_USEC", "")
    return int(microseconds) * 1e-6 if microseconds.isdigit() and int(microseconds) > 0 else None
