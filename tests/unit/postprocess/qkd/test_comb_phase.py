import numpy as np
import numpy.typing as npt
import pytest

from faintlink.postprocess.qkd.comb_phase import CombShape, Peaks

PERIOD_PS = 12_500.0
TIME_BINS: Peaks = ((-2500.0, 0.25), (0.0, 0.5), (2500.0, 0.25))


def comb(
    shift_ps: float, *, tags: int = 2_000, darks: int = 0, peaks: Peaks = ((0.0, 1.0),), seed: int = 1
) -> npt.NDArray[np.int64]:
    rng = np.random.default_rng(seed)
    weights = np.array([weight for _, weight in peaks])
    delays = np.array([delay for delay, _ in peaks])[rng.choice(weights.size, tags, p=weights / weights.sum())]
    light = rng.integers(0, 10**6, tags) * PERIOD_PS + shift_ps + delays + rng.normal(0.0, 150.0, tags)
    return np.sort(np.concatenate((np.rint(light), rng.uniform(0.0, 1e6 * PERIOD_PS, darks)))).astype(np.int64)


@pytest.mark.parametrize("shift", [-6_000.0, -1_234.5, 0.0, 3.0, 6_000.0])
@pytest.mark.parametrize("peaks", [((0.0, 1.0),), TIME_BINS])
def test_a_shift_is_measured_anywhere_in_the_period(shift: float, peaks: Peaks) -> None:
    seen = CombShape(PERIOD_PS, peaks).measure(comb(shift, darks=1_000, peaks=peaks), 0, PERIOD_PS)
    assert abs(seen.shift_ps - shift) < 5.0 * seen.sigma_ps


@pytest.mark.parametrize("darks", [0, 2_000])
@pytest.mark.parametrize("peaks", [((0.0, 1.0),), TIME_BINS])
def test_the_standard_error_is_the_scatter(darks: int, peaks: Peaks) -> None:
    shape = CombShape(PERIOD_PS, peaks)
    seen = [shape.measure(comb(100.0, darks=darks, peaks=peaks, seed=seed), 0, PERIOD_PS) for seed in range(200)]
    scatter = float(np.std([one.shift_ps for one in seen]))
    # 200 repetitions know a standard deviation to 5 %; 5 sigma.
    assert float(np.mean([one.sigma_ps for one in seen])) == pytest.approx(scatter, rel=0.25)


def test_tags_without_a_comb_are_not_significant() -> None:
    shape = CombShape(PERIOD_PS)
    heights = [shape.measure(comb(0.0, tags=0, darks=1_000, seed=s), 0, PERIOD_PS).significance for s in range(50)]
    # The highest of about fifty independent shifts in each of fifty trials.
    assert max(heights) < 5.0


def test_a_narrow_search_stays_narrow() -> None:
    seen = CombShape(PERIOD_PS).measure(comb(3_000.0), 0, PERIOD_PS, search_ps=1_000.0)
    assert abs(seen.shift_ps) <= 1_000.0 + 2 * PERIOD_PS / 1024


def test_the_mean_time_is_that_of_the_tags() -> None:
    times = comb(0.0)
    seen = CombShape(PERIOD_PS).measure(times, 500, PERIOD_PS)
    assert seen.mean_ps == pytest.approx(float(times.mean()) - 500.0, rel=1e-9)


def test_the_width_leaves_out_the_darks() -> None:
    shape = CombShape(PERIOD_PS)
    seen = shape.measure(comb(700.0, tags=50_000, darks=50_000), 0, PERIOD_PS)
    assert shape.width_ps(seen) == pytest.approx(150.0, rel=0.05)


def test_side_peaks_bound_the_search() -> None:
    assert CombShape(PERIOD_PS).search_ps == PERIOD_PS / 2
    assert CombShape(PERIOD_PS, TIME_BINS).search_ps == pytest.approx(1_250.0)


def test_the_harmonic_is_one_that_the_peaks_do_not_cancel() -> None:
    assert CombShape(PERIOD_PS).strongest_harmonic() == 1
    half = PERIOD_PS / 2
    assert CombShape(PERIOD_PS, ((-half, 0.25), (0.0, 0.5), (half, 0.25))).strongest_harmonic() == 2
