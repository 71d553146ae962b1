import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faintlink.core.errors import FormatError, TagOrderError
from faintlink.postprocess.kernels.delta import LARGEST_DELTA_PS, delta_decode, delta_encode

# The first example of a fresh checkout waits for the compiler.
unhurried = settings(deadline=None)


@unhurried
@given(st.integers(-(2**61), 2**61), st.lists(st.integers(0, LARGEST_DELTA_PS), max_size=50))
def test_times_come_back_exactly(first: int, gaps: list[int]) -> None:
    times = first + np.cumsum(np.array([0, *gaps], np.int64))
    start, deltas = delta_encode(times)
    assert deltas.dtype == np.uint32
    assert deltas.tolist() == gaps
    assert np.array_equal(delta_decode(start, deltas), times)


def test_a_gap_that_does_not_fit_is_refused_with_its_place() -> None:
    times = np.array([0, 5, 5 + LARGEST_DELTA_PS + 1], np.int64)
    with pytest.raises(FormatError, match="tags 1 and 2 lie 4294967296 ps apart"):
        delta_encode(times)


def test_times_that_run_backwards_are_refused_with_their_place() -> None:
    with pytest.raises(TagOrderError, match="at tag 2: 4 ps after 5 ps"):
        delta_encode(np.array([0, 5, 4], np.int64))


def test_no_tags_are_refused() -> None:
    with pytest.raises(FormatError, match="no tags"):
        delta_encode(np.empty(0, np.int64))
