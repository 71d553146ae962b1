"""The bounds by name, and what each must bring."""

from dataclasses import replace

import pytest

from faintlink.core.errors import ConfigError
from faintlink.postprocess.security import registry

INTENSITIES = {"asymptotic": 0, "lim2014": 3, "rusca2018": 2, "tomamichel2012": 1, "tupkary2024": 3}
KINDS = {
    "asymptotic": "planning",
    "lim2014": "fixed",
    "rusca2018": "fixed",
    "tomamichel2012": "fixed",
    "tupkary2024": "variable",
}


def test_the_bounds_are_registered_each_with_its_kind() -> None:
    assert {name: registry.get(name).kind.value for name in registry.names()} == KINDS


@pytest.mark.parametrize("name", sorted(INTENSITIES))
def test_each_bound_says_what_a_reader_needs_to_judge_it(name: str) -> None:
    bound = registry.get(name)
    assert bound.name == name
    assert bound.intensities == INTENSITIES[name]
    assert "arXiv:" in bound.paper
    assert bound.equations
    assert bound.assumptions
    assert "n_key" in bound.key_basis


def test_an_unknown_name_is_refused_with_the_known_and_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown bound 'rusca'; known: asymptotic, lim2014, rusca2018") as caught:
        registry.get("rusca")
    assert caught.value.hint == "did you mean rusca2018?"


def test_a_name_near_none_points_to_the_list() -> None:
    with pytest.raises(ConfigError) as caught:
        registry.get("zzz")
    assert "--list" in caught.value.hint


def test_a_name_is_never_replaced() -> None:
    other = replace(registry.get("rusca2018"), paper="another")
    with pytest.raises(ConfigError, match="registered already"):
        registry.register(other)
    assert registry.get("rusca2018").paper != "another"


def test_a_site_adds_its_own_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_BOUNDS", dict(registry._BOUNDS))
    own = replace(registry.get("rusca2018"), name="site2026")
    assert registry.register(own) is own
    assert registry.register(own) is own
    assert registry.get("site2026") is own
