"""The command ``faintlink bound``."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from faintlink.core.errors import ConfigError
from faintlink.postprocess.commands.bound import bound

BLOCK: dict[str, object] = {
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


@pytest.fixture
def block_path(tmp_path: Path) -> Path:
    path = tmp_path / "block.json"
    path.write_text(json.dumps(BLOCK))
    return path


def test_the_tables_show_every_term_the_length_the_paper_and_the_epsilons(block_path: Path) -> None:
    answer = CliRunner().invoke(bound, ["rusca2018", str(block_path)], catch_exceptions=False)
    assert answer.exit_code == 0
    for words in ("s_key1_lower", "5396516.269", "length   1464719 bits", "arXiv:1801.03443", "assumes", "nu"):
        assert words in answer.output
    assert "1.000001e-09" in answer.output
    assert "no key" not in answer.output


def test_json_from_standard_input_gives_one_object_with_the_ledger() -> None:
    answer = CliRunner().invoke(bound, ["rusca2018", "-", "--json"], input=json.dumps(BLOCK), catch_exceptions=False)
    seen = json.loads(answer.output)
    assert (seen["name"], seen["length"], seen["refusal"]) == ("rusca2018", 1464719, "")
    assert list(seen["terms"])[-1] == "length_unfloored"
    assert len(seen["epsilon"]["parts"]) == 7
    assert seen["epsilon"]["total"] == pytest.approx(1e-9 + 1e-15, rel=1e-15)


def test_no_key_is_an_answer_and_its_reason_is_printed(tmp_path: Path) -> None:
    path = tmp_path / "block.json"
    path.write_text(json.dumps({**BLOCK, "leak_ec": 10**10}))
    answer = CliRunner().invoke(bound, ["rusca2018", str(path)], catch_exceptions=False)
    assert answer.exit_code == 0
    assert "length   0 bits" in answer.output
    assert "no key   Reconciliation revealed 10000000000 bits" in answer.output


@pytest.mark.parametrize("extra", [[], ["--json"]])
def test_the_list_names_every_bound(extra: list[str]) -> None:
    answer = CliRunner().invoke(bound, ["--list", *extra], catch_exceptions=False)
    assert answer.exit_code == 0
    for name in ("lim2014", "rusca2018", "tomamichel2012"):
        assert name in answer.output


def test_an_unknown_bound_is_the_error_of_the_library(block_path: Path) -> None:
    answer = CliRunner().invoke(bound, ["rusca", str(block_path)])
    assert isinstance(answer.exception, ConfigError)


def test_counts_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "block.bin"
    path.write_bytes(b"\xff\xfe\x00")
    answer = CliRunner().invoke(bound, ["rusca2018", str(path)])
    assert isinstance(answer.exception, ConfigError)
    assert "UTF-8" in str(answer.exception)


def test_a_call_without_counts_explains_itself() -> None:
    answer = CliRunner().invoke(bound, ["rusca2018"])
    assert answer.exit_code == 2
    assert "--list" in answer.output


def test_the_example_of_the_help_is_one_that_the_command_reads() -> None:
    text = CliRunner().invoke(bound, ["--help"]).output
    example = text[text.index("{") : text.rindex("}") + 1]
    answer = CliRunner().invoke(bound, ["rusca2018", "-", "--json"], input=example, catch_exceptions=False)
    assert json.loads(answer.output)["length"] == 1464719


def test_importing_the_command_loads_no_mathematics() -> None:
    code = (
        "import sys, faintlink.postprocess.commands.bound; "
        "print([m for m in ('mpmath', 'scipy', 'numpy', 'rich') if m in sys.modules])"
    )
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == "[]"
