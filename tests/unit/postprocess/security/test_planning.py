"""Planned settings are the best ones, and what they give is what the bound says."""

import pytest

from faintlink.core.errors import ConfigError
from faintlink.postprocess.security import registry
from faintlink.postprocess.security.decoy import LinkModel, optimise_rusca
from faintlink.postprocess.security.planning import BLOCKS_S, RECIPES, Goal, as_configured, evaluate_at, plan

LINK = LinkModel(20.0, dark_count_probability=2e-7)


def test_every_registered_bound_can_be_planned_with() -> None:
    assert set(RECIPES) == set(registry.names())


def test_a_plan_of_the_one_decoy_bound_meets_the_optimum_table() -> None:
    # n_Z = 1e7 at 20 dB takes some seconds; the plan for that time gives the rate of the table.
    optimum = optimise_rusca(LinkModel(20.0), 10**7)
    point = plan("rusca2018", LinkModel(20.0), Goal(), block_s=optimum.block_s)
    assert point.key_rate_bps == pytest.approx(4.467e5, rel=5e-3)
    assert point.key_rate_bps >= optimum.key_rate_bps * 0.9999


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_no_small_change_of_the_settings_gives_more_key(name: str) -> None:
    point = plan(name, LINK, Goal(), block_s=10.0)
    recipe = RECIPES[name]
    for k, (low, high) in enumerate(recipe.limits):
        for factor in (0.97, 1.03):
            changed = list(point.choice)
            changed[k] = min(max(changed[k] * factor, low), high)
            other = evaluate_at(name, LINK, Goal(), block_s=point.block_s, choice=changed)
            assert other.key_rate_bps <= point.key_rate_bps * 1.0005


@pytest.mark.parametrize("name", ["lim2014", "rusca2018", "tomamichel2012"])
def test_a_search_from_a_neighbour_is_as_good_as_one_from_scratch(name: str) -> None:
    near = plan(name, LinkModel(16.0, dark_count_probability=2e-7), Goal(), block_s=10.0).choice
    cold, warm = (plan(name, LINK, Goal(), block_s=10.0, near=start) for start in (None, near))
    assert warm.key_rate_bps == pytest.approx(cold.key_rate_bps, rel=2e-3)


def test_the_point_holds_what_the_registered_bound_says_to_its_counts() -> None:
    point = plan("tupkary2024", LINK, Goal(options={"delta_eta": 0.01}), block_s=10.0)
    assert registry.get("tupkary2024").evaluate(point.inputs) == point.result
    assert point.key_rate_bps == point.result.length / 10.0
    assert plan("tupkary2024", LINK, Goal(), block_s=10.0).key_rate_bps > point.key_rate_bps


@pytest.mark.parametrize("name", ["lim2014", "rusca2018", "tupkary2024"])
def test_no_proven_bound_exceeds_the_infinite_block(name: str) -> None:
    assert plan(name, LINK, Goal(), block_s=3600.0).key_rate_bps < plan("asymptotic", LINK, Goal()).key_rate_bps


def test_the_chosen_block_is_the_shortest_that_is_nearly_as_good_as_the_best() -> None:
    point = plan("rusca2018", LINK, Goal())
    rates = {s: plan("rusca2018", LINK, Goal(), block_s=s).key_rate_bps for s in BLOCKS_S}
    good = [s for s in BLOCKS_S if rates[s] >= 0.9 * max(rates.values())]
    assert point.block_s == min(good)


def test_a_hopeless_link_gives_no_key_and_says_why() -> None:
    point = plan("rusca2018", LinkModel(80.0), Goal(), block_s=1.0)
    assert point.key_rate_bps == 0.0
    assert point.result.refusal


def test_present_settings_never_beat_the_planned_ones() -> None:
    now = as_configured("rusca2018", LINK, Goal(), block_s=10.0, p_key=0.85, mu=(0.5, 0.15), p=(0.7, 0.3))
    assert 0.0 < now.key_rate_bps < plan("rusca2018", LINK, Goal(), block_s=10.0).key_rate_bps


def test_an_unknown_bound_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown bound"):
        plan("rusca", LINK, Goal(), block_s=1.0)
