"""Gauges of a site, looked up when somebody scrapes: stock, waiting keys, disk, clock, audit log, other sites."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Protocol

from faintlink.core.errors import FaintlinkError
from faintlink.delivery.keystore.model import KeyRecord, Pool, Stock
from faintlink.delivery.metrics.clocks import ClockWatch
from faintlink.delivery.metrics.disk import DiskWatch
from faintlink.delivery.metrics.registry import Metrics

_POOLS: Final = {
    Pool.OURS: ("free", "ours"),
    Pool.THEIRS: ("free", "theirs"),
    Pool.RESERVE_OURS: ("reserve", "ours"),
    Pool.RESERVE_THEIRS: ("reserve", "theirs"),
}
"""Labels ``state`` and ``direction`` of each pool."""


class StoreView(Protocol):
    """What the gauges read of a key store."""

    def stock(self) -> Mapping[tuple[str, Pool], Stock]:
        """Return what there is for each peer and pool."""
        ...

    def waiting(self, peer: str) -> list[KeyRecord]:
        """Return keys that are ready and not fetched."""
        ...


def sample_store(metrics: Metrics, store: StoreView, peers: Sequence[str], *, now: datetime | None = None) -> None:
    """Set the gauges of stock and waiting keys; call it in the store's thread, every few seconds."""
    stock = store.stock()
    for peer in peers:
        for pool, (state, direction) in _POOLS.items():
            bits = stock[peer, pool].bits if (peer, pool) in stock else 0
            metrics.set("key_pool_bits", bits, peer=peer, state=state, direction=direction)
            if state == "reserve":
                metrics.set("auth_key_bits_remaining", bits, peer=peer, direction=direction)
        waiting = store.waiting(peer)
        metrics.set("keys_waiting", len(waiting), peer=peer)
        metrics.set("key_age_seconds", _oldest_s(waiting, now or datetime.now(UTC)), peer=peer)


@dataclass(slots=True)
class SiteSampler:
    """Brings a site's gauges up to date and renders its metrics; may be called by any thread that may ask the store."""

    metrics: Metrics
    store: StoreView
    peers: Sequence[str]
    """Names of the other sites."""
    disk: DiskWatch
    require_audit: Callable[[], None]
    """Raises if the audit log takes no facts."""
    require_self_tests: Callable[[], None]
    """Raises unless all self-tests passed."""
    peers_up: Callable[[], Mapping[str, bool]] = dict
    """Which of the other sites answer."""
    clock: ClockWatch = field(default_factory=ClockWatch)
    _steps: int = 0

    def __post_init__(self) -> None:
        self.metrics.set("start_time_seconds", time.time())

    def render(self) -> bytes:
        """Return the metrics' text as of now."""
        self._sample_machine()
        for name, is_up in self.peers_up().items():
            self.metrics.set("peer_up", is_up, peer=name)
        # A store that cannot be read shows in the health; the other numbers are wanted then more than ever.
        self.metrics.set("store_up", _is_well(lambda: sample_store(self.metrics, self.store, self.peers)))
        return self.metrics.render()

    def _sample_machine(self) -> None:
        disk = self.disk.look()
        self.metrics.set("disk_free_bytes", disk.free_bytes)
        self.metrics.set("disk_size_bytes", disk.size_bytes)
        self.metrics.set("clock_offset_seconds", self.clock.look())
        self.metrics.count("clock_steps_total", self.clock.steps - self._steps)
        self._steps = self.clock.steps
        self.metrics.set("audit_chain_ok", _is_well(self.require_audit))
        self.metrics.set("selftest_ok", _is_well(self.require_self_tests))


def _is_well(probe: Callable[[], None]) -> bool:
    try:
        probe()
    except FaintlinkError:
        return False
    return True


def _oldest_s(waiting: Sequence[KeyRecord], now: datetime) -> float:
    ages = [(now - datetime.fromisoformat(record.created_utc)).total_seconds() for record in waiting]
    return max(0.0, *ages) if ages else 0.0
