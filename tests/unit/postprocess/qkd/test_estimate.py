"""Error rates with confidence."""

import math

import numpy as np
import pytest

from faintlink.core.records import ErrorCount
from faintlink.postprocess.qkd.estimate import error_rate


def test_the_interval_is_that_of_clopper_and_pearson() -> None:
    # 5 of 100 at 95 %: (0.01643, 0.11283), e.g. in A. Agresti, Categorical Data Analysis, 2nd ed., section 1.4.
    estimate = error_rate(ErrorCount(100, 5))
    assert estimate.low == pytest.approx(0.016432, abs=1e-6)
    assert estimate.high == pytest.approx(0.112835, abs=1e-6)


@pytest.mark.parametrize(("bits", "errors", "low", "high"), [(10, 0, 0.0, 0.30850), (10, 10, 0.69150, 1.0)])
def test_no_error_and_nothing_but_errors_have_one_sided_ends(bits: int, errors: int, low: float, high: float) -> None:
    # 1 - 0.025 ** (1 / 10) = 0.30850.
    estimate = error_rate(ErrorCount(bits, errors))
    assert estimate.low == pytest.approx(low, abs=1e-5)
    assert estimate.high == pytest.approx(high, abs=1e-5)


def test_nothing_compared_gives_no_rate_and_no_knowledge() -> None:
    estimate = error_rate(ErrorCount())
    assert math.isnan(estimate.rate)
    assert (estimate.low, estimate.high) == (0.0, 1.0)


def test_the_interval_covers_the_truth_at_least_as_often_as_it_says() -> None:
    rng = np.random.default_rng(11)
    truth, trials = 0.03, 400
    seen = [error_rate(ErrorCount(500, int(m))) for m in rng.binomial(500, truth, trials)]
    covered = sum(estimate.low <= truth <= estimate.high for estimate in seen)
    # Expected at least 0.95 * 400 = 380; 4 sigma below is 362.
    assert covered >= 362
