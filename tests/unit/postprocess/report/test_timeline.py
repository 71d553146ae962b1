"""The bins of a run as figures show them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faintlink.core.records import ErrorCount
from faintlink.postprocess.qkd.estimate import error_rate
from faintlink.postprocess.report.timeline import MAX_SHOWN, band, timeline
from faintlink.postprocess.series import RunSeries, SeriesPoint


def _series(numbers: list[int], bits: int = 1000, bin_s: float = 0.25) -> RunSeries:
    series = RunSeries(bin_s=bin_s)
    for number in numbers:
        point = SeriesPoint(number * bin_s, ErrorCount(bits, bits // 50), ErrorCount(bits, bits // 40), 3 * bits)
        series._bins[number] = point
    return series


@given(st.sets(st.integers(0, 2047), min_size=1, max_size=300), st.sampled_from([0, 3, 1000]))
def test_merging_loses_no_counts_and_makes_few_bins(numbers: set[int], bits: int) -> None:
    line = timeline(_series(sorted(numbers), bits))
    assert len(line) <= MAX_SHOWN
    assert sum(count.bits for count in line.key) == bits * len(numbers)
    assert sum(count.errors for count in line.test) == bits // 40 * len(numbers)
    assert line.clicks.sum() == 3 * bits * len(numbers)


def test_a_hole_in_the_run_stays_a_hole() -> None:
    line = timeline(_series([0, 1, 5, 7]))
    assert [count.bits for count in line.key] == [1000, 1000, 0, 0, 0, 1000, 0, 1000]
    assert line.centres_s.tolist() == [0.125 + 0.25 * k for k in range(8)]


def test_poor_statistics_are_merged_into_wider_bins() -> None:
    assert timeline(_series(list(range(80)), bits=1000)).bin_s == 0.25
    assert timeline(_series(list(range(80)), bits=10)).bin_s == 2.5


def test_no_pieces_give_no_bins() -> None:
    assert len(timeline(RunSeries())) == 0


def test_the_band_is_the_clopper_pearson_interval() -> None:
    found = band([ErrorCount(100, 3), ErrorCount()])
    expected = error_rate(ErrorCount(100, 3))
    assert found.rate[0] == 0.03
    assert found.low[0] == pytest.approx(expected.low)
    assert found.high[0] == pytest.approx(expected.high)
    assert np.isnan([found.rate[1], found.low[1], found.high[1]]).all()
