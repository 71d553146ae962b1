"""Late tags are put in order within a window, counted, and refused beyond it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faintlink.core.errors import TagOrderError
from faintlink.core.formats.ordering import Reorderer
from faintlink.core.tags import TagBlock, concatenate

WINDOW_PS = 50


def _feed(times: list[int], pieces: list[int], *, window_ps: int = WINDOW_PS, max_tags: int = 7) -> TagBlock:
    order = Reorderer(window_ps=window_ps)
    blocks = []
    for piece in np.split(np.array(times, np.int64), pieces):
        room, channels = order.room(len(piece))
        room[:], channels[:] = piece, piece % 4
        blocks += list(order.filled(len(piece), max_tags=max_tags))
    blocks += list(order.flush(max_tags=max_tags))
    assert all(0 < len(block) <= max_tags for block in blocks)
    return concatenate(blocks)


@given(
    steps=st.lists(st.integers(0, 30), max_size=60),
    lateness=st.lists(st.integers(0, WINDOW_PS // 2), min_size=60, max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=6),
)
@settings(deadline=None)  # the first call compiles
def test_any_split_of_a_slightly_disordered_stream_gives_the_sorted_stream(
    steps: list[int], lateness: list[int], cuts: list[int]
) -> None:
    times = [int(t) - late for t, late in zip(np.cumsum(steps), lateness, strict=False)]
    block = _feed(times, sorted(min(cut, len(times)) for cut in cuts))
    order = np.argsort(times, kind="stable")
    assert block.times_ps.tolist() == [times[i] for i in order]
    assert block.channels.tolist() == [times[i] % 4 for i in order]


def test_tags_of_equal_time_keep_their_order_of_arrival() -> None:
    order = Reorderer(window_ps=10)
    times_ps, channels = order.room(4)
    times_ps[:], channels[:] = [5, 9, 5, 5], [1, 2, 3, 4]
    assert list(order.filled(4, max_tags=9)) == []
    (block,) = order.flush(max_tags=9)
    assert block.channels.tolist() == [1, 3, 4, 2]
    assert order.reordered == 2


@pytest.mark.parametrize("cut", range(4))
def test_a_tag_later_than_the_window_is_refused_at_any_split(cut: int) -> None:
    with pytest.raises(TagOrderError, match="51 ps after a later one"):
        _feed([100, 200, 149], [cut])


def test_a_window_full_of_tags_holds_back_no_more_than_its_depth() -> None:
    order = Reorderer(window_ps=10, depth=5)
    times_ps, _ = order.room(100)
    times_ps[:] = 3
    assert sum(len(block) for block in order.filled(100, max_tags=1000)) == 95
