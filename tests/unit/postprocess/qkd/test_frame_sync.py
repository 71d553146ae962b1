import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faintlink.core.errors import ClockLostError
from faintlink.core.preamble import preamble_pattern
from faintlink.core.tags import TagBlock
from faintlink.postprocess.qkd.clock import ClockTracker
from faintlink.postprocess.qkd.frame_sync import absolute_slots, find_frame_start

LENGTH = 1 << 17
PATTERN = preamble_pattern(7, LENGTH)


def clicks(
    start: int, *, chance: float = 2e-3, dark: float = 1e-5, length: int = LENGTH, seed: int = 1, after: int = 10**6
) -> npt.NDArray[np.int64]:
    """Return slots of clicks: darks everywhere, the preamble at ``start``, then random traffic."""
    rng = np.random.default_rng(seed)
    bright = np.flatnonzero(preamble_pattern(7, length) & (rng.random(length) < chance)) + start
    traffic = np.flatnonzero(rng.random(after) < 0.7 * chance) + start + length
    total = start + length + after
    darks = rng.integers(0, total, int(dark * total))
    return np.unique(np.concatenate((bright, traffic, darks)))


def test_the_pattern_is_fixed_for_ever() -> None:
    # Golden vector: SHAKE-256 of the label, a colon and the seed as 17 signed big-endian bytes, first bits.
    import hashlib

    want = hashlib.shake_256(b"faintlink preamble 1:" + (7).to_bytes(17, "big", signed=True)).digest(4)
    assert np.packbits(preamble_pattern(7, 32)).tobytes() == want
    assert want.hex() == "85788800"


@given(st.integers(1, 300), st.integers(1, 300))
def test_a_shorter_pattern_is_the_start_of_a_longer(short: int, long: int) -> None:
    short, long = min(short, long), max(short, long)
    assert np.array_equal(preamble_pattern(3, long)[:short], preamble_pattern(3, short))


def test_a_pattern_is_balanced_and_another_seed_gives_another() -> None:
    # 2**17 fair bits: the mean is known to 0.0014; 5 sigma.
    assert abs(float(PATTERN.mean()) - 0.5) < 0.007
    assert abs(float((PATTERN ^ preamble_pattern(8, LENGTH)).mean()) - 0.5) < 0.007


def test_an_empty_pattern_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one slot"):
        preamble_pattern(1, 0)


@pytest.mark.parametrize("start", [0, 1, 777_777, 9_876_543])
def test_the_preamble_is_found_to_the_slot(start: int) -> None:
    slots = clicks(start)
    found = find_frame_start(slots, pattern=PATTERN, search_slots=20_000_000)
    assert found.slot0 == start
    assert found.significance > 8.0
    assert found.runner_up < 7.0
    assert found.clicks == int(np.sum((slots >= start) & (slots < start + LENGTH)))


def test_negative_relative_slots_are_as_good() -> None:
    found = find_frame_start(clicks(500_000) - 3_000_000, pattern=PATTERN, search_slots=2_000_000)
    assert found.slot0 == 500_000 - 3_000_000


def test_a_preamble_that_began_before_the_first_click_is_found() -> None:
    slots = clicks(0, dark=0.0, chance=5e-3)
    found = find_frame_start(slots[slots > 20_000], pattern=PATTERN, search_slots=1_000)
    assert found.slot0 == 0


def test_a_preamble_that_straddles_two_stretches_of_the_search_is_found() -> None:
    # Stretches are 2**22 slots long and overlap by the pattern.
    start = (1 << 22) - LENGTH // 2
    found = find_frame_start(clicks(start), pattern=PATTERN, search_slots=10_000_000)
    assert found.slot0 == start


def test_repeated_clicks_of_one_slot_count_once() -> None:
    slots = clicks(1_000)
    found = find_frame_start(np.repeat(slots, 3), pattern=PATTERN, search_slots=10_000)
    assert found == find_frame_start(slots, pattern=PATTERN, search_slots=10_000)


def test_order_of_the_clicks_does_not_matter() -> None:
    slots = clicks(1_000)
    shuffled = np.random.default_rng(5).permutation(slots)
    assert find_frame_start(shuffled, pattern=PATTERN, search_slots=10_000).slot0 == 1_000


@pytest.mark.slow
def test_a_long_faint_preamble_is_found_far_away() -> None:
    length = 1 << 20
    found = find_frame_start(
        clicks(31_234_567, chance=1e-3, length=length), pattern=preamble_pattern(7, length), search_slots=40_000_000
    )
    assert found.slot0 == 31_234_567


def test_traffic_without_a_preamble_is_refused_with_the_best_height() -> None:
    slots = np.flatnonzero(np.random.default_rng(3).random(3_000_000) < 2e-3)
    with pytest.raises(ClockLostError, match=r"no preamble in \d+ clicks") as caught:
        find_frame_start(slots, pattern=PATTERN, search_slots=3_000_000)
    assert "seed" in caught.value.hint
    assert 3.0 < caught.value.fields["significance"] < 8.0


def test_another_seed_is_not_taken_for_the_preamble() -> None:
    with pytest.raises(ClockLostError, match="no preamble"):
        find_frame_start(clicks(1_000), pattern=preamble_pattern(8, LENGTH), search_slots=100_000)


def test_no_clicks_are_refused() -> None:
    with pytest.raises(ClockLostError, match="no clicks"):
        find_frame_start(np.empty(0, np.int64), pattern=PATTERN, search_slots=10)


def test_a_constant_pattern_is_refused() -> None:
    with pytest.raises(ValueError, match="constant"):
        find_frame_start(np.array([1], np.int64), pattern=np.ones(8, np.uint8), search_slots=10)


def test_absolute_slots_count_from_the_preamble() -> None:
    found = find_frame_start(clicks(1_000), pattern=PATTERN, search_slots=10_000)
    assert absolute_slots(np.array([1_000, 1_005], np.int64), found).tolist() == [0, 5]


def test_tags_of_a_free_running_receiver_get_the_slots_of_the_sender() -> None:
    rng = np.random.default_rng(11)
    pattern = preamble_pattern(5, 1 << 18)
    bright = np.flatnonzero(pattern & (rng.random(pattern.size) < 2e-3))
    traffic = pattern.size + np.flatnonzero(rng.random(40_000_000) < 1e-3)
    slots = np.concatenate((bright, traffic))
    # The sender starts 0.13 s into the recording; clocks differ by 42 ppm and drift by 1e-7 a second.
    at_ps = slots * 12_500.0
    light = 130_000_000_000 + at_ps * (1.0 + 42e-6) + 0.5e-7 * at_ps**2 / 1e12 + rng.normal(0.0, 150.0, slots.size)
    darks = rng.integers(0, 630_000_000_000, 630)
    times = np.concatenate((np.rint(light).astype(np.int64), darks))
    truth = np.concatenate((slots, np.full(darks.size, -1)))
    order = np.argsort(times, kind="stable")
    tracker = ClockTracker(12_500.0)
    block = TagBlock.checked(times[order] + 10**15, np.zeros(order.size, np.uint8))
    relative = np.concatenate([piece.slots for piece in (*tracker.feed(block), *tracker.finish())])
    found = find_frame_start(relative, pattern=pattern, search_slots=20_000_000)
    absolute = absolute_slots(relative, found)
    light_only = truth[order][-relative.size :] >= 0
    assert int(light_only.sum()) == slots.size
    assert np.array_equal(absolute[light_only], truth[order][-relative.size :][light_only])
