"""The command ``faintlink plan``."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from faintlink.core.errors import ConfigError, RunExistsError
from faintlink.postprocess.commands.plan import plan
from tests.data import ROOT

DEMO = str(ROOT / "lab_configs" / "demo.link.yaml")
PAIRS = str(ROOT / "lab_configs" / "bbm92.link.yaml")


def planned(*arguments: str) -> Any:
    answer = CliRunner().invoke(plan, [*arguments, "--json"], catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.output)


def test_a_loss_alone_compares_every_bound() -> None:
    seen = planned("--loss", "20", "--block-s", "10")
    assert [curve["bound"] for curve in seen["planned"]] == [
        "rusca2018",
        "lim2014",
        "tupkary2024",
        "asymptotic",
        "tomamichel2012",
    ]
    assert all(curve["points"][0]["key_rate_bps"] > 0 for curve in seen["planned"])
    assert seen["present"] == []


def test_a_link_file_gives_its_rate_block_and_bound_and_its_present_settings() -> None:
    seen = planned(DEMO, "--loss", "10", "--bound", "rusca2018")
    point, now = seen["planned"][0]["points"][0], seen["present"][0]
    assert point["block_s"] == now["block_s"] == 10.0
    assert now["settings"]["p_key"] == 0.85
    assert 0 < now["key_rate_bps"] < point["key_rate_bps"]


def test_distances_rise_and_their_rates_fall() -> None:
    points = planned(DEMO, "--distance-km", "0:100:5", "--bound", "rusca2018")["planned"][0]["points"]
    assert [point["distance_km"] for point in points] == [0.0, 25.0, 50.0, 75.0, 100.0]
    assert [point["loss_db"] for point in points] == pytest.approx([0.0, 5.0, 10.0, 15.0, 20.0])
    rates = [point["key_rate_bps"] for point in points]
    assert rates == sorted(rates, reverse=True)


def test_a_pair_link_is_planned_with_its_own_bound() -> None:
    seen = planned(PAIRS, "--distance-km", "10")
    assert [curve["bound"] for curve in seen["planned"]] == ["tomamichel2012"]
    assert set(seen["planned"][0]["points"][0]["settings"]) == {"p_key", "pairs"}


@pytest.mark.parametrize(
    ("option", "worse"), [("--efficiency", "0.1"), ("--dark-hz", "20000"), ("--misalignment", "0.04"), ("--f-ec", "2")]
)
def test_every_property_of_the_link_matters(option: str, worse: str) -> None:
    common = ("--loss", "20", "--bound", "rusca2018", "--block-s", "10")
    better, bad = (
        planned(*common, *extra)["planned"][0]["points"][0]["key_rate_bps"] for extra in ((), (option, worse))
    )
    assert bad < 0.9 * better


def test_tables_name_the_kind_and_what_is_not_secure() -> None:
    arguments = ["--loss", "10", "--block-s", "10", "--bound", "asymptotic", "--bound", "tupkary2024"]
    text = CliRunner().invoke(plan, arguments, catch_exceptions=False).output
    for words in (
        "asymptotic (planning)",
        "tupkary2024 (variable)",
        "asymptotic: not secure for finite blocks",
        "mu1=",
    ):
        assert words in text


def test_no_key_shows_no_settings() -> None:
    seen = planned("--loss", "80", "--bound", "rusca2018", "--block-s", "1")["planned"][0]["points"][0]
    assert (seen["length"], seen["settings"]) == (0, None)
    assert seen["refusal"]
    arguments = ["--loss", "80", "--bound", "rusca2018", "--block-s", "1"]
    assert "no key" in CliRunner().invoke(plan, arguments, catch_exceptions=False).output


def test_a_picture_is_drawn_once(tmp_path: Path) -> None:
    out = tmp_path / "rates.png"
    arguments = ["--distance-km", "0:100:3", "--bound", "rusca2018", "--block-s", "10", "--out", str(out)]
    assert CliRunner().invoke(plan, arguments, catch_exceptions=False).exit_code == 0
    assert out.read_bytes().startswith(b"\x89PNG")
    assert isinstance(CliRunner().invoke(plan, arguments).exception, RunExistsError)


def test_a_picture_without_any_key_says_so(tmp_path: Path) -> None:
    out = tmp_path / "none.png"
    arguments = ["--loss", "90", "--bound", "rusca2018", "--block-s", "1", "--out", str(out)]
    assert CliRunner().invoke(plan, arguments, catch_exceptions=False).exit_code == 0
    assert out.stat().st_size > 1000


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--loss", "3", "--distance-km", "10"],
        ["--distance-km", "10:5:3"],
        ["--distance-km", "0:10:1"],
        ["--distance-km", "0:10"],
        ["--distance-km", "-3"],
        ["--distance-km", "nan"],
        ["--loss", "-1"],
    ],
)
def test_wrong_usage_is_explained(arguments: list[str]) -> None:
    answer = CliRunner().invoke(plan, arguments)
    assert answer.exit_code == 2
    assert "Error" in answer.output


def test_an_unknown_bound_is_the_error_of_the_library() -> None:
    assert isinstance(CliRunner().invoke(plan, ["--loss", "3", "--bound", "rusca"]).exception, ConfigError)


def test_importing_the_command_loads_no_mathematics() -> None:
    code = (
        "import sys, faintlink.postprocess.commands.plan; "
        "print([m for m in ('mpmath', 'scipy', 'numpy', 'rich', 'matplotlib') if m in sys.modules])"
    )
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == "[]"
