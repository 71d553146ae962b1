"""Tell the service manager how the site fares: ready, alive, stopping.

Sources: sd_notify(3), sd_watchdog_enabled(3).
"""

import asyncio
import os
import socket


def notify(state: str) -> None:
    """Send a state such as ``READY=1``; does nothing where no service manager listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
        line.sendto(state.encode(), "\0" + address[1:] if address[0] == "@" else address)


def watchdog_s() -> float | None:
    """Return how often the service manager wants to hear from this process, s, or None."""
    text = os.environ.get("WATCHDOG_USEC", "")
    owner = os.environ.get("WATCHDOG_PID", str(os.getpid()))
    if not text.isdecimal() or owner != str(os.getpid()):
        return None
    return int(text) / 1e6


async def keep_alive() -> None:
    """Say that the event loop runs, twice as often as is wanted; ends at once where nobody wants it."""
    every_s = watchdog_s()
    while every_s:
        notify("WATCHDOG=1")
        await asyncio.sleep(every_s / 2)
