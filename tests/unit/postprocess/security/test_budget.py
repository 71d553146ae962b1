"""One budget of a key: its parts never exceed what the policy allows."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faintlink.core.errors import ConfigError
from faintlink.core.records import DecoyCounts
from faintlink.postprocess.security import registry
from faintlink.postprocess.security.budget import EpsilonBudget
from faintlink.postprocess.security.inputs import BoundInput
from faintlink.postprocess.security.ledger import EpsilonKind, EpsilonLedger, EpsilonPart

MakeInput = Callable[..., BoundInput]
PROVEN = [name for name in registry.names() if registry.get(name).kind != "planning"]
epsilons = st.floats(1e-30, 1e-2)


def given_input(eps_sec: float, eps_cor: float) -> BoundInput:
    return BoundInput(DecoyCounts.zero(1), (), (), 0, eps_sec, eps_cor)


@given(st.sampled_from(PROVEN), epsilons, epsilons, st.just(0.0) | epsilons)
def test_every_bound_stays_within_the_policy(name: str, eps_sec: float, eps_cor: float, eps_auth: float) -> None:
    budget = EpsilonBudget.of(registry.get(name), given_input(eps_sec, eps_cor), eps_auth=eps_auth)
    total = budget.ledger.exact_total()
    assert total == sum((part.amount for part in budget.ledger.parts), Fraction(0))
    assert total <= budget.allowed == Fraction(eps_sec) + Fraction(eps_cor) + Fraction(eps_auth)
    assert Fraction(budget.ledger.total) >= total
    assert sum(budget.spent(kind) for kind in EpsilonKind) == total


@given(st.lists(st.tuples(st.floats(0, 1e-3), st.sampled_from(list(EpsilonKind))), max_size=12), epsilons)
def test_a_budget_exists_exactly_where_no_kind_is_overdrawn(
    amounts: list[tuple[float, EpsilonKind]], most: float
) -> None:
    ledger = EpsilonLedger(tuple(EpsilonPart("part", value, "source", kind) for value, kind in amounts))
    sums = [sum(Fraction(value) for value, kind in amounts if kind is one) for one in EpsilonKind]
    limits = (Fraction(most),) * 3
    if all(spent <= Fraction(most) for spent in sums):
        assert EpsilonBudget(ledger, *limits).ledger.exact_total() <= 3 * Fraction(most)
    else:
        with pytest.raises(ConfigError, match="budget exceeded"):
            EpsilonBudget(ledger, *limits)


def test_authentication_is_a_part_only_where_it_is_counted() -> None:
    chosen = registry.get("tomamichel2012")
    assert EpsilonBudget.of(chosen, given_input(1e-9, 1e-15)).ledger.authentication == 0.0
    assert EpsilonBudget.of(chosen, given_input(1e-9, 1e-15), eps_auth=1e-12).ledger.authentication == 1e-12


def test_a_bound_that_overspends_is_refused() -> None:
    greedy = replace(registry.get("tomamichel2012"), epsilon_parts=lambda given: (EpsilonPart("all", 2e-9, "site"),))
    with pytest.raises(ConfigError, match="secrecy takes 2e-09 of 1e-09"):
        EpsilonBudget.of(greedy, given_input(1e-9, 1e-15))


def test_the_asymptotic_rate_fits_no_budget() -> None:
    with pytest.raises(ConfigError, match="secrecy takes 1 of 1e-09"):
        EpsilonBudget.of(registry.get("asymptotic"), given_input(1e-9, 1e-15))
