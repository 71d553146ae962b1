"""Which runs paths and patterns name."""

from pathlib import Path

import pytest

from faintlink.core.errors import ConfigError, SchemaError
from faintlink.postprocess.campaign.plan import CampaignConfig, find_runs, load_campaign
from tests.runs import tag_blocks, write_file


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Return a folder with two run folders and a folder without runs."""
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        for party in ("alice", "bob"):
            write_file(tmp_path / name / f"{party}.h5", tag_blocks([3]), run_id=name, party=party)
    (tmp_path / "notes").mkdir()
    return tmp_path


def names(found: list[tuple[str, tuple[str, ...]]]) -> list[str]:
    return [Path(name).name for name, _ in found]


def test_a_folder_of_runs_gives_each_run_in_order(runs: Path) -> None:
    found = find_runs([str(runs)])
    assert names(found) == ["a", "b"]
    assert [Path(file).name for file in found[0][1]] == ["alice.h5", "bob.h5"]


def test_a_pattern_of_folders_gives_each_run(runs: Path) -> None:
    assert names(find_runs([f"{runs}/[ab]"])) == ["a", "b"]


def test_a_run_that_is_named_twice_is_done_once(runs: Path) -> None:
    assert len(find_runs([str(runs), str(runs / "a")])) == 2


def test_files_side_by_side_are_gathered_by_their_run(tmp_path: Path) -> None:
    for run_id in ("r1", "r2"):
        for party in ("alice", "bob"):
            write_file(tmp_path / f"{run_id}-{party}.h5", tag_blocks([3]), run_id=run_id, party=party)
    found = find_runs([f"{tmp_path}/*.h5"])
    assert [len(files) for _, files in found] == [2, 2]
    assert [name.rpartition("#")[2] for name, _ in found] == ["r1", "r2"]


def test_a_file_that_cannot_be_read_stands_for_itself(runs: Path) -> None:
    (runs / "bad.h5").write_bytes(b"nothing")
    assert names(find_runs([f"{runs}/*.h5"])) == ["bad.h5"]


def test_a_pattern_that_matches_nothing_is_refused(runs: Path) -> None:
    with pytest.raises(SchemaError, match="names no run"):
        find_runs([str(runs / "notes")])


def test_a_campaign_file_is_read_with_its_link_file(tmp_path: Path) -> None:
    (tmp_path / "x.link.yaml").write_text("name: x\n")
    (tmp_path / "c.yaml").write_text(
        "format: faintlink.campaign/1\nlink: x.link.yaml\nset: {gate.half_width_ps: 300}\n"
    )
    config, text = load_campaign(tmp_path / "c.yaml")
    assert config == CampaignConfig(link="x.link.yaml", set={"gate.half_width_ps": 300})
    assert text == "name: x\n"


def test_an_unknown_entry_of_a_campaign_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("format: faintlink.campaign/1\nsets: {}\n")
    with pytest.raises(ConfigError, match="sets"):
        load_campaign(tmp_path / "c.yaml")
