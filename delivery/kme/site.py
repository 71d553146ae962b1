"""A running site: its store, its lines to other sites and its two listeners, started and stopped in order.

Started: what calls other sites, what they call, a first comparison of ledgers, and only then what applications call.
Stopped: no new requests, those in progress carried through, then the store.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeAlias

from aiohttp import web

from faintlink.core.errors import AuditError, ConfigError, FaintlinkError, StoreError
from faintlink.delivery.etsi014.service import Api014
from faintlink.delivery.keystore.origins import KeyOrigin
from faintlink.delivery.keystore.store import KeyStore
from faintlink.delivery.kme.calling import LEDGER_PATH, SiteClient
from faintlink.delivery.kme.config import KmeConfig, Listener
from faintlink.delivery.kme.peers import PeerLine
from faintlink.delivery.kme.server import HTTP_LOG, Count, Handler, Receiver, application_handler, site_handler
from faintlink.delivery.kme.supply import SiteSupply
from faintlink.delivery.kme.tls import client_context, server_context
from faintlink.delivery.kme.worker import StoreThread
from faintlink.delivery.ledger.answering import AtHand, LedgerAnswers
from faintlink.delivery.ledger.notary import Notary
from faintlink.delivery.ledger.terms import Terms
from faintlink.delivery.pki.identity import Gate, Revocations
from faintlink.delivery.witness import Event, Fact, Witness

_log = logging.getLogger(__name__)


def _no_origins(_key_ids: Sequence[str]) -> list[KeyOrigin]:
    raise StoreError("this site does not know where its keys came from", hint="take the extension off `api`")


Beside: TypeAlias = Callable[["Site"], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Parts:
    """What a site is made of besides its configuration."""

    store: KeyStore
    """Owned by the caller, who closes it after the site."""
    witness: Witness
    at_hand: Mapping[str, AtHand] = field(default_factory=dict)
    """Distilled blocks on their way into the store, by peer."""
    receivers: Mapping[str, Receiver] = field(default_factory=dict)
    """What else answers on the port for sites, by path: the relay."""
    beside: Sequence[Beside] = ()
    """What else goes on while the site runs."""
    require_room: Callable[[], None] = lambda: None
    """Raises where nothing new may be promised, as on a disk that is nearly full."""
    origins: Callable[[Sequence[str]], list[KeyOrigin]] = _no_origins
    """Tells where keys came from."""
    count: Count = lambda _role, _status, _seconds: None
    """Told of each answer to an application."""


class Site:
    """One site; use it as an asynchronous context."""

    def __init__(self, folder: Path, config: KmeConfig, parts: Parts) -> None:
        self.folder = folder
        self.config = config
        self.parts = parts
        self.instance = str(uuid.uuid4())
        self.started = time.monotonic()
        self.thread = StoreThread()
        self.lines: dict[str, PeerLine] = {}
        self.clients: dict[str, SiteClient] = {}
        self.ports: dict[str, int] = {}
        """``applications`` and ``sites``, as they were bound."""
        self.gates: dict[str, Gate] = {}
        """Who may call, by port."""
        self._stack = AsyncExitStack()
        self._runners: list[web.ServerRunner] = []
        self._keepers: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await self._stack.__aenter__()
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def terms(self, name: str) -> Terms:
        """Return what this site and a peer must have in common, as the configuration has it now."""
        peer = self.config.peer(name)
        theirs = frozenset(peer.applications)
        return Terms(self.config.site, name, self.config.cut(peer), self.instance, frozenset(self.config.own), theirs)

    async def _start(self) -> None:
        # Undone in reverse: those who call are let go first, then the lines, then the store's thread.
        self._stack.callback(self.thread.close)
        self._notary = Notary(self.parts.witness, self._stack.enter_context(ThreadPoolExecutor(4, "audit")))
        self._stack.push_async_callback(self._hang_up)
        self.supply = self._wire()
        await self._note(Event.STARTED)
        self._stack.push_async_callback(self._note_stop)
        self._stack.push_async_callback(self._drain)
        await self._listen("sites", self._sites())
        await self._first_comparison()
        self._keepers = [asyncio.create_task(line.keep()) for line in self.lines.values()]
        self._keepers += [asyncio.create_task(run(self)) for run in self.parts.beside]
        await self._listen("applications", self._applications())

    def _wire(self) -> SiteSupply:
        context = client_context(self.folder, self.config.sites)
        for peer in self.config.peers:
            client = SiteClient(peer, context)
            self.clients[peer.name] = client
            self.lines[peer.name] = PeerLine(
                partial(self.terms, peer.name),
                client,
                store=self.parts.store,
                thread=self.thread,
                notary=self._notary,
                timing=self.config.timing,
                at_hand=self.parts.at_hand.get(peer.name, AtHand()),
            )
        return SiteSupply(
            lambda: self.config, self.parts.store, self.thread, self.lines, self._notary, self.parts.require_room
        )

    async def _first_comparison(self) -> None:
        found = await asyncio.gather(*(line.compare() for line in self.lines.values()), return_exceptions=True)
        for line, error in zip(self.lines.values(), found, strict=True):
            if isinstance(error, FaintlinkError):
                line.down(error)
            elif isinstance(error, BaseException):
                raise error

    def _applications(self) -> Handler:
        gate = self._gate("applications", lambda: {urn: name for name, urn in self.config.own.items()})
        api = Api014(self.supply, self.config.api, origins=self._origins)
        return application_handler(api, gate, self._deny, self.parts.count)

    async def _origins(self, key_ids: Sequence[str]) -> list[KeyOrigin]:
        return await self.thread.run(partial(self.parts.origins, key_ids))

    def _sites(self) -> Handler:
        gate = self._gate("sites", lambda: {peer.urn: peer.name for peer in self.config.peers})
        return site_handler({LEDGER_PATH: self._receive, **self.parts.receivers}, gate, self._deny)

    def _gate(self, name: str, allowed: Callable[[], Mapping[str, str]]) -> Gate:
        listener = self._listener(name)
        revoked = Revocations(self.folder / listener.revoked, self.folder / listener.authority)
        self.gates[name] = Gate(allowed, revoked)
        return self.gates[name]

    def _listener(self, name: str) -> Listener:
        return self.config.applications if name == "applications" else self.config.sites

    async def _receive(self, peer: str, frame: bytes) -> bytes:
        line = self.lines[peer]
        loop = asyncio.get_running_loop()
        answers = LedgerAnswers(
            self.parts.store,
            line.terms(),
            self._notary,
            line.at_hand,
            lambda instance: loop.call_soon_threadsafe(line.heard, instance),
        )
        return await self.thread.run(partial(answers.receive, frame))

    async def _listen(self, name: str, handler: Handler) -> None:
        listener = self._listener(name)
        # The server's own log would name keys, which stand in addresses.
        server = web.Server(handler, access_log=None, logger=HTTP_LOG)
        runner = web.ServerRunner(server, shutdown_timeout=self.config.timing.drain_s)
        await runner.setup()
        self._runners.append(runner)
        context = server_context(self.folder, listener)
        try:
            await web.TCPSite(runner, listener.host, listener.port, ssl_context=context, backlog=512).start()
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {listener.host}:{listener.port} for {name}: {error.strerror}",
                hint="is the site running already?",
            ) from None
        self.ports[name] = runner.addresses[0][1]

    async def _drain(self) -> None:
        for runner in reversed(self._runners):
            await runner.cleanup()
        await self.supply.finish()

    async def _hang_up(self) -> None:
        for keeper in self._keepers:
            keeper.cancel()
        # What ended one of them before is raised by `watch`.
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for client in self.clients.values():
            await client.close()

    async def _note(self, event: Event) -> None:
        fact = Fact(event, self.config.site, {"instance": self.instance})
        await self.thread.run(partial(self.parts.witness.note, fact))

    async def _note_stop(self) -> None:
        with suppress(AuditError):
            await self._note(Event.STOPPED)

    async def _deny(self, fact: Fact) -> None:
        with suppress(AuditError):
            await self.thread.run(partial(self.parts.witness.note, fact))

    async def watch(self) -> None:
        """Return only by raising what ended one of the lines; a site without its lines must be started anew."""
        await asyncio.gather(*self._keepers)
