"""What arrival times tell, and the floor of darks."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from faintlink.core.config.link import Monitors
from faintlink.postprocess.qkd.floor import WINDOW_PS, FloorCounts, count_floor
from faintlink.postprocess.qkd.monitor_arrivals import floor, time_information

POLICY = Monitors()
SECOND = 1_000_000_000_000


def moments(shift_ps: float, *, sigma_ps: float = 100.0, late_sigma_ps: float = 100.0) -> npt.NDArray[np.int64]:
    rng = np.random.default_rng(8)
    rows = []
    for center, sigma in ((0.0, sigma_ps), (shift_ps, late_sigma_ps), (0.0, sigma_ps), (0.0, sigma_ps)):
        phases = np.rint(rng.normal(center, sigma, 20_000)).astype(np.int64)
        rows.append((phases.size, phases.sum(), (phases**2).sum()))
    return np.array(rows, np.int64)


def numerical_information(shift: float) -> float:
    """I(bit; t) of two unit Gaussians at a distance, by a sum of its own: 1 - h of the posterior, averaged."""
    time = np.arange(-12.0, 12.0 + shift, 1e-3)
    zero, one = (np.exp(-0.5 * (time - at) ** 2) / math.sqrt(2 * math.pi) for at in (0.0, shift))
    posterior = one / (zero + one)
    inner = np.clip(posterior, 1e-300, 1 - 1e-16)
    entropy = -inner * np.log2(inner) - (1 - inner) * np.log2(1 - inner)
    return float(np.sum((zero + one) / 2 * (1 - entropy)) * 1e-3)


@pytest.mark.parametrize("shift_ps", [50.0, 100.0, 300.0])
def test_the_information_is_that_of_two_gaussians(shift_ps: float) -> None:
    z, x = time_information(moments(shift_ps), POLICY, "bob")
    assert z.value == pytest.approx(numerical_information(shift_ps / 100.0), abs=5 * z.error)
    assert z.objects
    assert not x.objects


def test_aligned_detectors_tell_nothing() -> None:
    for one in time_information(moments(0.0), POLICY, "bob"):
        assert one.value < 5 * one.error
        assert not one.objects


def test_a_detector_of_another_jitter_tells_the_outcome() -> None:
    z, _ = time_information(moments(0.0, late_sigma_ps=200.0), POLICY, "bob")
    assert z.objects


def test_without_times_or_clicks_there_is_no_reading() -> None:
    assert time_information(np.zeros((4, 3), np.int64), POLICY, "bob") == []
    at_once = np.array([[100, 0, 0]] * 4, np.int64)
    assert time_information(at_once, POLICY, "bob") == []


def darks(hz: float, *, blind: float = 0.0, seconds: float = 1.0) -> FloorCounts:
    """Floor of darks, blinded for a share of every 20 ms."""
    rng = np.random.default_rng(4)
    times = np.sort(rng.integers(0, round(seconds * SECOND), round(hz * seconds)))
    times = times[(times / (SECOND / 50)) % 1.0 >= blind]
    phases = rng.integers(-50_000, 50_000, times.size).astype(np.int32)
    return count_floor(times, phases, center_ps=0, half_width_ps=1000, period_ps=100_000.0)


def test_random_darks_are_no_objection() -> None:
    readings = floor(darks(20_000), Monitors(floor_hz=20_000), "bob")
    assert len(readings) == 4
    assert not any(one.objects for one in readings)
    for one in readings[:3]:
        assert abs(one.value - 1.0) < 5 * one.error


def test_darks_that_come_and_go_are_bunched() -> None:
    assert any(one.objects for one in floor(darks(20_000, blind=0.3), POLICY, "bob"))


def test_a_missing_floor_is_seen_beside_a_dark_measurement_only() -> None:
    few = darks(10_000)
    assert not any(one.objects for one in floor(few, POLICY, "bob"))
    [lost] = [one for one in floor(few, Monitors(floor_hz=20_000), "bob") if one.objects]
    assert lost.value == pytest.approx(0.5, abs=5 * lost.error)


def test_clicks_near_the_pulse_are_no_floor_wherever_the_gate_is() -> None:
    times = np.arange(0, 10 * WINDOW_PS, 10_000, dtype=np.int64)
    counted = []
    for center in (0, 45_000, -45_000):
        phases = np.full(times.size, 49_000 if center else 0, np.int32)
        counts = count_floor(times, phases, center_ps=center, half_width_ps=5_000, period_ps=100_000.0)
        counted.append(int(counts.table[0, 1]))
    assert counted == [0, 0, 0]


def test_a_gate_that_covers_the_period_leaves_no_floor() -> None:
    times = np.arange(0, SECOND, 10**7, dtype=np.int64)
    counts = count_floor(times, np.zeros(times.size, np.int32), center_ps=0, half_width_ps=500, period_ps=1000.0)
    assert counts.share == 0.0
    assert floor(counts, Monitors(floor_hz=1e4), "bob") == []


def test_counts_add() -> None:
    one, two = darks(20_000), darks(10_000)
    both = FloorCounts() + one + two
    assert np.array_equal(both.table, one.table + two.table)
    assert both.share == one.share
