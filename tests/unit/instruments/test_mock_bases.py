"""The receiver's basis memory of the mock bench: bases that are prescribed are the ones that are measured."""

from collections.abc import Iterator

import numpy as np
import pytest

from faintlink.core.basis_pattern import basis_pattern
from faintlink.core.errors import UnsupportedFeatureError
from faintlink.instruments.mocks.bases import MockBasisMemory
from faintlink.instruments.mocks.bench import MockBench
from faintlink.instruments.mocks.pattern import MockPatternGenerator

SEED = bytes(range(32))


@pytest.fixture
def bench() -> Iterator[MockBench]:
    table = MockBench("bases_bench", model="timebin-bb84-80mhz", seed=3, intensities=[0.5], record_truth=True)
    yield table
    table.close()


def measured(bench: MockBench, slots: int, seed: str) -> tuple[np.ndarray, np.ndarray]:
    """Return played slots and measured bases of the clicks in half a millisecond."""
    memory = MockBasisMemory("bases_memory", "bases_bench")
    pattern = MockPatternGenerator("bases_pattern", "bases_bench", preamble_length=0)
    try:
        memory.slots(slots)
        memory.seed(seed)
        found: list[tuple[np.ndarray, np.ndarray]] = []
        engine = bench.engine
        engine.receivers["bob"].listeners.append(lambda times, channels, _: found.append((times, channels)))
        pattern.start()
        engine.advance(5e-3)
        truth = engine.take_truth()
        channels = np.concatenate([part for _, part in found])
        return truth.slot, (channels - 1) >> 1
    finally:
        pattern.close()
        memory.close()


def test_prescribed_bases_are_measured_and_random_ones_follow(bench: MockBench) -> None:
    slots, bases = measured(bench, 200_000, SEED.hex())
    prescribed = basis_pattern(SEED, 200_000)
    inside = slots < 200_000
    assert inside.sum() > 100
    assert np.array_equal(bases[inside], prescribed[slots[inside]])
    # What follows is Z with nine tenths, not the even pattern: 5 sigma.
    n = int((~inside).sum())
    assert abs(int(bases[~inside].sum()) - 0.1 * n) < 5 * np.sqrt(0.09 * n)


def test_without_a_seed_bases_are_random(bench: MockBench) -> None:
    _, bases = measured(bench, 200_000, "")
    assert abs(int(bases.sum()) - 0.1 * bases.size) < 5 * np.sqrt(0.09 * bases.size)


def test_a_seed_is_no_part_of_a_snapshot(bench: MockBench) -> None:
    memory = MockBasisMemory("bases_memory", bench.name)
    memory.seed(SEED.hex())
    assert memory.seed() == SEED.hex()
    assert SEED.hex() not in str(memory.snapshot(update=True))
    assert SEED.hex() not in repr(bench.engine.state)
    with pytest.raises(ValueError, match="32 bytes"):
        memory.seed("aa")
    memory.close()


def test_a_passive_receiver_has_no_basis_memory() -> None:
    table = MockBench("passive_bench", model="polarization-bb84", seed=1)
    with pytest.raises(UnsupportedFeatureError, match="passive"):
        MockBasisMemory("passive_memory", "passive_bench")
    table.close()


def test_a_pattern_is_even_and_depends_on_every_bit_of_its_seed() -> None:
    pattern = basis_pattern(SEED, 100_000)
    assert abs(int(pattern.sum()) - 50_000) < 5 * np.sqrt(25_000)
    other = basis_pattern(bytes([1]) + SEED[1:], 100_000)
    assert abs(np.count_nonzero(pattern != other) - 50_000) < 5 * np.sqrt(25_000)
    assert np.array_equal(basis_pattern(SEED, 77), pattern[:77])


@pytest.mark.parametrize(("seed", "slots"), [(b"short", 10), (SEED, 0)])
def test_a_pattern_needs_a_whole_seed_and_slots(seed: bytes, slots: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        basis_pattern(seed, slots)
