import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faintlink.postprocess.kernels.merge import merge, merge_many

# The first example of a fresh checkout waits for the compiler.
unhurried = settings(deadline=None)

Stream = tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]
# Few distinct values make ties; negative times are times before the clock's zero.
sorted_times = st.lists(st.integers(-20, 20), max_size=40).map(lambda v: np.array(sorted(v), np.int64))


def merge_reference(streams: list[Stream]) -> Stream:
    times = np.concatenate([np.empty(0, np.int64), *[times for times, _ in streams]])
    channels = np.concatenate([np.empty(0, np.uint8), *[channels for _, channels in streams]])
    order = np.argsort(times, kind="stable")
    return times[order], channels[order]


def labelled(parts: list[npt.NDArray[np.int64]]) -> list[Stream]:
    return [(times, np.full(times.size, label, np.uint8)) for label, times in enumerate(parts)]


@unhurried
@given(sorted_times, sorted_times)
def test_two_streams_merge_as_a_stable_sort_does(a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]) -> None:
    streams = labelled([a, b])
    times, channels = merge(*streams[0], *streams[1])
    want_times, want_channels = merge_reference(streams)
    assert np.array_equal(times, want_times)
    assert np.array_equal(channels, want_channels)


@unhurried
@given(st.lists(sorted_times, max_size=6))
def test_many_streams_merge_as_a_stable_sort_does(parts: list[npt.NDArray[np.int64]]) -> None:
    streams = labelled(parts)
    times, channels = merge_many(streams)
    want_times, want_channels = merge_reference(streams)
    assert np.array_equal(times, want_times)
    assert np.array_equal(channels, want_channels)


@pytest.mark.parametrize("sizes", [(5_000, 5_000), (9_000, 100), (0, 3_000), (1, 0)])
def test_unequal_long_streams_keep_every_tag(sizes: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    streams = labelled([np.sort(rng.integers(-(10**15), 10**15, size)) for size in sizes])
    times, channels = merge(*streams[0], *streams[1])
    want_times, want_channels = merge_reference(streams)
    assert np.array_equal(times, want_times)
    assert np.array_equal(channels, want_channels)


def test_results_keep_the_types_of_a_tag_block() -> None:
    times, channels = merge_many([])
    assert times.dtype == np.int64
    assert channels.dtype == np.uint8
    assert times.size == channels.size == 0
