"""Emulated devices on ZeroMQ sockets of this machine: REP for questions, PUSH for streams.

Both are context managers and end their threads on leaving.
"""

import threading
import time
from collections.abc import Callable

from faintlink.instruments.emulators.kit.closing import ClosedAtExit
from faintlink.instruments.emulators.kit.device import LineDevice
from faintlink.instruments.emulators.kit.faults import Fault, Faults

_POLL_MS = 20


class _ZmqThread(ClosedAtExit):
    """A thread with one bound socket."""

    def __init__(self, kind: str, port: int) -> None:
        import zmq

        self._zmq = zmq
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(getattr(zmq, kind))
        self._socket.setsockopt(self._zmq.LINGER, 0)
        self._socket.bind(f"tcp://127.0.0.1:{port or '*'}")
        self.address: str = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        """Where a driver finds it."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"emulator-{self.address}", daemon=True)

    def _work(self) -> None:
        try:
            while not self._stop.is_set():
                self._turn()
        finally:
            self._socket.close()

    def _turn(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """End the thread and give the port free."""
        self._stop.set()
        self._thread.join(timeout=2.0)


class ZmqServer(_ZmqThread):
    """A device that answers questions on a REP socket; a command without answer is answered with nothing.

    Parameters
    ----------
    device
        What answers.
    port
        0 takes a free one.
    faults
        Faults to inject.
    """

    def __init__(self, device: LineDevice, *, port: int = 0, faults: Faults | None = None) -> None:
        super().__init__("REP", port)
        self.device = device
        self.faults = faults or Faults()
        self._thread.start()

    def _turn(self) -> None:
        if not self._socket.poll(_POLL_MS):
            return
        question = self._socket.recv()
        with self.device.lock:
            answer = self.device.handle(question.decode("latin-1")).removesuffix(self.device.terminator)
        fault = self.faults.next()
        if fault is Fault.REBOOT:
            with self.device.lock:
                self.device.reboot()
        if fault in (Fault.SILENT, Fault.REBOOT):
            self._swallow()
            return
        if fault is Fault.CUT:
            self._stop.set()
            return
        self._socket.send(self.faults.strike(fault, answer))

    def _swallow(self) -> None:
        """Leave the asker without an answer: a REP socket can only do so by being replaced."""
        self._socket.close()
        self._socket = self._zmq.Context.instance().socket(self._zmq.REP)
        self._socket.setsockopt(self._zmq.LINGER, 0)
        deadline = time.monotonic() + 2.0
        while True:
            try:
                self._socket.bind(self.address)
                return
            except self._zmq.ZMQError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)


class ZmqPushServer(_ZmqThread):
    """A stream of messages on a PUSH socket.

    Parameters
    ----------
    produce
        Returns the next message, or None while there is none; called in the thread.
    port
        0 takes a free one.
    """

    def __init__(self, produce: Callable[[], bytes | None], *, port: int = 0) -> None:
        super().__init__("PUSH", port)
        self._produce = produce
        self._thread.start()

    def _turn(self) -> None:
        message = self._produce()
        if message is None:
            time.sleep(0.002)
        while message is not None and not self._stop.is_set():
            if self._socket.poll(_POLL_MS, self._zmq.POLLOUT):
                self._socket.send(message)
                return
