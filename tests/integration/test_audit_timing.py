"""Comparing a secret tag takes a time that does not tell where the tags differ.

The method of Reparaz, Balasch and Verbauwhede ("Dude, is my code constant time?", DATE 2017): two kinds of input in
random order, and Welch's t on the times of each, slow outliers cut off. |t| beyond 4.5 counts as a difference.
"""

import gc
import time
from collections.abc import Callable

import numpy as np
import pytest

from faintlink.postprocess.qkd.verify import tags_agree

TAG = bytes(range(256)) * 16
LIMIT = 4.5
"""Of |t|: it is beyond that by chance once in 10**5."""
Compare = Callable[[bytes, bytes], bool]


def t_value(compare: Compare, *, samples: int, seed: int) -> float:
    """Return Welch's t between tags that differ in the first byte and tags that differ in the last."""
    wrong = [bytes([TAG[0] ^ 1]) + TAG[1:], TAG[:-1] + bytes([TAG[-1] ^ 1])]
    kinds = np.random.default_rng(seed).integers(0, 2, samples)
    times = np.empty(samples)
    gc.disable()
    try:
        for at, kind in enumerate(kinds):
            start = time.perf_counter_ns()
            compare(TAG, wrong[kind])
            times[at] = time.perf_counter_ns() - start
    finally:
        gc.enable()
    is_kept = times <= np.quantile(times, 0.9)
    first, last = (times[is_kept & (kinds == kind)] for kind in (0, 1))
    spread = first.var(ddof=1) / first.size + last.var(ddof=1) / last.size
    return float((last.mean() - first.mean()) / np.sqrt(spread))


def byte_by_byte(a: bytes, b: bytes) -> bool:
    """As it must not be done."""
    return all(x == y for x, y in zip(a, b, strict=True))


def test_the_measurement_sees_a_comparison_that_stops_early() -> None:
    assert t_value(byte_by_byte, samples=2_000, seed=1) > 10 * LIMIT


@pytest.mark.slow
def test_comparing_tags_takes_the_same_time_wherever_they_differ() -> None:
    """One of three measurements may be spoilt by the machine; a true difference spoils all."""
    assert min(abs(t_value(tags_agree, samples=200_000, seed=seed)) for seed in (1, 2, 3)) < LIMIT
