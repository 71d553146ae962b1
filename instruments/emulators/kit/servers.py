"""Real transports for emulated devices: TCP with a thread per client, and a pseudo-terminal in place of a serial port.

Both are context managers and end all threads on leaving. Sources: pty(7), termios(3).
"""

import contextlib
import os
import select
import socket
import threading
import tty
from collections.abc import Callable

from faintlink.instruments.emulators.kit.closing import ClosedAtExit
from faintlink.instruments.emulators.kit.device import EmulatedDevice, Session
from faintlink.instruments.emulators.kit.faults import Fault, Faults

_POLL_S = 0.02
_CHUNK = 1 << 16


class _Server(ClosedAtExit):
    """Threads that serve sessions of one device until the server is closed."""

    def __init__(self, device: EmulatedDevice, faults: Faults | None) -> None:
        self.device = device
        self.faults = faults or Faults()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def _run(self, work: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=work, name=f"emulator-{name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _answer(self, session: Session, data: bytes) -> tuple[bytes, bool]:
        """Return what goes back for a client's bytes, and whether the connection holds."""
        answer = session.receive(data)
        fault = self.faults.next() if answer else None
        if fault is Fault.REBOOT:
            with self.device.lock:
                self.device.reboot()
        return self.faults.strike(fault, answer), fault is not Fault.CUT

    def close(self) -> None:
        """End all sessions."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=2.0)


class TcpServer(_Server):
    """A device on a TCP port of this machine.

    Parameters
    ----------
    device
        What answers.
    port
        0 takes a free one.
    faults
        Faults to inject.
    """

    def __init__(self, device: EmulatedDevice, *, port: int = 0, faults: Faults | None = None) -> None:
        super().__init__(device, faults)
        self._listener = socket.create_server(("127.0.0.1", port))
        self._listener.settimeout(_POLL_S)
        self.port: int = self._listener.getsockname()[1]
        self._run(self._accept, f"tcp-{self.port}")

    @property
    def visa_address(self) -> str:
        """Where a VISA driver finds it."""
        return f"TCPIP::127.0.0.1::{self.port}::SOCKET"

    @property
    def address(self) -> str:
        """Where a driver on a byte link finds it."""
        return f"tcp://127.0.0.1:{self.port}"

    def _accept(self) -> None:
        with self._listener:
            while not self._stop.is_set():
                with contextlib.suppress(TimeoutError):
                    client, _ = self._listener.accept()
                    self._run(lambda client=client: self._serve(client), f"client-{self.port}")  # type: ignore[misc]  # bound at once

    def _serve(self, client: socket.socket) -> None:
        session = self.device.session()
        # A client that goes away mid-answer is no fault of the device.
        with client, contextlib.suppress(OSError):
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.sendall(session.greeting())
            while not self._stop.is_set():
                ready, _, _ = select.select([client], [], [], _POLL_S)
                if ready:
                    data = client.recv(_CHUNK)
                    if not data:
                        return
                    answer, holds = self._answer(session, data)
                    client.sendall(answer)
                    if not holds:
                        return
                client.sendall(session.pending())


class PtyServer(_Server):
    """A device on a pseudo-terminal, which looks like a serial port.

    Parameters
    ----------
    device
        What answers.
    faults
        Faults to inject.
    """

    def __init__(self, device: EmulatedDevice, *, faults: Faults | None = None) -> None:
        super().__init__(device, faults)
        self._master, self._slave = os.openpty()
        self._open_handles = [self._master, self._slave]
        self._closing = threading.Lock()
        tty.setraw(self._slave)
        self.address = os.ttyname(self._slave)
        """Path of the port."""
        self._run(self._serve, self.address)

    @property
    def visa_address(self) -> str:
        """Where a VISA driver finds it."""
        return f"ASRL{self.address}::INSTR"

    def _serve(self) -> None:
        session = self.device.session()
        # EIO: the other side closed its end; the port stays for the next one.
        while not self._stop.is_set():
            with contextlib.suppress(OSError):
                self._turn(session)

    def _turn(self, session: Session) -> None:
        ready, _, _ = select.select([self._master], [], [], _POLL_S)
        if ready:
            answer, holds = self._answer(session, os.read(self._master, _CHUNK))
            self._write(answer)
            if not holds:
                self._stop.set()
                self._hang_up()
                return
        self._write(session.pending())

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view and not self._stop.is_set():
            _, ready, _ = select.select([], [self._master], [], _POLL_S)
            if ready:
                view = view[os.write(self._master, view[:4096]) :]

    def _hang_up(self) -> None:
        # Once only: the numbers of closed handles are given to whoever opens something next.
        with self._closing:
            while self._open_handles:
                os.close(self._open_handles.pop())

    def close(self) -> None:
        """End the session and remove the port."""
        super().close()
        # A thread that is still busy, as on a machine under load, would go on with a stranger's handle.
        if not any(thread.is_alive() for thread in self._threads):
            self._hang_up()
