"""Sites in one process, joined by links whose stock is made up, with a transport that tests can break."""

import asyncio
import hashlib
import itertools
import os
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeVar

from faintlink.core.errors import FaintlinkError, PeerUnavailableError
from faintlink.delivery.keystore.model import UNIT_BYTES, Block, Cut, Pool
from faintlink.delivery.keystore.sealing import FileMasterKey
from faintlink.delivery.keystore.sqlite import SqliteKeyStore
from faintlink.delivery.relay.service import RelayService
from faintlink.delivery.witness import Fact

EPSILON = 1e-9
_T = TypeVar("_T")


class ListWitness:
    """Keeps facts in a list."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []

    def note(self, fact: Fact) -> None:
        self.facts.append(fact)


@dataclass
class FakeSite:
    """What a relay asks of its site."""

    site: str
    neighbours: Collection[str]
    applications: Collection[str]

    def block_epsilon(self, block: str) -> float:
        return EPSILON


@contextmanager
def folder_of_stores(otherwise: Path) -> Iterator[Path]:
    """Give a folder in memory where there is one: the tests lose no power, and a disk makes them slow."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else otherwise) as folder:
        yield Path(folder)


async def run(function: Callable[[], _T]) -> _T:
    """Run a blocking function at once, so that tests repeat exactly."""
    return function()


Tamper = Callable[[str, str, bytes], bytes]


@dataclass
class Line:
    """Sites one behind the other, each with an application ``app-<site>``."""

    folder: Path
    names: Sequence[str]
    units: int = 400
    share_reserve: int = 50
    lost_requests: set[tuple[str, str]] = field(default_factory=set)
    lost_answers: set[tuple[str, str]] = field(default_factory=set)
    tamper: Tamper = lambda _from, _to, frame: frame
    tamper_answer: Tamper = lambda _from, _to, frame: frame
    frames: list[tuple[str, str, bytes]] = field(default_factory=list)
    """Everything that was sent, delivered or not."""
    stores: dict[str, SqliteKeyStore] = field(default_factory=dict)
    services: dict[str, RelayService] = field(default_factory=dict)
    witnesses: dict[str, ListWitness] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.names:
            FileMasterKey.create(self.folder / f"{name}.master")
            self.start(name)
        for link in self.links:
            self.fill(*link)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for store in self.stores.values():
            store.close()

    @property
    def links(self) -> Sequence[tuple[str, str]]:
        """Pairs of sites that a link joins."""
        return list(itertools.pairwise(self.names))

    def start(self, name: str) -> None:
        """Start a site, after a crash from what its store holds."""
        if name in self.stores:
            self.stores[name].close()
        neighbours = {site for link in self.links if name in link for site in link if site != name}
        master_key = FileMasterKey(self.folder / f"{name}.master")
        self.stores[name] = SqliteKeyStore.open(self.folder / f"{name}.db", name, master_key)
        self.witnesses[name] = ListWitness()
        around = FakeSite(name, neighbours, {f"app-{name}"})

        async def send(peer: str, frame: bytes) -> bytes:
            return await self.carry(name, peer, frame)

        self.services[name] = RelayService(around, self.stores[name], self.witnesses[name], send=send, run=run)

    def fill(self, first: str, second: str, number: int = 0) -> None:
        """Put one block of both sites' making into their stores."""
        label = f"{first}-{second}-{number}"
        material = hashlib.shake_256(label.encode()).digest(self.units * UNIT_BYTES)
        block = Block(label, material, EPSILON, {"run": "made up"})
        cut = Cut(min(first, second), share_reserve=self.share_reserve)
        self.stores[first].ingest(second, block, cut)
        self.stores[second].ingest(first, block, cut)

    async def carry(self, sender: str, receiver: str, frame: bytes) -> bytes:
        self.frames.append((sender, receiver, frame))
        if (sender, receiver) in self.lost_requests:
            raise PeerUnavailableError("the request was lost")
        try:
            answer = await self.services[receiver].receive(sender, self.tamper(sender, receiver, frame))
        except FaintlinkError as error:
            raise PeerUnavailableError(f"{receiver} refuses") from error
        if (sender, receiver) in self.lost_answers:
            raise PeerUnavailableError("the answer was lost")
        return self.tamper_answer(receiver, sender, answer)

    def relay(self, number: int = 1, *, bits: int = 256, max_epsilon: float = 1e-6) -> list[str]:
        """Relay keys from the first site to the last and return their names."""
        first, last = self.names[0], self.names[-1]
        return asyncio.run(
            self.services[first].relay(
                [tuple(self.names)],
                master=f"app-{first}",
                slave=f"app-{last}",
                number=number,
                bits=bits,
                max_epsilon=max_epsilon,
            )
        )

    def settle(self) -> int:
        """Give up at both ends what nobody knows of, and return how many keys are left."""
        return asyncio.run(self.services[self.names[0]].settle([tuple(self.names)]))

    def reserve(self, site: str, peer: str, pool: Pool = Pool.RESERVE_OURS) -> int:
        """Return the units of a pool."""
        stock = self.stores[site].stock().get((peer, pool))
        return stock.units if stock else 0
