"""Two sites in one process over real TLS on loopback, and applications that ask them."""

import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from faintlink.delivery.keystore.store import KeyStore
from faintlink.delivery.kme.config import FILE_NAME, load_kme
from faintlink.delivery.kme.provision import Plan, make_sites
from faintlink.delivery.kme.site import Parts, Site
from faintlink.delivery.witness import SilentWitness, Witness
from tests.kme_load import OTHER, Load
from tests.unit.delivery.ledger.fakes import CUT, MemoryStore, block

SITES = ("site-a", "site-b")
FAST = {
    "answer_within_s": 1.0,
    "agree_within_s": 1.5,
    "compare_within_s": 5.0,
    "first_retry_s": 0.05,
    "longest_retry_s": 0.2,
    "grace_s": 0.0,
    "drain_s": 0.5,
}
"""Timing for tests."""


def free_ports(count: int) -> list[int]:
    """Return ports that are free now."""
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def change(folder: Path, **sections: Any) -> None:
    """Change sections of a site's configuration."""
    path = folder / FILE_NAME
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | sections, sort_keys=False))


def set_ports(folders: list[Path], ports: dict[str, tuple[int, int]], seen: dict[str, int] | None = None) -> None:
    """Give sites ports; ``seen`` are those at which their peers call them, where a proxy stands between."""
    for folder in folders:
        data = yaml.safe_load((folder / FILE_NAME).read_text())
        data["applications"]["port"], data["sites"]["port"] = ports[folder.name]
        for peer in data["peers"]:
            port = (seen or {}).get(peer["name"], ports[peer["name"]][1])
            peer["url"] = f"https://127.0.0.1:{port}"
        change(folder, **data | {"monitoring_port": 0})


def make_pair(out: Path) -> list[Path]:
    """Make the folders of two sites on free ports, with quick timing."""
    folders = make_sites(out, Plan([SITES], {}))
    numbers = free_ports(4)
    set_ports(folders, {"site-a": (numbers[0], numbers[1]), "site-b": (numbers[2], numbers[3])})
    for folder in folders:
        change(folder, timing=FAST)
    return folders


@dataclass
class Running:
    """Two running sites."""

    folders: dict[str, Path]
    sites: dict[str, Site]

    def url(self, site: str) -> str:
        """Return where a site's application asks for keys with the other one's."""
        return f"https://127.0.0.1:{self.sites[site].ports['applications']}/api/v1/keys/sae-{OTHER[site]}"

    def load(self, *, number: int = 1, size: int = 256) -> Load:
        """Return applications that ask for ``number`` keys of ``size`` bits at a time."""
        contexts = {site: application_context(folder) for site, folder in self.folders.items()}
        return Load(contexts, {site: self.url(site) for site in SITES}, number, size)


def filled(blocks: int, units: int) -> dict[str, KeyStore]:
    """Return stores in memory with the same blocks."""
    stores: dict[str, KeyStore] = {site: MemoryStore(site) for site in SITES}
    fill(stores, blocks, units)
    return stores


def fill(stores: dict[str, KeyStore], blocks: int, units: int) -> None:
    """Put the same blocks into both stores."""
    for number in range(blocks):
        for site, other in OTHER.items():
            stores[site].ingest(other, block(number, units), CUT)


@asynccontextmanager
async def running(
    folders: list[Path], stores: dict[str, KeyStore], witness: Witness | None = None
) -> AsyncIterator[Running]:
    """Run both sites; the second one's first comparison makes both ready."""
    parts = {site: Parts(stores[site], witness or SilentWitness()) for site in SITES}
    by_name = {folder.name: folder for folder in folders}
    first, second = (Site(by_name[site], load_kme(by_name[site]), parts[site]) for site in SITES)
    async with first, second:
        # The first was started when the second was not there.
        await first.lines["site-b"].compare()
        yield Running(by_name, {"site-a": first, "site-b": second})


def application_context(folder: Path, name: str | None = None, *, ca: Path | None = None) -> ssl.SSLContext:
    """Return the TLS of an enrolled application of the site in ``folder``."""
    bundle = folder / "applications" / (name or f"sae-{folder.name}")
    context = ssl.create_default_context(cafile=str((ca or bundle) / "authority.crt"))
    context.load_cert_chain(bundle / "client.crt", bundle / "client.key")
    return context


@asynccontextmanager
async def client(context: ssl.SSLContext | None) -> AsyncIterator[aiohttp.ClientSession]:
    """Return a session of an application."""
    connector = aiohttp.TCPConnector(ssl=context if context is not None else False)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session


async def ask(session: aiohttp.ClientSession, url: str, body: Any = None) -> tuple[int, Any]:
    """Return status and decoded body of a request; POST where there is a body."""
    method = "GET" if body is None else "POST"
    async with session.request(method, url, json=body) as response:
        data = await response.read()
        return response.status, json.loads(data) if data else None
