"""The commands export and repack, as a shell calls them."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from faintlink.core.commands.exporting import export
from faintlink.core.commands.repack import repack
from faintlink.core.errors import RunExistsError
from tests.runs import tag_blocks, write_file


def call(command: Any, *arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)


def test_export_reports_what_it_wrote_as_json(tmp_path: Path) -> None:
    run = write_file(tmp_path / "bob.h5", tag_blocks((10, 20)))
    report = json.loads(call(export, run, "--to", "csv", "--out", tmp_path / "o.csv", "--json").output)
    assert (report["rows"], report["gaps"], report["party"]) == (30, 1, "bob")
    assert [Path(file).name for file in report["files"]] == ["o.csv", "o.csv.gaps.csv"]


def test_export_says_what_it_wrote_to_people(tmp_path: Path) -> None:
    run = write_file(tmp_path / "bob.h5", tag_blocks((10, 20)))
    output = call(export, run, "--to", "nexus", "--out", tmp_path / "o.nxs").output
    assert "30 rows of bob, stream tags" in output
    assert "1 gaps" in output


def test_export_refuses_an_existing_file(tmp_path: Path) -> None:
    run = write_file(tmp_path / "bob.h5", tag_blocks((10,)))
    with pytest.raises(RunExistsError):
        call(export, run, "--to", "csv", "--out", run)


def test_repack_prints_the_size_and_the_ratio_to_the_bound(tmp_path: Path) -> None:
    run = write_file(tmp_path / "bob.h5", tag_blocks((4000, 4000)))
    output = call(repack, run, "--out", tmp_path / "archive").output
    assert "8000 rows" in output
    assert "times the bound" in output


def test_repack_reports_the_hashes_of_the_originals_as_json(tmp_path: Path) -> None:
    run = write_file(tmp_path / "bob.h5", tag_blocks((4000,)))
    report = json.loads(call(repack, run, "--out", tmp_path / "archive", "--json").output)
    assert len(report["files"][0]["original_sha256"]) == 64
    assert report["streams"][0]["ratio"] > 1
