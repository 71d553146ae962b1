"""One node as a process of its own, over blocks made up from their numbers: for tests that kill it, and benchmarks.

``python -m tests.node_process alice|bob HOME PORT COUNT …``, then further fields of `Blocks` in their order.
"""

import asyncio
import functools
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from faintlink.core.config.link import Distillation
from faintlink.core.entropy import OsEntropy
from faintlink.core.symbols import Party
from faintlink.postprocess.node.alice import AliceSide, alice_block
from faintlink.postprocess.node.bob import BobSide, bob_block
from faintlink.postprocess.node.custody import Custody
from faintlink.postprocess.node.events import BlockEnded
from faintlink.postprocess.node.home import NodeHome
from faintlink.postprocess.node.loop import Line, NodeLoop
from faintlink.postprocess.node.machine import Program
from faintlink.postprocess.node.session import NodeSession
from faintlink.postprocess.qkd.hash_families import get
from tests.node_blocks import NodeBlock, node_block
from tests.node_sessions import LINK_SHA, POLICY, SOURCE


@dataclass(frozen=True)
class Blocks:
    """Which blocks both nodes make up; a block's data follow from its number."""

    count: int
    detections: int = 24_000
    qber: float = 0.02
    kinds: int = 8
    share_x: float = 0.4
    family: str = "toeplitz"
    in_flight: int = 4
    reconciliation: Literal["auto", "cascade", "cascade-few-messages", "ldpc"] = "auto"

    @property
    def distillation(self) -> Distillation:
        """The link's choice."""
        return Distillation(reconciliation=self.reconciliation)

    def block(self, number: int) -> NodeBlock:
        """Return the data of a block."""
        return made_up(number % self.kinds, self.detections, self.qber, self.share_x)


@functools.cache
def made_up(seed: int, detections: int, qber: float, share_x: float) -> NodeBlock:
    """Return one of the blocks."""
    return node_block(detections, qber=qber, seed=seed, source=SOURCE, missing=0, share_x=share_x)


class MadeUpBlocks:
    """Bob's blocks up to a number."""

    def __init__(self, first: int, blocks: Blocks, keys: Custody) -> None:
        self._next = first
        self._is_begun = False
        self._blocks = blocks
        self._side = BobSide(SOURCE, POLICY, keys, get(blocks.family), blocks.distillation)

    def next_block(self) -> tuple[int, Callable[[], Program]] | None:
        """Return the next block."""
        if not self._is_begun:
            self._is_begun = True
            print("begin", self._blocks.count, f"{time.monotonic():.4f}", flush=True)
        number, self._next = self._next, self._next + 1
        if number >= self._blocks.count:
            return None
        detections = self._blocks.block(number).detections
        return number, lambda: bob_block(number, detections, [], self._side)


def main(party: Party, folder: Path, port: int, blocks: Blocks) -> None:
    """Run one node until both are done."""
    home = NodeHome.open(folder, party)
    for number in range(min(blocks.kinds, blocks.count)):
        blocks.block(number)
    journal = home.journal("made-up")
    with home.reserve(floor=4) as reserve:
        custody = Custody(home.store(), reserve, refill_slots=2, about={})
        entropy = OsEntropy()

        def answer(number: int) -> Program:
            lookup = blocks.block(number).lookup
            return alice_block(
                number, AliceSide(SOURCE, POLICY, lookup, entropy, custody, get(blocks.family), blocks.distillation)
            )

        def new_session() -> NodeSession:
            return NodeSession(
                party,
                link_sha256=LINK_SHA,
                reserve=reserve,
                custody=custody,
                journal=journal,
                eps_auth=1e-20,
                answer_block=answer if party is Party.ALICE else None,
                offloads=True,
            )

        is_bob = party is Party.BOB
        loop = NodeLoop(
            Line("127.0.0.1", port, home.tls(), timeout_s=30.0, most_failures=50),
            new_session,
            feed=MadeUpBlocks(journal.next_block, blocks, custody) if is_bob else None,
            blocks_in_flight=blocks.in_flight,
            on_block=_tell,
        )
        asyncio.run(loop.call() if is_bob else loop.listen())


def _tell(ended: BlockEnded) -> None:
    bits = ended.settled.counts.key.bits if ended.settled else ended.refusal
    print(ended.number, bits, f"{time.monotonic():.4f}", flush=True)


if __name__ == "__main__":
    party, home, port, count, *rest = sys.argv[1:]
    kinds = (int, float, int, float, str, int, str)
    shape = [kind(text) for kind, text in zip(kinds, rest, strict=False)]
    main(Party(party), Path(home), int(port), Blocks(int(count), *shape))
