"""One node as a process of its own, over blocks made up from their numbers: for tests that kill it.

``python -m tests.node_process alice|bob HOME PORT BLOCKS``
"""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from faintlink.core.entropy import OsEntropy
from faintlink.core.symbols import Party
from faintlink.postprocess.node.alice import AliceSide, alice_block
from faintlink.postprocess.node.bob import BobSide, bob_block
from faintlink.postprocess.node.custody import Custody
from faintlink.postprocess.node.home import NodeHome
from faintlink.postprocess.node.loop import Line, NodeLoop
from faintlink.postprocess.node.machine import Program
from faintlink.postprocess.node.session import BlockEnded, NodeSession
from tests.node_sessions import LINK_SHA, POLICY, SOURCE, small_block

KINDS = 8
"""Different blocks; a block's data follow from its number."""
DETECTIONS = 24_000


class MadeUpBlocks:
    """Bob's blocks up to a number."""

    def __init__(self, first: int, blocks: int, keys: Custody) -> None:
        self._next = first
        self._blocks = blocks
        self._side = BobSide(SOURCE, POLICY, keys)

    def next_block(self) -> tuple[int, Callable[[], Program]] | None:
        """Return the next block."""
        number, self._next = self._next, self._next + 1
        if number >= self._blocks:
            return None
        detections = small_block(number % KINDS, DETECTIONS).detections
        return number, lambda: bob_block(number, detections, [], self._side)


def main(party: Party, folder: Path, port: int, blocks: int) -> None:
    """Run one node until both are done."""
    home = NodeHome.open(folder, party)
    journal = home.journal("made-up")
    with home.reserve(floor=4) as reserve:
        custody = Custody(home.store(), reserve, refill_slots=2, about={})
        entropy = OsEntropy()

        def answer(number: int) -> Program:
            lookup = small_block(number % KINDS, DETECTIONS).lookup
            return alice_block(number, AliceSide(SOURCE, POLICY, lookup, entropy, custody))

        def new_session() -> NodeSession:
            return NodeSession(
                party,
                link_sha256=LINK_SHA,
                reserve=reserve,
                custody=custody,
                journal=journal,
                eps_auth=1e-20,
                answer_block=answer if party is Party.ALICE else None,
            )

        is_bob = party is Party.BOB
        loop = NodeLoop(
            Line("127.0.0.1", port, home.tls(), timeout_s=5.0, most_failures=50),
            new_session,
            feed=MadeUpBlocks(journal.next_block, blocks, custody) if is_bob else None,
            blocks_in_flight=4,
            on_block=_tell,
        )
        asyncio.run(loop.call() if is_bob else loop.listen())


def _tell(ended: BlockEnded) -> None:
    print(ended.number, "key" if ended.settled else ended.refusal, flush=True)


if __name__ == "__main__":
    main(Party(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
