from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faintlink.postprocess.kernels.fold import gate_histogram, phase_histogram, slot_and_phase

# The first example of a fresh checkout waits for the compiler.
unhurried = settings(deadline=None)

Times = npt.NDArray[np.int64]
BINS = 1024
times = st.lists(st.integers(-(10**9), 10**9), max_size=50).map(lambda v: np.array(v, np.int64))
periods = st.one_of(st.integers(2, 20_000).map(float), st.floats(100.0, 20_000.0))


def fold_reference(t: Times, t0: int, slot0: int, period: float) -> tuple[Times, npt.NDArray[np.int32]]:
    x = (t - t0).astype(np.float64)
    k = np.ceil(x / period - 0.5)
    return slot0 + k.astype(np.int64), (x - np.rint(k * period)).astype(np.int32)


def fold(t: Times, t0: int, slot0: int, period: float) -> tuple[Times, npt.NDArray[np.int32]]:
    slot, phase = np.empty(t.size, np.int64), np.empty(t.size, np.int32)
    slot_and_phase(t, t0, slot0, period, slot, phase)
    return slot, phase


@unhurried
@given(times, st.integers(-1000, 1000), st.integers(-1000, 1000), periods)
def test_slots_and_phases_equal_the_plain_reference(t: Times, t0: int, slot0: int, period: float) -> None:
    slot, phase = fold(t, t0, slot0, period)
    want_slot, want_phase = fold_reference(t, t0, slot0, period)
    assert np.array_equal(slot, want_slot)
    assert np.array_equal(phase, want_phase)


@unhurried
@given(times, st.integers(2, 20_000))
def test_a_whole_period_gives_phases_in_the_half_open_range(t: Times, period: int) -> None:
    slot, phase = fold(t, 0, 0, float(period))
    assert np.array_equal(slot * period + phase, t)
    assert np.all(2 * phase.astype(np.int64) > -period)
    assert np.all(2 * phase.astype(np.int64) <= period)


def test_a_tag_half_way_between_pulses_belongs_to_the_earlier() -> None:
    slot, phase = fold(np.array([50, -50, 51], np.int64), 0, 0, 100.0)
    assert slot.tolist() == [0, -1, 1]
    assert phase.tolist() == [50, 50, -49]


def test_an_absolute_time_beyond_float_precision_is_placed_to_a_picosecond() -> None:
    t0 = 2**61 + 1
    period = Fraction(12_500_370_001, 1_000_000)
    k = 80_000_000
    t = np.array([t0 + round(k * period) + 3], np.int64)
    slot, phase = fold(t, t0, 5, float(period))
    assert slot.tolist() == [k + 5]
    assert phase.tolist() == [3]


@unhurried
@given(times, periods)
def test_the_phase_histogram_counts_each_tag_once_and_returns_the_mean(t: Times, period: float) -> None:
    counts = np.zeros(BINS, np.int64)
    mean = phase_histogram(t, 17, period, counts)
    assert counts.sum() == t.size
    assert mean == pytest.approx(float(np.mean(t - 17)) if t.size else 0.0, rel=1e-9, abs=1e-6)


def test_the_phase_histogram_starts_at_the_pulse() -> None:
    counts = np.zeros(10, np.int64)
    phase_histogram(np.array([0, 99, 100, 155, -1], np.int64), 0, 100.0, counts)
    assert counts.tolist() == [2, 0, 0, 0, 0, 1, 0, 0, 0, 2]


def gate_reference(
    t: Times, t0: int, slot0: int, period: float, gate: float
) -> tuple[Times, npt.NDArray[np.bool_], Times]:
    inverse = 1.0 / period
    cycles = (t - t0).astype(np.float64) * inverse
    k = np.ceil(cycles - 0.5)
    phase = cycles - k
    at = np.minimum(((phase + 0.5) * BINS).astype(np.int64), BINS - 1)
    counts = np.bincount(at, minlength=BINS)
    return slot0 + k.astype(np.int64), np.abs(phase) <= 0.5 * gate * inverse, counts


@unhurried
@given(times, periods, st.floats(0.0, 20_000.0))
def test_the_fused_gate_equals_the_plain_reference(t: Times, period: float, gate: float) -> None:
    slot, inside = np.empty(t.size, np.int64), np.empty(t.size, np.bool_)
    counts = np.zeros(BINS, np.int64)
    number = gate_histogram(t, -3, 7, period, gate, slot, inside, counts)
    want_slot, want_inside, want_counts = gate_reference(t, -3, 7, period, gate)
    assert np.array_equal(slot, want_slot)
    assert np.array_equal(inside, want_inside)
    assert np.array_equal(counts, want_counts)
    assert number == int(want_inside.sum())


def test_histograms_add_to_what_they_are_given() -> None:
    counts = np.ones(4, np.int64)
    gate_histogram(np.array([0], np.int64), 0, 0, 100.0, 10.0, np.empty(1, np.int64), np.empty(1, np.bool_), counts)
    assert counts.tolist() == [1, 1, 2, 1]
