"""Pair synchronisation on simulated pairs with known clocks, and on recorded output of the qcrypto programs."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

from faintlink.core.errors import ClockLostError
from faintlink.core.tags import TagBlock
from faintlink.core.units import PS_PER_S, TimesPs
from faintlink.postprocess.qkd.pair_search import significance
from faintlink.postprocess.qkd.pair_sync import PairOffset, find_pair_offset, follow_pairs, match_pairs
from tests.data import shared_data

START_PS = 10**16


@dataclass(frozen=True)
class Pairs:
    """A source seen by two receivers whose clocks differ."""

    pairs_hz: float = 2e4
    seconds: float = 3.0
    keep_a: float = 1.0
    keep_b: float = 0.5
    frequency: float = 17e-6
    drift_per_s: float = 1e-7
    offset_ps: int = -431_123_456_789
    sigma_ps: float = 150.0
    dark_hz: float = 1_000.0
    seed: int = 1
    hole_s: tuple[float, float] = (0.0, 0.0)

    def tags(self) -> tuple[TimesPs, TimesPs, int]:
        """Return the times of both receivers and the number of true pairs."""
        rng = np.random.default_rng(self.seed)
        emitted = np.sort(rng.integers(0, int(self.seconds * PS_PER_S), rng.poisson(self.pairs_hz * self.seconds)))
        at_s = emitted / PS_PER_S
        emitted = emitted[(at_s < self.hole_s[0]) | (at_s >= self.hole_s[1])]
        in_a, in_b = rng.random(emitted.size) < self.keep_a, rng.random(emitted.size) < self.keep_b
        a = emitted[in_a] + np.rint(rng.normal(0.0, self.sigma_ps, int(in_a.sum()))).astype(np.int64)
        b = self.on_clock_b(emitted[in_b]) + np.rint(rng.normal(0.0, self.sigma_ps, int(in_b.sum()))).astype(np.int64)
        darks = [rng.integers(0, int(self.seconds * PS_PER_S), rng.poisson(self.dark_hz * self.seconds)) for _ in "ab"]
        a = np.sort(np.concatenate((a, darks[0])))
        b = np.sort(np.concatenate((b, darks[1] + self.offset_ps)))
        return a + START_PS, b + START_PS, int(np.sum(in_a & in_b))

    def on_clock_b(self, times: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return what clock b shows at times counted from the start on clock a."""
        at_s = times / PS_PER_S
        off = (self.frequency * at_s + 0.5 * self.drift_per_s * at_s**2) * PS_PER_S
        return times + self.offset_ps + np.rint(off).astype(np.int64)

    def error_ps(self, piece: PairOffset) -> float:
        """Return how far a piece's offset is off at its reference."""
        at = np.array([piece.reference_ps - START_PS], np.int64)
        return float(piece.offset_ps - (self.on_clock_b(at) - at)[0])

    def frequency_error(self, piece: PairOffset) -> float:
        """Return how far a piece's frequency is off at its reference."""
        at_s = (piece.reference_ps - START_PS) / PS_PER_S
        return piece.frequency_ratio - self.frequency - self.drift_per_s * at_s


def block(times: TimesPs) -> TagBlock:
    return TagBlock.checked(times, np.zeros(times.size, np.uint8))


CASES = {
    "20 kcps, half lost": Pairs(),
    "both sides lose half, other signs": Pairs(
        keep_a=0.5, frequency=-19e-6, drift_per_s=-1e-7, offset_ps=431_123_456_789
    ),
    "1 Mcps": Pairs(pairs_hz=1e6, seconds=1.5),
    "1 Mcps, 10 % and 5 % arrive": Pairs(pairs_hz=1e6, keep_a=0.1, keep_b=0.05),
    "no offset, no jitter": Pairs(frequency=0.0, drift_per_s=0.0, offset_ps=0, sigma_ps=0.0),
}


@pytest.mark.parametrize("name", CASES)
def test_offset_and_frequency_are_found(name: str) -> None:
    link = CASES[name]
    a, b, _ = link.tags()
    found = find_pair_offset(a, b)
    assert found.significance > 8.0
    assert abs(link.error_ps(found)) < 1_000.0
    # The delay of two windows 0.8 s apart, known to 200 ps each at worst, and the drift between them.
    assert abs(link.frequency_error(found)) < 2e-8


@pytest.mark.parametrize("name", CASES)
def test_following_keeps_every_pair_in_a_narrow_window(name: str) -> None:
    link = CASES[name]
    a, b, true_pairs = link.tags()
    pieces = follow_pairs(a, b, find_pair_offset(a, b))
    assert max(abs(link.error_ps(piece)) for piece in pieces if piece.significance) < 300.0
    ia, _ = match_pairs(block(a), block(b), pieces, 1_000)
    # 1000 ps are 4.7 rms widths of the delay; accidentals add, they do not take away.
    assert ia.size > 0.99 * true_pairs
    singles = (a.size - true_pairs) * (b.size - true_pairs) / (link.seconds * PS_PER_S) * 2_001
    assert ia.size < 1.01 * true_pairs + singles + 5.0 * np.sqrt(singles + 1.0)


def test_each_tag_is_in_one_pair_at_most() -> None:
    a, b, _ = CASES["20 kcps, half lost"].tags()
    ia, ib = match_pairs(block(a), block(b), find_pair_offset(a, b), 1_000)
    assert np.unique(ia).size == ia.size
    assert np.unique(ib).size == ib.size


def test_a_short_stretch_without_pairs_is_bridged() -> None:
    link = Pairs(hole_s=(1.2, 1.35))
    a, b, true_pairs = link.tags()
    pieces = follow_pairs(a, b, find_pair_offset(a, b), interval_ps=PS_PER_S // 20)
    assert sum(piece.significance == 0.0 for piece in pieces) >= 2
    assert match_pairs(block(a), block(b), pieces, 1_000)[0].size > 0.99 * true_pairs


def test_a_long_stretch_without_pairs_loses_the_clock() -> None:
    a, b, _ = Pairs(hole_s=(1.7, 4.7), seconds=5.0, dark_hz=3e4).tags()
    start = find_pair_offset(a[a < START_PS + PS_PER_S], b)
    with pytest.raises(ClockLostError, match="pair clock was lost") as caught:
        follow_pairs(a, b, start)
    assert "find the offset anew" in caught.value.hint


def test_unrelated_streams_have_no_offset() -> None:
    a = Pairs().tags()[0]
    other = Pairs(seed=2).tags()[1]
    with pytest.raises(ClockLostError, match="no coincidence peak") as caught:
        find_pair_offset(a, other)
    assert caught.value.fields["significance"] < 8.0
    assert "one source at one time" in caught.value.hint


def test_an_offset_beyond_the_search_is_not_found() -> None:
    a, b, _ = Pairs(offset_ps=200_000_000_000).tags()
    with pytest.raises(ClockLostError, match="within 100000000000 ps"):
        find_pair_offset(a, b, max_offset_ps=100_000_000_000)


def test_a_whole_second_of_offset_can_be_asked_for() -> None:
    link = Pairs(offset_ps=987_654_321_000)
    a, b, _ = link.tags()
    assert abs(link.error_ps(find_pair_offset(a, b, max_offset_ps=PS_PER_S))) < 1_000.0


def test_too_few_tags_are_named() -> None:
    with pytest.raises(ClockLostError, match="3 and 3 tags are too few"):
        find_pair_offset(np.arange(3, dtype=np.int64), np.arange(3, dtype=np.int64))


def test_matching_without_a_clock_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one piece"):
        match_pairs(TagBlock.empty(), TagBlock.empty(), [], 100)


def test_nothing_to_follow_gives_no_pieces() -> None:
    empty = np.empty(0, np.int64)
    assert follow_pairs(empty, empty, PairOffset(0, 0, 0.0, 0.0, 100)) == []


def test_significance_is_that_of_a_normal_variate_for_large_counts() -> None:
    height = significance(np.array([10_500.0, 9_000.0]), np.array([10_000.0, 10_000.0]))
    assert height[0] == pytest.approx(5.0, rel=0.02)
    assert height[1] == 0.0


def qcrypto_events(side: str) -> TagBlock:
    """Return recorded events: 8 bytes each, high word first, time in 1/8 ns above bit 15, detectors below."""
    words = np.fromfile(shared_data(f"qcrypto/{side}/events.raw"), "<u4").astype(np.uint64).reshape(-1, 2)
    event = (words[:, 0] << np.uint64(32)) | words[:, 1]
    return TagBlock.checked((event >> np.uint64(15)).astype(np.int64) * 125, (event & np.uint64(0xF)).astype(np.uint8))


def test_the_recorded_pair_streams_are_1234_ns_apart() -> None:
    # The qcrypto simulator was run with LEC = HEC + 1234 ns, half of the LEC side lost, no jitter, no darks.
    hec, lec = qcrypto_events("hec"), qcrypto_events("lec")
    found = find_pair_offset(hec.times_ps, lec.times_ps)
    assert abs(found.offset_ps - 1_234_000) < 100
    pieces = follow_pairs(hec.times_ps, lec.times_ps, found)
    assert all(abs(piece.offset_ps - 1_234_000) < 100 for piece in pieces)
    ia, ib = match_pairs(hec, lec, pieces, 250)
    assert ia.size == len(lec)
    assert np.array_equal(lec.times_ps[ib] - hec.times_ps[ia], np.full(ia.size, 1_234_000))
