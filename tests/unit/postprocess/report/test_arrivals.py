"""Where the bins of the arrival histogram lie."""

from collections.abc import Callable

import numpy as np
import pytest

from faintlink.core.symbols import Party
from faintlink.postprocess.kernels.detect import COUNTERS, detections
from faintlink.postprocess.pipeline import Analysis
from faintlink.postprocess.qkd import pairs
from faintlink.postprocess.qkd.detection import HISTOGRAM_BINS, ArrivalStatistics
from faintlink.postprocess.report import arrivals
from faintlink.postprocess.series import RunSeries

Make = Callable[..., Analysis]


def test_a_pulsed_histogram_covers_one_slot_with_the_pulse_in_the_middle(make_analysis: Make) -> None:
    found = arrivals.arrival_histogram(make_analysis())
    assert found is not None
    assert (found.edges_ps[0], found.edges_ps[-1]) == (-6250.0, 6250.0)
    assert found.bin_ps == pytest.approx(50.0)
    assert found.gate_ps == (-500.0, 500.0)


def test_the_bins_are_those_of_the_detection_kernel(make_analysis: Make) -> None:
    found = arrivals.arrival_histogram(make_analysis())
    assert found is not None
    histogram = np.zeros((4, HISTOGRAM_BINS), np.int64)
    phase = 1234
    detections(
        np.array([1_000_000], np.int64),
        np.array([1], np.uint8),
        np.array([80], np.int64),
        np.array([phase], np.int32),
        np.zeros(256, np.uint8),
        np.array([0, 500, 0, -6250], np.int64),
        np.array([-(1 << 62), -1, -1], np.int64),
        np.zeros(COUNTERS, np.int64),
        np.zeros((4, 3), np.int64),
        histogram,
        np.empty(1, np.int64),
        np.empty(1, np.uint8),
    )
    (at,) = np.flatnonzero(histogram[0])
    assert found.edges_ps[at] <= phase < found.edges_ps[at + 1]


def test_a_pair_histogram_covers_ten_windows_of_delay(make_analysis: Make) -> None:
    found = arrivals.arrival_histogram(make_analysis("tomamichel2012"))
    assert found is not None
    assert arrivals.PAIR_WINDOWS == pairs.HISTOGRAM_WINDOWS
    assert (found.edges_ps[0], found.edges_ps[-1]) == (-5000.0, 5000.0)
    assert found.gate_ps == (-500.0, 500.0)


def test_the_receiver_with_a_histogram_is_taken(make_analysis: Make) -> None:
    analysis = make_analysis("tomamichel2012")
    analysis.series.arrivals[Party.ALICE] = ArrivalStatistics.zero()
    found = arrivals.arrival_histogram(analysis)
    assert found is not None
    assert found.counts.any()


def test_no_receiver_gives_no_histogram(make_analysis: Make, empty_series: RunSeries) -> None:
    assert arrivals.arrival_histogram(make_analysis(series=empty_series)) is None
