"""A run over time: bins, coarser bins, and totals that do not depend on how the run is cut."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faintlink.core.records import ErrorCount
from faintlink.core.symbols import Party
from faintlink.core.units import PS_PER_S
from faintlink.postprocess import series as module
from faintlink.postprocess.qkd.detection import HISTOGRAM_BINS, ArrivalStatistics
from faintlink.postprocess.qkd.pieces import SiftedPiece
from faintlink.postprocess.qkd.sift import SiftCount, SiftedBits
from faintlink.postprocess.series import RunSeries

START = 7 * 10**15
RNG = np.random.default_rng(6)
BITS = SiftedBits(
    np.arange(4_000),
    *(RNG.integers(0, top, 4_000, dtype=np.uint8) for top in (2, 3, 2, 2)),
)


def piece(at_s: float, first: int = 0, last: int = 100, *, tags: int = 10) -> SiftedPiece:
    moments, histogram = np.zeros((4, 3), np.int64), np.zeros((4, HISTOGRAM_BINS), np.int64)
    arrivals = ArrivalStatistics(tags, 1, 2, 3, 4, 1, moments, histogram)
    bits = BITS.between(first, last)
    time = START + round(at_s * PS_PER_S)
    return SiftedPiece(bits, first, last, time, {Party.BOB: arrivals}, SiftCount(len(bits), 0, 0, 0, len(bits)))


def test_pieces_fall_into_bins_of_a_quarter_of_a_second() -> None:
    series = RunSeries()
    for at in (0.0, 0.1, 0.24, 0.25, 0.8):
        series.add(piece(at))
    assert [(point.time_s, point.clicks) for point in series.points()] == [(0.0, 30), (0.25, 10), (0.75, 10)]


def test_a_bin_counts_bits_and_errors_by_basis() -> None:
    series = RunSeries()
    series.add(piece(0.0, 0, 4_000))
    [point] = series.points()
    counts = BITS.counts(3)
    assert (point.key, point.test) == (counts.key, counts.test)
    assert point.key.errors > 0


def test_time_counts_from_the_first_piece() -> None:
    series = RunSeries()
    series.add(piece(1234.5))
    series.add(piece(1235.5))
    assert [point.time_s for point in series.points()] == [0.0, 1.0]


def test_a_piece_before_the_first_one_has_a_bin_of_its_own() -> None:
    series = RunSeries()
    for at in (1.0, 0.9):
        series.add(piece(at))
    assert [point.time_s for point in series.points()] == [-0.25, 0.0]


def test_detections_are_counted_by_basis_intensity_and_error() -> None:
    series = RunSeries()
    series.add(piece(0.0, 0, 4_000))
    for basis in range(2):
        for intensity in range(4):
            for wrong in range(2):
                chosen = (BITS.basis == basis) & (BITS.intensity == intensity) & ((BITS.alice != BITS.bob) == wrong)
                assert series.detected[basis, intensity, wrong] == int(chosen.sum())


@given(st.lists(st.integers(0, 4_000), max_size=10).map(sorted))
def test_totals_do_not_depend_on_how_the_run_is_cut(cuts: list[int]) -> None:
    series, whole = RunSeries(), RunSeries()
    edges = [0, *cuts, 4_000]
    for first, last in itertools.pairwise(edges):
        series.add(piece(0.0, first, last, tags=last - first))
    whole.add(piece(0.0, 0, 4_000, tags=4_000))
    assert series.points() == whole.points()
    assert np.array_equal(series.detected, whole.detected)
    assert series.count == whole.count
    assert series.arrivals[Party.BOB].tags == 4_000


def test_bins_get_twice_as_wide_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BINS", 8)
    fine, coarse = RunSeries(bin_s=0.25), RunSeries(bin_s=1.0)
    for number in range(30):
        part = piece(number * 0.25 + 0.1, 100 * number, 100 * number + 100)
        fine.add(part)
        coarse.add(part)
    assert fine.bin_s == 1.0
    assert fine.points() == coarse.points()
    assert len(fine.points()) <= 8


def test_the_memory_is_bounded_however_long_the_run() -> None:
    series = RunSeries(bin_s=0.001)
    for number in range(3 * module.MAX_BINS):
        series.add(piece(number * 0.001, 0, 1))
    assert len(series.points()) <= module.MAX_BINS
    assert series.count.sifted == 3 * module.MAX_BINS
    assert sum(point.clicks for point in series.points()) == 30 * module.MAX_BINS


def test_nothing_added_is_nothing() -> None:
    series = RunSeries()
    assert series.points() == []
    assert series.count == SiftCount()
    assert not series.detected.any()


def test_an_empty_piece_leaves_no_errors() -> None:
    series = RunSeries()
    series.add(piece(0.0, 0, 0, tags=0))
    [point] = series.points()
    assert (point.key, point.test, point.clicks) == (ErrorCount(), ErrorCount(), 0)
