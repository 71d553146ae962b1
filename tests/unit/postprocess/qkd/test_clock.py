"""Clock recovery on simulated tags whose true slots are known."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faintlink.core.errors import ClockLostError, TagOrderError
from faintlink.core.tags import UNKNOWN_LOSS, GapCause, GapRecord, TagBlock
from faintlink.core.units import PS_PER_S
from faintlink.postprocess.qkd.clock import SINGLE_PEAK, ClockModel, ClockTracker, Peaks, SlottedTags, acquire

TIME_BINS: Peaks = ((-2500.0, 0.25), (0.0, 0.5), (2500.0, 0.25))
DARK = -1


@dataclass(frozen=True)
class Link:
    """A sender's comb on a receiver's clock that is off by ``ppm`` and drifts."""

    period_ps: float = 12_500.0
    light_hz: float = 5e5
    dark_hz: float = 1e5
    seconds: float = 2.5
    sigma_ps: float = 150.0
    ppm: float = 3.0
    drift_per_s: float = 1e-7
    peaks: Peaks = SINGLE_PEAK
    holes_s: tuple[tuple[float, float], ...] = ()
    start_ps: int = 7 * 10**15 + 1_234_567
    seed: int = 1

    def tags(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return times, true slots (DARK for darks) and the index of the peak, each (n,)."""
        rng = np.random.default_rng(self.seed)
        pulses = int(self.seconds * PS_PER_S / self.period_ps)
        slots = np.sort(rng.integers(0, pulses, rng.poisson(self.light_hz * self.seconds)))
        at_s = slots * (self.period_ps / PS_PER_S)
        weights = np.array([weight for _, weight in self.peaks])
        peak = rng.choice(weights.size, slots.size, p=weights / weights.sum())
        off = (self.ppm * 1e-6 * at_s + 0.5 * self.drift_per_s * at_s**2) * PS_PER_S
        off += np.array([delay for delay, _ in self.peaks])[peak] + rng.normal(0.0, self.sigma_ps, slots.size)
        light = np.rint(slots * self.period_ps).astype(np.int64) + np.rint(off).astype(np.int64)
        darks = rng.integers(0, int(self.seconds * PS_PER_S), rng.poisson(self.dark_hz * self.seconds))
        times = np.concatenate((light, darks))
        truth = np.concatenate((slots, np.full(darks.size, DARK)))
        peak = np.concatenate((peak, np.full(darks.size, DARK)))
        keep = np.ones(times.size, np.bool_)
        for first, last in self.holes_s:
            keep &= (times < first * PS_PER_S) | (times >= last * PS_PER_S)
        order = np.argsort(times[keep], kind="stable")
        return times[keep][order] + self.start_ps, truth[keep][order], peak[keep][order]


def block(times: npt.NDArray[np.int64]) -> TagBlock:
    return TagBlock.checked(times, np.zeros(times.size, np.uint8))


def track(link: Link) -> tuple[list[SlottedTags], npt.NDArray[np.int64]]:
    """Return the pieces, and slot minus true slot of the tags in the middle peak."""
    times, truth, peak = link.tags()
    tracker = ClockTracker(link.period_ps, peaks=link.peaks)
    pieces = tracker.feed(block(times)) + tracker.finish()
    slots = np.concatenate([piece.slots for piece in pieces])
    assert slots.size + tracker.tags_before_lock == times.size
    middle = int(np.argmax([weight for _, weight in link.peaks]))
    chosen = peak[-slots.size :] == middle
    return pieces, slots[chosen] - truth[-slots.size :][chosen]


LINKS = {
    "80 MHz": Link(),
    "80 MHz, half darks, -97 ppm": Link(dark_hz=5e5, ppm=-97.0, drift_per_s=-1e-7),
    "80 MHz, period with a fraction": Link(period_ps=12_500.37),
    "80 MHz, 50 ms without light": Link(dark_hz=5e5, holes_s=((1.0, 1.05),)),
    "80 MHz, three peaks": Link(peaks=TIME_BINS, ppm=30.0),
    "80 MHz, three peaks, weak": Link(peaks=TIME_BINS, ppm=30.0, light_hz=5e3, dark_hz=5e3),
    "1 GHz": Link(period_ps=1_000.0, sigma_ps=60.0),
    "1 GHz, half darks, 88 ppm": Link(period_ps=1_000.0, sigma_ps=60.0, light_hz=5e4, dark_hz=5e4, ppm=88.0),
    "1 GHz, 50 ms without light": Link(period_ps=1_000.0, sigma_ps=60.0, holes_s=((1.0, 1.05),)),
}


@pytest.mark.parametrize("name", LINKS)
def test_no_slot_is_ever_miscounted(name: str) -> None:
    link = LINKS[name]
    _, difference = track(link)
    constant = int(np.median(difference))
    # Gaussian tails: half a period lies 8 sigma away at 1 GHz and 41 at 80 MHz; side peaks are left out.
    assert np.count_nonzero(difference != constant) == 0
    assert difference.size > 10_000 * link.seconds / 5


@pytest.mark.parametrize("seed", range(8))
def test_a_first_interval_of_some_hundred_tags_is_enough_to_lock(seed: int) -> None:
    ppm = float(np.random.default_rng(seed).uniform(-100.0, 100.0))
    link = Link(peaks=TIME_BINS, light_hz=1e4, dark_hz=1e4, seconds=0.4, ppm=ppm, seed=seed)
    pieces, difference = track(link)
    assert np.unique(difference).size == 1
    assert sum(piece.is_coasted for piece in pieces) <= 1


def test_phases_are_centred_on_the_middle_peak() -> None:
    link = LINKS["80 MHz, three peaks"]
    _, _, peak = link.tags()
    pieces, _ = track(link)
    phases = np.concatenate([piece.phases_ps for piece in pieces])[peak[-sum(p.slots.size for p in pieces) :] == 1]
    # 6e5 tags of 150 ps: the mean is known to 0.2 ps; systematic errors of the steering stay below 2 ps.
    assert abs(float(phases.mean())) < 2.0
    assert float(phases.std()) == pytest.approx(150.0, rel=0.02)


def test_the_reported_width_is_the_jitter() -> None:
    pieces, _ = track(LINKS["80 MHz"])
    widths = [piece.model.phase_rms_ps for piece in pieces if not piece.is_coasted]
    assert float(np.median(widths)) == pytest.approx(150.0, rel=0.05)


def test_the_model_gives_the_slots_of_its_piece() -> None:
    pieces, _ = track(Link(seconds=0.1))
    slots, phases = pieces[1].model.slots(pieces[1].times_ps)
    assert np.array_equal(slots, pieces[1].slots)
    assert np.array_equal(phases, pieces[1].phases_ps)


def test_intervals_without_light_are_marked_as_coasted() -> None:
    pieces, _ = track(Link(holes_s=((1.0, 1.06),)))
    coasted = [piece.model.tags for piece in pieces if piece.is_coasted]
    assert len(coasted) >= 2
    assert set(coasted) == {0}


def test_a_long_dark_stretch_loses_the_clock_and_says_where() -> None:
    times, _, _ = Link(holes_s=((0.5, 1.5),), dark_hz=0.0, seconds=2.0).tags()
    tracker = ClockTracker(12_500.0)
    pieces = tracker.feed(block(times))
    assert not tracker.is_locked
    assert pieces[-1].model.t0_ps < times[0] + 0.8 * PS_PER_S
    with pytest.raises(ClockLostError, match="intervals without light") as caught:
        tracker.finish()
    assert "new tracker" in caught.value.hint


def test_darks_before_the_light_are_given_up_and_counted() -> None:
    times, truth, _ = Link(seconds=1.5, dark_hz=2e3).tags()
    late = (truth == DARK) | (truth * 12_500 > PS_PER_S)
    tracker = ClockTracker(12_500.0)
    pieces = tracker.feed(block(times[late])) + tracker.finish()
    kept = sum(piece.slots.size for piece in pieces)
    assert 0 < tracker.tags_before_lock < 3_000
    assert kept + tracker.tags_before_lock == int(late.sum())
    difference = np.concatenate([piece.slots for piece in pieces]) - truth[late][-kept:]
    light = truth[late][-kept:] != DARK
    assert np.unique(difference[light]).size == 1
    assert int(light.sum()) == int((truth[late] != DARK).sum())


SHORT = Link(seconds=0.25, light_hz=2e5, dark_hz=5e4)
SHORT_TIMES = SHORT.tags()[0]


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(0, SHORT_TIMES.size), max_size=8))
def test_the_result_does_not_depend_on_how_the_stream_is_cut(cuts: list[int]) -> None:
    whole = ClockTracker(12_500.0)
    want = whole.feed(block(SHORT_TIMES)) + whole.finish()
    tracker = ClockTracker(12_500.0)
    got: list[SlottedTags] = []
    for part in np.split(SHORT_TIMES, sorted(cuts)):
        got += tracker.feed(block(part))
    got += tracker.finish()
    assert [piece.model for piece in got] == [piece.model for piece in want]
    for mine, theirs in zip(got, want, strict=True):
        assert np.array_equal(mine.times_ps, theirs.times_ps)
        assert np.array_equal(mine.slots, theirs.slots)
        assert np.array_equal(mine.phases_ps, theirs.phases_ps)


def test_channels_stay_with_their_tags() -> None:
    channels = (np.arange(SHORT_TIMES.size) % 7).astype(np.uint8)
    tracker = ClockTracker(12_500.0)
    pieces = tracker.feed(TagBlock.checked(SHORT_TIMES, channels)) + tracker.finish()
    assert np.array_equal(np.concatenate([piece.channels for piece in pieces]), channels)


@pytest.mark.parametrize("ppm", [-100.0, -31.0, 0.0, 99.0])
def test_acquisition_finds_the_period(ppm: float) -> None:
    link = Link(ppm=ppm, drift_per_s=0.0, seconds=0.3)
    model = acquire(link.tags()[0], link.period_ps)
    # 1.8e5 tags of 150 ps over 0.3 s fix the rate to 4e-12; 1e-9 is what the tracker needs.
    assert model.period_ps / link.period_ps - 1.0 == pytest.approx(ppm * 1e-6, abs=1e-9)


def test_acquisition_puts_its_anchor_on_the_middle_peak() -> None:
    link = Link(peaks=TIME_BINS, seconds=0.1)
    times, _, peak = link.tags()
    model = acquire(times, link.period_ps, peaks=TIME_BINS)
    _, phases = model.slots(times[peak == 1])
    assert abs(float(np.mean(phases))) < 50.0


def test_a_comb_of_evenly_spaced_peaks_is_found_by_its_second_harmonic() -> None:
    peaks: Peaks = ((-3125.0, 0.25), (0.0, 0.5), (3125.0, 0.25))
    link = Link(peaks=((-6250.0, 0.25), (0.0, 0.5), (6250.0, 0.25)), seconds=0.2)
    model = acquire(link.tags()[0], link.period_ps, peaks=link.peaks)
    assert model.period_ps / link.period_ps - 1.0 == pytest.approx(3e-6, abs=3e-8)
    assert acquire(Link(peaks=peaks, seconds=0.2).tags()[0], 12_500.0, peaks=peaks).tags > 0


@pytest.mark.parametrize("seed", range(5))
def test_darks_alone_have_no_clock(seed: int) -> None:
    times, _, _ = Link(light_hz=0.0, seconds=1.0, seed=seed).tags()
    with pytest.raises(ClockLostError, match="no comb of 12500 ps within 100 ppm") as caught:
        acquire(times, 12_500.0)
    assert "sender emits" in caught.value.hint
    assert caught.value.fields["significance"] < 16.0


def test_too_few_tags_are_named() -> None:
    with pytest.raises(ClockLostError, match="10 tags are too few"):
        acquire(np.arange(10, dtype=np.int64) * 12_500, 12_500.0)


def test_a_wrong_nominal_period_is_not_found() -> None:
    with pytest.raises(ClockLostError, match="no comb"):
        acquire(Link(seconds=0.2).tags()[0], 12_503.0)


def test_a_stream_without_tags_has_no_clock() -> None:
    tracker = ClockTracker(12_500.0)
    assert tracker.feed(TagBlock.empty()) == []
    with pytest.raises(ClockLostError, match="no tags came"):
        tracker.finish()


def test_darks_alone_fail_at_the_end_with_the_reason() -> None:
    tracker = ClockTracker(12_500.0)
    assert tracker.feed(block(Link(light_hz=0.0, seconds=1.0).tags()[0])) == []
    with pytest.raises(ClockLostError, match="no comb"):
        tracker.finish()


def test_a_break_of_the_time_base_is_not_bridged() -> None:
    gap = GapRecord(10, 20, UNKNOWN_LOSS, GapCause.DEVICE_RESTART)
    with pytest.raises(ClockLostError, match="time base broke"):
        ClockTracker(12_500.0).feed(TagBlock.empty([gap]))


def test_blocks_out_of_order_are_refused() -> None:
    tracker = ClockTracker(12_500.0)
    tracker.feed(block(np.array([100, 200], np.int64)))
    with pytest.raises(TagOrderError, match="before 200 ps"):
        tracker.feed(block(np.array([150], np.int64)))


def test_peaks_without_weight_are_refused() -> None:
    with pytest.raises(ValueError, match="positive weights"):
        ClockTracker(12_500.0, peaks=((0.0, 0.0),))


def test_a_model_counts_pulses_in_both_directions() -> None:
    model = ClockModel(1_000, 5, 100.0, float("nan"), 0)
    slots, phases = model.slots(np.array([890, 1_000, 1_103], np.int64))
    assert slots.tolist() == [4, 5, 6]
    assert phases.tolist() == [-10, 0, 3]
