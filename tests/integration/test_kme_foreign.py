"""Keys of a foreign pair of KMEs become common stock of two of our sites; the foreign pair is one of ours, too."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from faintlink.delivery.etsi014.pool_link import POOL_PATH
from faintlink.delivery.keystore.model import Pool, Stock
from faintlink.delivery.kme.config import load_kme
from faintlink.delivery.kme.foreign import ForeignDesk
from faintlink.delivery.kme.site import Parts, Site
from faintlink.delivery.witness import SilentWitness
from tests.kme_load import OTHER
from tests.unit.delivery.kme.sites import SITES, Running, change, filled, make_pair, running
from tests.unit.delivery.ledger.fakes import MemoryStore
from tests.unit.delivery.ledger.sites import Pair

POOLS = (Pool.OURS, Pool.THEIRS)
AGREEMENT = {
    "link": "foreign",
    "master_sae": "sae-site-a",
    "slave_sae": "sae-site-b",
    "keys_per_block": 21,
    "epsilon_per_key": 1e-12,
}


def device(site: str, foreign: Running) -> dict[str, Any]:
    """Return what a site must know of the device beside it."""
    bundle = foreign.folders[site] / "applications" / f"sae-{site}"
    return {
        "role": "master" if site == "site-a" else "slave",
        "url": f"https://127.0.0.1:{foreign.sites[site].ports['applications']}",
        "certificate": str(bundle / "client.crt"),
        "key": str(bundle / "client.key"),
        "authority": str(bundle / "authority.crt"),
        "agreement": AGREEMENT,
        "pull_every_s": 0.05,
        "enough_units": 40,
    }


@asynccontextmanager
async def pooling(folders: list[Path], foreign: Running) -> AsyncIterator[dict[str, Site]]:
    """Run our own two sites, empty, with the foreign devices as their source."""
    sites = {}
    for folder in folders:
        peers = [peer.model_dump(mode="json") for peer in load_kme(folder).peers]
        change(folder, peers=[{**peers[0], "devices": [device(folder.name, foreign)]}])
        config = load_kme(folder)
        desk = ForeignDesk(folder, config)
        parts = Parts(MemoryStore(folder.name), SilentWitness(), receivers={POOL_PATH: desk.receive}, beside=[desk.run])
        sites[folder.name] = Site(folder, config, parts)
    async with sites["site-a"], sites["site-b"]:
        yield sites


def test_foreign_keys_become_equal_stock_until_there_is_enough(tmp_path: Path) -> None:
    theirs, ours = make_pair(tmp_path / "foreign"), make_pair(tmp_path / "ours")

    async def scene() -> None:
        async with running(theirs, filled(1, 400)) as foreign, pooling(ours, foreign) as sites:
            stores = {site: sites[site].parts.store for site in SITES}
            for _ in range(2000):
                stock = {site: stores[site].stock() for site in SITES}
                units = [
                    sum(stock[site].get((OTHER[site], pool), Stock(0, 0)).units for pool in POOLS) for site in SITES
                ]
                if min(units) >= 40:
                    break
                await asyncio.sleep(0.02)
            assert min(units) >= 40
            for site in SITES:
                await sites[site].lines[OTHER[site]].compare()
            pair = Pair(stores)
            pair.check_agreement()
            # What is ours at one site is theirs at the other, bit for bit.
            a, b = stores["site-a"], stores["site-b"]
            assert isinstance(a, MemoryStore)
            assert isinstance(b, MemoryStore)
            bits = {name: data for (_, name), (_, data) in a.units.items()}
            assert bits == {name: data for (_, name), (_, data) in b.units.items()}
            assert len(set(bits.values())) == len(bits)
            assert stock["site-a"]["site-b", Pool.OURS].units == stock["site-b"]["site-a", Pool.THEIRS].units
            assert min(units) < 40 + 20, "it pulled on"

    asyncio.run(scene())
