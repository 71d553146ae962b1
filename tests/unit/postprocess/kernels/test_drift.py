import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from faintlink.postprocess.kernels.drift import correct_clock

# The first example of a fresh checkout waits for the compiler.
unhurried = settings(deadline=None)

Times = npt.NDArray[np.int64]


def correct_reference(times: Times, reference: int, offset: int, rate: float, drift: float) -> Times:
    x = (times - reference).astype(np.float64)
    return times + offset + np.rint((rate + 0.5 * drift * x) * x).astype(np.int64)


@unhurried
@given(
    st.lists(st.integers(-(10**12), 10**12), max_size=30).map(lambda v: np.array(v, np.int64)),
    st.integers(-(10**9), 10**9),
    st.integers(-(10**12), 10**12),
    st.floats(-1e-4, 1e-4),
    st.floats(-1e-18, 1e-18),
)
def test_the_correction_equals_the_plain_reference(
    times: Times, reference: int, offset: int, rate: float, drift: float
) -> None:
    out = np.empty(times.size, np.int64)
    correct_clock(times, reference, offset, rate, drift, out)
    assert np.array_equal(out, correct_reference(times, reference, offset, rate, drift))


def test_no_correction_leaves_large_times_untouched() -> None:
    times = np.array([2**61 + 1, 2**61 + 2], np.int64)
    out = np.empty(2, np.int64)
    correct_clock(times, 2**61, 0, 0.0, 0.0, out)
    assert np.array_equal(out, times)


def test_one_part_per_million_over_a_second_is_a_microsecond() -> None:
    times = np.array([10**15 + 10**12], np.int64)
    correct_clock(times, 10**15, 0, 1e-6, 0.0, times)
    assert times.tolist() == [10**15 + 10**12 + 10**6]
