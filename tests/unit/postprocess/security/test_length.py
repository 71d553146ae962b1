"""Who may decide on the length of a key."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from faintlink.core.config.link import Acceptance, SecurityPolicy
from faintlink.core.errors import ConfigError
from faintlink.postprocess.security import registry
from faintlink.postprocess.security.inputs import BoundInput
from faintlink.postprocess.security.length import LABELS, check_length, decide, fixed_length

MakeInput = Callable[..., BoundInput]
# Below what vector V1 proves: s_Z1 = 5396516.3, phi = 0.07917, leak 1776924.
ACCEPTANCE = {"n_min": 9_900_000, "s1_min": 5_300_000, "phi_max": 0.085, "leak_max": 1_800_000}
FIXED = [name for name in registry.names() if registry.get(name).kind == "fixed"]


def policy(bound: str = "rusca2018", **security: Any) -> SecurityPolicy:
    return SecurityPolicy(bound=bound, **security)


@pytest.mark.parametrize("name", FIXED)
def test_a_fixed_length_bound_is_not_fed_observed_counts(name: str) -> None:
    with pytest.raises(ConfigError, match="fixed before the block") as caught:
        check_length(registry.get(name), policy(name))
    assert "legacy" in caught.value.hint


@pytest.mark.parametrize("length", ["variable", "legacy"])
def test_a_planning_formula_never_makes_key(length: str) -> None:
    with pytest.raises(ConfigError, match="planning only"):
        check_length(registry.get("asymptotic"), policy("asymptotic", length=length))


def test_a_planning_formula_offers_no_fixed_length() -> None:
    with pytest.raises(ConfigError, match="planning only"):
        check_length(registry.get("asymptotic"), policy("asymptotic", length="fixed", acceptance=ACCEPTANCE))


def test_a_variable_length_proof_is_not_called_legacy() -> None:
    with pytest.raises(ConfigError, match="label legacy would be wrong"):
        check_length(registry.get("tupkary2024"), policy("tupkary2024", length="legacy"))
    check_length(registry.get("tupkary2024"), policy("tupkary2024"))


def test_a_legacy_length_is_the_one_of_the_calculator_with_its_label(rusca_block: MakeInput) -> None:
    chosen = registry.get("rusca2018")
    result = decide(chosen, rusca_block(), policy(length="legacy"))
    assert result == replace(chosen.evaluate(rusca_block()), label=LABELS["legacy"])
    assert "outside the theorem" in result.label


def test_an_accepted_block_gives_the_agreed_length_whatever_its_counts(rusca_block: MakeInput) -> None:
    chosen, fixed = registry.get("rusca2018"), policy(length="fixed", acceptance=ACCEPTANCE)
    agreed = fixed_length(chosen, Acceptance.model_validate(ACCEPTANCE), eps_sec=1e-9, eps_cor=1e-15)
    entropy = -0.085 * math.log2(0.085) - 0.915 * math.log2(0.915)
    by_hand = 5_300_000 * (1 - entropy) - 1_800_000 - 6 * math.log2(19e9) - math.log2(2e15)
    assert agreed == math.floor(by_hand) > 1_000_000
    for block in (rusca_block(), rusca_block(m_test=(3400, 480)), rusca_block(leak_ec=1_000_000)):
        result = decide(chosen, block, fixed)
        assert (result.length, result.refusal, result.label) == (agreed, "", LABELS["fixed"])


@pytest.mark.parametrize(
    ("threshold", "value", "words"),
    [
        ("n_min", 10_000_001, "n_min is 10000001"),
        ("s1_min", 5_396_517, "s1_min is 5396517"),
        ("phi_max", 0.0791, "phi_max is 0.0791"),
        ("leak_max", 1_776_923, "leak_max is 1776923"),
    ],
)
def test_a_block_that_misses_one_threshold_gives_no_key(
    rusca_block: MakeInput, threshold: str, value: float, words: str
) -> None:
    acceptance = {**ACCEPTANCE, threshold: value}
    result = decide(registry.get("rusca2018"), rusca_block(), policy(length="fixed", acceptance=acceptance))
    assert result.length == 0
    assert words in result.refusal


def test_thresholds_that_leave_nothing_say_so(rusca_block: MakeInput) -> None:
    acceptance = {**ACCEPTANCE, "phi_max": 0.3}
    result = decide(registry.get("rusca2018"), rusca_block(), policy(length="fixed", acceptance=acceptance))
    assert result.length == 0
    assert "thresholds themselves" in result.refusal


@pytest.mark.parametrize("name", [*FIXED, "tupkary2024"])
def test_every_bound_with_a_proof_can_be_fixed(name: str) -> None:
    assert (
        fixed_length(registry.get(name), Acceptance.model_validate(ACCEPTANCE), eps_sec=1e-9, eps_cor=1e-15) > 1_000_000
    )


def test_the_agreed_length_never_exceeds_that_of_a_block_at_the_thresholds(pair_block: MakeInput) -> None:
    chosen, block = registry.get("tomamichel2012"), pair_block()
    phase = chosen.evaluate(block).terms["phase_error_upper"]
    acceptance = Acceptance(n_min=100_000, s1_min=100_000, phi_max=phase, leak_max=10_000)
    agreed = fixed_length(chosen, acceptance, eps_sec=1e-9, eps_cor=1e-15)
    assert agreed == chosen.evaluate(block).length


def test_a_poor_preparation_shortens_the_agreed_length(pair_block: MakeInput) -> None:
    acceptance = {"n_min": 100_000, "s1_min": 100_000, "phi_max": 0.08, "leak_max": 10_000}
    fixed = policy("tomamichel2012", length="fixed", acceptance=acceptance)
    chosen = registry.get("tomamichel2012")
    lengths = [decide(chosen, pair_block(preparation_quality=q), fixed).length for q in (1.0, 0.9)]
    assert lengths[0] - lengths[1] == pytest.approx(10_000, abs=1)


@pytest.mark.parametrize(
    "security",
    [
        {"length": "fixed"},
        {"acceptance": ACCEPTANCE},
        {"length": "legacy", "acceptance": ACCEPTANCE},
        {"length": "fixed", "acceptance": {**ACCEPTANCE, "n_min": 5}},
    ],
)
def test_a_policy_that_contradicts_itself_is_refused(security: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        policy(**security)
