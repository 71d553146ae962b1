"""Key rates of a network come from the planner and the bounds of its links."""

import pytest

from faintlink.delivery.network.rates import intercepted, link_rates
from faintlink.postprocess.security.decoy import LinkModel
from faintlink.postprocess.security.planning import Goal, plan
from tests.unit.delivery.network.networks import network

SIMULATION = """
simulation:
  duration_s: 100
  demands: [{between: [a, b], keys_per_s: 1}]
  mishaps:
    - {kind: attack, link: [a, b], from_s: 10, to_s: 20, intercepted: 0.1}
    - {kind: attack, link: [b, a], from_s: 30, to_s: 40}
    - {kind: attack, link: [c, d], from_s: 30, to_s: 40, intercepted: 0.02}
    - {kind: outage, link: [b, c], from_s: 30, to_s: 40}
"""


def test_a_link_makes_what_the_planner_says_to_its_loss_and_devices() -> None:
    ab, _, cd, _ = link_rates(network(SIMULATION))
    decoy = LinkModel(2.0, detector_efficiency=0.1, dark_count_probability=1e-6, pulse_rate_hz=80e6)
    assert ab.rate_bps == plan("rusca2018", decoy, Goal(), block_s=10.0).key_rate_bps
    pairs = LinkModel(
        2.0,
        detector_efficiency=0.2,
        dark_count_probability=1.2e-6,
        pulse_rate_hz=8e8,
        dead_time_ps=50_000.0,
    )
    assert cd.rate_bps == pytest.approx(plan("tomamichel2012", pairs, Goal(), block_s=10.0).key_rate_bps)
    assert ab.rate_bps > 0
    assert cd.rate_bps > 0
    assert ab.loss_db == pytest.approx(2.0)


def test_the_bound_itself_refuses_key_to_the_link_whose_every_pulse_is_intercepted() -> None:
    ab = link_rates(network(SIMULATION))[0]
    assert ab.attacked_bits == 0
    assert ab.attacked_qber == pytest.approx(0.255, abs=0.005), "a quarter of the bits is wrong, and some of the rest"
    assert ab.refusal


def test_a_weak_attack_costs_some_of_the_key_and_an_outage_none_of_its_rate() -> None:
    _, bc, cd, da = link_rates(network(SIMULATION))
    assert 0 < cd.attacked_bits < cd.block_bits
    assert bc.attacked_bits == bc.block_bits
    assert da.attacked_qber == da.qber


@pytest.mark.parametrize(("share", "error"), [(0.0, 0.02), (1.0, 0.26), (0.5, 0.14)])
def test_interception_adds_a_quarter_of_errors(share: float, error: float) -> None:
    assert intercepted(0.02, share) == pytest.approx(error)
