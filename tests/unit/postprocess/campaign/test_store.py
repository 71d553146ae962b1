"""Finished results appear whole or not at all."""

import json
from pathlib import Path

import pytest

from faintlink.postprocess.campaign.store import content_sha256, load, replace_file, result_key, save


def test_a_result_is_read_back(tmp_path: Path) -> None:
    save(tmp_path, "k", {"rate": 0.02, "names": ["a"]})
    assert load(tmp_path, "k") == {"rate": 0.02, "names": ["a"]}


def test_nothing_but_the_result_is_left(tmp_path: Path) -> None:
    save(tmp_path, "k", {})
    assert [path.name for path in tmp_path.iterdir()] == ["k.json"]


def test_a_missing_result_is_none(tmp_path: Path) -> None:
    assert load(tmp_path, "k") is None


def test_a_result_cut_anywhere_is_none(tmp_path: Path) -> None:
    save(tmp_path, "k", {"rate": 0.02})
    file = tmp_path / "k.json"
    whole = file.read_bytes()
    for size in range(len(whole)):
        file.write_bytes(whole[:size])
        assert load(tmp_path, "k") is None


@pytest.mark.parametrize(("field", "value"), [("body", {"rate": 0.03}), ("body", 3), ("key", "l"), ("format", "x")])
def test_a_result_that_was_changed_is_none(tmp_path: Path, field: str, value: object) -> None:
    save(tmp_path, "k", {"rate": 0.02})
    file = tmp_path / "k.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {field: value}))
    assert load(tmp_path, "k") is None


def test_one_changed_byte_of_a_run_changes_its_content(tmp_path: Path) -> None:
    paths = [str(tmp_path / name) for name in ("alice.h5", "bob.h5")]
    for path in paths:
        Path(path).write_bytes(bytes(1000))
    before = content_sha256(paths)
    assert content_sha256(paths[::-1]) == before
    Path(paths[1]).write_bytes(bytes(999) + b"\x01")
    assert content_sha256(paths) != before


def test_keys_of_results_do_not_run_together() -> None:
    assert result_key("ab", "c") != result_key("a", "bc")


def test_a_file_is_replaced(tmp_path: Path) -> None:
    replace_file(tmp_path / "x", b"old")
    replace_file(tmp_path / "x", b"new")
    assert (tmp_path / "x").read_bytes() == b"new"
