"""Two nodes of a pair source, each with its own detections, come to one key."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from faintlink.core.entropy import SeededEntropy
from faintlink.core.errors import MonitorVetoError, NotEnoughSignalsError
from faintlink.core.runfile.folder import Run, open_run
from faintlink.core.symbols import Party, setting_basis, setting_bit
from faintlink.postprocess.keystore import FileKeyStore
from faintlink.postprocess.node.alice import AliceSide, alice_block
from faintlink.postprocess.node.bob import BobSide, bob_block
from faintlink.postprocess.node.inprocess import run_block
from faintlink.postprocess.node.machine import BlockMachine
from faintlink.postprocess.node.pair_blocks import PairBlockReader, PairRecord
from faintlink.postprocess.pipeline import process
from tests.pairs import Pairs, link_text, pair_link, write_pair_run

SOURCE = Pairs(seconds=3.5, pairs_hz=4e4)


def recorded(folder: Path, source: Pairs = SOURCE, *, state: str = "phi+") -> Run:
    text = link_text(state=state)
    return open_run([write_pair_run(folder / "run", source.make(), text=text)])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return recorded(tmp_path_factory.mktemp("pairs"))


def settle(run: Run, folder: Path, *, state: str = "phi+", first: int = 0) -> list[tuple[BlockMachine, BlockMachine]]:
    link = pair_link(link_text(state=state))
    record = PairRecord(run[Party.ALICE], link)
    settled = []
    for block in PairBlockReader(run[Party.BOB], link).blocks():
        if block.number < first:
            continue
        entropy = SeededEntropy(block.number)
        alice = AliceSide(None, link.security, record, entropy, FileKeyStore(folder / "alice"))
        bob = BobSide(None, link.security, FileKeyStore(folder / "bob"))
        machines = (
            BlockMachine(alice_block(block.number, alice)),
            BlockMachine(bob_block(block.number, block.detections, block.readings, bob)),
        )
        run_block(*machines)
        settled.append(machines)
    return settled


@pytest.mark.parametrize("state", ["phi+", "psi-"])
def test_both_nodes_have_one_key_of_what_an_analysis_sifts(state: str, tmp_path: Path) -> None:
    run = recorded(tmp_path, replace(SOURCE, is_singlet=state == "psi-"), state=state)
    analysis = process(run, pair_link(link_text(state=state)), SeededEntropy(1))
    settled = settle(run, tmp_path, state=state)
    assert len(settled) >= 3
    for alice, bob in settled:
        assert alice.settled is not None
        assert bob.settled is not None
        assert alice.settled.key is not None
        assert bob.settled.key is not None
        assert alice.settled.key.data == bob.settled.key.data
        assert alice.settled.counts == bob.settled.counts
    # Borders differ by the offset of the clocks; the rates of a block do not, within 5 sigma of some 9,000 bits.
    for (alice, _), block in zip(settled, analysis.blocks, strict=False):
        assert alice.settled is not None
        assert alice.settled.counts.key.bits == pytest.approx(block.counts.key.bits, rel=0.08)
        assert alice.settled.counts.key.rate == pytest.approx(block.counts.key.rate, abs=0.01)


def test_a_node_that_comes_late_finds_the_clocks_again(run: Run, tmp_path: Path) -> None:
    whole, late = settle(run, tmp_path / "whole"), settle(run, tmp_path / "late", first=2)
    assert late[0][0].settled is not None
    assert whole[2][0].settled is not None
    assert late[0][0].settled.counts.key.bits == pytest.approx(whole[2][0].settled.counts.key.bits, abs=5)


def test_no_detection_of_alices_serves_twice(run: Run) -> None:
    link = pair_link()
    record = PairRecord(run[Party.ALICE], link)
    [first, *_] = PairBlockReader(run[Party.BOB], link).blocks()
    times = first.detections.slots
    # The same detections asked for once more: their partners are used up but for the last one's neighbours.
    assert record(times).found.mean() > 0.5
    assert not record(times).found.any()


def test_outcomes_come_back_as_setting_codes(run: Run) -> None:
    link = pair_link()
    [block, *_] = PairBlockReader(run[Party.BOB], link).blocks()
    seen = PairRecord(run[Party.ALICE], link)(block.detections.slots)
    outcomes = block.detections.outcomes
    same = seen.found & (setting_basis(seen.codes) == outcomes >> 1)
    wrong = setting_bit(seen.codes[same]) != outcomes[same] & 1
    # 2 % of errors, and half of the accidental pairs; 5 sigma of some 20,000 are 0.6 %.
    assert 0.01 < float(np.mean(wrong)) < 0.035


def test_a_source_that_is_off_makes_no_key_and_says_why(tmp_path: Path) -> None:
    [(alice, bob), *_] = settle(recorded(tmp_path, replace(SOURCE, pairs_hz=1.0, dark_hz=2e4)), tmp_path)
    assert isinstance(alice.aborted, NotEnoughSignalsError)
    assert "clocks were not brought together" in alice.aborted.message
    assert isinstance(bob.aborted, NotEnoughSignalsError)


def test_a_late_detector_of_bobs_is_seen_by_alice(tmp_path: Path) -> None:
    made = SOURCE.make()
    tags = made.tags[Party.BOB]
    late = tags.times_ps + np.where(tags.channels == 2, 700, 0)
    order = np.argsort(late, kind="stable")
    made.tags[Party.BOB] = type(tags)(late[order], tags.channels[order])
    run = open_run([write_pair_run(tmp_path / "run", made, text=link_text())])
    [(alice, _), *_] = settle(run, tmp_path)
    assert isinstance(alice.aborted, MonitorVetoError)
    assert "Z1" in alice.aborted.message
