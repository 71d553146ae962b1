"""From the server's tags to arrivals and outcomes."""

import numpy as np
import pytest

from faintlink.core.errors import TagOverflowError, UnknownChannelError
from faintlink.core.tags import GapCause, GapRecord, TagBlock
from faintlink.postprocess.bqc.messages import LOST
from faintlink.postprocess.bqc.slots import Reading, observe_attempts, read_slots
from tests.bqc import policy_of

SLOT, HERALD, OUTCOME = 1_000_000, 100_000, 300_000


def block_of(*tags: tuple[int, int]) -> TagBlock:
    """Return a block of (time, channel) tags, sorted."""
    ordered = sorted(tags)
    return TagBlock.checked(
        np.array([time for time, _ in ordered], np.int64), np.array([channel for _, channel in ordered], np.uint8)
    )


def read(*tags: tuple[int, int]) -> Reading:
    """Return what tags say under the usual policy."""
    return read_slots(block_of(*tags), policy_of())


def test_a_slot_has_the_outcome_of_its_one_tag_in_the_window() -> None:
    reading = read((0, 1), (OUTCOME, 3), (SLOT, 1), (SLOT + OUTCOME + 5, 4), (2 * SLOT, 1))
    assert reading.outcome.tolist() == [0, 1, LOST]
    assert reading.outcome_ps.tolist() == [OUTCOME, SLOT + OUTCOME + 5, -1]
    assert reading.doubles == 0


def test_two_tags_in_the_window_are_a_loss_and_are_counted() -> None:
    both = read((0, 1), (OUTCOME, 3), (OUTCOME + 1, 4))
    twice = read((0, 1), (OUTCOME, 3), (OUTCOME + 1, 3))
    assert (both.outcome.tolist(), both.doubles) == ([LOST], 1)
    assert (twice.outcome.tolist(), twice.doubles) == ([LOST], 1)
    assert both.outcome_ps.tolist() == [-1]


@pytest.mark.parametrize(("offset", "counts"), [(298_999, False), (299_000, True), (300_999, True), (301_000, False)])
def test_the_window_holds_its_start_and_not_its_end(offset: int, *, counts: bool) -> None:
    assert bool(read((0, 1), (offset, 3)).outcome[0] == 0) is counts


def test_a_herald_makes_an_arrival_and_the_first_one_is_its_time() -> None:
    reading = read((0, 1), (HERALD, 2), (HERALD + 9, 2), (SLOT, 1), (SLOT + 5, 2))
    assert reading.arrived.tolist() == [1, LOST]
    assert reading.herald_ps.tolist() == [HERALD, -1]


def test_tags_before_the_first_trigger_do_not_count() -> None:
    assert read((0, 3), (5, 2), (SLOT, 1)).outcome.tolist() == [LOST]


def test_no_tags_are_no_slots() -> None:
    assert len(read()) == 0
    assert len(read((7, 3))) == 0


def test_a_gap_makes_the_tags_useless() -> None:
    gapped = TagBlock(np.array([0]), np.array([1], np.uint8), (GapRecord(0, 9, 3, GapCause.BUFFER_FULL),))
    with pytest.raises(TagOverflowError, match="1 gaps with 3 known losses"):
        read_slots(gapped, policy_of())


def test_a_channel_without_a_meaning_is_refused() -> None:
    with pytest.raises(UnknownChannelError, match=r"\[9\]"):
        read((0, 1), (5, 9))


def test_slots_are_dealt_to_attempts_and_vertices_in_the_order_of_measurement() -> None:
    # Two batches, of two attempts and of one, of three vertices measured in the order 2, 0, 1.
    numbers = np.arange(18, dtype=np.int64)
    reading = Reading(10 * numbers, np.ones(18, np.uint8), numbers, (numbers % 2).astype(np.uint8), numbers, 4)
    seen = observe_attempts(reading, np.array([2, 1]), (2, 0, 1))
    assert seen.herald_ps.tolist() == [[0, 1, 2], [3, 4, 5], [12, 13, 14]]
    assert seen.outcome_ps.tolist() == [[8, 10, 6], [9, 11, 7], [16, 17, 15]]
    assert seen.trigger_ps.tolist() == [[80, 100, 60], [90, 110, 70], [160, 170, 150]]
    assert seen.outcome.tolist() == [[0, 0, 0], [1, 1, 1], [0, 1, 1]]
    assert seen.doubles == 4


def test_another_number_of_slots_than_settings_is_refused() -> None:
    reading = read(*((at * SLOT, 1) for at in range(11)))
    with pytest.raises(TagOverflowError, match="11 slots, the clients have settings for 12"):
        observe_attempts(reading, np.array([2]), (0, 1, 2))
