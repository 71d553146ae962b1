"""Sites of a small network in one process, over real TLS on loopback, filled from the folders of their nodes."""

import secrets
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path

import yaml

from faintlink.core.errors import ConfigError
from faintlink.delivery.etsi014.client import Client014
from faintlink.delivery.kme.config import FILE_NAME
from faintlink.delivery.kme.provision import Plan, application_of, make_sites
from faintlink.delivery.kme.running import OpenedSite, opened_site
from faintlink.delivery.network.links import DistilledLink
from faintlink.delivery.relay.routes import RelayMap, load_map

_NETWORK_FILE = "demo.network.yaml"
_SHARE_RESERVE = 50
"""Per cent."""
_PORTS: Sequence[int] = range(20_000, 32_000, 50)
"""Below those that Linux gives to outgoing connections."""


def make_network(folder: Path, links: Sequence[DistilledLink]) -> RelayMap:
    """Make the folders of all sites of some links, and the network file that they share.

    Raises
    ------
    ConfigError
        No ports are free, or a name is none of a site.
    """
    plan = Plan([link.between for link in links], {}, _free_ports(2 * (len(links) + 1)))
    for site in make_sites(folder, plan):
        _prepare(site / FILE_NAME, links)
    data = {
        "format": "faintlink.network/1",
        "name": "demo",
        "sites": {site: {"applications": [application_of(site)]} for site in plan.sites},
        "links": [{"between": list(link.between)} for link in links],
        "max_epsilon": 1e-8,
    }
    path = folder / _NETWORK_FILE
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return load_map(path)


def _prepare(path: Path, links: Sequence[DistilledLink]) -> None:
    """Have a site relay, take its keys from the folders of its nodes, and keep enough of a short recording back."""
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    config["network"] = f"../{_NETWORK_FILE}"
    for peer in config["peers"]:
        (link,) = (link for link in links if set(link.between) == {config["site"], peer["name"]})
        # Simulated keys protect nothing; here they show the way that real ones take.
        peer |= {"node_keys": str(link.keys_of(config["site"]).folder.absolute()), "allow_simulated": True}
        peer["cut"] = {"share_reserve": _SHARE_RESERVE}
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")


@asynccontextmanager
async def running(folder: Path, network: RelayMap) -> AsyncIterator[dict[str, OpenedSite]]:
    """Run all sites of a network while the context lasts, their stores filled from their nodes' folders."""
    async with AsyncExitStack() as stack:
        opened = {}
        for name in network.sites:
            opened[name] = stack.enter_context(opened_site(folder / name))
            await stack.enter_async_context(opened[name].site)
        # Those that started first have called in vain, and would call again after a pause.
        for one in opened.values():
            for line in one.site.lines.values():
                await line.compare()
        yield opened


def client(opened: OpenedSite) -> Client014:
    """Return the connection of a site's application, as ETSI GS QKD 014 has it."""
    site = opened.site
    bundle = site.folder / "applications" / application_of(site.config.site)
    context = ssl.create_default_context(cafile=str(bundle / "authority.crt"))
    context.load_cert_chain(bundle / "client.crt", bundle / "client.key")
    return Client014(f"https://127.0.0.1:{site.ports['applications']}", context)


def _free_ports(count: int) -> int:
    """Return the first of so many neighbouring ports, all of which are free now."""
    # From anywhere on: two networks that are made at one time shall not both take the first.
    start = secrets.randbelow(len(_PORTS))
    for first in (*_PORTS[start:], *_PORTS[:start]):
        if all(_is_free(port) for port in range(first, first + count)):
            return first
    raise ConfigError(f"no {count} neighbouring ports are free on this machine", hint="end other servers")


def _is_free(port: int) -> bool:
    with closing(socket.socket()) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
