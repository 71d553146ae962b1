"""One command leaves the figures of a simulated network."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from faintlink.core.errors import ConfigError, RunExistsError
from faintlink.delivery.commands.network import network as command
from faintlink.delivery.network.config import load_network
from faintlink.delivery.network.running import run_simulation, shipped_network
from faintlink.delivery.network.summary import tables
from tests.unit.delivery.network.networks import DEVICES, MAP

SHORT = """
simulation:
  duration_s: 60
  demands: [{between: [a, c], keys_per_s: 5}]
  mishaps: [{kind: outage, link: [a, b], from_s: 30, to_s: 40}]
"""
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Return the folder that the command left, and what it printed."""
    folder = tmp_path_factory.mktemp("square")
    config, out = folder / "square.network.yaml", folder / "out"
    config.write_text(MAP + DEVICES + SHORT)
    ended = CliRunner().invoke(command, ["simulate", str(config), "--out", str(out), "--seed", "9", "--json"])
    assert ended.exit_code == 0, ended.output
    return out, json.loads(ended.output)


def test_the_city_that_comes_along_has_ten_sites_and_twenty_links_of_both_protocols() -> None:
    city = load_network(shipped_network())
    assert (len(city.sites), len(city.links)) == (10, 20)
    assert {link.protocol.value for link in city.links} == {"bb84-decoy", "bbm92"}
    assert {mishap.kind for mishap in city.simulation.mishaps} == {"outage", "attack"}


def test_the_command_leaves_numbers_and_figures_and_prints_the_numbers(done: tuple[Path, dict[str, Any]]) -> None:
    out, told = done
    assert told == json.loads((out / "network.json").read_text())
    assert told["seed"] == 9
    assert told["keys"]["relayed"] > 0
    for name in ("pools", "rates", "requests"):
        assert (out / f"{name}.png").read_bytes().startswith(PNG)


def test_the_numbers_of_the_pairs_add_up(done: tuple[Path, dict[str, Any]]) -> None:
    kinds = ("direct", "relayed", "rerouted", "refused")
    assert done[1]["keys"]["asked"] == sum(pair[kind] for pair in done[1]["demands"] for kind in kinds) > 0


def test_the_tables_name_every_link_and_every_pair(done: tuple[Path, dict[str, Any]]) -> None:
    console = Console(record=True, width=80, file=StringIO())
    for table in tables(done[1]):
        console.print(table)
    text = console.export_text()
    for words in ("a - b", "b - c", "c - d", "d - a", "a - c", "bbm92"):
        assert words in text


def test_results_are_never_overwritten(tmp_path: Path) -> None:
    with pytest.raises(RunExistsError):
        run_simulation(shipped_network(), tmp_path)


def test_a_file_that_is_not_there_is_a_fault_of_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        run_simulation(tmp_path / "none.yaml", tmp_path / "out")
    assert not (tmp_path / "out").exists()
