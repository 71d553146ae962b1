"""Keys of a simulated network are neither made of nothing nor given twice, and find their way around mishaps."""

import numpy as np
import pytest

from faintlink.core.errors import ConfigError
from faintlink.delivery.network.simulation import History, simulate
from faintlink.delivery.relay.supply import units_per_hop
from tests.unit.delivery.network.networks import DEVICES, network, rates

PLAIN = """
simulation:
  duration_s: 100
  seed: 3
  share_reserve: 50
  demands:
    - {between: [a, b], keys_per_s: 2}
    - {between: [a, c], keys_per_s: 2}
"""
AMPLE = [1_000_000] * 4


def run(mishaps: str = "", bits: list[int] | None = None, **about: int) -> History:
    of = network(PLAIN + mishaps)
    return simulate(of, rates(of, bits or AMPLE, **about))


def test_what_was_made_is_left_used_or_was_not_kept() -> None:
    history = run(bits=[400_000, 50_000, 30_000_000, 100_000])
    left = history.own_bits[-1] + history.reserve_bits[-1]
    np.testing.assert_array_equal(history.made_bits.sum(0), left + history.used_bits.sum(0) + history.lost_bits.sum(0))
    assert (history.own_bits >= 0).all()
    assert (history.reserve_bits >= 0).all()
    assert history.lost_bits.sum() > 0


def test_every_request_is_answered_in_one_way() -> None:
    history = run(bits=[4_000] * 4)
    np.testing.assert_array_equal(history.asked, history.direct + history.relayed + history.rerouted + history.refused)
    assert (history.refused >= 0).all()
    assert history.refused[11:].sum() > 0, "4 kbit a block do not cover the demand"


def test_the_same_seed_gives_the_same_history_and_another_one_another() -> None:
    one, two = run(), run()
    np.testing.assert_array_equal(one.asked, two.asked)
    np.testing.assert_array_equal(one.reserve_bits, two.reserve_bits)
    of = network(PLAIN.replace("seed: 3", "seed: 4"))
    assert (simulate(of, rates(of, AMPLE)).asked != one.asked).any()


def test_neighbours_use_their_link_and_others_the_shortest_route() -> None:
    history = run()
    later = slice(10, None)
    assert history.direct[later, 0].sum() == history.asked[later, 0].sum() > 100
    assert history.relayed[later, 1].sum() == history.asked[later, 1].sum() > 100
    assert history.used_bits[:, 2:].sum() == 0, "a - b - c comes before a - d - c"


def test_a_relayed_request_costs_on_each_hop_what_the_relay_takes() -> None:
    history = run()
    keys = history.relayed[:, 1]
    expected = sum(256 * units_per_hop(int(number), 256) for number in keys if number)
    assert history.used_bits[:, 1].sum() == expected


def test_nothing_is_given_before_the_first_block_is_full() -> None:
    history = run()
    assert history.direct[:9].sum() == history.relayed[:9].sum() == 0
    assert history.made_bits[:9].sum() == 0
    assert history.made_bits[9].sum() == sum(AMPLE)


def test_an_outage_stops_a_links_key_and_sends_keys_around_it() -> None:
    history = run("  mishaps: [{kind: outage, link: [b, c], from_s: 40, to_s: 80}]\n")
    assert history.made_bits[39, 1] == history.made_bits[89, 1] == 1_000_000
    assert history.made_bits[40:80, 1].sum() == 0
    assert history.relayed[40:80, 1].sum() == 0
    assert history.rerouted[40:80, 1].sum() == history.asked[40:80, 1].sum() > 0
    assert history.relayed[80:, 1].sum() > 0
    assert history.used_bits[40:80, 1].sum() == 0


def test_a_block_that_an_outage_cut_brings_the_part_that_was_recorded() -> None:
    history = run("  mishaps: [{kind: outage, link: [b, c], from_s: 43, to_s: 47}]\n")
    assert history.made_bits[49, 1] == 600_000


def test_an_attack_stops_the_key_but_not_the_messages() -> None:
    history = run("  mishaps: [{kind: attack, link: [b, c], from_s: 41, to_s: 69}]\n", attacked=0)
    assert history.made_bits[49, 1] == history.made_bits[59, 1] == history.made_bits[69, 1] == 0
    assert history.made_bits[39, 1] == history.made_bits[79, 1] == 1_000_000
    assert history.relayed[41:69, 1].sum() == history.asked[41:69, 1].sum(), "the pool lasts"


def test_an_empty_pool_sends_keys_around() -> None:
    history = run(bits=[1_000_000, 8_000, 1_000_000, 1_000_000])
    assert history.rerouted[20:, 1].sum() > history.relayed[20:, 1].sum() > 0
    assert history.refused[20:, 1].sum() == 0


def test_neighbours_whose_pool_is_empty_get_relayed_keys() -> None:
    history = run(bits=[0, 1_000_000, 1_000_000, 1_000_000])
    assert history.direct.sum() == 0
    assert history.rerouted[20:, 0].sum() == history.asked[20:, 0].sum()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (PLAIN.replace("[a, b]", "[a, x]"), "demand a - x: unknown site x"),
        (PLAIN.replace("[a, b]", "[a, a]"), "demand a - a: its ends are one site"),
        (
            PLAIN + "  mishaps: [{kind: outage, link: [a, c], from_s: 1, to_s: 2}]\n",
            "outage of a - c: there is no",
        ),
        (PLAIN + "  mishaps: [{kind: attack, link: [a, b], from_s: 2, to_s: 2}]\n", "ends before it begins"),
        (PLAIN + "  mishaps: [{kind: flood, link: [a, b], from_s: 1, to_s: 2}]\n", "outage"),
        (PLAIN.replace("duration_s: 100", "duration_s: 0"), "duration_s"),
    ],
)
def test_a_simulation_that_cannot_run_is_refused_with_its_fault(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        network(text)


def test_links_of_a_protocol_without_devices_are_refused() -> None:
    with pytest.raises(ConfigError, match="devices: none for bbm92"):
        network(PLAIN, devices=DEVICES[: DEVICES.index("  bbm92")])
