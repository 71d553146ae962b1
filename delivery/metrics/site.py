"""Everything that watches one site, put together: who is told of facts, what is scraped, what is healthy.

The KME makes one `SiteMonitor`, gives `witness` to whoever tells facts, and puts `monitoring` on a port with
`faintlink.delivery.health.serve_monitoring`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from faintlink.core.errors import PeerUnavailableError
from faintlink.delivery.audit.log import AuditLog
from faintlink.delivery.health import Check, Monitoring
from faintlink.delivery.metrics.catalogue import Feeder
from faintlink.delivery.metrics.disk import DiskWatch
from faintlink.delivery.metrics.feeding import CountingWitness, Witnesses
from faintlink.delivery.metrics.registry import Metrics
from faintlink.delivery.metrics.sampling import SiteSampler, StoreView
from faintlink.delivery.selftest.gate import SelfTestGate


@dataclass(frozen=True, slots=True)
class SiteMonitor:
    """What watches a site."""

    metrics: Metrics
    witness: Witnesses
    """The audit log, then the counters."""
    disk: DiskWatch
    """Whoever promises new keys asks its ``require_room`` first."""
    monitoring: Monitoring

    @classmethod
    def make(
        cls,
        site: str,
        folder: Path,
        *,
        store: StoreView,
        log: AuditLog,
        gate: SelfTestGate,
        peers_up: Callable[[], Mapping[str, bool]],
    ) -> Self:
        """Put the parts together.

        Parameters
        ----------
        site, folder
            Name of the site, and where its store and audit log are.
        store, log, gate
            Of the site.
        peers_up
            Returns which of the other sites answer, all of them named.
        """
        metrics, disk = Metrics(Feeder.SITE), DiskWatch(folder)
        peers = sorted(peers_up())
        sampler = SiteSampler(metrics, store, peers, disk, log.require_usable, gate.require_open, peers_up)
        checks = {
            "audit log": Check(log.require_usable),
            "self-tests": Check(gate.require_open),
            "store": Check(lambda: _ask(store)),
            "disk": Check(disk.require_room, is_vital=False),
            **{f"site {name}": Check(_peer_probe(name, peers_up), is_vital=False) for name in peers},
        }
        monitoring = Monitoring(site, checks, sampler.render)
        return cls(metrics, Witnesses(log, CountingWitness(metrics)), disk, monitoring)


def _ask(store: StoreView) -> None:
    store.stock()


def _peer_probe(name: str, peers_up: Callable[[], Mapping[str, bool]]) -> Callable[[], None]:
    def probe() -> None:
        if not peers_up().get(name, False):
            raise PeerUnavailableError(f"{name} does not answer", hint="see its health, and the line to it")

    return probe
