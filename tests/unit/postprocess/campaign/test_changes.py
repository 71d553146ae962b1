"""Parameters of a link changed by dotted names."""

from typing import Any

import pytest

from faintlink.core.config.link import config_sha256
from faintlink.core.errors import ConfigError
from faintlink.postprocess.campaign.changes import Change, changed, parse_settings
from tests.pulses import small_link


def test_values_are_read_as_in_a_link_file() -> None:
    texts = ["a.b=300", "c=1e-9", "d=[0.5, 0.1]", "e=asymptotic", "f=true", "g="]
    assert parse_settings(texts) == {"a.b": 300, "c": 1e-9, "d": [0.5, 0.1], "e": "asymptotic", "f": True, "g": None}


@pytest.mark.parametrize("texts", [["a"], ["=3"], ["a=1", "a=2"], ["a={"], ["a=1\nb: 2"]])
def test_what_is_no_setting_is_refused(texts: list[str]) -> None:
    with pytest.raises(ConfigError):
        parse_settings(texts)


def test_a_parameter_is_changed_and_the_old_value_told() -> None:
    link, changes = changed(small_link(), {"gate.half_width_ps": 300})
    assert link.gate.half_width_ps == 300
    assert changes == (Change("gate.half_width_ps", 1000, 300),)


def test_the_given_link_stays_as_it_was() -> None:
    link = small_link()
    before = config_sha256(link)
    changed(link, {"gate.half_width_ps": 300})
    assert config_sha256(link) == before


def test_a_value_equal_to_the_old_one_is_no_change() -> None:
    link, changes = changed(small_link(), {"gate.half_width_ps": 1000})
    assert link == small_link()
    assert changes == ()


@pytest.mark.parametrize(
    ("name", "value", "was"),
    [
        ("receivers.bob.dead_time_ps", 5, 0),
        ("receivers.bob.channels.3.detector", 7, None),
        ("source.intensities.0", 0.4, 0.5),
        ("security.options.cap_v1", False, None),
    ],
)
def test_names_reach_into_lists_tables_and_options(name: str, value: Any, was: Any) -> None:
    _, changes = changed(small_link(), {name: value})
    assert changes == (Change(name, was, value),)


def test_an_absent_section_can_be_filled_in() -> None:
    settings: dict[str, Any] = {"security.length": "fixed"}
    settings |= {f"security.acceptance.{name}": 9 for name in ("n_min", "s1_min", "leak_max")}
    link, _ = changed(small_link(), {**settings, "security.acceptance.phi_max": 0.1})
    assert link.security.acceptance is not None
    assert link.security.acceptance.phi_max == 0.1


def test_a_misspelt_name_gets_the_nearest_one_as_a_hint() -> None:
    with pytest.raises(ConfigError, match=r"no 'half_width'") as caught:
        changed(small_link(), {"gate.half_width": 300})
    assert "half_width_ps" in caught.value.hint


@pytest.mark.parametrize("name", ["nothing", "gate.half_width_ps.more", "source.intensities.7", ""])
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        changed(small_link(), {name: 1})


def test_a_value_that_a_link_file_may_not_hold_is_refused_with_its_name() -> None:
    with pytest.raises(ConfigError, match=r"gate\.half_width_ps") as caught:
        changed(small_link(), {"gate.half_width_ps": -1, "security.max_qber": "high"})
    assert len(caught.value.fields["faults"]) == 2
