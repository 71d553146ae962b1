"""The presentation points of a token as processes: at each the bank's agent and the user's.

They know what they were given and talk to each other alone.

Called by `faintlink.postprocess.tokens.session`; the calling process plays the two headquarters, which is a matter of
rehearsals. Processes are started, never forked, so that an agent's memory holds nothing but what came as bytes.
"""

import multiprocessing
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from faintlink.core.errors import RemoteProtocolError
from faintlink.postprocess.tokens.agents import run_bank_agent, run_user_agent
from faintlink.postprocess.tokens.messages import MAX_MESSAGE_BYTES, Decision, Holding, Kind, message

START_TIMEOUT_S = 60.0
ANSWER_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Order:
    """One presentation that the user orders."""

    point: int
    """Whose agent shall present."""


@dataclass(frozen=True, slots=True)
class Presented:
    """What came of an order."""

    order: Order
    decision: Decision
    """The bank's agent's, as the bank received it."""
    shown: bytes = field(repr=False)
    """The presentation, as the bank's agent passed it on afterwards."""
    round_ns: int
    """From handing over to the decision, on the clock of the user's agent; two processes of one machine."""


class Network:
    """All agents, running.

    Parameters
    ----------
    banks, users
        Connections to the bank's and to the user's agents, by point.
    """

    def __init__(self, banks: Sequence[Connection], users: Sequence[Connection]) -> None:
        self._banks, self._users = banks, users
        self._session = b""

    def hand_out(self, deposit: bytes, choice: bytes, holdings: Sequence[Holding]) -> None:
        """Give the bank's agents deposit and choice, and the user's agents what they hold, point by point."""
        self._session = holdings[0].session
        for user, holding in zip(self._users, holdings, strict=True):
            _send(user, holding.encode())
        for bank in self._banks:
            _send(bank, deposit)
            _send(bank, choice)
        for bank in self._banks:
            _receive(bank, START_TIMEOUT_S)

    def present(self, order: Order) -> Presented:
        """Have the token presented at a point and return both sides' accounts.

        Raises
        ------
        RemoteProtocolError
            An agent does not answer, or the two sides report different decisions.
        """
        _send(self._users[order.point], message(Kind.GO, self._session))
        answer = _receive(self._users[order.point], ANSWER_TIMEOUT_S)
        report, shown = (_receive(self._banks[order.point], ANSWER_TIMEOUT_S) for _ in range(2))
        if answer[8:] != report:
            raise RemoteProtocolError(f"the agents at point {order.point} report different decisions")
        return Presented(order, Decision.decode(report), shown, int.from_bytes(answer[:8], "little"))


def _send(connection: Connection, data: bytes) -> None:
    try:
        connection.send_bytes(data)
    except OSError as error:
        raise RemoteProtocolError("an agent's process has ended", hint="see its errors") from error


def _receive(connection: Connection, timeout_s: float) -> bytes:
    try:
        if not connection.poll(timeout_s):
            raise RemoteProtocolError(f"an agent is silent for {timeout_s:g} s", hint="see its process's errors")
        return connection.recv_bytes(MAX_MESSAGE_BYTES)
    except (EOFError, OSError) as error:
        raise RemoteProtocolError("an agent's process has ended", hint="see its errors") from error


@contextmanager
def presentation_points(points: int) -> Iterator[Network]:
    """Start the agents of all points, two processes each, and stop them at the end."""
    context = multiprocessing.get_context("spawn")
    banks: list[Connection] = []
    users: list[Connection] = []
    with ExitStack() as stack:
        for point in range(points):
            bank, bank_end = context.Pipe()
            user, user_end = context.Pipe()
            bank_local, user_local = context.Pipe()
            for connection in (bank, user):
                stack.callback(connection.close)
            jobs: list[tuple[Any, tuple[Any, ...]]] = [
                (run_bank_agent, (point, bank_end, bank_local)),
                (run_user_agent, (user_end, user_local)),
            ]
            for target, arguments in jobs:
                process = context.Process(target=target, args=arguments, daemon=True, name=f"point-{point}")
                process.start()
                stack.push(lambda *_, process=process: _stop(process))
            for connection in (bank_end, user_end, bank_local, user_local):
                connection.close()
            banks.append(bank)
            users.append(user)
        try:
            yield Network(banks, users)
        finally:
            for connection in (*banks, *users):
                connection.close()


def _stop(process: Any) -> None:
    process.join(_STOP_TIMEOUT_S)
    if process.is_alive():
        process.terminate()
        process.join(_STOP_TIMEOUT_S)
