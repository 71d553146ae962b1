"""Play a blind computation: clients' cards, the server's box, and the bytes that both sides exchange.

`BqcServer` is the server's program: it sees messages, its own instrument and its own tags, no secret of a client.
`play` is the clients' side of the exchange. Both are given instruments and know nothing of run files.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from faintlink.core.config.applications.bqc import BqcPolicy
from faintlink.core.tags import TagBlock
from faintlink.core.units import TimesPs
from faintlink.postprocess.bqc import messages
from faintlink.postprocess.bqc.clients import Client, Coordinator
from faintlink.postprocess.bqc.graph import Graph, graph_of
from faintlink.postprocess.bqc.order import joined_seed, require_opening, round_types
from faintlink.postprocess.bqc.slots import read_slots
from faintlink.postprocess.bqc.traps import kinds_of


class QlineSender(Protocol):
    """A client's card, as far as it is needed here."""

    def load(self, settings: npt.NDArray[np.uint8]) -> None:
        """Set the modulator for the next batch, (a, n) uint8: angles in steps of pi/4, or 8 and 9 for dummies."""
        ...

    def transmit(self, count: int) -> TimesPs:
        """Send off the next ``count`` settings or angles; return when each leaves, (count,) int64 ps."""
        ...


class QlineComputer(Protocol):
    """The server's box, as far as it is needed here."""

    def entangle_by(self, edges: list[tuple[int, int]], order: tuple[int, ...]) -> None:
        """Set the graph and the order of measurement."""
        ...

    def prepare(self) -> TagBlock:
        """Take in a batch of qubits and entangle them; return the tags of its slots."""
        ...

    def measure(self, vertex: int, angles: npt.NDArray[np.uint8]) -> TagBlock:
        """Measure one vertex of each attempt at angles (a,) uint8; return the tags of its slots."""
        ...


class BqcServer:
    """The server's side.

    Parameters
    ----------
    policy
        What was agreed on.
    computer
        The instrument.
    """

    def __init__(self, policy: BqcPolicy, computer: QlineComputer) -> None:
        self._policy = policy
        self._computer = computer
        self._graph = graph_of(policy.graph)
        self._commitments: dict[str, bytes] = {}
        computer.entangle_by(self._graph.edges, self._graph.order)

    def take_commitment(self, client: str, message: bytes) -> None:
        """Keep a client's commitment until the end."""
        self._commitments[client] = messages.unpack_commitment(message)

    def prepare(self, batch: int, attempts: int) -> bytes:
        """Take in the qubits of a batch; return the report of their arrivals."""
        reading = read_slots(self._computer.prepare(), self._policy)
        arrived = reading.arrived.reshape(attempts, self._graph.size)
        return messages.pack_report(batch, messages.PREPARATION, arrived)

    def measure(self, batch: int, vertex: int, attempts: int, message: bytes) -> bytes:
        """Measure one vertex at the angles of a message; return the report of its outcomes."""
        angles = messages.unpack_angles(message, batch=batch, vertex=vertex, attempts=attempts)
        reading = read_slots(self._computer.measure(vertex, angles), self._policy)
        return messages.pack_report(batch, vertex, reading.outcome)

    def check_openings(self, session: str, opened: Mapping[str, bytes]) -> npt.NDArray[np.uint8]:
        """Return the types of the rounds after the clients opened their commitments.

        Raises
        ------
        RemoteProtocolError
            An opening is malformed or does not fit.
        """
        openings = {client: messages.unpack_opening(message) for client, message in opened.items()}
        for client, opening in openings.items():
            require_opening(opening, self._commitments[client], session, client)
        return round_types(
            joined_seed(list(openings.values())),
            computations=self._policy.computation_rounds,
            tests=self._policy.test_rounds,
            kinds=len(kinds_of(self._graph, self._policy.tests)),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """What the clients have when it is over."""

    public: Mapping[str, npt.NDArray[np.generic]]
    """Columns that the server knows too."""
    commitments: Mapping[str, bytes]
    """By client."""
    rounds_left: int
    """Rounds without a whole attempt; none, unless attempts ran out."""


def play(
    policy: BqcPolicy,
    session: str,
    clients: list[Client],
    cards: Mapping[str, QlineSender],
    server: BqcServer,
    on_batch: Callable[[int], None] | None = None,
) -> Played:
    """Play all rounds of a session.

    Parameters
    ----------
    policy, session
        What was agreed on, and the session's name.
    clients
        With their secrets.
    cards
        Each client's, by its name.
    server
        The other side.
    on_batch
        Called after each batch with the number of rounds left.

    Raises
    ------
    RemoteProtocolError
        The server sends what the protocol does not allow.
    """
    graph = graph_of(policy.graph)
    commitments = {str(c.party): c.opening.commitment(session, str(c.party)) for c in clients}
    for client, commitment in commitments.items():
        server.take_commitment(client, messages.pack_commitment(commitment))
    coordinator = Coordinator(policy, graph, kinds_of(graph, policy.tests), clients)
    while not coordinator.is_over:
        _batch(graph, coordinator, clients, cards, server)
        if on_batch is not None:
            on_batch(coordinator.rounds_left)
    server.check_openings(session, {str(c.party): messages.pack_opening(c.opening) for c in clients})
    return Played(coordinator.public(), commitments, coordinator.rounds_left)


def _batch(
    graph: Graph, coordinator: Coordinator, clients: list[Client], cards: Mapping[str, QlineSender], server: BqcServer
) -> None:
    settings = coordinator.begin()
    batch, attempts = coordinator.current.number, coordinator.current.rounds.size
    for client, own in zip(clients, settings, strict=True):
        cards[client.party].load(own)
    timing = cards[clients[0].party]
    timing.transmit(attempts * graph.size)
    report = server.prepare(batch, attempts)
    coordinator.arrivals(messages.unpack_arrivals(report, batch=batch, attempts=attempts, vertices=graph.size))
    for vertex in graph.order:
        angles = coordinator.angles(vertex, timing.transmit(attempts))
        report = server.measure(batch, vertex, attempts, messages.pack_angles(batch, vertex, angles))
        outcomes = messages.unpack_outcomes(report, batch=batch, vertex=vertex, attempts=attempts)
        coordinator.outcomes(vertex, outcomes)
    coordinator.finish()
