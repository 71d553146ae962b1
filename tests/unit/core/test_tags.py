"""Blocks of time tags and their gaps."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faintlink.core.errors import TagOrderError
from faintlink.core.tags import UNKNOWN_LOSS, GapCause, GapRecord, TagBlock, concatenate


def block(*times: int, gaps: tuple[GapRecord, ...] = ()) -> TagBlock:
    return TagBlock.checked(np.array(times, np.int64), np.zeros(len(times), np.uint8), gaps)


def test_times_that_run_backwards_are_refused_with_their_place() -> None:
    with pytest.raises(TagOrderError, match="at tag 2: 5 ps after 7 ps"):
        block(1, 7, 5)


def test_equal_times_are_allowed() -> None:
    assert len(block(1, 1, 1)) == 3


@pytest.mark.parametrize(
    ("times", "channels"),
    [
        (np.zeros(1), np.zeros(1, np.uint8)),
        (np.zeros(1, np.int32), np.zeros(1, np.uint8)),
        (np.zeros(1, np.int64), np.zeros(1, np.int64)),
        (np.zeros((1, 1), np.int64), np.zeros((1, 1), np.uint8)),
    ],
)
def test_arrays_of_another_type_or_shape_are_refused(times: np.ndarray, channels: np.ndarray) -> None:
    with pytest.raises(TypeError, match="1-d int64 times and uint8 channels"):
        TagBlock.checked(times, channels)


def test_arrays_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="2 times but 1 channels"):
        TagBlock.checked(np.zeros(2, np.int64), np.zeros(1, np.uint8))


def test_a_gap_cannot_end_before_it_starts() -> None:
    with pytest.raises(TagOrderError, match="ends at 1 ps before it starts at 2 ps"):
        GapRecord(2, 1, 0, GapCause.BUFFER_FULL)


def test_a_loss_is_a_count_or_unknown() -> None:
    with pytest.raises(ValueError, match="count or -1"):
        GapRecord(1, 2, -2, GapCause.BUFFER_FULL)


def test_gaps_of_unknown_size_count_as_nothing_lost() -> None:
    gaps = (GapRecord(0, 1, UNKNOWN_LOSS, GapCause.BUFFER_FULL), GapRecord(1, 2, 4, GapCause.BUFFER_FULL))
    assert TagBlock.empty(gaps).lost == 4


def test_between_takes_the_start_and_leaves_the_end() -> None:
    gaps = (GapRecord(0, 2, 1, GapCause.BUFFER_FULL), GapRecord(3, 9, 1, GapCause.BUFFER_FULL))
    part = block(1, 2, 3, 4, gaps=gaps).between(2, 3)
    assert part.times_ps.tolist() == [2]
    assert part.gaps == gaps[:1]


@given(st.lists(st.integers(0, 1000), max_size=30), st.lists(st.integers(0, 30), max_size=4))
def test_concatenation_undoes_any_cut(times: list[int], cuts: list[int]) -> None:
    whole = block(*sorted(times))
    edges = [0, *sorted(cuts), len(times)]
    parts = [block(*whole.times_ps[a:b]) for a, b in itertools.pairwise(edges)]
    assert concatenate(parts).times_ps.tolist() == whole.times_ps.tolist()


def test_blocks_out_of_order_are_refused_even_with_an_empty_one_between() -> None:
    with pytest.raises(TagOrderError, match="starts at 4 ps, before 5 ps"):
        concatenate([block(5), TagBlock.empty(), block(4)])


def test_nothing_concatenates_to_an_empty_block() -> None:
    assert len(concatenate([])) == 0


def test_the_representation_is_short() -> None:
    assert repr(block(1, 5)) == "TagBlock(2 tags, 1..5 ps, 0 gaps)"
    assert repr(TagBlock.empty()) == "TagBlock(0 tags, empty, 0 gaps)"
