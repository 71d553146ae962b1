"""Entangled pairs on the mock bench against formulas; tolerances in sigma."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from faintlink.instruments.mocks.pairs import pair_table
from faintlink.instruments.mocks.state import Attack, BenchState, DetectorState, LinkState, PairState

MakeTable = Callable[..., BenchState]
Simulate = Callable[..., Any]


def _coincidences(simulate: Simulate, state: BenchState, seconds: float) -> tuple[Any, Any]:
    """Return (Alice's channels, Bob's channels) of photons of the same pair."""
    alice = simulate(state, steps_s=(seconds,), receiver="alice")
    bob = simulate(state, steps_s=(seconds,), receiver="bob")
    _, of_alice, of_bob = np.intersect1d(alice.truth.slot, bob.truth.slot, return_indices=True)
    return alice.channels[of_alice] - 1, bob.channels[of_bob] - 1


@pytest.mark.parametrize("state", list(PairState))
@pytest.mark.parametrize("attack", list(Attack))
def test_the_joint_probabilities_add_up_to_one(table: MakeTable, state: PairState, attack: Attack) -> None:
    bench = table("bbm92", link=LinkState(length_km=10.0, rotation_deg=20.0, visibility=0.9), split=0.7)
    bench = replace(bench, attack=attack, attack_fraction=0.5, pairs=replace(bench.pairs, state=state))
    joint = pair_table(bench, time_s=0.0)
    assert joint.sum() == pytest.approx(1.0)
    assert joint.min() >= 0.0


def test_singles_and_coincidences_come_at_their_rates(table: MakeTable, simulate: Simulate) -> None:
    """R eta_A, R eta_B and R eta_A eta_B; four sigma of Poisson numbers."""
    state = table("bbm92", link=LinkState(length_km=10.0))
    alice = simulate(state, steps_s=(0.5,), receiver="alice").times_ps.size
    bob = simulate(state, steps_s=(0.5,), receiver="bob").times_ps.size
    both = _coincidences(simulate, state, 0.5)[0].size
    eta_a, eta_b = 0.2 * 10**-0.3, 0.2 * 10**-0.2
    for seen, chance in ((alice, eta_a), (bob, eta_b), (both, eta_a * eta_b)):
        assert abs(seen - 5e5 * chance) < 4 * math.sqrt(5e5 * chance)


@pytest.mark.parametrize(("bell", "flips"), [(PairState.PHI_PLUS, 0), (PairState.PSI_MINUS, 1)])
def test_equal_bases_give_the_visibility_of_the_state(
    table: MakeTable, simulate: Simulate, bell: PairState, flips: int
) -> None:
    """Errors (1 - V) / 2 in each basis, unequal bases uncorrelated; four sigma of binomials."""
    state = table("bbm92", link=LinkState(length_km=0.0, visibility=0.9))
    state = replace(state, pairs=replace(state.pairs, state=bell, pair_rate_hz=5e6))
    alice, bob = _coincidences(simulate, state, 0.5)
    differ = (alice ^ bob ^ flips) & 1
    for basis in (0, 1):
        matched = (alice >> 1 == basis) & (bob >> 1 == basis)
        bits, errors = int(matched.sum()), int(differ[matched].sum())
        assert bits > 5000
        assert abs(errors - 0.05 * bits) < 4 * math.sqrt(bits * 0.05 * 0.95)
    crossed = alice >> 1 != bob >> 1
    assert abs(int(differ[crossed].sum()) - 0.5 * crossed.sum()) < 4 * math.sqrt(0.25 * crossed.sum())


@pytest.mark.parametrize(("attack", "rate"), [(Attack.INTERCEPT_RESEND, 0.25), (Attack.SCRAMBLE, 0.5)])
def test_an_attack_on_bobs_arm_breaks_the_correlation(
    table: MakeTable, simulate: Simulate, attack: Attack, rate: float
) -> None:
    """Four sigma of a binomial."""
    state = replace(table("bbm92"), attack=attack, attack_fraction=0.6)
    alice, bob = _coincidences(simulate, state, 1.0)
    matched = alice >> 1 == bob >> 1
    bits, errors = int(matched.sum()), int(((alice ^ bob) & 1)[matched].sum())
    expected = rate * 0.6
    assert abs(errors - expected * bits) < 4 * math.sqrt(bits * expected * (1 - expected))


def test_a_source_that_is_off_leaves_dark_counts(table: MakeTable, simulate: Simulate, ideal: DetectorState) -> None:
    """Four sigma of a Poisson number."""
    state = table("bbm92", detector=replace(ideal, dark_rate_hz=1000.0))
    got = simulate(replace(state, pairs=replace(state.pairs, enabled=False)), steps_s=(2.0,), receiver="alice")
    assert set(got.truth.cause) == {1}
    assert set(got.truth.slot) == {-1}
    assert abs(got.times_ps.size - 8000) < 4 * math.sqrt(8000)


def test_turned_polarization_in_bobs_arm_gives_sine_squared_errors(table: MakeTable) -> None:
    joint = pair_table(table("bbm92", link=LinkState(length_km=0.0, visibility=1.0, rotation_deg=15.0)), time_s=0.0)
    errors = joint[0, 1] / (joint[0, 0] + joint[0, 1])
    assert errors == pytest.approx(math.sin(math.radians(15.0)) ** 2)
