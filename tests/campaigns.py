"""Folders of small recorded runs for tests of campaigns, each with its own light."""

import json
from pathlib import Path
from typing import Any

import click
import pytest

from faintlink.core.config.link import LinkConfig
from tests.cli import Outcome
from tests.pulses import PulsedLink, link_text, small_link, write_pulsed_run

DECOY_TEXT = link_text(decoy=True)


def decoy_link() -> LinkConfig:
    """Return a small link with two intensities and the bound for them."""
    return small_link(DECOY_TEXT)


def write_runs(folder: Path, count: int, *, seconds: float = 0.13, first_seed: int = 1) -> Path:
    """Write runs with one key block each below ``folder`` and return it; each has its own seed."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(first_seed, first_seed + count):
        write_pulsed_run(folder / f"run-{seed:03}", PulsedLink(seconds=seconds, seed=seed).make())
    return folder


def table_of(out: Path) -> dict[str, Any]:
    """Return the table that a campaign left."""
    table: dict[str, Any] = json.loads((out / "campaign.json").read_text())
    return table


def products(out: Path) -> dict[str, bytes]:
    """Return every file that a campaign left, by its path."""
    return {str(file.relative_to(out)): file.read_bytes() for file in sorted(out.rglob("*")) if file.is_file()}


def call(capsys: pytest.CaptureFixture[str], command: click.Command, *arguments: object) -> Outcome:
    """Run a command by itself and return its exit code and output; errors of the tree are raised."""
    capsys.readouterr()
    code = command.main([str(argument) for argument in arguments], standalone_mode=False)
    seen = capsys.readouterr()
    return Outcome(code, seen.out, seen.err)
