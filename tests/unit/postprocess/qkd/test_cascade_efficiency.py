"""How much Cascade leaks and how often it fails, at fixed seeds."""

import numpy as np
import pytest

from faintlink.core.entropy import SeededEntropy
from faintlink.core.units import Bits
from faintlink.postprocess.qkd.cascade import reconcile

FRAME = 65_536
EFFICIENCIES = [(0.005, 1.04), (0.01, 1.04), (0.02, 1.04), (0.03, 1.04), (0.05, 1.05), (0.08, 1.065), (0.11, 1.08)]


def keys(frames: int, qber: float, seed: int) -> tuple[Bits, Bits]:
    rng = np.random.default_rng(seed)
    alice = rng.integers(0, 2, frames * FRAME, dtype=np.uint8)
    return alice, alice ^ (rng.random(alice.size) < qber).astype(np.uint8)


@pytest.mark.parametrize(("qber", "most"), EFFICIENCIES)
def test_twenty_frames_come_out_equal_near_the_shannon_limit(qber: float, most: float) -> None:
    alice, bob = keys(20, qber, seed=7)
    report = reconcile(alice, bob, qber, SeededEntropy(7))
    np.testing.assert_array_equal(report.bits, alice)
    assert report.frames == 20
    assert report.corrected_errors == np.count_nonzero(alice != bob)
    assert 1.0 < report.efficiency <= most


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("qber", "most"), EFFICIENCIES)
def test_of_three_thousand_frames_none_fails(qber: float, most: float) -> None:
    """No failure in 3000 frames bounds the frame error rate below 1e-3 at 95 % (rule of three)."""
    leaked = failed = 0
    for part in range(50):
        alice, bob = keys(60, qber, seed=100 + part)
        report = reconcile(alice, bob, qber, SeededEntropy(part))
        failed += int(np.count_nonzero((report.bits != alice).reshape(-1, FRAME).any(axis=1)))
        leaked += report.leaked_bits
    entropy = -qber * np.log2(qber) - (1 - qber) * np.log2(1 - qber)
    assert failed == 0
    assert leaked / (3_000 * FRAME * entropy) <= most


@pytest.mark.parametrize("qber", [0.012, 0.0138, 0.0142, 0.022, 0.025, 0.028, 0.0345, 0.0355, 0.045, 0.065, 0.09])
def test_between_the_tuned_rates_the_leak_stays_low(qber: float) -> None:
    alice, bob = keys(8, qber, seed=11)
    report = reconcile(alice, bob, qber, SeededEntropy(11))
    np.testing.assert_array_equal(report.bits, alice)
    assert report.efficiency <= 1.055


@pytest.mark.parametrize("qber", [0.01, 0.02, 0.03, 0.05, 0.08, 0.11])
def test_few_messages_cost_little_leak(qber: float) -> None:
    """A message is a request with its answer; 20 frames share each."""
    alice, bob = keys(20, qber, seed=13)
    report = reconcile(alice, bob, qber, SeededEntropy(13), low_message=True)
    np.testing.assert_array_equal(report.bits, alice)
    assert report.messages <= 200
    assert report.efficiency <= 1.06
    assert report.messages < 0.8 * reconcile(alice, bob, qber, SeededEntropy(13)).messages


@pytest.mark.parametrize("qber", [0.0, 1e-5, 0.001, 0.25, 0.5])
def test_few_messages_are_possible_at_any_error_rate(qber: float) -> None:
    alice, bob = (bits[:10_000] for bits in keys(1, qber, seed=17))
    report = reconcile(alice, bob, qber, SeededEntropy(17), low_message=True)
    assert report.exhausted_frames or np.array_equal(report.bits, alice)
