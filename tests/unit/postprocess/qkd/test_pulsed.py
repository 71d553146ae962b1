"""Which slots the sender is asked for, and a recorded run of a pulsed link."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faintlink.core.errors import ConfigError, CorruptBlockError, SchemaError
from faintlink.core.runfile.folder import open_run
from faintlink.core.symbols import Party
from faintlink.postprocess.qkd.clock import ClockModel, SlottedTags
from faintlink.postprocess.qkd.pieces import SiftedPiece
from faintlink.postprocess.qkd.pulsed import PulsedReceiver, PulsedRun, squash_seed, wanted_slots
from faintlink.postprocess.qkd.sift import SiftCount, join
from tests.pairs import pair_link
from tests.pulses import SQUASH_SEED, PulsedLink, Pulses, small_link, write_pulsed_run

MODEL = ClockModel(0, 0, 1e5, float("nan"), 0)


def tags_of(slots: list[int]) -> SlottedTags:
    array = np.array(slots, np.int64)
    return SlottedTags(
        array * 100_000, np.ones(array.size, np.uint8), array, np.zeros(array.size, np.int32), MODEL, False
    )


@given(st.lists(st.integers(-20, 300)).map(sorted), st.lists(st.integers(0, 400)))
def test_slots_are_asked_for_once_in_rising_order_however_the_stream_is_cut(slots: list[int], cuts: list[int]) -> None:
    asked: list[int] = []
    edges = [0, *sorted(min(cut, len(slots)) for cut in cuts), len(slots)]
    for first, last in itertools.pairwise(edges):
        asked += wanted_slots(tags_of(slots[first:last]), asked[-1] if asked else -1).tolist()
    assert asked == sorted({slot for slot in slots if slot >= 0})


def test_a_piece_that_steps_back_by_a_slot_asks_nothing_twice() -> None:
    # Two pieces of clock may disagree by a slot on clicks half way between two pulses.
    first = wanted_slots(tags_of([4, 5, 5]), -1)
    second = wanted_slots(tags_of([4, 5, 6]), int(first[-1]))
    assert (first.tolist(), second.tolist()) == ([4, 5], [6])


@pytest.fixture(scope="module")
def pulses() -> Pulses:
    return PulsedLink(early_s=0.005).make()


def pieces_of(folder: Path) -> list[SiftedPiece]:
    return list(PulsedRun(open_run([folder]), small_link()).pieces())


def test_a_recorded_run_gives_the_bits_that_were_sent_and_received(pulses: Pulses, tmp_path: Path) -> None:
    pieces = pieces_of(write_pulsed_run(tmp_path / "run", pulses))
    bits, count = join([piece.bits for piece in pieces]), sum((piece.count for piece in pieces), SiftCount())
    assert np.array_equal(bits.alice, pulses.codes[bits.positions] & 1)
    assert np.array_equal(bits.basis, (pulses.codes[bits.positions] >> 1) & 1)
    assert count.without_setting == 0
    assert count.detections == count.sync + count.other_basis + count.sifted
    # All light passes a gate of 6.7 sigma. Errors: 2 % of the channel, half of the doubles in one basis, darks 0.1 %.
    errors = int(np.count_nonzero(bits.alice != bits.bob))
    assert abs(errors - 0.021 * len(bits)) < 6.0 * np.sqrt(0.021 * len(bits))
    clean = np.unique(pulses.slots[(pulses.slots >= 32_768) & ~pulses.is_wrong])
    assert np.isin(bits.positions, np.unique(pulses.nearest)).all()
    assert len(bits) > 0.5 * clean.size


def test_pieces_join_end_to_end(pulses: Pulses, tmp_path: Path) -> None:
    pieces = pieces_of(write_pulsed_run(tmp_path / "run", pulses))
    assert pieces[0].start == 0
    for before, after in itertools.pairwise(pieces):
        assert after.start == before.reached
        assert after.time_ps > before.time_ps
    assert pieces[-1].reached == pulses.nearest[-1]


@pytest.mark.parametrize("blocks", [1, 50])
def test_the_blocks_of_the_file_do_not_matter(pulses: Pulses, tmp_path: Path, blocks: int) -> None:
    one = pieces_of(write_pulsed_run(tmp_path / "one", pulses))
    other = pieces_of(write_pulsed_run(tmp_path / "other", pulses, blocks=blocks))
    assert [piece.bits.bob.tolist() for piece in one] == [piece.bits.bob.tolist() for piece in other]


def test_slots_recorded_twice_are_refused(pulses: Pulses, tmp_path: Path) -> None:
    recorded = np.sort(np.concatenate((np.unique(pulses.nearest[pulses.nearest >= 0])[:-5], [777_777, 777_777])))
    folder = write_pulsed_run(tmp_path / "run", pulses, recorded=recorded)
    with pytest.raises(CorruptBlockError, match="strictly increasing"):
        pieces_of(folder)


def test_a_run_without_the_senders_file_is_refused(pulses: Pulses, tmp_path: Path) -> None:
    folder = write_pulsed_run(tmp_path / "run", pulses)
    with pytest.raises(SchemaError, match="no file of alice"):
        PulsedRun(open_run([folder / "bob-0000.h5"]), small_link())


@pytest.mark.parametrize("context", [{}, {"squash_seed": "abcd"}, {"squash_seed": "not hex"}])
def test_a_file_without_the_receivers_secret_is_refused(
    pulses: Pulses, tmp_path: Path, context: dict[str, str]
) -> None:
    folder = write_pulsed_run(tmp_path / "run", pulses, contexts={Party.BOB: context})
    with pytest.raises(SchemaError, match="no squash_seed of 32 bytes") as caught:
        squash_seed(open_run([folder])[Party.BOB])
    assert "abcd" not in str(caught.value)


def test_a_link_without_a_pulsed_sender_is_refused() -> None:
    with pytest.raises(ConfigError, match="no pulsed source"):
        PulsedReceiver(pair_link(), SQUASH_SEED)
