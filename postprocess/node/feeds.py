"""What a node distils: Bob's blocks and Alice's record of a run, finished or still being recorded.

A node opens its own party's files and no other's.
"""

from collections.abc import Callable
from pathlib import Path

from faintlink.core.config.link import LinkConfig
from faintlink.core.entropy import Entropy
from faintlink.core.runfile.folder import PartyRecording, open_run
from faintlink.core.runfile.following import GrowingRecording
from faintlink.core.symbols import Party
from faintlink.postprocess.node.alice import AliceSide, alice_block
from faintlink.postprocess.node.blocks import BlockReader, SettingsRecord
from faintlink.postprocess.node.bob import BobSide, bob_block
from faintlink.postprocess.node.keys import KeySink
from faintlink.postprocess.node.machine import Program
from faintlink.postprocess.node.pair_blocks import PairBlockReader, PairRecord
from faintlink.postprocess.qkd.hash_families import get


def own_recording(run: Path, party: Party, *, follow: bool) -> PartyRecording:
    """Return a party's own files of a run; with ``follow`` they may still grow."""
    if follow:
        return GrowingRecording(run, party)
    files = sorted(run.glob(f"{party}-*.h5")) if run.is_dir() else [run]
    return open_run(files or [run])[party]


class BobFeed:
    """Bob's blocks of a recording, in order.

    Parameters
    ----------
    recording
        Bob's files.
    link
        Of a protocol that makes keys.
    keys
        Where keys go.
    """

    def __init__(self, recording: PartyRecording, link: LinkConfig, keys: KeySink) -> None:
        reader = BlockReader(recording, link) if link.source is not None else PairBlockReader(recording, link)
        self._blocks = reader.blocks()
        self._side = BobSide(link.source, link.security, keys, get(link.distillation.hash_family), link.distillation)

    def next_block(self) -> tuple[int, Callable[[], Program]] | None:
        """Return the number of the next block and what makes its program; None after the last."""
        block = next(self._blocks, None)
        if block is None:
            return None
        return block.number, lambda: bob_block(block.number, block.detections, block.readings, self._side)


def alice_answers(
    recording: PartyRecording, link: LinkConfig, keys: KeySink, entropy: Entropy
) -> Callable[[int], Program]:
    """Return what makes Alice's program of a block that Bob begins."""
    family = get(link.distillation.hash_family)
    record = SettingsRecord(recording) if link.source is not None else PairRecord(recording, link)
    side = AliceSide(link.source, link.security, record, entropy, keys, family, link.distillation)
    return lambda number: alice_block(number, side)
