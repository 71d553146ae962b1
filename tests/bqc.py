"""Small sessions of blind computing on the simulated Qline, without files."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from faintlink.acquisition.bqc_play import BqcServer, Played, play
from faintlink.core.config.applications.bqc import BqcPolicy, BqcWindow
from faintlink.core.entropy import SeededEntropy
from faintlink.core.symbols import Party
from faintlink.core.tags import TagBlock, concatenate
from faintlink.core.units import TimesPs
from faintlink.instruments.mocks.qline_engine import QlineEngine, QlineState
from faintlink.postprocess.bqc.clients import DUMMY, Client, added
from faintlink.postprocess.bqc.graph import EXAMPLES, graph_of
from faintlink.postprocess.bqc.judge import Judgement, judge
from faintlink.postprocess.bqc.order import joined_seed, round_types
from faintlink.postprocess.bqc.records import Session
from faintlink.postprocess.bqc.slots import observe_attempts, read_slots
from faintlink.postprocess.bqc.traps import kinds_of

NAME = "session-1"
QUIET = QlineState(visibility=1.0, arrival=1.0, efficiency=1.0, dark_rate_hz=0.0)


def policy_of(**changes: Any) -> BqcPolicy:
    """Return a policy of 50 + 50 rounds with changes."""
    clients = changes.get("clients", (Party.ALICE,))
    values: dict[str, Any] = {
        "computation_rounds": 50,
        "test_rounds": 50,
        "max_failed_tests": 5,
        "rounds_in_flight": 512,
        "max_attempts": 4000,
        "max_eps": 0.1,
        "server": "bob_server",
        "senders": {party: f"{party}_card" for party in clients},
        "herald_window": BqcWindow(start_ps=99_000, end_ps=101_000),
        "outcome_window": BqcWindow(start_ps=299_000, end_ps=301_000),
        "clock_tolerance_ps": 1000,
        **changes,
    }
    return BqcPolicy(**values)


@dataclass(frozen=True, slots=True)
class EngineCard:
    """A client's card on a bare engine."""

    engine: QlineEngine
    name: str

    def load(self, settings: npt.NDArray[np.uint8]) -> None:
        """Hand on."""
        self.engine.load(self.name, settings)

    def transmit(self, count: int) -> TimesPs:
        """Hand on."""
        return self.engine.transmit(count)


@dataclass(frozen=True, slots=True, eq=False)
class Rehearsal:
    """A session that was played."""

    policy: BqcPolicy
    clients: list[Client]
    played: Played
    tags: TagBlock

    def session(self) -> Session:
        """Return all records, joined, without their files."""
        return joined(self.policy, self.clients, self.played.public)

    def judgement(self) -> Judgement:
        """Return what the tags and the secrets say."""
        session = self.session()
        order = graph_of(self.policy.graph).order
        seen = observe_attempts(read_slots(self.tags, self.policy), session.batch_sizes, order)
        return judge(self.policy, session, seen)


def rehearse(
    policy: BqcPolicy, *, seed: int = 1, state: QlineState = QUIET, phi: tuple[int, ...] | None = None
) -> Rehearsal:
    """Play a session on a simulated Qline."""
    engine = QlineEngine(seed=seed, state=state)
    blocks: list[TagBlock] = []
    engine.listeners.append(lambda times, channels, _: blocks.append(TagBlock(times, channels)))
    angles = np.array(phi or EXAMPLES[str(policy.graph)][0], np.uint8)
    shares = [angles, *(np.zeros_like(angles) for _ in policy.clients[1:])]
    clients = [
        Client(party, share, SeededEntropy(f"{seed}-{party}".encode()))
        for party, share in zip(policy.clients, shares, strict=True)
    ]
    cards = {str(party): EngineCard(engine, str(party)) for party in policy.clients}
    played = play(policy, NAME, clients, cards, BqcServer(policy, engine))
    return Rehearsal(policy, clients, played, concatenate(blocks))


def joined(policy: BqcPolicy, clients: list[Client], public: Mapping[str, npt.NDArray[Any]]) -> Session:
    """Return what reading the clients' record files gives."""
    secret = {str(client.party): client.secrets() for client in clients}
    settings = {name: own["setting"] for name, own in secret.items()}
    head = next(iter(settings.values()))
    graph = graph_of(policy.graph)
    types = round_types(
        joined_seed([client.opening for client in clients]),
        computations=policy.computation_rounds,
        tests=policy.test_rounds,
        kinds=len(kinds_of(graph, policy.tests)),
    )
    return Session(
        name=NAME,
        openings={str(client.party): client.opening for client in clients},
        commitments={},
        batch=public["batch"],
        rounds=public["round"],
        round_types=types,
        phi=added([client.phi for client in clients]),
        secrets=secret,
        theta=added([np.where(column < DUMMY, column, 0).astype(np.uint8) for column in settings.values()]),
        flips=np.bitwise_xor.reduce([own["r"] for own in secret.values()]),
        dummy_bits=np.where(head >= DUMMY, head & 1, 0).astype(np.uint8),
        is_dummy=head >= DUMMY,
        delta=public["delta"],
        sent_ps=public["sent_ps"],
        told=public["b_received"],
        arrived=public["arrived"],
    )
