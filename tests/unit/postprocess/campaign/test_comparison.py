"""Two analyses side by side."""

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest

from faintlink.core.entropy import SeededEntropy
from faintlink.core.errors import SchemaError
from faintlink.core.runfile.folder import open_run
from faintlink.postprocess.campaign.comparison import compare, load_analysis, poisson_sigma, proportions_sigma
from faintlink.postprocess.commands.compare import compare as command
from faintlink.postprocess.pipeline import process
from faintlink.postprocess.report.document import analysis_document
from tests.campaigns import call, write_runs
from tests.pulses import small_link


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    run = open_run([write_runs(tmp_path_factory.mktemp("compare"), 1) / "run-001"])
    return analysis_document(process(run, small_link(), SeededEntropy(1)))


@pytest.fixture
def analysis(made: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(made)


def written(folder: Path, analysis: dict[str, Any]) -> Path:
    folder.mkdir()
    (folder / "analysis.json").write_text(json.dumps(analysis))
    return folder


def test_an_analysis_equals_itself(analysis: dict[str, Any]) -> None:
    found = compare(analysis, analysis)
    assert found.is_equal()
    assert found.is_same_run
    assert not [figure for figure in found.figures if figure.differs or figure.sigma]


def test_ids_of_keys_and_times_of_stages_do_not_count(analysis: dict[str, Any], made: dict[str, Any]) -> None:
    analysis["blocks"][0]["key_id"] = "another"
    analysis["blocks"][0]["stages"][0]["seconds"] = 99.0
    assert compare(analysis, made).is_equal()


def test_a_changed_parameter_is_named_with_both_values(analysis: dict[str, Any], made: dict[str, Any]) -> None:
    analysis["link"]["gate"]["half_width_ps"] = 300
    (one,) = compare(made, analysis).parameters
    assert (one.name, one.a, one.b) == ("gate.half_width_ps", 1000, 300)
    assert not compare(made, analysis).is_equal()


def test_a_refusal_on_one_side_is_a_difference(analysis: dict[str, Any], made: dict[str, Any]) -> None:
    analysis["blocks"][0]["refusal"] = {"kind": "MonitorVetoError", "reason": "", "hint": ""}
    found = compare(made, analysis)
    assert not found.is_equal()
    assert not found.is_equal(100.0)


def test_a_missing_block_is_a_difference(analysis: dict[str, Any], made: dict[str, Any]) -> None:
    analysis["blocks"] = []
    names = [figure.name for figure in compare(made, analysis).figures if figure.differs]
    assert names == ["block 0 key_bits"]


def test_figures_may_differ_within_the_given_sigma(analysis: dict[str, Any], made: dict[str, Any]) -> None:
    points = analysis["series"]["points"]
    points["key_errors"][0] += round(2.0 * math.sqrt(2 * sum(points["key_errors"])))
    found = compare(made, analysis)
    (one,) = [figure for figure in found.figures if figure.differs]
    assert one.name == "qber_key"
    assert one.sigma == pytest.approx(2.0, rel=0.05)
    assert [found.is_equal(limit) for limit in (None, 1.5, 2.5)] == [False, False, True]


def test_proportions_are_compared_with_the_pooled_variance() -> None:
    # By hand: p = 0.15, variance 0.15 * 0.85 * (1/100 + 1/100) = 0.00255.
    assert proportions_sigma(10, 100, 20, 100) == pytest.approx(0.1 / math.sqrt(0.00255))
    assert proportions_sigma(0, 100, 0, 50) == 0.0
    assert proportions_sigma(0, 0, 1, 5) is None


def test_rates_are_compared_by_their_counts() -> None:
    assert poisson_sigma(100, 1.0, 260, 2.0) == pytest.approx(30.0 / math.sqrt(100.0 + 65.0))
    assert poisson_sigma(0, 1.0, 0, 1.0) == 0.0
    assert poisson_sigma(5, 0.0, 5, 1.0) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "other/1"}'])
def test_what_is_no_analysis_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "analysis.json").write_text(text)
    with pytest.raises(SchemaError):
        load_analysis(tmp_path)


def test_an_analysis_that_lacks_a_part_is_refused(analysis: dict[str, Any], made: dict[str, Any]) -> None:
    del analysis["sift"]
    with pytest.raises(SchemaError, match="not whole"):
        compare(made, analysis)


def test_the_command_says_equal_with_0_and_different_with_8(
    analysis: dict[str, Any], made: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    analysis["link"]["gate"]["half_width_ps"] = 300
    a, b = written(tmp_path / "a", made), written(tmp_path / "b", analysis)
    same, other = call(capsys, command, a, a), call(capsys, command, a, b)
    assert (same.code, other.code) == (0, 8)
    assert "the two are equal" in same.out
    assert "gate.half_width_ps" in other.out


def test_the_command_gives_json(made: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = written(tmp_path / "a", made)
    document = json.loads(call(capsys, command, folder, folder, "--json").out)
    assert document["equal"] is True
    assert {"name", "a", "b", "sigma", "difference", "differs"} == set(document["figures"][0])
