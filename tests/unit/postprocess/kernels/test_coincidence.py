import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from faintlink.postprocess.kernels.coincidence import count_all_pairs, delay_histogram, match_one_to_one

# The first example of a fresh checkout waits for the compiler.
unhurried = settings(deadline=None)

Times = npt.NDArray[np.int64]
sorted_times = st.lists(st.integers(-30, 30), max_size=30).map(lambda v: np.array(sorted(v), np.int64))
offsets = st.integers(-10, 10)
windows = st.integers(0, 8)


def delays_reference(a: Times, b: Times) -> Times:
    return (b[None, :] - a[:, None]).astype(np.int64)


def test_a_window_includes_both_its_edges() -> None:
    a = np.array([0], np.int64)
    b = np.array([-6, -5, 5, 6], np.int64)
    assert count_all_pairs(a, b, 0, 5) == 2


@unhurried
@given(sorted_times, sorted_times, offsets, windows)
def test_all_pairs_are_counted_as_by_brute_force(a: Times, b: Times, offset: int, window: int) -> None:
    want = int(np.sum(np.abs(delays_reference(a, b) - offset) <= window))
    assert count_all_pairs(a, b, offset, window) == want


@unhurried
@given(sorted_times, sorted_times, offsets, windows)
def test_matched_tags_are_in_the_window_and_used_once(a: Times, b: Times, offset: int, window: int) -> None:
    ia, ib = match_one_to_one(a, b, offset, window)
    assert np.all(np.abs(b[ib] - a[ia] - offset) <= window)
    assert np.all(np.diff(ia) > 0)
    assert np.all(np.diff(ib) > 0)


@unhurried
@given(sorted_times, sorted_times, offsets, windows)
def test_no_other_matching_has_more_pairs(a: Times, b: Times, offset: int, window: int) -> None:
    fits = np.abs(delays_reference(a, b) - offset) <= window
    best = 0
    if fits.size:
        best = int(np.sum(maximum_bipartite_matching(csr_array(fits), perm_type="column") >= 0))
    assert match_one_to_one(a, b, offset, window)[0].size == best


def test_two_tags_near_one_partner_make_two_pairs_but_one_match() -> None:
    a, b = np.array([100, 101], np.int64), np.array([100], np.int64)
    assert count_all_pairs(a, b, 0, 5) == 2
    assert match_one_to_one(a, b, 0, 5)[0].tolist() == [0]


@unhurried
@given(sorted_times, sorted_times, st.integers(-20, 10), st.integers(1, 5), st.integers(1, 12))
def test_the_delay_histogram_is_that_of_all_differences(a: Times, b: Times, start: int, width: int, bins: int) -> None:
    at = (delays_reference(a, b).ravel() - start) // width
    want = np.bincount(at[(at >= 0) & (at < bins)], minlength=bins)
    assert np.array_equal(delay_histogram(a, b, start, width, bins), want)


def test_times_beyond_the_exact_range_of_floats_are_matched_to_the_picosecond() -> None:
    a = np.array([2**60 + 1], np.int64)
    b = np.array([2**60 + 1 + 7], np.int64)
    assert count_all_pairs(a, b, 7, 0) == 1
    assert count_all_pairs(a, b, 6, 0) == 0
