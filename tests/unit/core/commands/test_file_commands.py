"""The commands that need only files: inspect, recover, import."""

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from faintlink.core import cli
from faintlink.core.errors import FormatError
from faintlink.core.runfile.folder import open_run
from faintlink.core.runfile.manifest import read_manifest
from faintlink.core.runfile.reader import RunFileReader
from faintlink.core.symbols import Party
from faintlink.core.tags import concatenate
from tests.data import ROOT, shared_data
from tests.runs import chunk_offset, flip, tag_blocks, write_file

BBM92 = """
format: faintlink.link/1
name: pairs
protocol: bbm92
receivers:
  alice:
    tagger: a
    channels: {1: {basis: Z, bit: 0}, 2: {basis: Z, bit: 1}, 3: {basis: X, bit: 0}, 4: {basis: X, bit: 1}}
  bob:
    tagger: b
    channels: {1: {basis: Z, bit: 0}, 2: {basis: Z, bit: 1}, 3: {basis: X, bit: 0}, 4: {basis: X, bit: 1}}
pairs: {}
security: {bound: lim2014, length: legacy}
"""
BEGIN_NS = 1000


def recording(path: Path, count: int = 500) -> Path:
    """Write 54-bit time stamps of 1/256 ns, low word first, as an S-Fifteen card in mode a1 does."""
    rng = np.random.default_rng(count)
    times = BEGIN_NS * 256 + np.cumsum(rng.integers(1, 1 << 20, count))
    detectors = rng.integers(0, 4, count)
    words = b"".join(
        struct.pack("<2I", (int(t) & 0x3FFFFF) << 10 | 0b1100 << 6 | 1 << int(d), int(t) >> 22)
        for t, d in zip(times, detectors, strict=True)
    )
    path.write_bytes(words)
    return path


def call(*arguments: object) -> int:
    return cli.run([str(argument) for argument in arguments])


def output(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


# --- inspect


def test_inspect_shows_streams_losses_and_rates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = tag_blocks([30, 20])
    path = write_file(tmp_path / "a.h5", blocks)
    assert call("inspect", path, "--json") == 0
    found = output(capsys)
    stream = found["files"][0]["streams"]["tags"]
    assert (stream["rows"], stream["blocks"], stream["gaps"]) == (50, 2, 1)
    span_s = int(blocks[1].times_ps[-1] - blocks[0].times_ps[0]) * 1e-12
    assert sum(stream["rates_hz"].values()) == pytest.approx(50 / span_s)
    assert found["files"][0]["header"]["status"] == "closed"
    assert sorted(found["files"][0]["context"]) == ["empty", "link"]
    assert found["faults"] == []


def test_inspect_is_readable_by_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_file(tmp_path / "a.h5", tag_blocks([30]))
    assert call("inspect", path) == 0
    shown = capsys.readouterr().out
    for words in ("run r1, bob, segment 0, closed", "30 rows", "tags/s", "link (", "every block matches"):
        assert words in shown


def test_inspect_lists_damage_and_fails_only_when_asked_to_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_file(tmp_path / "a.h5", tag_blocks([30, 20]))
    flip(path, chunk_offset(path, "streams/tags/channel") + 31)
    assert call("inspect", path) == 0
    assert "block 1 of stream tags does not match its checksum" in capsys.readouterr().out
    assert call("inspect", path, "--check") == 3
    assert "1 fault found" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda path: path.unlink(), "not in the folder"),
        (lambda path: path.write_bytes(path.read_bytes() + b"x"), "bytes"),
        (lambda path: flip(path, path.stat().st_size - 1), "SHA-256"),
    ],
)
def test_check_compares_a_run_with_its_manifest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], harm: Any, words: str
) -> None:
    for party, count in (("bob", 500), ("alice", 400)):
        assert call("import", recording(tmp_path / "x", count), "--out", tmp_path / "run", "--party", party) == 0
    assert call("inspect", tmp_path / "run", "--check") == 0
    harm(tmp_path / "run" / "bob-0000.h5")
    capsys.readouterr()
    assert call("inspect", tmp_path / "run", "--check") == 3
    assert words in capsys.readouterr().out


def test_check_names_what_was_recovered_from_a_damaged_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("import", recording(tmp_path / "x", 500), "--out", tmp_path / "run", "--party", "bob") == 0
    path = tmp_path / "run" / "bob-0000.h5"
    path.write_bytes(path.read_bytes() + b"x")
    assert call("recover", path) == 0
    capsys.readouterr()
    assert call("inspect", tmp_path / "run", "--check") == 3
    assert "bob-0000.recovered.h5 was recovered from it" in capsys.readouterr().out


def test_inspect_shows_a_foreign_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = recording(tmp_path / "x.ts")
    assert call("inspect", path, "--json") == 0
    assert output(capsys)["format"] == "s15-a1"
    assert call("inspect", path) == 0
    assert "format: s15-a1" in capsys.readouterr().out


def test_inspect_refuses_what_is_nothing_of_the_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("hello\n")
    (tmp_path / "folder").mkdir()
    for name in ("notes.txt", "folder", "none"):
        assert call("inspect", tmp_path / name) == 3
    assert "Traceback" not in capsys.readouterr().err


# --- recover


def test_recover_writes_beside_the_file_and_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_file(tmp_path / "a.h5", tag_blocks([30, 20]))
    flip(path, chunk_offset(path, "streams/tags/channel") + 31)
    assert call("recover", path, "--json") == 0
    report = output(capsys)
    assert report["target"] == str(tmp_path / "a.recovered.h5")
    assert report["damaged_rows"] == {"events": 0, "tags": 20}
    assert report["is_complete"] is False
    assert call("recover", path) == 3
    assert call("recover", path, "--out", tmp_path / "c.h5") == 0
    assert "tags: 30 rows saved, 1 damaged blocks with 20 rows lost" in capsys.readouterr().out


# --- import


def test_import_makes_a_run_of_a_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = recording(tmp_path / "x.ts")
    assert call("import", source, "--out", tmp_path / "run", "--party", "bob", "--json") == 0
    assert output(capsys)["tags"] == 500
    bob = open_run([tmp_path / "run"])[Party.BOB]
    tags = concatenate(bob.tags())
    assert len(tags) == 500
    assert bob.only_stream("tags").instrument
    facts = json.loads(bob.context["source"])
    assert facts["file"] == "x.ts"
    assert facts["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert facts["format"] == "s15-a1"
    assert len(bytes.fromhex(bob.context["squash_seed"])) == 32
    assert "link" not in bob.context
    assert open_run([tmp_path / "run"]).origin == "imported"
    assert read_manifest(tmp_path / "run").status == "closed"


def test_import_adds_the_second_party_to_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    link = tmp_path / "l.yaml"
    link.write_text(BBM92)
    first, second = recording(tmp_path / "x", 500), recording(tmp_path / "y", 400)
    assert call("import", first, "--out", tmp_path / "run", "--party", "alice", "--link", link) == 0
    assert call("import", second, "--out", tmp_path / "run", "--party", "bob") == 0
    run = open_run([tmp_path / "run"])
    assert run.run_id == read_manifest(tmp_path / "run").run_id
    assert sorted(run.parties) == ["alice", "bob"]
    assert run[Party.ALICE].context["link"] == run[Party.BOB].context["link"] == link.read_text()
    assert run[Party.ALICE].context["squash_seed"] != run[Party.BOB].context["squash_seed"]
    assert call("inspect", tmp_path / "run", "--check") == 0


def assert_untouched(folder: Path, before: dict[str, bytes]) -> None:
    assert {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_import_refuses_a_party_that_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = recording(tmp_path / "x")
    assert call("import", source, "--out", tmp_path / "run", "--party", "bob") == 0
    before = snapshot(tmp_path)
    assert call("import", source, "--out", tmp_path / "run", "--party", "bob") == 3
    assert "already has a recording of bob" in capsys.readouterr().err
    assert_untouched(tmp_path, before)


def test_import_refuses_a_folder_that_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = recording(tmp_path / "x")
    before = snapshot(tmp_path)
    assert call("import", source, "--out", tmp_path, "--party", "bob") == 3
    assert_untouched(tmp_path, before)


def test_import_refuses_a_link_that_does_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = recording(tmp_path / "x")
    demo = ROOT / "lab_configs" / "demo.link.yaml"
    assert call("import", source, "--out", tmp_path / "run", "--party", "alice", "--link", demo) == 2
    assert "does not know alice as a receiver" in capsys.readouterr().err
    assert call("import", source, "--out", tmp_path / "run", "--party", "bob", "--link", demo) == 0
    other = tmp_path / "l.yaml"
    other.write_text(BBM92)
    assert call("import", source, "--out", tmp_path / "run", "--party", "alice", "--link", other) == 2
    assert "is not the link file that the run" in capsys.readouterr().err


@pytest.mark.parametrize("party", ["bob", "alice"])
def test_a_failed_import_leaves_nothing_half_made(
    tmp_path: Path, party: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = recording(tmp_path / "x")
    assert call("import", source, "--out", tmp_path / "old", "--party", "bob") == 0
    before = snapshot(tmp_path)
    folder = tmp_path / ("new" if party == "bob" else "old")

    def breaks(self: Any, *_: object) -> Any:
        yield from []
        raise FormatError("cut short")

    monkeypatch.setattr("faintlink.core.formats.recording.Recording.blocks", breaks)
    assert call("import", source, "--out", folder, "--party", party) == 3
    assert_untouched(tmp_path, before)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old", "x"]


def test_a_failure_while_a_party_is_added_takes_it_out_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = recording(tmp_path / "x")
    assert call("import", source, "--out", tmp_path / "run", "--party", "bob") == 0
    before = snapshot(tmp_path)
    monkeypatch.setattr("faintlink.core.runfile.importing.replace", lambda *a, **k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        call("import", source, "--out", tmp_path / "run", "--party", "alice")
    assert_untouched(tmp_path, before)


@pytest.mark.parametrize("data", [b"", b"hello\n", bytes(4096)])
def test_what_is_no_recording_is_refused(tmp_path: Path, data: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x").write_bytes(data)
    assert call("import", tmp_path / "x", "--out", tmp_path / "run", "--party", "bob") == 3
    assert call("import", tmp_path / "none", "--out", tmp_path / "run", "--party", "bob") == 3
    assert not (tmp_path / "run").exists()


def test_a_format_of_unknown_name_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = recording(tmp_path / "x")
    assert call("import", source, "--out", tmp_path / "run", "--party", "bob", "--format", "csv") == 3
    assert "no format is called 'csv'" in capsys.readouterr().err


def test_a_real_hydraharp_recording_is_imported_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = shared_data("time_tags/hydraharp400_t2_hbt_320MHz.ptu")
    assert call("import", source, "--out", tmp_path / "run", "--party", "bob", "--json") == 0
    tags = output(capsys)["tags"]
    with RunFileReader(tmp_path / "run" / "bob-0000.h5") as reader:
        assert reader.streams["tags"].rows == tags > 300_000
