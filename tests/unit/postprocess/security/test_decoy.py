"""The one-decoy link model and its optimum against the figures of Rusca et al. 2018."""

import math

import pytest

from faintlink.core.errors import ConfigError
from faintlink.postprocess.security import registry
from faintlink.postprocess.security.decoy import (
    DecoySettings,
    LinkModel,
    climbable_rate,
    expected_block,
    maximise,
    optimise_rusca,
    whole_counts,
)

SETTINGS = DecoySettings(p_z=0.884, p_mu1=0.696, mu1=0.505, mu2=0.154)

# Optimum key rates in bit/s with the parameters of App. B, computed once from the paper's formulas by an optimiser
# of another code. Key-basis detections of a block -> loss in dB -> rate.
OPTIMUM_BPS = {
    10**5: {10: 1.066e6, 20: 1.517e5, 30: 1.591e4, 40: 1.572e3, 50: 132.7},
    10**7: {10: 2.306e6, 20: 4.467e5, 26: 1.240e5, 30: 5.046e4, 40: 5.074e3, 50: 468.6, 60: 16.97},
    10**9: {10: 2.855e6, 20: 6.386e5, 26: 1.8465e5, 30: 7.594e4, 40: 7.706e3, 50: 728.0, 60: 35.9},
}


@pytest.mark.parametrize(
    ("n_z", "loss_db", "rate_bps"),
    [(n_z, loss, rate) for n_z, row in OPTIMUM_BPS.items() for loss, rate in row.items()],
)
def test_the_optimum_table_is_met_within_half_a_percent(n_z: int, loss_db: float, rate_bps: float) -> None:
    assert optimise_rusca(LinkModel(loss_db), n_z).key_rate_bps == pytest.approx(rate_bps, rel=5e-3)


def test_the_optimum_at_40_db_lies_where_the_reference_found_it() -> None:
    point = optimise_rusca(LinkModel(40.0), 10**7)
    assert point.p_key_basis == pytest.approx(0.884, abs=0.003)
    assert point.inputs.probabilities[0] == pytest.approx(0.696, abs=0.003)
    assert point.inputs.intensities == pytest.approx((0.505, 0.154), abs=0.003)


@pytest.mark.parametrize("n_z", [10**7, 10**9])
def test_no_settings_give_key_at_65_db_and_the_point_says_why(n_z: int) -> None:
    point = optimise_rusca(LinkModel(65.0), n_z)
    assert point.result.length == 0
    assert point.key_rate_bps == 0.0
    assert point.result.refusal


def test_a_small_block_gives_next_to_nothing_at_60_db() -> None:
    # The table has 0 there; a search that lets the key basis become the rarer one finds under 1 bit/s.
    assert optimise_rusca(LinkModel(60.0), 10**5).key_rate_bps < 1.0


def test_the_point_holds_what_the_registered_bound_says_to_its_counts() -> None:
    point = optimise_rusca(LinkModel(20.0), 10**6)
    assert registry.get("rusca2018").evaluate(point.inputs) == point.result
    assert sum(point.inputs.counts.n_key) == pytest.approx(10**6, abs=2)
    assert point.block_s == pytest.approx(point.pulses / 1e9)


def test_expected_counts_follow_the_equations_of_app_b() -> None:
    link = LinkModel(40.0, dead_time_ps=0.0)
    block, pulses = expected_block(link, SETTINGS, 1e7, eps_sec=1e-9, eps_cor=1e-15)
    eta = 0.5e-4
    click = 1 - math.exp(-0.505 * eta) + 1e-8
    assert block.n_key[0] == pytest.approx(pulses * 0.884**2 * 0.696 * click, rel=1e-9)
    assert block.n_test[0] == pytest.approx(pulses * 0.116**2 * 0.696 * click, rel=1e-9)
    wrong = (1 - math.exp(-0.505 * eta)) * 0.01 + 0.5e-8
    assert block.m_test[0] / block.n_test[0] == pytest.approx(wrong / click, rel=1e-9)
    assert sum(block.n_key) == pytest.approx(1e7)


def test_dead_time_makes_a_block_take_longer_by_the_live_fraction() -> None:
    _, free = expected_block(LinkModel(10.0, dead_time_ps=0.0), SETTINGS, 1e7, eps_sec=1e-9, eps_cor=1e-15)
    _, dead = expected_block(LinkModel(10.0), SETTINGS, 1e7, eps_sec=1e-9, eps_cor=1e-15)
    detections_hz = 1e7 / (free / 1e9)
    assert dead / free == pytest.approx(1 + detections_hz * 100e-9)


def test_whole_counts_round_the_leak_up() -> None:
    block, _ = expected_block(LinkModel(40.0), SETTINGS, 1e5, eps_sec=1e-9, eps_cor=1e-15)
    given = whole_counts(block)
    assert given.leak_ec == math.ceil(block.leak_ec)
    assert all(abs(a - b) <= 0.5 for a, b in zip(given.counts.n_key, block.n_key, strict=True))


def test_more_loss_never_gives_more_key() -> None:
    rates = [optimise_rusca(LinkModel(float(loss)), 10**6).key_rate_bps for loss in range(5, 65, 10)]
    assert rates == sorted(rates, reverse=True)


def test_the_search_finds_the_top_of_a_kinked_hill() -> None:
    top = maximise(lambda x: 1.0 - abs(x[0] - 0.3) - abs(x[1] - 0.6), [(0.1, 0.1), (0.5, 0.5)], [(0, 1), (0, 1)])
    assert top == pytest.approx((0.3, 0.6), abs=1e-3)


def test_a_negative_length_rises_towards_key_whatever_the_pulses() -> None:
    assert climbable_rate(-10.0, 1.0) == climbable_rate(-10.0, 1e12) < climbable_rate(-5.0, 1.0) < 0.0


def test_every_fault_of_a_link_is_reported_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        LinkModel(-1.0, detector_efficiency=0.0, f_ec=0.5)
    assert len(caught.value.fields["faults"]) == 3
