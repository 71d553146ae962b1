"""Two sites with a channel between them that a test can cut, delay and repeat."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from faintlink.core.errors import PeerUnavailableError
from faintlink.delivery.keystore.model import DeliveredKey, KeyState, Role
from faintlink.delivery.keystore.store import KeyStore
from faintlink.delivery.ledger.answering import AtHand, LedgerAnswers
from faintlink.delivery.ledger.comparing import Comparison, Suspicions, reconcile
from faintlink.delivery.ledger.fetching import Fetch, facts, hand_out, ready
from faintlink.delivery.ledger.messages import Answer, Request, decode_answer, encode
from faintlink.delivery.ledger.notary import Notary
from faintlink.delivery.ledger.promising import Order, Outcome, promise
from faintlink.delivery.ledger.terms import Program, Result, Terms
from faintlink.delivery.witness import SilentWitness
from tests.unit.delivery.ledger.fakes import CUT, MemoryStore, block

SILENT = Notary(SilentWitness())
OTHER = {"site-a": "site-b", "site-b": "site-a"}


def terms(site: str) -> Terms:
    """Return the terms of a site of the pair; one application, ``app@site``, at each."""
    peer = OTHER[site]
    return Terms(site, peer, CUT, str(uuid.uuid4()), frozenset({f"app@{site}"}), frozenset({f"app@{peer}"}))


@dataclass
class Pair:
    """Both sites, and everything that was ever handed out."""

    stores: dict[str, KeyStore] = field(default_factory=lambda: {site: MemoryStore(site) for site in OTHER})
    handed: dict[tuple[str, Role], list[DeliveredKey]] = field(default_factory=dict)
    suspicions: dict[str, Suspicions] = field(default_factory=lambda: {site: Suspicions(0.0) for site in OTHER})

    def fill(self, blocks: int, units: int) -> None:
        """Put the same blocks into both stores."""
        for number in range(blocks):
            for site, peer in OTHER.items():
                self.stores[site].ingest(peer, block(number, units), CUT)

    def answers(self, site: str, at_hand: AtHand | None = None) -> LedgerAnswers:
        """Return what answers the other site's requests at ``site``."""
        return LedgerAnswers(self.stores[site], terms(site), SILENT, at_hand or AtHand())

    def promise(self, site: str, orders: list[Order]) -> Program[list[Outcome]]:
        """Return the program that fulfils orders at ``site``."""
        return promise(self.stores[site], OTHER[site], orders, SILENT)

    def reconcile(self, site: str, busy: frozenset[str] = frozenset()) -> Program[Comparison]:
        """Return the program that compares ``site``'s ledger with the other's."""
        return reconcile(self.stores[site], terms(site), busy=busy, suspicions=self.suspicions[site], notary=SILENT)

    def hear(self, site: str, request: Request) -> bytes:
        """Return the other site's answer to a request of ``site``."""
        return self.answers(OTHER[site]).receive(encode(request))

    def run(self, site: str, program: Program[Result], hear: Callable[[Request], Answer] | None = None) -> Result:
        """Run a program of ``site`` over a channel without faults, or with what ``hear`` answers."""
        answer = hear or (lambda request: decode_answer(self.hear(site, request)))
        try:
            request = next(program)
            while True:
                request = program.send(answer(request))
        except StopIteration as done:
            result: Result = done.value
            return result

    def keep(self, outcomes: list[Outcome]) -> list[str]:
        """Note what was handed to masters and return the names."""
        names = []
        for outcome in outcomes:
            for key in outcome.keys:
                self.handed.setdefault((key.key_id, Role.MASTER), []).append(key)
                names.append(key.key_id)
        return names

    def fetch(self, site: str, key_ids: list[str]) -> Fetch:
        """Ask for the slave's copies at ``site``."""
        request = Fetch(f"app@{site}", f"app@{OTHER[site]}", key_ids)
        fetch(self.stores[site], [request])
        for key in request.keys:
            self.handed.setdefault((key.key_id, Role.SLAVE), []).append(key)
        return request

    def check_history(self) -> None:
        """Assert that nothing was handed out twice, and nothing different to two."""
        for (key_id, role), keys in self.handed.items():
            assert len(keys) == 1, f"{key_id} was handed to the {role} {len(keys)} times"
            other = self.handed.get((key_id, Role.SLAVE if role is Role.MASTER else Role.MASTER))
            assert other is None or other[0].material == keys[0].material, f"{key_id} differs"

    def check_agreement(self) -> None:
        """Assert that both ledgers are the same, and that whatever one site waits for, the other has handed out."""
        ledgers = {
            site: sorted(self.stores[site].ledger(peer), key=lambda one: one.block) for site, peer in OTHER.items()
        }
        assert ledgers["site-a"] == ledgers["site-b"]
        for site, peer in OTHER.items():
            assert self.stores[site].unsettled(peer) == []
            for record in self.stores[site].waiting(peer):
                assert record.role is Role.SLAVE
                assert self.stores[peer].record(record.assignment.key_id).state is KeyState.DELIVERED


def fetch(store: KeyStore, requests: list[Fetch]) -> None:
    """Fulfil requests in the three steps."""
    good = ready(store, requests)
    for fact in facts(good):
        SILENT.note(fact)
    hand_out(store, good)


def order(site: str, number: int = 1, bits: int = 256) -> Order:
    """Return an order of the application at ``site``."""
    return Order(f"app@{site}", f"app@{OTHER[site]}", tuple((str(uuid.uuid4()), bits) for _ in range(number)))


def silent() -> PeerUnavailableError:
    """Return what a program is told where no answer comes."""
    return PeerUnavailableError("no answer")
