"""Reading the input of a bound: every fault is reported at once."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faintlink.core.errors import ConfigError
from faintlink.core.records import DecoyCounts
from faintlink.postprocess.security.inputs import BoundInput, from_json

GOOD: dict[str, Any] = {
    "n_key": [8875913, 1124087],
    "n_test": [165048, 20902],
    "m_key": [185856, 26055],
    "m_test": [3456, 484],
    "intensities": [0.51, 0.15],
    "probabilities": [0.7, 0.3],
    "leak_ec": 1776924,
    "eps_sec": 1e-9,
    "eps_cor": 1e-15,
}


def _read(**changes: object) -> BoundInput:
    return from_json(json.dumps({**GOOD, **changes}), "block.json")


def _without(*keys: str) -> str:
    return json.dumps({key: value for key, value in GOOD.items() if key not in keys})


def test_a_whole_object_is_read_field_by_field() -> None:
    given = _read(options={"cap_v1": True})
    assert given.counts == DecoyCounts((8875913, 1124087), (165048, 20902), (185856, 26055), (3456, 484))
    assert given.intensities == (0.51, 0.15)
    assert given.options == {"cap_v1": True}
    assert given.has_key_errors


def test_missing_key_errors_are_zeros_marked_as_not_measured() -> None:
    given = from_json(_without("m_key"), "block.json")
    assert given.counts.m_key == (0, 0)
    assert not given.has_key_errors


def test_intensities_may_be_absent() -> None:
    assert from_json(_without("intensities", "probabilities"), "block.json").intensities == ()


def test_every_fault_is_reported_at_once_with_the_file() -> None:
    changes = {
        "n_key": [-1, 2],
        "intensities": [0.15, 0.51],
        "leak_ec": 1.5,
        "eps_sec": 0,
        "extra": 1,
        "options": 3,
    }
    with pytest.raises(ConfigError) as caught:
        _read(**changes)
    text = str(caught.value)
    assert text.startswith("block.json: ")
    for words in (
        "n_key must be",
        "brightest first",
        "leak_ec must be",
        "eps_sec must lie",
        "extra",
        "options must",
    ):
        assert words in text
    assert len(caught.value.fields["faults"]) == 6


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n_key": []}, "n_key must be a non-empty list"),
        ({"n_key": [True, 1]}, "n_key must be a non-empty list of whole numbers"),
        ({"n_key": [1.0, 2]}, "n_key must be a non-empty list of whole numbers"),
        ({"n_key": [1, 2, 3]}, "one entry per intensity"),
        ({"m_test": [200_000, 1]}, "m_test exceeds n_test"),
        ({"m_key": None}, "m_key must be"),
        ({"intensities": [0.5, 0.5]}, "must differ"),
        ({"intensities": [0.5, float("nan")]}, "list of numbers"),
        ({"intensities": [500, 0.1]}, "mean photon numbers in 0..100"),
        ({"intensities": "0.5"}, "intensities must be a list"),
        ({"probabilities": [0.7, 0.2]}, "sum to 1, got 0.9"),
        ({"probabilities": [1.0, 0.0]}, "lie in"),
        ({"probabilities": [1.0]}, "same length"),
        ({"leak_ec": -1}, "leak_ec must be"),
        ({"leak_ec": True}, "leak_ec must be"),
        ({"eps_cor": 1}, "eps_cor must lie between 0 and 1"),
        ({"eps_sec": "1e-9"}, "eps_sec must lie"),
        ({"eps_sec": 10**400}, "eps_sec must lie"),
    ],
)
def test_a_single_fault_is_named(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        _read(**changes)


def test_a_missing_field_is_named() -> None:
    with pytest.raises(ConfigError, match="n_test is missing; eps_cor is missing"):
        from_json(_without("n_test", "eps_cor"), "block.json")


def test_a_field_that_stands_twice_is_refused() -> None:
    text = json.dumps(GOOD)[:-1] + ', "leak_ec": 0}'
    with pytest.raises(ConfigError, match="field leak_ec stands twice"):
        from_json(text, "block.json")


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '"x"', "1" * 5000])
def test_what_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"block\.json"):
        from_json(text, "block.json")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(list(GOOD)), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([*GOOD, "options", "other"]), json_values, max_size=6))
def test_any_object_is_read_or_refused_with_a_config_error(changes: dict[str, Any]) -> None:
    with contextlib.suppress(ConfigError):
        assert _read(**changes).leak_ec >= 0


def test_intensities_for_other_counts_are_refused() -> None:
    with pytest.raises(ConfigError, match="need one per entry of the counts, which have 1, got 2"):
        BoundInput(DecoyCounts.zero(1), (0.5, 0.1), (0.7, 0.3), 0, 1e-9, 1e-15)
