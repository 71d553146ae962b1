"""Keys for applications whose sites share no link: the same seam as for those that do, fulfilled by the relay."""

from collections.abc import Callable, Sequence

from faintlink.core.errors import AccessDeniedError, DeliveryError, KeyExhaustedError, KeyUnknownError
from faintlink.delivery.keystore.model import UNIT_BITS, DeliveredKey, Pool, Role
from faintlink.delivery.keystore.store import KeyStore
from faintlink.delivery.relay.packet import CHECK_BYTES, MAX_KEY_BITS, MAX_KEYS, MAX_UNITS
from faintlink.delivery.relay.routes import NetworkMap, Route, RouteTable
from faintlink.delivery.relay.service import RelayService, Run
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

    def __init__(self, network: NetworkMap, site: str, block_epsilon: Callable[[str], float]) -> None:
        self.site = site
        self.max_epsilon = network.max_epsilon
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


class RelayedSupply:
    """A `KeySupply <faintlink.delivery.supply.KeySupply>` over the relay."""

    def __init__(self, site: NetworkSite, store: KeyStore, relay: RelayService, witness: Witness, *, run: Run) -> None:
        self._site = site
        self._store = store
        self._relay = relay
        self._witness = witness
        self._run = run

    async def status(self, *, caller: str, other: str) -> SupplyStatus:
        """Return what the first hop of the route can carry; the hops behind it are not asked."""
        del caller
        route = self._ways(other)[0]
        stock = await self._run(self._store.stock)
        pool = stock.get((route[1], Pool.RESERVE_OURS))
        each = units_per_hop(1, _STATUS_BITS)
        most = pool.units // each if pool is not None else 0
        return SupplyStatus(self._site.site, route[-1], stored_keys=most, max_keys=most)

    async def new_keys(self, *, master: str, slave: str, number: int, bits: int) -> list[DeliveredKey]:
        """Relay new keys and hand them out to the master; raises as the protocol says."""
        is_sound = 1 <= number <= MAX_KEYS and 8 <= bits <= MAX_KEY_BITS and bits % 8 == 0
        if not is_sound or units_per_hop(number, bits) > MAX_UNITS:
            raise KeyExhaustedError(
                f"{number} keys of {bits} bits cannot be relayed at once",
                hint=f"at most {MAX_KEYS} keys of 8 to {MAX_KEY_BITS} bits, a multiple of 8, and {MAX_UNITS} units",
            )
        keys = await self._relay.relay(
            self._ways(slave), master=master, slave=slave, number=number, bits=bits, max_epsilon=self._site.max_epsilon
        )
        return await self._run(lambda: self._hand_out(keys, Role.MASTER, master))

    async def keys_by_name(self, *, slave: str, master: str, key_ids: Sequence[str]) -> list[DeliveredKey]:
        """Hand out the slave's copies; raises as the protocol says."""

        def fetch() -> list[DeliveredKey]:
            for key_id in key_ids:
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

        To be called after a start and from time to time.
        """
        left = 0
        for target in self._site.far_sites:
            left += await self._relay.settle(self._site.routes(target))
        return left

    def _ways(self, application: str) -> list[Route]:
        routes = self._site.routes(self._site.site_of(application))
        if not routes:
            raise KeyUnknownError(f"no route leads from {self._site.site} to {application}", hint="add a link")
        return routes

    def _hand_out(self, key_ids: Sequence[str], role: Role, sae: str) -> list[DeliveredKey]:
        try:
            self._witness.note(Fact(Event.KEYS_DELIVERED, sae, {"role": role.value, "key_ids": list(key_ids)}))
            return self._store.deliver(key_ids, role=role, sae=sae)
        except DeliveryError:
            if role is Role.MASTER:
                # Nobody learns their names any more: they must not lie here for ever.
                self._store.void(key_ids, reason="relay: could not be handed out")
            raise
