"""The polarization bench with an active choice of basis, driven pair by pair."""

from collections.abc import Iterator

import numpy as np
import pytest

from faintlink.core.basis_pattern import basis_pattern
from faintlink.instruments.mocks.bases import MockBasisMemory
from faintlink.instruments.mocks.bench import MockBench

SEED = bytes(range(32))
PREAMBLE = 1000


@pytest.fixture
def bench() -> Iterator[MockBench]:
    table = MockBench(
        "active_bench",
        model="polarization-bb84-active",
        seed=3,
        pulse_rate_hz=20e6,
        intensities=(0.2,),
        record_truth=True,
    )
    engine = table.engine
    engine.update("programme", preamble_length=PREAMBLE, basis_probability_z=0.5, intensity_probabilities=(1.0,))
    engine.update("link", length_km=0.0, visibility=0.98)
    for index in (0, 1):
        engine.update_detector("bob", index, efficiency=0.9, dead_time_ps=0, dark_rate_hz=0.0)
    yield table
    table.close()


def test_pairs_are_measured_in_the_prescribed_bases(bench: MockBench) -> None:
    memory = MockBasisMemory("active_memory", bench.name)
    memory.hold(2)
    memory.slots(400_000)
    memory.seed(SEED.hex())
    channels: list[np.ndarray[tuple[int], np.dtype[np.uint8]]] = []
    bench.engine.receivers["bob"].listeners.append(lambda _times, shown, _mark: channels.append(shown))
    bench.engine.start_pattern()
    bench.engine.advance(15e-3)
    truth = bench.engine.take_truth()
    channel = np.concatenate(channels)
    basis, bit = (channel - 1) >> 1, (channel - 1) & 1
    assert np.array_equal(basis, basis_pattern(SEED, 400_000, 2)[truth.slot])
    sent = truth.slot >= PREAMBLE
    same = sent & ((truth.code >> 1 & 1) == basis)
    wrong = np.count_nonzero(bit[same] != (truth.code[same] & 1))
    n = int(same.sum())
    assert n > 5_000
    # (1 - visibility)/2, 5 sigma; a half where the bases differ.
    assert abs(wrong - 0.01 * n) < 5 * np.sqrt(0.01 * n)
    other = sent & ~same
    flips = np.count_nonzero(bit[other] != (truth.code[other] & 1))
    assert abs(flips - other.sum() / 2) < 2.5 * np.sqrt(other.sum())
    memory.close()


def test_no_light_is_lost_to_the_choice(bench: MockBench) -> None:
    bench.engine.update_receiver("bob", loss_db=0.0)
    bench.engine.start_pattern()
    bench.engine.receivers["bob"].listeners.append(lambda *_: None)
    bench.engine.advance(20e-3)
    seen = np.unique(bench.engine.take_truth().slot)
    seen = seen[seen >= PREAMBLE]
    expected = (400_000 - PREAMBLE) * -np.expm1(-0.2 * 0.9)
    # 5 sigma.
    assert abs(seen.size - expected) < 5 * np.sqrt(expected) + 5


def test_a_held_pattern_repeats_what_is_drawn() -> None:
    pattern = basis_pattern(SEED, 1001, 2)
    assert pattern.size == 1001
    assert np.array_equal(pattern[0:1000:2], pattern[1:1000:2])
    assert np.array_equal(pattern[::2], basis_pattern(SEED, 501))
    with pytest.raises(ValueError, match="32 bytes"):
        basis_pattern(SEED, 10, 0)
