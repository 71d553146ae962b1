"""The clients of a blind computation, and the joint computation that turns their secrets into angles for the server.

A `Client` draws and keeps its own secrets. A `Coordinator` stands for the classical computation between the clients:
it alone sees all secrets, and gives out nothing but angles. With one client it is that client's own program; with
two it stands for a secure two-party computation, which is assumed and not provided here. Neither touches an
instrument or a clock; `faintlink.acquisition.bqc_play` drives them.

Notes
-----
Loss. An attempt of which any qubit is lost is given up as a whole, and its round is attempted again at the end of the
queue with fresh angles and bits. Until its last vertex it goes on as if the outcome had been 0, so that as many angles
are sent as in any other attempt. All angles sent are uniform whatever the type of the round is, so neither the losses
that a server reports nor the repetitions tell it a type.

Sources: A. Broadbent, J. Fitzsimons, E. Kashefi, FOCS 2009 (delta = phi' + theta + r pi); B. Polacchi et al., Nat.
Commun. 14, 7743 (2023) and Phys. Rev. Lett. 134, 200603 (2025) (rotations of several clients on one line).
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faintlink.core.config.applications.bqc import BqcPolicy
from faintlink.core.entropy import Entropy
from faintlink.core.errors import LocalProtocolError
from faintlink.core.symbols import Party
from faintlink.core.units import Bits, TimesPs
from faintlink.postprocess.bqc.graph import STEPS, Angles, Graph, corrected_angles
from faintlink.postprocess.bqc.messages import LOST
from faintlink.postprocess.bqc.order import SEED_BYTES, Opening, joined_seed, round_types
from faintlink.postprocess.bqc.traps import TestKind

DUMMY = 8
"""Setting of a modulator for the dummy |0>; one more for |1>. Smaller settings are angles."""
Settings = npt.NDArray[np.uint8]


class Client:
    """One client's secrets.

    Parameters
    ----------
    party
        Who it is.
    phi
        Its share of the computation's angles, (n,) uint8 in steps of pi/4; the shares of all clients add up.
    entropy
        Where its secrets come from.
    """

    def __init__(self, party: Party, phi: Angles, entropy: Entropy) -> None:
        self.party = party
        self.phi = phi
        self._entropy = entropy
        self.opening = Opening(entropy.draw(SEED_BYTES, "bqc order"), entropy.draw(SEED_BYTES, "bqc nonce"))
        self._settings: list[Settings] = []
        self._flips: list[Bits] = []

    def prepare(self, dummies: Bits) -> Settings:
        """Draw fresh secrets for attempts whose dummies are marked, (a, n) uint8; return the modulator's settings."""
        drawn = np.frombuffer(self._entropy.draw(dummies.size, f"bqc secrets of {self.party}"), np.uint8)
        drawn = drawn.reshape(dummies.shape)
        settings = np.where(dummies == 1, DUMMY + (drawn >> 4 & 1), drawn & 7).astype(np.uint8)
        self._settings.append(settings)
        self._flips.append((drawn >> 3 & 1).astype(np.uint8))
        # What a dummy's angle would have been makes the angle sent for it uniform.
        self._hidden = (drawn & 7).astype(np.uint8)
        return settings

    @property
    def hidden(self) -> Angles:
        """Angles theta of the last attempts, also where a dummy stands; (a, n) uint8."""
        return self._hidden

    @property
    def flips(self) -> Bits:
        """Bits r of the last attempts, (a, n) uint8."""
        return self._flips[-1]

    def secrets(self) -> dict[str, npt.NDArray[np.uint8]]:
        """Return what the client keeps, for its own record."""
        n = self.phi.size
        none = np.zeros((0, n), np.uint8)
        return {
            "setting": np.concatenate([none, *self._settings]),
            "r": np.concatenate([none, *self._flips]),
            "phi": self.phi,
            "order_seed": np.frombuffer(self.opening.seed, np.uint8),
            "order_nonce": np.frombuffer(self.opening.nonce, np.uint8),
        }


@dataclass(slots=True, eq=False)
class Attempts:
    """A batch of attempts, whose qubits the server holds at once. Arrays are (a, n) uint8 unless said otherwise."""

    number: int
    """Of the batch."""
    rounds: npt.NDArray[np.int32]
    """(a,): which round each attempts."""
    types: npt.NDArray[np.uint8]
    """(a,): type of that round."""
    theta: Angles
    flips: Bits
    dummy_bits: Bits
    delta: Angles
    sent_ps: TimesPs
    """(a, n) int64, the clients' clock."""
    told: npt.NDArray[np.uint8]
    """Outcomes as the server reported them, `LOST` until then."""
    arrived: npt.NDArray[np.uint8]
    """Arrivals as it reported them."""

    @property
    def is_lost(self) -> npt.NDArray[np.bool_]:
        """Which attempts failed, (a,)."""
        lost: npt.NDArray[np.bool_] = ((self.told == LOST) | (self.arrived == LOST)).any(axis=1)
        return lost


def added(angles: Sequence[Angles]) -> Angles:
    """Return the sum of several clients' angles, modulo a full turn."""
    total: Angles = np.add.reduce(list(angles), dtype=np.uint8) % np.uint8(STEPS)
    return total


def hidden_angle(
    graph: Graph, kinds: Sequence[TestKind], types: npt.NDArray[np.uint8], phi: Angles, vertex: int, outcomes: Bits
) -> Angles:
    """Return phi' of one vertex for rounds of these types with these outcomes s so far, (a,) uint8."""
    tested = np.array([0, *(kind.angles[vertex] for kind in kinds)], np.uint8)[types]
    return np.where(types == 0, corrected_angles(graph, vertex, phi, outcomes), tested).astype(np.uint8)


class Coordinator:
    """Turns the secrets of all clients into angles for the server, batch by batch.

    Parameters
    ----------
    policy, graph, kinds
        What was agreed on.
    clients
        All of them.
    """

    def __init__(self, policy: BqcPolicy, graph: Graph, kinds: tuple[TestKind, ...], clients: Sequence[Client]) -> None:
        self._policy = policy
        self._graph = graph
        self._kinds = kinds
        self._clients = clients
        self._phi = added([client.phi for client in clients])
        seed = joined_seed([client.opening for client in clients])
        self._types = round_types(
            seed, computations=policy.computation_rounds, tests=policy.test_rounds, kinds=len(kinds)
        )
        self._pending = deque(range(policy.rounds))
        self._attempts = 0
        self._current: Attempts | None = None
        self.done: list[Attempts] = []
        """Every batch so far."""

    @property
    def rounds_left(self) -> int:
        """Rounds without a whole attempt."""
        return len(self._pending)

    @property
    def is_over(self) -> bool:
        """Whether all rounds are done, or no attempt is left."""
        return not self._pending or self._attempts >= self._policy.max_attempts

    def begin(self) -> list[Settings]:
        """Draw a batch; return each client's settings, (a, n) uint8."""
        if self._current is not None or self.is_over:
            raise LocalProtocolError("a batch is under way, or the session is over", hint="finish it first")
        size = min(self._policy.rounds_in_flight, len(self._pending), self._policy.max_attempts - self._attempts)
        rounds = np.array([self._pending.popleft() for _ in range(size)], np.int32)
        types = self._types[rounds]
        marks = np.stack([np.zeros(self._graph.size, np.uint8), *(kind.dummies for kind in self._kinds)])[types]
        settings = [client.prepare(marks) for client in self._clients]
        shape = (size, self._graph.size)
        self._current = Attempts(
            number=len(self.done),
            rounds=rounds,
            types=types,
            theta=added([client.hidden for client in self._clients]),
            flips=np.bitwise_xor.reduce([client.flips for client in self._clients]),
            dummy_bits=np.where(marks == 1, settings[0] & 1, 0).astype(np.uint8),
            delta=np.zeros(shape, np.uint8),
            sent_ps=np.zeros(shape, np.int64),
            told=np.full(shape, LOST, np.uint8),
            arrived=np.full(shape, LOST, np.uint8),
        )
        self._attempts += size
        return settings

    @property
    def current(self) -> Attempts:
        """The batch under way."""
        if self._current is None:
            raise LocalProtocolError("no batch is under way", hint="call begin first")
        return self._current

    def arrivals(self, arrived: npt.NDArray[np.uint8]) -> None:
        """Take what the server reports of the preparation, (a, n) uint8."""
        self.current.arrived = arrived

    def angles(self, vertex: int, sent_ps: TimesPs) -> Angles:
        """Return the angle to send for one vertex of each attempt, (a,) uint8, which leaves at ``sent_ps`` (a,)."""
        batch = self.current
        outcomes = (batch.told & np.uint8(1)) ^ batch.flips
        prime = hidden_angle(self._graph, self._kinds, batch.types, self._phi, vertex, outcomes)
        batch.delta[:, vertex] = (prime + batch.theta[:, vertex] + 4 * batch.flips[:, vertex]) % STEPS
        batch.sent_ps[:, vertex] = sent_ps
        return batch.delta[:, vertex].copy()

    def outcomes(self, vertex: int, told: npt.NDArray[np.uint8]) -> None:
        """Take the server's outcomes of one vertex, (a,) uint8."""
        self.current.told[:, vertex] = told

    def finish(self) -> None:
        """Close the batch; rounds of lost attempts go to the end of the queue."""
        batch = self.current
        self._pending.extend(batch.rounds[batch.is_lost].tolist())
        self.done.append(batch)
        self._current = None

    def public(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return what the server knows too, attempt by attempt."""
        n = self._graph.size

        def joined(name: str, dtype: type) -> npt.NDArray[np.generic]:
            return np.concatenate([np.zeros((0, n), dtype), *(getattr(batch, name) for batch in self.done)])

        numbers = [np.full(batch.rounds.size, batch.number, np.int32) for batch in self.done]
        return {
            "batch": np.concatenate([np.zeros(0, np.int32), *numbers]),
            "round": np.concatenate([np.zeros(0, np.int32), *(batch.rounds for batch in self.done)]),
            "delta": joined("delta", np.uint8),
            "sent_ps": joined("sent_ps", np.int64),
            "b_received": joined("told", np.uint8),
            "arrived": joined("arrived", np.uint8),
        }
