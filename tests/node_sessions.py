"""Two node sessions in one process, with real reserves, journals and stores, joined by bytes."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from faintlink.core.config.link import Preamble, PulsedSource, SecurityPolicy
from faintlink.core.entropy import OsEntropy
from faintlink.core.symbols import Party
from faintlink.postprocess.channel.reserve import KeyReserve
from faintlink.postprocess.keystore import FileKeyStore
from faintlink.postprocess.node.alice import AliceSide, alice_block
from faintlink.postprocess.node.bob import BobSide, bob_block
from faintlink.postprocess.node.custody import Custody
from faintlink.postprocess.node.events import BlockEnded, Event
from faintlink.postprocess.node.journal import BlockJournal
from faintlink.postprocess.node.machine import Program
from faintlink.postprocess.node.session import NodeSession
from tests.channel import key_bytes
from tests.node_blocks import NodeBlock, node_block

LINK_SHA = bytes(32)
SOURCE = PulsedSource(
    pulse_rate_hz=80e6,
    intensities=(0.1,),
    probabilities=(1.0,),
    key_basis_probability=0.6,
    preamble=Preamble(slots=4096),
)
"""One intensity: with a single-photon bound, small blocks give keys."""
POLICY = SecurityPolicy(bound="tomamichel2012", length="legacy", eps_sec=1e-6, eps_cor=1e-9)


@functools.cache
def small_block(seed: int = 12, n: int = 24_000) -> NodeBlock:
    """Return a block that gives a key of about 3,400 bits in about 20 ms."""
    return node_block(n, seed=seed, source=SOURCE)


@dataclass
class Node:
    """One node between sessions."""

    party: Party
    folder: Path
    reserve: KeyReserve
    store: FileKeyStore
    journal: BlockJournal
    refill_slots: int = 2
    blocks: dict[int, NodeBlock] = field(default_factory=dict)
    """Its data; `small_block` for numbers that are not here."""
    custody: Custody = field(init=False)
    session: NodeSession | None = None
    events: list[Event] = field(default_factory=list)

    @classmethod
    def make(cls, party: Party, folder: Path, *, keys: int = 64, refill_slots: int = 2) -> "Node":
        """Return a new node whose reserve holds ``keys`` one-time keys each way."""
        home = folder / party
        home.mkdir(parents=True)
        shared = key_bytes(99, 32 + 64 * keys)
        reserve = KeyReserve.create(home / "channel.reserve", link_id="test link", shared_key=shared)
        return cls(
            party, home, reserve, FileKeyStore(home / "keys"), BlockJournal(home / "journal"), refill_slots=refill_slots
        )

    def restart(self) -> None:
        """Lose everything but the disk, as a killed process does."""
        self.reserve.close()
        self.reserve = KeyReserve.open(self.folder / "channel.reserve")
        self.journal = BlockJournal(self.folder / "journal")
        self.session = None

    def greet(self, link_sha: bytes = LINK_SHA) -> NodeSession:
        """Begin a session."""
        custody = Custody(self.store, self.reserve, refill_slots=self.refill_slots, about={})
        entropy = OsEntropy()

        def answer(number: int) -> Program:
            side = AliceSide(SOURCE, POLICY, self.block(number).lookup, entropy, custody)
            return alice_block(number, side)

        self.custody = custody
        self.events.clear()
        self.session = NodeSession(
            self.party,
            link_sha256=link_sha,
            reserve=self.reserve,
            custody=custody,
            journal=self.journal,
            eps_auth=1e-20,
            answer_block=answer if self.party is Party.ALICE else None,
        )
        return self.session

    def block(self, number: int) -> NodeBlock:
        """Return the data of a block."""
        return self.blocks.get(number) or small_block()

    def program(self, number: int) -> Program:
        """Return Bob's program of a block."""
        return bob_block(number, self.block(number).detections, [], BobSide(SOURCE, POLICY, self.custody))

    def start(self, number: int) -> None:
        """Begin a block; Bob's."""
        assert self.session is not None
        self.events += self.session.start_block(number, self.program(number))

    @property
    def ended(self) -> list[BlockEnded]:
        """Blocks that ended."""
        return [event for event in self.events if isinstance(event, BlockEnded)]


Wire = Callable[[Party, bytes], bytes]
"""What becomes of bytes that a party sent."""


def untouched(party: Party, data: bytes) -> bytes:
    """Pass bytes on."""
    del party
    return data


def talk(alice: Node, bob: Node, wire: Wire = untouched) -> None:
    """Pass bytes between both until neither has anything to say."""
    moves = True
    while moves:
        moves = False
        for speaker, listener in ((alice, bob), (bob, alice)):
            assert speaker.session is not None
            assert listener.session is not None
            data = wire(speaker.party, speaker.session.take_output())
            if data:
                moves = True
                listener.events += listener.session.receive(data)


def keys_of(node: Node) -> dict[str, bytes]:
    """Return a node's released keys by name."""
    return {key_id: node.store.get(key_id).data for key_id in node.store.key_ids()}


def nodes(folder: Path, *, keys: int = 64, refill_slots: int = 2) -> tuple[Node, Node]:
    """Return Alice's and Bob's node."""
    make = (Node.make(party, folder, keys=keys, refill_slots=refill_slots) for party in (Party.ALICE, Party.BOB))
    alice, bob = make
    return alice, bob
