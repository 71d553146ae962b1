"""The service manager is told over a real datagram socket."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from faintlink.core.service_manager import Notifier


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(5.0)
        yield receiver


def heard(manager: socket.socket) -> list[str]:
    manager.setblocking(False)
    messages = []
    while True:
        try:
            messages.append(manager.recv(4096).decode())
        except BlockingIOError:
            return messages


def test_the_manager_hears_every_message(manager: socket.socket) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": manager.getsockname()})
    notifier.ready()
    notifier.status("run 3:\n  all is well")
    notifier.stopping()
    assert heard(manager) == ["READY=1", "STATUS=run 3: all is well", "STOPPING=1"]


def test_a_name_in_the_abstract_namespace_is_reached() -> None:
    name = f"faintlink-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}")
        Notifier({"NOTIFY_SOCKET": f"@{name}"}).ready()
        assert heard(manager) == ["READY=1"]


def test_the_watchdog_is_told_three_times_in_its_time_however_often_work_goes_on(manager: socket.socket) -> None:
    now = 0.0
    environment = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "9000000"}
    notifier = Notifier(environment, clock=lambda: now)
    for _ in range(180):
        notifier.alive()
        now += 0.05
    assert heard(manager) == ["WATCHDOG=1"] * 3


@pytest.mark.parametrize("extra", [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}])
def test_without_a_watchdog_for_this_process_nothing_is_told(manager: socket.socket, extra: dict[str, str]) -> None:
    Notifier({"NOTIFY_SOCKET": manager.getsockname(), **extra}).alive()
    assert heard(manager) == []


def test_a_manager_that_is_gone_or_was_never_there_harms_nobody(tmp_path: Path) -> None:
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone"), "WATCHDOG_USEC": "1000"}).alive()
    Notifier({}).ready()


def test_an_event_loop_keeps_saying_that_it_runs(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(5)
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "20000"}

        async def scene() -> None:
            task = asyncio.create_task(Notifier(environment).keep_alive())
            heard = [await asyncio.to_thread(manager.recv, 100) for _ in range(3)]
            task.cancel()
            assert heard == [b"WATCHDOG=1"] * 3

        asyncio.run(scene())


def test_where_nobody_watches_keeping_alive_ends_at_once() -> None:
    asyncio.run(Notifier({}).keep_alive())
