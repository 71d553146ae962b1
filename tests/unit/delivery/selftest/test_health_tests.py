"""Health tests of random sources: the cutoffs of SP 800-90B, any cut of the stream, stuck and biased sources."""

import math
from collections import deque
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faintlink.core.entropy import OsEntropy, SeededEntropy
from faintlink.core.errors import ConfigError, SelfTestError
from faintlink.core.units import Bits
from faintlink.delivery.selftest.health import (
    AdaptiveProportion,
    RepetitionCount,
    bit_cutoffs,
)
from faintlink.delivery.selftest.source import STARTUP_BITS, HealthTestedEntropy

# H, alpha, repetition count, adaptive proportion: SP 800-90B formulas, evaluated outside of this program.
TABLE = [
    (1.0, 2.0**-20, 21, 589),
    (0.95, 2.0**-20, 23, 607),
    (0.9, 2.0**-20, 24, 625),
    (0.8, 2.0**-20, 26, 664),
    (0.5, 2.0**-20, 41, 793),
    (1.0, 2.0**-30, 31, 609),
    (0.5, 2.0**-30, 61, 810),
]


@pytest.mark.parametrize(("entropy", "alpha", "repetition", "proportion"), TABLE)
def test_the_cutoffs_are_those_of_the_table(entropy: float, alpha: float, repetition: int, proportion: int) -> None:
    assert bit_cutoffs(entropy, alpha) == (repetition, proportion)


@pytest.mark.parametrize("alpha", [2.0**-20, 2.0**-30, 2.0**-40])
def test_the_proportion_cutoff_of_fair_bits_is_exact(alpha: float) -> None:
    """By whole numbers: the least k with sum over j > k of C(1024, j) at most alpha 2**1024, plus 1."""
    limit = Fraction(alpha) * 2**1024
    tail, k = 0, 1024
    while tail + math.comb(1024, k) <= limit:
        tail += math.comb(1024, k)
        k -= 1
    assert bit_cutoffs(1.0, alpha)[1] == k + 1


@pytest.mark.parametrize(("entropy", "alpha"), [(0.0, 2**-20), (1.1, 2**-20), (1.0, 2**-19), (1.0, 0.0)])
def test_senseless_parameters_are_refused(entropy: float, alpha: float) -> None:
    with pytest.raises(ConfigError):
        bit_cutoffs(entropy, alpha)


def repetition_by_definition(bits: list[int], cutoff: int) -> int | None:
    """SP 800-90B 4.4.1, step by step."""
    last, run = bits[0], 1
    for at, bit in enumerate(bits[1:], 1):
        run = run + 1 if bit == last else 1
        last = bit
        if run >= cutoff:
            return at
    return None


def proportion_by_definition(bits: list[int], cutoff: int, window: int) -> int | None:
    """SP 800-90B 4.4.2, step by step."""
    for start in range(0, len(bits), window):
        first, count = bits[start], 1
        for at in range(start + 1, min(start + window, len(bits))):
            count += bits[at] == first
            if count >= cutoff:
                return at
    return None


def first_alarm(test: RepetitionCount | AdaptiveProportion, pieces: list[Bits]) -> int | None:
    start = 0
    for piece in pieces:
        at = test.feed(piece)
        if at is not None:
            return start + at
        start += piece.size
    return None


def cut(bits: Bits, places: list[float]) -> list[Bits]:
    return np.split(bits, sorted(int(place * bits.size) for place in places))


@given(st.integers(1, 400), st.floats(0, 1), st.integers(0, 2**32), st.lists(st.floats(0, 1), max_size=5))
@settings(max_examples=300, deadline=None)
def test_both_tests_alarm_where_the_definition_does_however_the_stream_is_cut(
    n: int, bias: float, seed: int, places: list[float]
) -> None:
    bits = (np.random.default_rng(seed).random(n) < bias).astype(np.uint8)
    pieces = cut(bits, places)
    assert first_alarm(RepetitionCount(5), pieces) == repetition_by_definition(bits.tolist(), 5)
    assert first_alarm(AdaptiveProportion(12, 16), pieces) == proportion_by_definition(bits.tolist(), 12, 16)


@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("alpha", [2.0**-20, 2.0**-40])
def test_a_stuck_source_is_found_within_the_cutoff(value: int, alpha: float) -> None:
    cutoff, _ = bit_cutoffs(1.0, alpha)
    good = np.array([0, 1] * 500 + [1 - value], np.uint8)
    alarm = first_alarm(RepetitionCount(cutoff), [good, np.full(cutoff, value, np.uint8)])
    assert alarm == good.size + cutoff - 1


def test_a_source_with_sixty_five_per_cent_of_ones_is_found() -> None:
    bits = (np.random.default_rng(1).random(200 * 1024) < 0.65).astype(np.uint8)
    assert first_alarm(AdaptiveProportion(bit_cutoffs(1.0, 2.0**-20)[1]), [bits]) is not None


@pytest.mark.slow
def test_false_alarms_in_a_million_windows_are_as_rare_as_claimed() -> None:
    """alpha = 2**-20 a window: 0.95 alarms are expected in 10**6 windows, more than 5 come with a chance of 4e-4."""
    rng = np.random.default_rng(20)
    _, cutoff = bit_cutoffs(1.0, 2.0**-20)
    alarms = 0
    for _ in range(100):
        windows = np.unpackbits(np.frombuffer(rng.bytes(10_000 * 128), np.uint8)).reshape(10_000, 1024)
        ones = windows.sum(axis=1, dtype=np.int64)
        alarms += int(np.count_nonzero(np.where(windows[:, 0] == 1, ones, 1024 - ones) >= cutoff))
    assert alarms <= 5


class Source:
    """Gives what it is told to."""

    is_secret_grade = True

    def __init__(self) -> None:
        self.stuck = False
        self.given = 0

    def draw(self, size: int, purpose: str) -> bytes:
        self.given += size
        return bytes(size) if self.stuck else OsEntropy().draw(size, purpose)


def test_a_good_source_is_passed_on_after_its_start_up_test() -> None:
    source = Source()
    tested = HealthTestedEntropy(source)
    assert source.given == STARTUP_BITS // 8
    assert len(tested.draw(100_000, "key")) == 100_000
    assert tested.tested_bits == STARTUP_BITS + 800_000
    assert tested.is_secret_grade
    assert not HealthTestedEntropy(SeededEntropy(1)).is_secret_grade


def test_a_source_that_is_stuck_from_the_start_is_not_taken() -> None:
    source = Source()
    source.stuck = True
    with pytest.raises(SelfTestError, match="repetition count"):
        HealthTestedEntropy(source)


def test_a_source_that_gets_stuck_gives_nothing_any_more_even_when_it_recovers() -> None:
    source = Source()
    tested = HealthTestedEntropy(source)
    source.stuck = True
    with pytest.raises(SelfTestError):
        tested.draw(16, "key")
    source.stuck = False
    with pytest.raises(SelfTestError, match="repetition count"):
        tested.draw(16, "key")


def test_a_source_that_gets_stuck_across_short_draws_is_found() -> None:
    source = Source()
    tested = HealthTestedEntropy(source)
    source.stuck = True
    for _ in range(4):
        tested.draw(1, "key")
    # 41 equal bits raise the alarm: five bytes, and what was equal before them.
    with pytest.raises(SelfTestError, match="cutoff 41"):
        deque((tested.draw(1, "key") for _ in range(2)), maxlen=0)


def test_no_message_names_the_bits() -> None:
    source = Source()
    source.stuck = True
    with pytest.raises(SelfTestError) as refused:
        HealthTestedEntropy(source)
    assert "\\x00" not in str(refused.value)
    assert "000000" not in str(refused.value)
