"""Each attack is noticed as often as the page of attacks says, and honest blocks are left alone.

Statistics: a case that must be noticed always is tried twice here and 100 times among the slow tests, where a
share of 0.99 may miss 5 (a chance of 5e-4 at 0.99). The figures of the page are of 200 blocks each.
"""

import numpy as np
import pytest

from faintlink.core.symbols import Basis
from faintlink.postprocess.qkd import decisions
from tests.attacks.cases import (
    CASES,
    DEAD_PS,
    HONEST,
    SHORT_HONEST,
    WORN,
    Case,
    after_gate,
    alarms,
    named,
    second_pulse,
    tally,
)
from tests.attacks.clicks import Light, attacked_link, watch

NOTICED = [case for case in CASES if case.least > 0.0]
NOT_NOTICED = [case for case in CASES if case.least == 0.0]


def name_of(case: Case) -> str:
    return case.name


@pytest.mark.parametrize("case", NOTICED, ids=name_of)
def test_an_attack_gives_no_key(case: Case) -> None:
    found = tally(case, 2)
    assert (found.noticed, found.keys) == (2, 0), found.reasons


@pytest.mark.slow
@pytest.mark.parametrize("case", NOTICED, ids=name_of)
def test_an_attack_gives_no_key_in_a_hundred_blocks(case: Case) -> None:
    found = tally(case, 100)
    assert found.keys <= (0 if case.least == 1.0 else 5), found.reasons


@pytest.mark.parametrize(
    "name",
    [
        "blinding, CW, dark rate unknown",
        "blinding, 10 % of the time, every 1 us, dark rate unknown",
        "blinding, 1 % of the time, every 1 us, dark rate known",
        "one detector at 90 % efficiency",
        "time shift, 25 ps on one detector",
    ],
)
def test_what_the_page_calls_a_gap_is_one(name: str) -> None:
    # If one of these starts to fail, the page promises too little: correct it.
    assert tally(named(name), 3).keys == 3


def test_honest_blocks_give_keys_and_no_alarm() -> None:
    found = tally(HONEST, 5)
    assert (found.keys, found.noticed) == (5, 0)
    assert found.mean_bits > 4_000


def test_no_monitor_objects_to_worn_devices() -> None:
    assert alarms(WORN, 20) == 0


def test_no_monitor_objects_to_200_short_honest_blocks() -> None:
    assert alarms(SHORT_HONEST, 200) == 0


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_less_than_one_of_ten_thousand_honest_blocks_is_objected_to() -> None:
    # No alarm among 36,887 blocks bounds the rate by 1e-4 with 97.5 % confidence.
    assert alarms(SHORT_HONEST, 40_000, seed=4) == 0


def length_without_leak(case: Case, number: int) -> int:
    """Return what the bound gives when reconciliation costs no more than tags and no monitor looks."""
    link = attacked_link(vetoes=False)
    policy = link.security
    counts = watch(case.attack(np.random.default_rng((5, number))), link).bits.counts(2)
    given = decisions.bound_input(
        counts,
        decisions.Disclosed(tag_bits=decisions.ATTEMPTS * 32),
        policy,
        intensities=(0.5, 0.15),
        probabilities=(0.5, 0.5),
    )
    return decisions.key_length(given, policy).length


def test_photon_number_splitting_leaves_no_single_photon_to_the_bound_in_a_hundred_blocks() -> None:
    case = named("PNS, all single photons blocked, bound alone")
    lengths = [length_without_leak(case, number) for number in range(100)]
    assert lengths == [0] * 100
    assert length_without_leak(HONEST, 1) > 7_000


def test_an_adversary_who_takes_part_shortens_the_key() -> None:
    # A tenth intercepted adds 2.5 % of errors: ten times what there was.
    link = attacked_link()
    honest = [watch(Light(photons=300_000).clicks(np.random.default_rng(k)), link).distil() for k in range(3)]
    light = Light(photons=300_000, resent=0.05)
    tapped = [watch(light.clicks(np.random.default_rng(k)), link).distil() for k in range(3)]
    assert all(0 < two.key_bits < 0.7 * one.key_bits for one, two in zip(honest, tapped, strict=True))


def test_clicks_behind_the_gate_are_no_detections() -> None:
    link = attacked_link()
    clicks = after_gate(1.0)(np.random.default_rng(1))
    clicks = clicks.keep(~clicks.is_dark)
    seen = watch(clicks, link)
    assert seen.arrivals.tags == seen.arrivals.outside == clicks.slots.size
    assert len(seen.bits) == 0


def repetition(dead_time_ps: int) -> tuple[float, float]:
    """Return the repetition of Bob's bits in Z and its error, under second pulses."""
    seen = watch(second_pulse(0.3)(np.random.default_rng(11)), attacked_link(dead_time_ps=dead_time_ps))
    [reading] = [one for one in seen.block.monitors if one.name == "repetition of bob's bits in Z"]
    assert np.count_nonzero(seen.bits.basis == Basis.Z) > 30_000
    return reading.value, reading.error


def test_the_common_dead_time_leaves_a_bit_independent_of_the_one_before() -> None:
    value, error = repetition(DEAD_PS)
    assert value < 3 * error


def test_without_the_common_dead_time_a_bit_tells_of_the_one_before() -> None:
    value, error = repetition(0)
    assert value > 0.08 > 20 * error


def test_a_double_click_is_never_discarded() -> None:
    clicks = Light(double=0.0, floor_hz=0.0).clicks(np.random.default_rng(1))
    both = clicks.and_also(clicks.slots, clicks.phases, clicks.outcomes ^ np.uint8(1))
    inside = np.unique(clicks.slots[np.abs(clicks.phases) <= 500]).size
    seen = watch(both, attacked_link())
    assert seen.arrivals.events == seen.arrivals.multi == inside
    # Its bit is a fair coin: 5 sigma of 36,000 bits is 0.013.
    key = seen.bits.in_basis(Basis.Z)
    assert abs(float(np.mean(key.alice == key.bob)) - 0.5) < 0.014
    assert abs(float(key.bob.mean()) - 0.5) < 0.014


@pytest.mark.parametrize("outcome", range(4))
@pytest.mark.parametrize("is_on", [True, False])
def test_a_stuck_detector_is_found_in_its_first_block(outcome: int, is_on: bool) -> None:
    clicks = Light().clicks(np.random.default_rng(outcome))
    if is_on:
        at = np.random.default_rng(outcome).choice(clicks.setting_slots, 50_000)
        clicks = clicks.and_also(at, np.zeros(at.size, np.int32), np.full(at.size, outcome, np.uint8))
    else:
        clicks = clicks.keep(clicks.outcomes != outcome)
    basis = "ZX"[outcome // 2]
    assert f"imbalance of bob's {basis} detectors" in watch(clicks, attacked_link()).objections


def test_a_lowered_rate_makes_no_key_in_a_hundred_blocks_and_says_what_to_do() -> None:
    case = named("rate and darks lowered to 1 %")
    found = tally(case, 100, seed=6)
    assert (found.keys, found.reasons) == (0, ("NotEnoughSignalsError",))
    result = watch(case.attack(np.random.default_rng(1)), attacked_link()).distil()
    assert "longer blocks" in str(result.refusal)
    assert result.ledger.parts == ()
