"""Sites of a small network in one process, over real TLS on loopback, filled from the folders of their nodes."""

import secrets
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import yaml

from faintlink.core.errors import ConfigError
from faintlink.delivery.audit.log import AuditLog
from faintlink.delivery.etsi014.client import Client014
from faintlink.delivery.keystore.ingest import FolderIngest
from faintlink.delivery.keystore.store import KeyStore
from faintlink.delivery.kme.config import FILE_NAME, KmeConfig, load_kme
from faintlink.delivery.kme.peers import PeerLine
from faintlink.delivery.kme.provision import Plan, application_of, make_sites
from faintlink.delivery.kme.running import GatedWitness, opened_audit, opened_store
from faintlink.delivery.kme.site import Parts
from faintlink.delivery.metrics.site import SiteMonitor
from faintlink.delivery.network.links import DistilledLink
from faintlink.delivery.relay.routes import NetworkMap, load_map
from faintlink.delivery.relay.site import RelayingSite
from faintlink.delivery.selftest.gate import SelfTestGate

_SHARE_RESERVE = 50
"""Per cent."""
_PORTS: Sequence[int] = range(20_000, 32_000, 50)
"""Below those that Linux gives to outgoing connections."""


@dataclass(frozen=True, slots=True)
class RunningSite:
    """One site."""

    site: RelayingSite
    monitor: SiteMonitor

    def client(self) -> Client014:
        """Return the connection of the site's application, as ETSI GS QKD 014 has it."""
        name = self.site.config.site
        bundle = self.site.folder / "applications" / application_of(name)
        context = ssl.create_default_context(cafile=str(bundle / "authority.crt"))
        context.load_cert_chain(bundle / "client.crt", bundle / "client.key")
        return Client014(f"https://127.0.0.1:{self.site.ports['applications']}", context)


def make_network(folder: Path, links: Sequence[DistilledLink]) -> NetworkMap:
    """Make the folders of all sites of some links, and the network file that they share.

    Raises
    ------
    ConfigError
        No ports are free, or a name is none of a site.
    """
    plan = Plan([link.between for link in links], {}, _free_ports(2 * (len(links) + 1)))
    for site in make_sites(folder, plan):
        _keep_for_relay(site / FILE_NAME)
    data = {
        "format": "faintlink.network/1",
        "name": "demo",
        "sites": {site: {"applications": [application_of(site)]} for site in plan.sites},
        "links": [{"between": list(link.between)} for link in links],
        "max_epsilon": 1e-8,
    }
    path = folder / "demo.network.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return load_map(path)


@asynccontextmanager
async def running(
    folder: Path, network: NetworkMap, links: Sequence[DistilledLink]
) -> AsyncIterator[dict[str, RunningSite]]:
    """Fill the sites' stores from the links' keys and run all of them while the context lasts."""
    async with AsyncExitStack() as stack:
        sites = {}
        for name in network.sites:
            config = load_kme(folder / name)
            log = stack.enter_context(opened_audit(folder / name, config))
            store = stack.enter_context(opened_store(folder / name, config))
            sites[name] = await _start(stack, folder / name, config, store, log, network=network, links=links)
        # Those that started first have called in vain, and would call again after a pause.
        for one in sites.values():
            for line in one.site.lines.values():
                await line.compare()
        yield sites


async def _start(
    stack: AsyncExitStack,
    folder: Path,
    config: KmeConfig,
    store: KeyStore,
    log: AuditLog,
    *,
    network: NetworkMap,
    links: Sequence[DistilledLink],
) -> RunningSite:
    gate = SelfTestGate(log, site=config.site)
    gate.run()
    own = [link for link in links if config.site in link.between]
    epsilons = {block: epsilon for link in own for block, epsilon in link.epsilons.items()}
    others = {next(site for site in link.between if site != config.site): link for link in own}
    lines: dict[str, PeerLine] = {}
    monitor = SiteMonitor.make(
        config.site,
        folder,
        store=store,
        log=log,
        gate=gate,
        peers_up=lambda: {peer: peer in lines and lines[peer].state.is_up for peer in others},
    )
    for peer, link in others.items():
        cut = config.cut(config.peer(peer))
        # Simulated keys protect nothing; here they show the way that real ones take.
        FolderIngest(
            link.keys_of(config.site), store, peer=peer, cut=cut, witness=monitor.witness, allow_simulated=True
        ).run()
    parts = Parts(store, GatedWitness(monitor.witness, gate))
    site = await stack.enter_async_context(RelayingSite(folder, config, parts, network, epsilons.__getitem__))
    lines.update(site.lines)
    return RunningSite(site, monitor)


def _keep_for_relay(path: Path) -> None:
    """Set aside enough of a short recording's key for relay."""
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    for peer in config["peers"]:
        peer["cut"] = {"share_reserve": _SHARE_RESERVE}
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")


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
