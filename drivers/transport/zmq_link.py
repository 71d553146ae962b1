"""Links over ZeroMQ: questions with answers (REQ), and messages that only come (PULL), each wait with a deadline."""

import logging
import threading

import zmq

from faintlink.core.errors import ConnectionLostError

_wire = logging.getLogger(f"{__name__}.wire")


class ZmqRequest:
    """Questions and answers over one REQ socket; threads take turns.

    Parameters
    ----------
    address
        Such as ``tcp://10.0.0.5:5555``.
    timeout_s
        Longest wait for an answer.
    """

    def __init__(self, address: str, *, timeout_s: float = 2.0) -> None:
        self.address = address
        self.timeout_s = timeout_s
        self._lock = threading.RLock()
        self._socket = self._opened()

    def _opened(self) -> "zmq.Socket[bytes]":
        socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.REQ)
        socket.setsockopt(zmq.LINGER, 0)
        try:
            socket.connect(self.address)
        except zmq.ZMQError as error:
            socket.close()
            raise ConnectionLostError(
                f"{self.address} is no address: {error}", hint="write tcp://host:port", address=self.address
            ) from error
        return socket

    def ask(self, question: str) -> str:
        """Return the answer to a question.

        Raises
        ------
        ConnectionLostError
            None came in time, or it is no text; the next question starts on a fresh socket.
        """
        with self._lock:
            _wire.debug("%s > %s", self.address, question)
            try:
                self._socket.send_string(question, zmq.NOBLOCK)
                if not self._socket.poll(round(self.timeout_s * 1e3)):
                    raise self._lost(question, f"no answer within {self.timeout_s:g} s")
                answer = self._socket.recv().decode("utf-8")
            except (zmq.ZMQError, UnicodeDecodeError) as error:
                raise self._lost(question, str(error)) from error
            _wire.debug("%s < %s", self.address, answer)
            return answer.strip()

    def _lost(self, question: str, why: str) -> ConnectionLostError:
        # A REQ socket whose answer is missing can never ask again, and a late answer must not meet a new question.
        self._socket.close()
        self._socket = self._opened()
        return ConnectionLostError(
            f"{self.address}: {why}; sent {question!r}",
            hint="check network and power, and that the service runs; then open the instrument again",
            address=self.address,
            sent=question,
        )

    def close(self) -> None:
        """Close the socket; twice does no harm."""
        self._socket.close()


class ZmqPull:
    """Messages that come over one PULL socket.

    Parameters
    ----------
    address
        Who sends them.
    """

    def __init__(self, address: str) -> None:
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PULL)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.connect(address)

    def receive(self, timeout_s: float) -> bytes | None:
        """Return the next message, or None if none came in time."""
        if not self._socket.poll(round(timeout_s * 1e3)):
            return None
        return self._socket.recv()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
