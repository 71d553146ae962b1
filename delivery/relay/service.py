"""Relayed keys over a transport: the asynchronous shell around `RelayNode` and `RelayOrigin`.

The transport authenticates the peers, carries a frame there and a frame back, and hands requests that come in to
`RelayService.receive`. What is refused there raises; the transport then answers with nothing but a refusal.
"""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

from faintlink.core.entropy import Entropy, OsEntropy
from faintlink.core.errors import DeliveryError, KeyExhaustedError, PeerUnavailableError
from faintlink.delivery.keystore.model import Assignment, Role
from faintlink.delivery.keystore.store import KeyStore
from faintlink.delivery.relay.node import Onward, RelayNode, Surroundings
from faintlink.delivery.relay.origin import Departure, RelayOrigin, void_errand
from faintlink.delivery.relay.packet import MAX_KEYS, Errand, KeyName, Kind, decode_request
from faintlink.delivery.witness import Witness

Send = Callable[[str, bytes], Awaitable[bytes]]
"""Carries a frame to a neighbour and returns its answer.

It raises `PeerUnavailableError` when there is none, whatever the reason.
"""
_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class Run(Protocol):
    """Runs a blocking function beside the event loop, one at a time."""

    async def __call__(self, function: Callable[[], _T], /) -> _T:
        """Return what the function returns."""
        ...


class RelayService:
    """Relaying at one site.

    Parameters
    ----------
    around
        The site, its neighbours and its applications.
    store, witness
        Of the site.
    send
        The transport.
    run
        Where store and witness are used; must not run two functions at once.
    entropy
        What keys are drawn from.
    """

    def __init__(
        self,
        around: Surroundings,
        store: KeyStore,
        witness: Witness,
        *,
        send: Send,
        run: Run,
        entropy: Entropy | None = None,
    ) -> None:
        self._store = store
        self._node = RelayNode(around, store, witness)
        self._origin = RelayOrigin(around, store, witness, entropy or OsEntropy())
        self._send = send
        self._run = run
        self._busy: set[str] = set()
        self._promised: set[str] = set()
        """Keys that are ready and that whoever asked for them is about to be handed."""
        self._freed = asyncio.Condition()

    def forget(self) -> None:
        """Overwrite what is kept in memory; to be called when nothing comes in any more."""
        self._node.forget()

    async def receive(self, peer: str, frame: bytes) -> bytes:
        """Return the answer to a request of a neighbour, whom the transport has authenticated; raises as `accept`."""
        async with self._alone(decode_request(frame).errand.key_ids):
            done = await self._run(lambda: self._node.accept(peer, frame))
            if not isinstance(done, Onward):
                return done
            onward = done
            answer = await self._ask(onward.peer, onward.frame)
            return await self._run(lambda: self._node.conclude(onward, answer))

    async def relay(
        self,
        routes: Sequence[Sequence[str]],
        *,
        master: str,
        slave: str,
        number: int,
        bits: int,
        max_epsilon: float,
        names: Sequence[str] = (),
    ) -> list[str]:
        """Share new keys with the site at the end of the first route that can, and return their names.

        They are ready at both ends and nobody has fetched them. The caller says with `let_go` when they are handed out,
        or will never be: until then they are not given up.

        Parameters
        ----------
        routes
            From this site to the slave's; the one to try first.
        master, slave
            The applications.
        number, bits
            Of the keys.
        max_epsilon
            What each key's epsilon may sum up to.
        names
            UUIDs that no key has had, in place of random ones; for one route only, since a name is never used again.

        Raises
        ------
        KeyExhaustedError, PeerUnavailableError
            No route can. What had begun is given up at both ends, or will be by `settle`.
        """
        failure: DeliveryError = PeerUnavailableError("no route leads there", hint="name one in the network file")
        for route in routes:
            keys = tuple(KeyName(name, bits) for name in names or (str(uuid.uuid4()) for _ in range(number)))
            errand = Errand(
                kind=Kind.KEYS, route=tuple(route), master=master, slave=slave, keys=keys, max_epsilon=max_epsilon
            )
            try:
                await self._carry(errand)
            except (KeyExhaustedError, PeerUnavailableError) as error:
                _log.warning("relay over %s failed: %s", " - ".join(route), error.message)
                failure = error
            else:
                return errand.key_ids
        raise failure

    def let_go(self, key_ids: Sequence[str]) -> None:
        """Note that nobody will hand out these keys any more: `settle` gives up those that were not."""
        self._promised.difference_update(key_ids)

    async def settle(self, routes: Sequence[Sequence[str]]) -> int:
        """Give up, at both ends, keys for the site at the end of ``routes`` whose fate is not known, or that are lost.

        Lost is a key that is ready here and that no request waits for: a process ended before it handed it out, and
        nobody has learnt its name. To be called after a start and from time to time.

        Returns
        -------
        int
            Keys that are still unsettled.
        """
        target = routes[0][-1]
        for batch in _batches([key for key in await self._unsettled(target) if key.key_id not in self._busy]):
            async with self._alone([key.key_id for key in batch]):
                # Some may have arrived while we waited for them.
                left = set(batch) & set(await self._unsettled(target))
                batch = [key for key in batch if key in left]
                for route in routes if batch else ():
                    if await self._give_up(void_errand(route, batch)):
                        break
        return len(await self._unsettled(target))

    async def _unsettled(self, target: str) -> list[Assignment]:
        def find() -> list[Assignment]:
            ready = [record.assignment for record in self._store.waiting(target) if record.role is Role.MASTER]
            lost = [key for key in ready if key.key_id not in self._promised]
            return [key for key in (*self._store.unsettled(target), *lost) if not key.units]

        return await self._run(find)

    async def _carry(self, errand: Errand) -> None:
        async with self._alone(errand.key_ids):
            departure = await self._run(lambda: self._origin.depart(errand))
            answer = await self._ask(departure.peer, departure.frame)
            if await self._arrived(departure, answer):
                return
            is_settled = await self._give_up(void_errand(errand.route, _assignments(errand)))
        raise PeerUnavailableError(
            f"nobody knows whether relayed keys arrived over {' - '.join(errand.route)}; "
            + ("they are given up at both ends" if is_settled else "they stay locked until both ends give them up"),
            hint="ask again; the names of these keys are not used any more",
        )

    async def _arrived(self, departure: Departure, answer: bytes | None) -> bool:
        """Judge an answer; the keys are promised from before they are ready, so that `settle` leaves them alone."""
        names = departure.errand.key_ids
        self._promised.update(names)
        is_there = False
        try:
            is_there = await self._run(lambda: self._origin.arrive(departure, answer)) is not None
        finally:
            if not is_there:
                self.let_go(names)
        return is_there

    async def _give_up(self, errand: Errand) -> bool:
        try:
            departure = await self._run(lambda: self._origin.depart_void(errand))
        except KeyExhaustedError as error:
            _log.warning("keys cannot be given up yet: %s", error.message)
            return False
        answer = await self._ask(departure.peer, departure.frame)
        return await self._run(lambda: self._origin.arrive_void(departure, answer))

    async def _ask(self, peer: str, frame: bytes) -> bytes | None:
        try:
            return await self._send(peer, frame)
        except PeerUnavailableError as error:
            _log.warning("%s does not answer on relayed keys: %s", peer, error.message)
            return None

    @asynccontextmanager
    async def _alone(self, key_ids: list[str]) -> AsyncIterator[None]:
        """Let one request of a key end before another begins: giving up must not overtake what it gives up."""
        names = set(key_ids)
        async with self._freed:
            await self._freed.wait_for(lambda: not names & self._busy)
            self._busy |= names
        try:
            yield
        finally:
            self._busy -= names
            async with self._freed:
                self._freed.notify_all()


def _assignments(errand: Errand) -> list[Assignment]:
    return [Assignment(key.key_id, key.bits, errand.master, errand.slave, ()) for key in errand.keys]


def _batches(keys: Sequence[Assignment]) -> list[list[Assignment]]:
    pairs: dict[tuple[str, str], list[Assignment]] = {}
    for key in keys:
        pairs.setdefault((key.master, key.slave), []).append(key)
    return [group[at : at + MAX_KEYS] for group in pairs.values() for at in range(0, len(group), MAX_KEYS)]
