import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from faintlink.postprocess.kernels.deadtime import apply_dead_time, dead_time_mask, fresh_state

# The first example of a fresh checkout waits for the compiler.
unhurried = settings(deadline=None)

Times = npt.NDArray[np.int64]
Channels = npt.NDArray[np.uint8]


def mask_reference(times: Times, channels: Channels, dead: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    last: dict[int, int] = {}
    keep = np.zeros(times.size, np.bool_)
    for i, (t, channel) in enumerate(zip(times.tolist(), channels.tolist(), strict=True)):
        keep[i] = channel not in last or t - last[channel] >= int(dead[channel])
        if keep[i]:
            last[channel] = t
    return keep


@st.composite
def tags(draw: st.DrawFn) -> tuple[Times, Channels, npt.NDArray[np.int64]]:
    times = np.array(sorted(draw(st.lists(st.integers(-50, 50), max_size=60))), np.int64)
    channels = np.array(
        draw(st.lists(st.sampled_from([0, 3, 255]), min_size=times.size, max_size=times.size)), np.uint8
    )
    dead = np.zeros(256, np.int64)
    for channel in (0, 3, 255):
        dead[channel] = draw(st.integers(0, 30))
    return times, channels, dead


@unhurried
@given(tags())
def test_the_mask_equals_the_plain_reference(case: tuple[Times, Channels, npt.NDArray[np.int64]]) -> None:
    assert np.array_equal(dead_time_mask(*case), mask_reference(*case))


@unhurried
@given(tags())
def test_compaction_keeps_what_the_mask_keeps(case: tuple[Times, Channels, npt.NDArray[np.int64]]) -> None:
    times, channels, _ = case
    keep = mask_reference(*case)
    got_times, got_channels = apply_dead_time(*case)
    assert np.array_equal(got_times, times[keep])
    assert np.array_equal(got_channels, channels[keep])


@unhurried
@given(tags(), st.integers(0, 60))
def test_a_stream_in_two_blocks_gives_the_same_tags(
    case: tuple[Times, Channels, npt.NDArray[np.int64]], cut: int
) -> None:
    times, channels, dead = case
    state = fresh_state()
    first = dead_time_mask(times[:cut], channels[:cut], dead, state)
    second = dead_time_mask(times[cut:], channels[cut:], dead, state)
    assert np.array_equal(np.concatenate((first, second)), mask_reference(times, channels, dead))


def test_a_tag_exactly_one_dead_time_later_is_kept() -> None:
    times, channels = np.array([0, 9, 10], np.int64), np.zeros(3, np.uint8)
    assert dead_time_mask(times, channels, np.full(256, 10, np.int64)).tolist() == [True, False, True]


def test_a_dropped_tag_does_not_prolong_the_dead_time() -> None:
    times, channels = np.array([0, 9, 12], np.int64), np.zeros(3, np.uint8)
    assert dead_time_mask(times, channels, np.full(256, 10, np.int64)).tolist() == [True, False, True]
