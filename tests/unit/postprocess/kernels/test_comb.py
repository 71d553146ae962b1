import numpy as np
import numpy.typing as npt
import pytest

from faintlink.postprocess.kernels.comb import periodogram


def periodogram_reference(
    times: npt.NDArray[np.int64], anchor: int, first: float, step: float, size: int
) -> npt.NDArray[np.float64]:
    x = (times - anchor).astype(np.float64)
    frequencies = first + step * np.arange(size)
    power: npt.NDArray[np.float64] = np.abs(np.exp(2j * np.pi * np.outer(frequencies, x)).sum(axis=1)) ** 2
    return power / times.size


def test_the_power_equals_the_plain_sum() -> None:
    rng = np.random.default_rng(1)
    times = np.sort(rng.integers(0, 10**8, 300)) + 10**17
    args = (times, 10**17 + 5 * 10**7, 0.99 / 12_500, 1e-9 / 12_500 * 1e3, 64)
    assert np.allclose(periodogram(*args), periodogram_reference(*args), rtol=1e-6, atol=1e-6)


def test_a_perfect_comb_reaches_the_number_of_tags() -> None:
    times = np.arange(-50, 50, dtype=np.int64) * 1000
    assert periodogram(times, 0, 1e-3, 1e-9, 1)[0] == pytest.approx(100.0)


def test_no_tags_have_no_power() -> None:
    assert periodogram(np.empty(0, np.int64), 0, 1e-3, 1e-9, 3).tolist() == [0.0, 0.0, 0.0]


def test_random_tags_have_mean_power_one() -> None:
    rng = np.random.default_rng(2)
    times = np.sort(rng.integers(0, 10**10, 500))
    power = periodogram(times, 5 * 10**9, 1e-4, 1e-9, 400)
    # 400 exponential variates, of which oversampling leaves about all independent: 5 sigma.
    assert abs(power.mean() - 1.0) < 5.0 / np.sqrt(400)
