"""A site that also relays: for its own applications towards sites without a common link, and for others between."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from faintlink.core.errors import FaintlinkError
from faintlink.delivery.keystore.model import DeliveredKey
from faintlink.delivery.keystore.origins import KeyOrigin
from faintlink.delivery.kme.calling import RELAY_PATH
from faintlink.delivery.kme.config import KmeConfig
from faintlink.delivery.kme.site import Parts, Site
from faintlink.delivery.kme.supply import SiteSupply
from faintlink.delivery.relay.packet import decode_request
from faintlink.delivery.relay.provenance import origins_of
from faintlink.delivery.relay.routes import RelayMap
from faintlink.delivery.relay.service import RelayService
from faintlink.delivery.relay.supply import NetworkSite, RelayedSupply
from faintlink.delivery.supply import KeySupply, SupplyStatus

_log = logging.getLogger(__name__)


class RelayingSite(Site):
    """One site of a network; use it as an asynchronous context, like `Site`.

    Parameters
    ----------
    folder, config, parts
        As for `Site`.
    network
        The file that all sites share.
    block_epsilon
        Tells the security parameter of a block in the site's store.
    """

    def __init__(
        self, folder: Path, config: KmeConfig, parts: Parts, network: RelayMap, block_epsilon: Callable[[str], float]
    ) -> None:
        here = NetworkSite(network, config.site, block_epsilon)
        super().__init__(folder, config, parts)
        self._shares = here.split
        self.relay = RelayService(here, parts.store, parts.witness, send=self._send, run=self.thread.run)
        self.relayed = RelayedSupply(
            here,
            parts.store,
            self.relay,
            parts.witness,
            run=self.thread.run,
            keep_waiting=timedelta(days=config.timing.keep_waiting_days),
        )
        self.parts = replace(parts, receivers={**parts.receivers, RELAY_PATH: self.relay.receive})

    async def _start(self) -> None:
        # Undone last, when the store's thread has ended.
        self._stack.callback(self.relay.forget)
        await super()._start()
        self._keepers.append(asyncio.create_task(self._settle()))

    def _wire(self) -> SiteSupply:
        return FarAndNear(super()._wire(), self)

    async def _origins(self, key_ids: Sequence[str]) -> list[KeyOrigin]:
        return await origins_of(super()._origins, key_ids, shares=self._shares)

    async def _send(self, peer: str, frame: bytes) -> bytes:
        # Every site on the way waits for those behind it, and so longer than they do.
        request = decode_request(frame)
        hops_left = len(request.errand.route) - 1 - request.hop
        within_s = hops_left * self.config.timing.answer_within_s
        return await self.clients[peer].post(RELAY_PATH, frame, within_s=within_s)

    async def _settle(self) -> None:
        while True:
            try:
                left = await self.relayed.settle()
            except FaintlinkError as error:
                _log.error("relayed keys cannot be settled now: %s", error.message)
            else:
                if left:
                    _log.warning("%d relayed keys wait for the other end to give them up", left)
            await asyncio.sleep(self.config.timing.compare_every_s)


class FarAndNear(SiteSupply):
    """Keys of the common stock where two sites have one, and relayed ones elsewhere."""

    def __init__(self, near: SiteSupply, site: RelayingSite) -> None:
        self._near = near
        self._site = site

    async def finish(self) -> None:
        """Wait until nothing is under way."""
        await self._near.finish()

    async def status(self, *, caller: str, other: str) -> SupplyStatus:
        """Return the state of the supply towards the site of ``other``."""
        return await self._towards(other).status(caller=caller, other=other)

    async def new_keys(self, *, master: str, slave: str, number: int, bits: int) -> list[DeliveredKey]:
        """Hand out new keys to the master."""
        return await self._towards(slave).new_keys(master=master, slave=slave, number=number, bits=bits)

    async def keys_by_name(self, *, slave: str, master: str, key_ids: Sequence[str]) -> list[DeliveredKey]:
        """Hand out the slave's copies."""
        return await self._towards(master).keys_by_name(slave=slave, master=master, key_ids=key_ids)

    def _towards(self, application: str) -> KeySupply:
        is_near = self._site.config.peer_of(application) is not None
        return self._near if is_near else self._site.relayed
