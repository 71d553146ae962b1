"""Run a site as a process: tests of itself, store, audit log, comparison of ledgers, and only then applications."""

import asyncio
import ctypes
import logging
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from aiohttp import web

from faintlink.core.errors import FaintlinkError, SelfTestError
from faintlink.core.service_manager import Notifier
from faintlink.delivery.audit.log import AuditLog
from faintlink.delivery.etsi014.pool_link import POOL_PATH
from faintlink.delivery.health import serve_monitoring
from faintlink.delivery.keystore.postgres import PostgresKeyStore
from faintlink.delivery.keystore.sql_store import SqlKeyStore
from faintlink.delivery.keystore.store import KeyStore
from faintlink.delivery.kme.admin import serve_admin
from faintlink.delivery.kme.changes import note_change
from faintlink.delivery.kme.config import KmeConfig, load_kme
from faintlink.delivery.kme.foreign import ForeignDesk
from faintlink.delivery.kme.node_folder import NodeFolder
from faintlink.delivery.kme.noting import opened_audit
from faintlink.delivery.kme.peers import PeerLine
from faintlink.delivery.kme.site import Beside, Parts, Site
from faintlink.delivery.kme.stores import keep_open, opened_store
from faintlink.delivery.kme.trust import require_in_force
from faintlink.delivery.metrics.feeding import count_answer
from faintlink.delivery.metrics.site import SiteMonitor
from faintlink.delivery.selftest.gate import SelfTestGate
from faintlink.delivery.witness import Event, Fact, Witness

_log = logging.getLogger(__name__)
_PRIVATE = 0o700
_PR_SET_DUMPABLE = 4
"""Of prctl(2)."""


class GatedWitness:
    """An audit log that takes no release while a self-test has failed: nothing is handed out then."""

    def __init__(self, log: Witness, gate: SelfTestGate) -> None:
        self._log = log
        self._gate = gate

    def note(self, fact: Fact) -> None:
        """Keep a fact; raises as `Witness`, and `SelfTestError` for a release that may not be."""
        if fact.event is Event.KEYS_DELIVERED:
            self._gate.require_open()
        self._log.note(fact)


def serve(folder: Path, *, on_ready: Callable[[Site], None] = lambda _site: None) -> None:
    """Run the site in ``folder`` until SIGTERM or SIGINT; SIGHUP reads its applications and peers again.

    Parameters
    ----------
    folder
        Made by `make_sites <faintlink.delivery.kme.provision.make_sites>`.
    on_ready
        Called when applications may call.

    Raises
    ------
    ConfigError, StoreError, AuditError, SelfTestError
        It cannot start.
    AccessDeniedError
        It would trust somebody whom two officers have not approved.
    """
    _keep_memory_private()
    with opened_site(folder) as opened:
        asyncio.run(_run(opened, on_ready))


@dataclass(frozen=True, slots=True)
class OpenedSite:
    """A site that is ready to be started: its self-tests have passed, and its log and store are open."""

    site: Site
    gate: SelfTestGate
    monitor: SiteMonitor


@contextmanager
def opened_site(folder: Path) -> Iterator[OpenedSite]:
    """Put the site in ``folder`` together; raises as `serve`."""
    config = load_kme(folder)
    with opened_audit(folder, config) as log:
        require_in_force(folder, config, log)
        note_change(folder, config, log)
        gate = SelfTestGate(log, site=config.site, manifest=folder / config.manifest if config.manifest else None)
        gate.run()
        with opened_store(folder, config, is_starting=True) as store:
            yield _assemble(folder, config, store, log, gate)


def _keep_memory_private() -> None:
    """Leave no core dump, and let no other process of the same user look into this one."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux" and ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):
        _log.warning("other processes of this user can read this one's memory: prctl failed")


def _assemble(folder: Path, config: KmeConfig, store: SqlKeyStore, log: AuditLog, gate: SelfTestGate) -> OpenedSite:
    lines: dict[str, PeerLine] = {}
    monitor = SiteMonitor.make(
        config.site,
        folder,
        store=store,
        log=log,
        gate=gate,
        peers_up=lambda: {peer.name: peer.name in lines and lines[peer.name].state.is_up for peer in config.peers},
    )
    witness = GatedWitness(monitor.witness, gate)
    desk = ForeignDesk(folder, config)
    parts = Parts(
        store,
        witness,
        _node_folders(folder, config, store, witness),
        {POOL_PATH: desk.receive},
        [*([desk.run] if any(peer.devices for peer in config.peers) else []), *_keepers(config, store)],
        require_room=monitor.disk.require_room,
        origins=store.origins,
        count=lambda role, status, seconds: count_answer(monitor.metrics, role=role, code=status, seconds=seconds),
    )
    site = _site(folder, config, parts, store)
    # The monitor is there before the lines that it looks at.
    lines = site.lines
    return OpenedSite(site, gate, monitor)


def _keepers(config: KmeConfig, store: SqlKeyStore) -> list[Beside]:
    if config.postgres is None or not isinstance(store, PostgresKeyStore):
        return []
    return [partial(keep_open, store, config.postgres.look_every_s)]


def _site(folder: Path, config: KmeConfig, parts: Parts, store: SqlKeyStore) -> Site:
    if config.network is None:
        return Site(folder, config, parts)
    from faintlink.delivery.relay.routes import load_map
    from faintlink.delivery.relay.site import RelayingSite

    network = load_map(folder / config.network)
    return RelayingSite(folder, config, parts, network, lambda block: store.block(block).epsilon)


def _node_folders(folder: Path, config: KmeConfig, store: KeyStore, witness: Witness) -> dict[str, NodeFolder]:
    return {
        peer.name: NodeFolder(
            folder / peer.node_keys, store, peer.name, config.cut(peer), witness, allow_simulated=peer.allow_simulated
        )
        for peer in config.peers
        if peer.node_keys
    }


async def _run(opened: OpenedSite, on_ready: Callable[[Site], None]) -> None:
    site = opened.site
    stop, manager = asyncio.Event(), Notifier()
    reading = _heed_signals(site, stop)
    async with site:
        asked: list[web.BaseRunner] = [await serve_admin(site)]
        if site.config.monitoring_port is not None:
            asked.append(
                await serve_monitoring(opened.monitor.monitoring, host="127.0.0.1", port=site.config.monitoring_port)
            )
        beside = [
            asyncio.create_task(work)
            for work in (manager.keep_alive(), _test_again(site, opened.gate), forget_again(site), site.watch())
        ]
        waiting = asyncio.create_task(stop.wait())
        manager.ready()
        on_ready(site)
        try:
            await asyncio.wait([waiting, beside[-1]], return_when=asyncio.FIRST_COMPLETED)
            if beside[-1].done():
                beside[-1].result()
        finally:
            manager.stopping()
            for task in (waiting, *beside, *reading):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            for runner in asked:
                await runner.cleanup()


def _heed_signals(site: Site, stop: asyncio.Event) -> set[asyncio.Task[None]]:
    """Have signals set ``stop``, or the configuration read again in a task that is put into what is returned."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    reading: set[asyncio.Task[None]] = set()
    loop.add_signal_handler(signal.SIGHUP, lambda: reading.add(asyncio.create_task(read_again(site))))
    return reading


async def _test_again(site: Site, gate: SelfTestGate) -> None:
    while True:
        await asyncio.sleep(site.config.timing.self_test_every_s)
        try:
            # In a thread of its own: the known answers take a while, and releases must not wait for them.
            await asyncio.to_thread(gate.run)
        except SelfTestError as error:
            _log.critical("nothing is handed out any more: %s", error.message)
        except FaintlinkError as error:
            _log.error("the self-tests could not be noted: %s", error.message)


async def forget_again(site: Site) -> None:
    """Destroy, again and again, what would still open keys that were handed out."""
    while True:
        await asyncio.sleep(site.config.timing.forget_every_s)
        try:
            epochs = await site.thread.run(site.parts.store.forget_epochs)
        except FaintlinkError as error:
            _log.error("what opens handed-out keys could not be destroyed: %s", error.message)
        else:
            if epochs:
                _log.info("%d epoch keys were destroyed", epochs)


async def read_again(site: Site) -> None:
    """Take over the applications of a changed configuration; what else has changed needs a new start."""
    try:
        fresh = load_kme(site.folder)
        behind = {peer.name: peer.applications for peer in fresh.peers}
        peers = tuple(
            peer.model_copy(update={"applications": behind.get(peer.name, peer.applications)})
            for peer in site.config.peers
        )
        config = site.config.model_copy(update={"own": fresh.own, "peers": peers})
        await site.thread.run(partial(require_in_force, site.folder, fresh, site.parts.witness))
        await site.thread.run(partial(note_change, site.folder, config, site.parts.witness))
    except FaintlinkError as error:
        _log.error("the old configuration stays in force: %s", error.message)
        return
    site.config = config
    _log.warning("the applications were read again: %d here", len(fresh.own))
