"""Keys for applications: the site's store and the other sites, behind the interface that ETSI 014 asks of it."""

import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from faintlink.core.errors import DeliveryError, KeyUnknownError
from faintlink.delivery.keystore.model import UNIT_BITS, DeliveredKey, Pool, Stock
from faintlink.delivery.keystore.store import KeyStore
from faintlink.delivery.kme.batches import Batches
from faintlink.delivery.kme.config import KmeConfig
from faintlink.delivery.kme.peers import PeerLine
from faintlink.delivery.kme.worker import StoreThread
from faintlink.delivery.ledger.fetching import Fetch, facts, hand_out, ready
from faintlink.delivery.ledger.messages import MOST_KEYS
from faintlink.delivery.ledger.notary import Notary
from faintlink.delivery.ledger.promising import Order, Outcome, promise, refusal
from faintlink.delivery.supply import SupplyStatus

_ATTEMPTS = 3
"""Where the other site lacks some units, these are given up and the next ones tried."""


@dataclass(slots=True)
class _Asked:
    order: Order
    outcome: Outcome | None = None


class SiteSupply:
    """Fulfils `KeySupply <faintlink.delivery.supply.KeySupply>`."""

    def __init__(
        self,
        config: Callable[[], KmeConfig],
        store: KeyStore,
        thread: StoreThread,
        lines: Mapping[str, PeerLine],
        notary: Notary,
        require_room: Callable[[], None],
    ) -> None:
        self._config = config
        self._store = store
        self._thread = thread
        self._lines = lines
        self._notary = notary
        self._require_room = require_room
        self._orders = {
            name: Batches(partial(self._fulfil, line), most=MOST_KEYS, weight=_number_of_keys)
            for name, line in lines.items()
        }
        self._fetches: Batches[Fetch] = Batches(self._fetch, most=MOST_KEYS, weight=lambda one: len(one.key_ids))

    async def status(self, *, caller: str, other: str) -> SupplyStatus:  # noqa: ARG002 - all of a site's applications share its stock
        """Return the state of the supply towards the site of ``other``."""
        peer = self._peer_of(other)
        stock = await self._thread.run(self._store.stock)
        api = self._config().api
        units = stock.get((peer, Pool.OURS), Stock(0, 0)).units
        keys = units // -(-api.key_size // UNIT_BITS)
        return SupplyStatus(self._config().site, peer, min(keys, api.max_key_count), api.max_key_count)

    async def new_keys(self, *, master: str, slave: str, number: int, bits: int) -> list[DeliveredKey]:
        """Hand out new keys to the master: only after the other site has them for sure."""
        peer = self._peer_of(slave)
        line = self._lines[peer]
        for _ in range(_ATTEMPTS):
            line.require_up()
            self._require_room()
            asked = _Asked(Order(master, slave, tuple((str(uuid.uuid4()), bits) for _ in range(number))))
            await self._orders[peer].add(asked)
            if asked.outcome is None or asked.outcome.failure is None:
                break
            failure = asked.outcome.failure
            if not failure.fields.get("is_refusal"):
                raise failure
            line.compare_soon()
        if asked.outcome is None or not asked.outcome.keys:
            raise refusal()
        return asked.outcome.keys

    async def keys_by_name(self, *, slave: str, master: str, key_ids: Sequence[str]) -> list[DeliveredKey]:
        """Hand out the slave's copies: all of them or none."""
        request = Fetch(slave, master, list(key_ids))
        await self._fetches.add(request)
        if request.failure is not None:
            raise request.failure
        return request.keys

    async def finish(self) -> None:
        """Wait until nothing is under way."""
        for orders in self._orders.values():
            await orders.finish()
        await self._fetches.finish()

    def _peer_of(self, application: str) -> str:
        peer = self._config().peer_of(application)
        if peer is None or peer.name not in self._lines:
            raise KeyUnknownError(
                f"{application!r} is at no site that keys are shared with", hint="name it among a peer's applications"
            )
        return peer.name

    async def _fulfil(self, line: PeerLine, asked: list[_Asked]) -> None:
        orders = [one.order for one in asked]
        names = [name for order in orders for name in order.key_ids]
        line.busy.update(names)
        try:
            program = promise(self._store, line.name, orders, self._notary)
            outcomes = await self._thread.converse(program, line.agree)
        finally:
            line.busy.difference_update(names)
        for one, outcome in zip(asked, outcomes, strict=True):
            one.outcome = outcome

    async def _fetch(self, requests: list[Fetch]) -> None:
        good = await self._thread.run(partial(ready, self._store, requests))
        try:
            await asyncio.gather(*(asyncio.to_thread(self._notary.note, fact) for fact in facts(good)))
        except DeliveryError as error:
            for request in good:
                request.failure = error
        else:
            await self._thread.run(partial(hand_out, self._store, good))


def _number_of_keys(asked: _Asked) -> int:
    return len(asked.order.keys)
