"""Two nodes with their own files come to the same keys as an analysis of both."""

from pathlib import Path

import pytest

from faintlink.core.entropy import SeededEntropy
from faintlink.core.runfile.folder import Run, open_run
from faintlink.core.symbols import Party
from faintlink.postprocess.keystore import FileKeyStore
from faintlink.postprocess.node.alice import AliceSide, alice_block
from faintlink.postprocess.node.blocks import BlockReader, SettingsRecord
from faintlink.postprocess.node.bob import BobSide, bob_block
from faintlink.postprocess.node.inprocess import run_block
from faintlink.postprocess.node.machine import BlockMachine, Settled
from faintlink.postprocess.pipeline import process
from tests.pulses import PulsedLink, link_text, small_link, write_pulsed_run

LINK = small_link(link_text(decoy=True, max_qber=0.2))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    made = PulsedLink(link=LINK).make()
    return open_run([write_pulsed_run(tmp_path_factory.mktemp("nodes") / "run", made, text=link_text(decoy=True))])


def settle(run: Run, folder: Path) -> list[tuple[BlockMachine, BlockMachine]]:
    assert LINK.source is not None
    record = SettingsRecord(run[Party.ALICE])
    pairs = []
    for block in BlockReader(run[Party.BOB], LINK).blocks():
        store = FileKeyStore(folder / "alice")
        alice_side = AliceSide(LINK.source, LINK.security, record, SeededEntropy(block.number), store)
        bob_side = BobSide(LINK.source, LINK.security, FileKeyStore(folder / "bob"))
        alice = BlockMachine(alice_block(block.number, alice_side))
        bob = BlockMachine(bob_block(block.number, block.detections, block.readings, bob_side))
        run_block(alice, bob)
        pairs.append((alice, bob))
    return pairs


def test_nodes_and_analysis_agree_on_every_count_and_length(run: Run, tmp_path: Path) -> None:
    pairs = settle(run, tmp_path)
    analysis = process(run, LINK, SeededEntropy(1))
    assert len(pairs) == len(analysis.blocks) > 1
    for (alice, bob), block in zip(pairs, analysis.blocks, strict=True):
        assert (alice.aborted is None) == (bob.aborted is None) == (block.refusal is None)
        if isinstance(alice.settled, Settled):
            assert alice.settled.counts.n_key == block.counts.n_key
            assert alice.settled.counts.m_key == block.counts.m_key
            assert alice.settled.counts.m_test == block.counts.m_test
        else:
            assert type(alice.aborted) is type(block.refusal)
