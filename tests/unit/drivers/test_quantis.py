"""Quantis: health tests against their standard, and the device on a named pipe with its faults."""

import itertools
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from faintlink.core.errors import ConfigError, ConnectionLostError, HardwareError
from faintlink.core.health_cutoffs import proportion_cutoff, repetition_cutoff
from faintlink.drivers.random.health import HealthTests
from faintlink.drivers.random.quantis import IdqQuantis
from faintlink.instruments.conformance.bench_suites import RandomSourceTests
from faintlink.instruments.emulators.quantis import EmulatedQuantis


@pytest.fixture
def card(tmp_path: Path) -> Iterator[EmulatedQuantis]:
    with EmulatedQuantis(tmp_path / "qrandom0") as card:
        yield card


@pytest.fixture
def source(card: EmulatedQuantis) -> IdqQuantis:
    return IdqQuantis("source", card.address, timeout_s=0.5)


class TestConformance(RandomSourceTests):
    @pytest.fixture
    def instrument(self, source: IdqQuantis) -> object:
        return source


# Worked out from the formula of SP 800-90B 4.4.1; 2**-20 and 2.0 bits is the example of the standard's text: 11.
@pytest.mark.parametrize(("entropy", "log_alarm", "cutoff"), [(2.0, 20, 11), (1.0, 30, 31), (8.0, 40, 6), (7.0, 40, 7)])
def test_the_cutoff_of_repetitions_is_that_of_the_standard(entropy: float, log_alarm: int, cutoff: int) -> None:
    assert repetition_cutoff(entropy, 2.0**-log_alarm) == cutoff


@pytest.mark.parametrize("entropy", [0.5, 1.0, 4.0, 7.0, 8.0])
@pytest.mark.parametrize("log_alarm", [20, 30, 40])
def test_the_cutoff_of_proportions_is_one_more_than_the_binomial_quantile(entropy: float, log_alarm: int) -> None:
    # SP 800-90B 4.4.2: C = 1 + CRITBINOM(W, 2**-H, 1 - alpha); scipy's inverse survival function is the judge.
    expected = 1 + int(binom.isf(2.0**-log_alarm, 512, 2.0**-entropy))
    assert proportion_cutoff(entropy, 2.0**-log_alarm, 512) == min(512, expected)


def reference(data: bytes) -> tuple[int, int]:
    """Return the longest run and the greatest count of a window's first byte, by the letter of the standard."""
    longest = max((len(list(group)) for _, group in itertools.groupby(data)), default=0)
    windows = [data[at : at + 512] for at in range(0, len(data) - 511, 512)]
    return longest, max((window.count(window[0]) for window in windows), default=0)


@given(st.binary(max_size=40), st.integers(1, 60), st.lists(st.integers(0, 2400), max_size=6))
def test_the_tests_see_the_same_wherever_the_stream_is_cut(seed: bytes, copies: int, cuts: list[int]) -> None:
    data = (seed + b"\x07") * copies
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    tests = HealthTests()
    tests.repetition_cutoff = tests.proportion_cutoff = 10_000
    seen = [(0, 0)]
    for start, stop in itertools.pairwise(edges):
        samples = np.frombuffer(data[start:stop], dtype=np.uint8)
        if len(samples):
            seen.append((tests._longest_run(samples), tests._greatest_count(samples)))
    assert tuple(max(column) for column in zip(*seen, strict=True)) == reference(data)


def test_a_run_over_two_pieces_is_found() -> None:
    tests = HealthTests()
    tests.feed(b"\x05" * 4)
    with pytest.raises(HardwareError, match="repetition count"):
        tests.feed(b"\x05" * 4)


def test_a_biased_source_is_found_without_any_long_run() -> None:
    piece = bytes(value if index % 2 else 0 for index, value in enumerate(range(256)))
    with pytest.raises(HardwareError, match="adaptive proportion"):
        HealthTests().feed(piece * 2)


def test_a_good_source_passes_a_megabyte() -> None:
    # Chance of a false alarm: 2**-40 per sample, so below 1e-6 here; the seed fixes the outcome.
    HealthTests(min_entropy=8.0).feed(np.random.default_rng(5).bytes(1_000_000))


def test_no_message_names_a_byte() -> None:
    with pytest.raises(HardwareError) as caught:
        HealthTests().feed(b"\xa7" * 20)
    assert "a7" not in str(caught.value).lower()
    assert str(0xA7) not in str(caught.value)


@pytest.mark.parametrize("wrong", [{"min_entropy": 0.0}, {"min_entropy": 8.5}, {"false_alarm": 0.1}])
def test_claims_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="entropy per byte"):
        HealthTests(**wrong)


def test_bytes_are_those_of_the_device_in_their_order(tmp_path: Path) -> None:
    counter = itertools.count()
    with EmulatedQuantis(tmp_path / "q", lambda size: bytes(next(counter) % 256 for _ in range(size))) as card:
        source = IdqQuantis("source", card.address)
        first, second = source.read_bytes(300), source.read_bytes(5000)
        assert first + second == bytes((1024 + index) % 256 for index in range(5300))
        assert source.bytes_given() == 5300


def test_a_stuck_source_does_not_open(tmp_path: Path) -> None:
    with (
        EmulatedQuantis(tmp_path / "q", lambda size: b"\x42" * size) as card,
        pytest.raises(HardwareError, match="SP 800-90B"),
    ):
        IdqQuantis("source", card.address)


def test_after_a_failure_nothing_more_is_given(card: EmulatedQuantis, source: IdqQuantis) -> None:
    card.source = lambda size: b"\x42" * size
    with pytest.raises(HardwareError, match="repetition"):
        source.read_bytes(200_000)
    card.source = None
    with pytest.raises(HardwareError, match="repetition"):
        source.read_bytes(1)
    assert source.healthy() is False


def test_a_silent_device_raises_in_time(card: EmulatedQuantis, source: IdqQuantis) -> None:
    card.source = None
    with pytest.raises(ConnectionLostError, match="within"):
        source.read_bytes(200_000)


def test_a_device_that_has_gone_raises(card: EmulatedQuantis, source: IdqQuantis) -> None:
    card.cut()
    with pytest.raises(ConnectionLostError, match="gone"):
        source.read_bytes(200_000)


def test_a_device_that_is_not_there_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConnectionLostError, match="kernel module"):
        IdqQuantis("source", str(tmp_path / "nothing"))


def test_a_negative_size_is_refused(source: IdqQuantis) -> None:
    with pytest.raises(ValueError, match="-1"):
        source.read_bytes(-1)


def test_all_byte_values_come_about_equally_often(source: IdqQuantis) -> None:
    # Six sigma around 256 for each of 256 values: fails by chance once in about 2e6 runs.
    counts = np.bincount(np.frombuffer(source.read_bytes(65_536), dtype=np.uint8), minlength=256)
    assert np.abs(counts - 256).max() < 6.0 * math.sqrt(256)
