"""Detections, events and settings against plain Python, on streams small enough to hit every edge."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faintlink.postprocess.kernels import detect as kernel

PERIOD = 100
HALF = PERIOD // 2
BINS = 10
FAR = -(1 << 62)
MEANING = np.full(256, kernel.UNKNOWN, np.uint8)
MEANING[1:5] = [0, 1, 2, 3]
MEANING[9] = kernel.IGNORED
MARKER, STRANGER = 9, 77

Tag = tuple[int, int]
"""(time in ps, channel)."""


@dataclass
class Found:
    """What a kernel made of a stream, in a form that compares."""

    rows: list[tuple[int, int]] = field(default_factory=list)
    counters: list[int] = field(default_factory=lambda: [0] * kernel.COUNTERS)
    moments: list[list[int]] = field(default_factory=lambda: [[0, 0, 0] for _ in range(4)])
    histogram: list[list[int]] = field(default_factory=lambda: [[0] * BINS for _ in range(4)])
    unknown: int = -1


def slot_of(time: int) -> int:
    return (time + HALF) // PERIOD


def phase_of(time: int) -> int:
    return time - PERIOD * slot_of(time)


def arrays(tags: list[Tag]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    return np.array([t for t, _ in tags], np.int64), np.array([c for _, c in tags], np.uint8)


def detect(parts: Iterable[list[Tag]], *, center: int, half_width: int, dead: int) -> Found:
    """Run the kernel over a stream cut into parts."""
    gate = np.array([center, half_width, dead, -HALF], np.int64)
    state = np.array([FAR, -1, -1], np.int64)
    counters, found = np.zeros(kernel.COUNTERS, np.int64), Found()
    moments, histogram = np.zeros((4, 3), np.int64), np.zeros((4, BINS), np.int64)
    for part in parts:
        times, channels = arrays(part)
        slots = np.array([slot_of(t) for t, _ in part], np.int64)
        phases = np.array([phase_of(t) for t, _ in part], np.int32)
        out_slot, out_mask = np.empty(times.size, np.int64), np.empty(times.size, np.uint8)
        rows = kernel.detections(
            times, channels, slots, phases, MEANING, gate, state, counters, moments, histogram, out_slot, out_mask
        )
        found.rows += list(zip(out_slot[:rows].tolist(), out_mask[:rows].tolist(), strict=True))
    return Found(found.rows, counters.tolist(), moments.tolist(), histogram.tolist(), int(state[2]))


def detect_reference(tags: list[Tag], *, center: int, half_width: int, dead: int) -> Found:
    """Do the same tag by tag, one slot after the other."""
    found = Found()
    slots = sorted({slot_of(t) for t, _ in tags})
    clicks_before: list[int] = []
    for slot in slots:
        mask, verdict = 0, ""
        for time, channel in [tag for tag in tags if slot_of(tag[0]) == slot]:
            found.counters[kernel.TAGS] += 1
            outcome, phase = int(MEANING[channel]), phase_of(time)
            if outcome >= kernel.IGNORED:
                found.counters[kernel.IGNORED_TAGS] += 1
                if outcome == kernel.UNKNOWN and found.unknown < 0:
                    found.unknown = channel
                continue
            found.histogram[outcome][(phase + HALF) * BINS // PERIOD] += 1
            if not center - half_width <= phase <= center + half_width:
                found.counters[kernel.OUTSIDE] += 1
            else:
                blind = any(time - earlier <= dead for earlier in clicks_before)
                verdict = verdict or ("blind" if blind else "alive")
                if verdict == "blind":
                    found.counters[kernel.DEAD] += 1
                else:
                    mask |= 1 << outcome
                    found.moments[outcome] = [
                        a + b for a, b in zip(found.moments[outcome], (1, phase, phase**2), strict=True)
                    ]
            clicks_before.append(time)
        if mask and slot >= 0:
            found.rows.append((slot, mask))
            found.counters[kernel.EVENTS] += 1
            found.counters[kernel.MULTI] += mask.bit_count() > 1
    return found


def cluster(parts: Iterable[list[Tag]], *, window: int, dead: int) -> Found:
    """Run the kernel of events over a stream cut into parts, and finish it."""
    state, spans = np.array([FAR, 0, -1, 0, 0], np.int64), np.array([window, dead], np.int64)
    counters, found = np.zeros(kernel.COUNTERS, np.int64), Found()
    for part in parts:
        times, channels = arrays(part)
        out_time, out_mask = np.empty(times.size, np.int64), np.empty(times.size, np.uint8)
        rows = kernel.clusters(times, channels, MEANING, spans, state, counters, out_time, out_mask)
        found.rows += list(zip(out_time[:rows].tolist(), out_mask[:rows].tolist(), strict=True))
    out_time, out_mask = np.empty(1, np.int64), np.empty(1, np.uint8)
    if kernel.close_cluster(state, counters, out_time, out_mask, 0):
        found.rows.append((int(out_time[0]), int(out_mask[0])))
    return Found(found.rows, counters.tolist(), unknown=int(state[2]))


def cluster_reference(tags: list[Tag], *, window: int, dead: int) -> Found:
    """Group the clicks first, then judge each group."""
    found = Found()
    clicks: list[Tag] = []
    for time, channel in tags:
        found.counters[kernel.TAGS] += 1
        outcome = int(MEANING[channel])
        if outcome >= kernel.IGNORED:
            found.counters[kernel.IGNORED_TAGS] += 1
            found.unknown = channel if outcome == kernel.UNKNOWN and found.unknown < 0 else found.unknown
        else:
            clicks.append((time, outcome))
    last = FAR
    while clicks:
        start = clicks[0][0]
        group = [click for click in clicks if click[0] - start <= window]
        clicks = clicks[len(group) :]
        if start - last <= dead:
            found.counters[kernel.DEAD] += len(group)
        else:
            mask = sum({1 << outcome for _, outcome in group})
            found.rows.append((start, mask))
            found.counters[kernel.EVENTS] += 1
            found.counters[kernel.MULTI] += mask.bit_count() > 1
        last = group[-1][0]
    return found


channels = st.sampled_from([1, 2, 3, 4, 1, 2, 3, 4, MARKER, STRANGER])
streams = st.lists(st.tuples(st.integers(-150, 1500), channels), max_size=40).map(sorted)
dense = st.lists(st.tuples(st.integers(0, 200), channels), max_size=40).map(sorted)


@given(streams, st.integers(-20, 20), st.integers(1, 49), st.sampled_from([0, 3, 30, 120, 400]))
def test_detections_equal_those_of_a_plain_loop(tags: list[Tag], center: int, half_width: int, dead: int) -> None:
    got = detect([tags], center=center, half_width=half_width, dead=dead)
    assert got == detect_reference(tags, center=center, half_width=half_width, dead=dead)


@given(streams, st.sets(st.integers(-1, 15)), st.sampled_from([0, 30, 400]))
def test_a_stream_cut_between_slots_gives_the_same(tags: list[Tag], edges: set[int], dead: int) -> None:
    places = [-1000, *sorted(edges), 1000]
    parts = [[tag for tag in tags if first <= slot_of(tag[0]) < last] for first, last in itertools.pairwise(places)]
    assert detect(parts, center=0, half_width=20, dead=dead) == detect([tags], center=0, half_width=20, dead=dead)


@given(streams, st.lists(st.integers(0, 40)))
def test_however_a_stream_is_cut_no_slot_comes_twice_and_every_tag_is_counted(tags: list[Tag], cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(tags)) for cut in cuts), len(tags)]
    parts = [tags[first:last] for first, last in itertools.pairwise(edges)]
    got = detect(parts, center=0, half_width=20, dead=0)
    slots = [slot for slot, _ in got.rows]
    assert slots == sorted(set(slots))
    assert got.counters[kernel.TAGS] == len(tags)
    assert got.counters[kernel.EVENTS] == len(slots)


@pytest.mark.parametrize(("phase", "is_in"), [(-11, False), (-10, True), (10, True), (11, False)])
def test_the_gate_includes_both_its_edges(phase: int, is_in: bool) -> None:
    got = detect([[(300 + phase, 1)]], center=0, half_width=10, dead=0)
    assert bool(got.rows) is is_in
    assert got.counters[kernel.OUTSIDE] == (not is_in)


def test_a_click_soon_after_one_of_another_detector_is_dropped() -> None:
    got = detect([[(300, 1), (400, 2), (700, 3)]], center=0, half_width=10, dead=150)
    assert got.rows == [(3, 1), (7, 4)]
    assert got.counters[kernel.DEAD] == 1


def test_a_dropped_click_blinds_its_detector_all_the_same() -> None:
    got = detect([[(300, 1), (400, 2), (500, 1)]], center=0, half_width=10, dead=150)
    assert got.rows == [(3, 1)]


def test_a_click_outside_the_gate_blinds_the_rest_of_its_own_slot() -> None:
    # Its detector cannot answer any more: the outcome would lean to the others.
    early = [(300 - 30, 1), (300, 2)]
    assert detect([early], center=0, half_width=10, dead=40).rows == []
    assert detect([early], center=0, half_width=10, dead=20).rows == [(3, 2)]


def test_a_marker_blinds_nobody() -> None:
    got = detect([[(270, MARKER), (300, 2), (395, MARKER), (500, 1)]], center=0, half_width=10, dead=150)
    assert got.rows == [(3, 2), (5, 1)]


def test_clicks_of_one_slot_are_one_detection_of_several() -> None:
    got = detect([[(300, 1), (303, 4), (304, 4)]], center=0, half_width=10, dead=1000)
    assert got.rows == [(3, 0b1001)]
    assert (got.counters[kernel.EVENTS], got.counters[kernel.MULTI]) == (1, 1)


def test_slots_before_the_first_hold_no_detection() -> None:
    assert detect([[(-100, 1), (0, 2)]], center=0, half_width=10, dead=0).rows == [(0, 2)]


@given(st.one_of(streams, dense), st.sampled_from([0, 1, 10, 60]), st.sampled_from([0, 5, 40, 300]))
def test_events_equal_those_of_a_plain_loop(tags: list[Tag], window: int, dead: int) -> None:
    assert cluster([tags], window=window, dead=dead) == cluster_reference(tags, window=window, dead=dead)


@given(dense, st.lists(st.integers(0, 40)), st.sampled_from([0, 10, 60]), st.sampled_from([0, 40]))
def test_events_do_not_depend_on_how_the_stream_is_cut(
    tags: list[Tag], cuts: list[int], window: int, dead: int
) -> None:
    edges = [0, *sorted(min(cut, len(tags)) for cut in cuts), len(tags)]
    parts = [tags[first:last] for first, last in itertools.pairwise(edges)]
    assert cluster(parts, window=window, dead=dead) == cluster([tags], window=window, dead=dead)


def test_a_marker_neither_starts_an_event_nor_splits_one() -> None:
    got = cluster([[(0, MARKER), (8, 1), (12, 2)]], window=10, dead=0)
    assert got.rows == [(8, 0b11)]


def test_nothing_waiting_is_no_event() -> None:
    assert cluster([[], [(5, MARKER)]], window=10, dead=0).rows == []


slot_lists = st.lists(st.integers(-5, 120), unique=True, max_size=50).map(sorted)


@given(slot_lists, slot_lists)
def test_settings_are_joined_as_by_a_dictionary(asked: list[int], recorded: list[int]) -> None:
    table = {slot: slot % 251 for slot in recorded}
    out, found = np.empty(len(asked), np.uint8), np.empty(len(asked), np.bool_)
    codes = np.array([table[slot] for slot in recorded], np.uint8)
    hits = kernel.join_settings(np.array(asked, np.int64), np.array(recorded, np.int64), codes, out, found)
    assert found.tolist() == [slot in table for slot in asked]
    assert out.tolist() == [table.get(slot, 0) for slot in asked]
    assert hits == sum(slot in table for slot in asked)
