"""Stock from the devices of others: keys of a foreign pair of KMEs become blocks that both sites have.

The rules are in `faintlink.delivery.etsi014.source`, the way of offers and verdicts in
`faintlink.delivery.etsi014.pool_link`. This opens the devices that a site's configuration names and runs both.
"""

import asyncio
import ssl
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from faintlink.core.errors import PeerUnavailableError
from faintlink.delivery.etsi014.client import Client014
from faintlink.delivery.etsi014.pool_link import POOL_PATH, PoolReceiver, keep_pooling
from faintlink.delivery.etsi014.source import PoolMaster, PoolSlave
from faintlink.delivery.keystore.model import Block, Pool, Stock
from faintlink.delivery.kme.config import KmeConfig
from faintlink.delivery.kme.foreign_config import ForeignDevice
from faintlink.delivery.kme.site import Site
from faintlink.delivery.witness import Event, Fact

_PATIENCE = 4
"""The slave's site fetches from its own device before it answers: so many times as long as other answers."""


class ForeignDesk:
    """All foreign devices of a site.

    Parameters
    ----------
    folder, config
        Of the site.

    Raises
    ------
    ConfigError
        A certificate for a device cannot be used.
    """

    def __init__(self, folder: Path, config: KmeConfig) -> None:
        self._devices: list[tuple[str, ForeignDevice, ssl.SSLContext]] = [
            (peer.name, device, device.context(folder)) for peer in config.peers for device in peer.devices
        ]
        self._answer: PoolReceiver | None = None

    async def receive(self, peer: str, frame: bytes) -> bytes:
        """Return the verdict on an offer of ``peer``; raises as `PoolReceiver`, and before `run` has begun."""
        if self._answer is None:
            raise PeerUnavailableError("no foreign device is open here", hint="name it among the peer's in kme.yaml")
        return await self._answer(peer, frame)

    async def run(self, site: Site) -> None:
        """Answer offers and pull while the site runs; never returns."""
        async with AsyncExitStack() as stack:
            slaves: dict[tuple[str, str], PoolSlave] = {}
            pooling = []
            for peer, device, context in self._devices:
                kme = await stack.enter_async_context(Client014(device.url, context))
                ingest = partial(_ingest, site, peer)
                if device.role == "slave":
                    slaves[peer, device.agreement.link] = PoolSlave(kme, device.agreement, ingest)
                else:
                    pooling.append(_pool(site, peer, device, PoolMaster(kme, device.agreement, ingest)))
            self._answer = PoolReceiver(slaves)
            await asyncio.gather(*pooling, asyncio.Event().wait())


async def _pool(site: Site, peer: str, device: ForeignDevice, master: PoolMaster) -> None:
    within_s = _PATIENCE * site.config.timing.answer_within_s
    send = partial(site.clients[peer].post, POOL_PATH, within_s=within_s)
    await keep_pooling(master, send, is_wanted=partial(_is_low, site, peer, device), pause_s=device.pull_every_s)


async def _is_low(site: Site, peer: str, device: ForeignDevice) -> bool:
    stock = await site.thread.run(site.parts.store.stock)
    units = sum(stock.get((peer, pool), Stock(0, 0)).units for pool in (Pool.OURS, Pool.THEIRS))
    return site.lines[peer].state.is_up and units < device.enough_units


async def _ingest(site: Site, peer: str, block: Block) -> int:
    return await site.thread.run(partial(_put, site, peer, block))


def _put(site: Site, peer: str, block: Block) -> int:
    about: dict[str, str | int | float | list[str]] = {"block_id": block.block_id, "peer": peer}
    about |= {"epsilon": block.epsilon, "bits": 8 * len(block.material), **block.provenance}
    site.parts.witness.note(Fact(Event.BLOCK_INGESTED, peer, about))
    return site.parts.store.ingest(peer, block, site.config.cut(site.config.peer(peer)))
