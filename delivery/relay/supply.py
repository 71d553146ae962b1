"""Keys for applications whose sites share no link: the same seam as for those that do, fulfilled by the relay."""

import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from faintlink.core.errors import AccessDeniedError, KeyExhaustedError, KeyUnknownError
from faintlink.delivery.keystore.model import UNIT_BITS, DeliveredKey, Pool, Role
from faintlink.delivery.keystore.store import KeyStore
from faintlink.delivery.relay.packet import CHECK_BYTES, MAX_KEY_BITS, MAX_KEYS, MAX_UNITS
from faintlink.delivery.relay.routes import RelayMap, Route, RouteTable
from faintlink.delivery.relay.service import RelayService, Run
from faintlink.delivery.relay.shares import joined, share_name, share_names
from faintlink.delivery.supply import SupplyStatus
from faintlink.delivery.witness import Event, Fact, Witness

UNITS_OF_A_REQUEST = 2 + CHECK_BYTES * 8 // UNIT_BITS
"""Units that each hop uses beyond the keys themselves: two tags and the check key."""
_STATUS_BITS = 256


def units_per_hop(number: int, bits: int) -> int:
    """Return the units of reserve that a request for ``number`` keys uses on each hop."""
    return UNITS_OF_A_REQUEST + -(-number * bits // UNIT_BITS)


class NetworkSite:
    """One site of a network: its neighbours, its applications, and the routes from it.

    Parameters
    ----------
    network
        The file that all sites share.
    site
        Which one this is.
    block_epsilon
        Tells the security parameter of a block in the site's store.
    """

    def __init__(self, network: RelayMap, site: str, block_epsilon: Callable[[str], float]) -> None:
        self.site = site
        self.max_epsilon = network.max_epsilon
        self.split = network.split
        self._network = network
        self.block_epsilon = block_epsilon
        self._table = RouteTable.of(network)
        self._homes = {name: home for home, entry in network.sites.items() for name in entry.applications}
        self.neighbours = self._table.links[site]
        self.applications = frozenset(network.sites[site].applications)

    def site_of(self, application: str) -> str:
        """Return the site of an application.

        Raises
        ------
        KeyUnknownError
            It is at none.
        """
        if application not in self._homes:
            raise KeyUnknownError(f"{application} is at no site of the network", hint="name it in the network file")
        return self._homes[application]

    @property
    def far_sites(self) -> list[str]:
        """All other sites that a route leads to."""
        return [name for name in sorted(self._table.links) if name != self.site and self.routes(name)]

    def routes(self, target: str) -> list[Route]:
        """Return the routes from here to a site, the one to take first; none where it cannot be reached."""
        return self._table.routes(self.site, target)

    def ways(self, application: str) -> list[list[Route]]:
        """Return, for each share of a key with an application, the routes that it may take, the one to try first.

        Raises
        ------
        KeyUnknownError
            The application is at no site, or too few routes lead there.
        """
        target = self.site_of(application)
        whole = [self.routes(target)] if self.split == 1 else []
        ways = whole or [[route] for route in self._network.split_routes(self.site, target)]
        if not ways or not all(ways):
            raise KeyUnknownError(
                f"{self.split} routes from {self.site} to {application} are needed, fewer lead there", hint="add links"
            )
        return ways


class RelayedSupply:
    """A `KeySupply <faintlink.delivery.supply.KeySupply>` over the relay.

    Parameters
    ----------
    site, store, relay, witness, run
        Of the site.
    keep_waiting
        How long a key waits for the slave's application.
    """

    def __init__(
        self,
        site: NetworkSite,
        store: KeyStore,
        relay: RelayService,
        witness: Witness,
        *,
        run: Run,
        keep_waiting: timedelta = timedelta(days=30),
    ) -> None:
        self._site = site
        self._store = store
        self._relay = relay
        self._witness = witness
        self._run = run
        self._keep_waiting = keep_waiting

    async def status(self, *, caller: str, other: str) -> SupplyStatus:
        """Return what the first hop of the route can carry; the hops behind it are not asked."""
        del caller
        firsts = [routes[0] for routes in self._site.ways(other)]
        stock = await self._run(self._store.stock)
        pools = [stock.get((route[1], Pool.RESERVE_OURS)) for route in firsts]
        most = min(pool.units if pool is not None else 0 for pool in pools) // units_per_hop(1, _STATUS_BITS)
        return SupplyStatus(self._site.site, firsts[0][-1], stored_keys=most, max_keys=most)

    async def new_keys(self, *, master: str, slave: str, number: int, bits: int) -> list[DeliveredKey]:
        """Relay new keys and hand them out to the master; raises as the protocol says."""
        is_sound = 1 <= number <= MAX_KEYS and 8 <= bits <= MAX_KEY_BITS and bits % 8 == 0
        if not is_sound or units_per_hop(number, bits) > MAX_UNITS:
            raise KeyExhaustedError(
                f"{number} keys of {bits} bits cannot be relayed at once",
                hint=f"at most {MAX_KEYS} keys of 8 to {MAX_KEY_BITS} bits, a multiple of 8, and {MAX_UNITS} units",
            )
        ways = self._site.ways(slave)
        names = [str(uuid.uuid4()) for _ in range(number)]
        ready: list[str] = []
        try:
            for share, routes in enumerate(ways):
                ready += await self._relay.relay(
                    routes,
                    master=master,
                    slave=slave,
                    number=number,
                    bits=bits,
                    # What the shares spend adds up.
                    max_epsilon=self._site.max_epsilon / len(ways),
                    names=[share_name(name, share) for name in names] if len(ways) > 1 else (),
                )
            names = names if len(ways) > 1 else ready
            return await self._run(lambda: self._hand_out(names, Role.MASTER, master))
        finally:
            # What could not be handed out is given up at both ends by `settle`.
            self._relay.let_go(ready)

    async def keys_by_name(self, *, slave: str, master: str, key_ids: Sequence[str]) -> list[DeliveredKey]:
        """Hand out the slave's copies; raises as the protocol says."""

        def fetch() -> list[DeliveredKey]:
            for key_id in self._stored(key_ids):
                promised = self._store.record(key_id).assignment
                if (promised.master, promised.slave) != (master, slave):
                    raise AccessDeniedError(
                        f"key {key_id} was not promised to {slave} by {master}",
                        hint="ask with the name of the application that the key's name came from",
                    )
            return self._hand_out(key_ids, Role.SLAVE, slave)

        return await self._run(fetch)

    async def settle(self) -> int:
        """Give up at both ends what a failure left open, for all sites, and return how many keys are left.

        Copies that nobody has fetched for long are given up too: the master's application has lost their names. To be
        called after a start and from time to time.
        """
        left = 0
        for target in self._site.far_sites:
            await self._run(partial(self._give_up_old, target))
            left += await self._relay.settle(self._site.routes(target))
        return left

    def _give_up_old(self, target: str) -> None:
        end = datetime.now(UTC) - self._keep_waiting
        old = [
            record.assignment.key_id
            for record in self._store.waiting(target)
            if record.role is Role.SLAVE
            and not record.assignment.units
            and datetime.fromisoformat(record.created_utc) < end
        ]
        if old:
            self._witness.note(Fact(Event.KEYS_VOIDED, target, {"key_ids": old, "what": "nobody fetched them"}))
            self._store.void(old, reason="relay: nobody fetched it")

    def _stored(self, key_ids: Sequence[str]) -> list[str]:
        """Return the names under which the store has keys: those of their shares, where keys are split."""
        split = self._site.split
        return list(key_ids) if split == 1 else share_names(key_ids, split)

    def _hand_out(self, key_ids: Sequence[str], role: Role, sae: str) -> list[DeliveredKey]:
        stored = self._stored(key_ids)
        about: dict[str, str | int | float | list[str]] = {"role": role.value, "key_ids": stored}
        if self._site.split > 1:
            # What is stored, backed up and traced are the shares; this is what the application knows.
            about["split_keys"] = list(key_ids)
        self._witness.note(Fact(Event.KEYS_DELIVERED, sae, about))
        delivered = self._store.deliver(stored, role=role, sae=sae)
        return delivered if self._site.split == 1 else joined(key_ids, delivered)
