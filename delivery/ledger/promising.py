"""Make new keys with another site: reserve, have them assigned there, note the release, and only then hand out.

Each step is durable before the next begins. Whatever is not agreed to is given up on both sides: here at once, there
when it is told, which `reconcile` repeats as long as it takes. A key that was given up here was never handed out here,
so that nobody at the other site can ask for it by name.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

from faintlink.core.errors import DeliveryError, KeyExhaustedError, PeerUnavailableError
from faintlink.delivery.keystore.model import Assignment, DeliveredKey, Role
from faintlink.delivery.keystore.store import KeyStore
from faintlink.delivery.ledger.facts import promised
from faintlink.delivery.ledger.messages import Assign, Assigned, AssignedKey, Void
from faintlink.delivery.ledger.notary import Notary
from faintlink.delivery.ledger.terms import Program, expect
from faintlink.delivery.witness import Event, Fact

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Order:
    """One application's request for new keys."""

    master: str
    """The application that asks, at this site."""
    slave: str
    """The one at the other site."""
    keys: tuple[tuple[str, int], ...]
    """Fresh name and bits of each key."""

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Names of the keys."""
        return tuple(key_id for key_id, _ in self.keys)


@dataclass(slots=True)
class Outcome:
    """What became of an order: keys, or the reason why there are none."""

    order: Order
    keys: list[DeliveredKey] = field(default_factory=list)
    failure: DeliveryError | None = None


def promise(store: KeyStore, peer: str, orders: list[Order], notary: Notary) -> Program[list[Outcome]]:
    """Fulfil orders with one exchange; each is fulfilled whole or not at all.

    The program ends with `Outcome` per order. Errors of the store or the witness end it for all orders, and what was
    reserved is given up.
    """
    outcomes = [Outcome(order) for order in orders]
    try:
        reserved = _reserve(store, peer, outcomes)
        if reserved:
            # Written while the other site is asked, and on the disk before a key leaves.
            told = [notary.begin(fact) for fact in promised(Event.KEYS_RESERVED, peer, reserved)]
            yield from _agree(outcomes, reserved)
            for wait in told:
                wait()
            _release(store, outcomes, notary)
    except DeliveryError as error:
        _fail((outcome for outcome in outcomes if not outcome.keys), error)
    yield from _give_up(store, outcomes)
    return outcomes


def _open(outcomes: Iterable[Outcome]) -> list[Outcome]:
    return [outcome for outcome in outcomes if outcome.failure is None]


def _fail(outcomes: Iterable[Outcome], error: DeliveryError) -> None:
    for outcome in outcomes:
        outcome.failure = outcome.failure or error


def _reserve(store: KeyStore, peer: str, outcomes: list[Outcome]) -> list[Assignment]:
    by_pair: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        by_pair.setdefault((outcome.order.master, outcome.order.slave), []).append(outcome)
    reserved: list[Assignment] = []
    for (master, slave), group in by_pair.items():
        try:
            wanted = [key for outcome in group for key in outcome.order.keys]
            reserved += store.reserve(peer, wanted, master=master, slave=slave)
        except KeyExhaustedError as error:
            # What is too little for all of them may be enough for some.
            if len(group) == 1:
                _fail(group, error)
                continue
            for outcome in group:
                try:
                    reserved += store.reserve(peer, outcome.order.keys, master=master, slave=slave)
                except KeyExhaustedError as too_little:
                    _fail([outcome], too_little)
    return reserved


def _agree(outcomes: list[Outcome], reserved: list[Assignment]) -> Program[None]:
    answer = yield Assign(keys=tuple(AssignedKey.of(key) for key in reserved))
    refused = frozenset(expect(answer, Assigned).refused)
    for outcome in _open(outcomes):
        if refused.intersection(outcome.order.key_ids):
            _fail([outcome], refusal())


def refusal() -> PeerUnavailableError:
    """Return what an order ends with where the other site does not have the units that were named."""
    return PeerUnavailableError(
        "the other site does not hold the same stock; the keys were given up on both sides",
        hint="the ledgers are compared now: ask again",
        is_refusal=True,
    )


def _release(store: KeyStore, outcomes: list[Outcome], notary: Notary) -> None:
    by_master: dict[str, list[Outcome]] = {}
    for outcome in _open(outcomes):
        by_master.setdefault(outcome.order.master, []).append(outcome)
    for master, group in by_master.items():
        key_ids = [key_id for outcome in group for key_id in outcome.order.key_ids]
        fact = Fact(Event.KEYS_DELIVERED, master, {"role": Role.MASTER.value, "key_ids": key_ids})
        notary.note(fact)
        keys = iter(store.deliver(key_ids, role=Role.MASTER, sae=master, is_agreed=True))
        for outcome in group:
            outcome.keys = [next(keys) for _ in outcome.order.keys]


def _give_up(store: KeyStore, outcomes: list[Outcome]) -> Program[None]:
    lost = [outcome for outcome in outcomes if outcome.failure and not isinstance(outcome.failure, KeyExhaustedError)]
    key_ids = tuple(key_id for outcome in lost for key_id in outcome.order.key_ids)
    if not key_ids:
        return
    reason = type(lost[0].failure).__name__
    try:
        if voided := store.void(key_ids, reason=reason):
            yield Void(key_ids=tuple(voided), reason=reason)
    except DeliveryError as error:
        # Keys of other orders are out already: what is left over is cleared up when the ledgers are compared.
        _log.info("%d keys are given up and the other site is not told yet: %s", len(key_ids), error)
