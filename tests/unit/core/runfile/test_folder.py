"""A run as a folder: rotation, manifest, and opening what belongs together."""

import hashlib
import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from faintlink.core.errors import RunExistsError, SchemaError
from faintlink.core.runfile.folder import open_run
from faintlink.core.runfile.manifest import MANIFEST, Manifest, read_manifest
from faintlink.core.runfile.party_writer import PartyWriter, create_run
from faintlink.core.runfile.recover import default_target, recover
from faintlink.core.symbols import Party
from faintlink.core.tags import TagBlock, concatenate
from tests.runs import EVENTS, TAGS, tag_blocks, write_file

SIZES = [100] * 12


def write_run(folder: Path, *, rotate_bytes: int = 1, party: Party = Party.BOB) -> tuple[Manifest, TagBlock]:
    """Write a run whose file is rotated at each commit unless ``rotate_bytes`` is large."""
    blocks = tag_blocks(SIZES)
    manifest = read_manifest(folder) if folder.exists() else create_run(folder, "r1")
    writer = PartyWriter(
        folder, manifest, party, streams=[TAGS, EVENTS], context={"link": "l"}, rotate_bytes=rotate_bytes
    )
    writer.note("armed", level=logging.INFO)
    for number, block in enumerate(blocks):
        writer.append_tags("tags", block)
        if number % 4 == 3:
            writer.commit()
    writer.seal()
    return manifest, concatenate(blocks)


def assert_same(read: TagBlock, wanted: TagBlock) -> None:
    assert read.times_ps.tobytes() == wanted.times_ps.tobytes()
    assert read.channels.tobytes() == wanted.channels.tobytes()
    assert read.gaps == wanted.gaps


def test_a_rotated_recording_reads_as_one(tmp_path: Path) -> None:
    _, wanted = write_run(tmp_path / "run")
    assert len(list((tmp_path / "run").glob("bob-*.h5"))) == 4
    bob = open_run([tmp_path / "run"])[Party.BOB]
    assert_same(concatenate(bob.tags()), wanted)
    assert bob.loss("tags").tags == 1200
    assert bob.context == {"link": "l"}


def test_a_large_limit_makes_one_file(tmp_path: Path) -> None:
    write_run(tmp_path / "run", rotate_bytes=1 << 30)
    assert [path.name for path in (tmp_path / "run").glob("*.h5")] == ["bob-0000.h5"]


def test_an_old_file_is_rotated(tmp_path: Path) -> None:
    manifest = create_run(tmp_path / "run")
    writer = PartyWriter(tmp_path / "run", manifest, Party.BOB, streams=[TAGS], context={}, rotate_s=-1.0)
    writer.commit()
    writer.seal()
    assert len(manifest.parties[Party.BOB]) == 2


def test_the_manifest_tells_size_and_hash_of_each_file(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    manifest = read_manifest(tmp_path / "run")
    assert [segment.file for segment in manifest.parties["bob"]] == [f"bob-{n:04d}.h5" for n in range(4)]
    for segment in manifest.parties["bob"]:
        data = (tmp_path / "run" / segment.file).read_bytes()
        assert (segment.bytes, segment.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert sum(segment.rows["tags"] for segment in manifest.parties["bob"]) == 1200


def test_the_manifest_reads_back_as_it_was_written(tmp_path: Path) -> None:
    written, _ = write_run(tmp_path / "run")
    assert read_manifest(tmp_path / "run") == written
    assert [path.name for path in (tmp_path / "run").iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read"),
        ("[]", "has format None"),
        ('{"format": "other/9"}', "has format 'other/9'"),
        ('{"format": "faintlink-manifest/1"}', "lacks an entry"),
        ('{"format": "faintlink-manifest/1", "parties": {"bob": [{"file": 1}]}}', "lacks an entry"),
        ('{"format": "faintlink-manifest/1", "parties": [], "run_id": "a"}', "lacks an entry"),
    ],
)
def test_a_strange_manifest_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(SchemaError, match=words):
        read_manifest(tmp_path)


def test_a_folder_without_manifest_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"has no run\.json"):
        read_manifest(tmp_path)


def test_a_run_without_manifest_is_opened_by_its_files(tmp_path: Path) -> None:
    _, wanted = write_run(tmp_path / "run")
    (tmp_path / "run" / MANIFEST).unlink()
    assert_same(concatenate(open_run([tmp_path / "run"])[Party.BOB].tags()), wanted)


def test_files_side_by_side_in_any_order_make_a_run(tmp_path: Path) -> None:
    _, wanted = write_run(tmp_path / "run")
    files = sorted((tmp_path / "run").glob("*.h5"), reverse=True)
    assert_same(concatenate(open_run(files)[Party.BOB].tags()), wanted)


def test_parties_in_two_folders_make_a_run(tmp_path: Path) -> None:
    for party in ("alice", "bob"):
        write_file(tmp_path / f"{party}.h5", tag_blocks([5]), party=party)
    run = open_run([tmp_path / "alice.h5", tmp_path / "bob.h5"])
    assert sorted(run.parties) == ["alice", "bob"]


def test_an_existing_run_is_never_begun_again(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    with pytest.raises(RunExistsError, match="nothing was overwritten"):
        create_run(tmp_path / "run")


def test_an_empty_folder_may_become_a_run(tmp_path: Path) -> None:
    assert create_run(tmp_path).run_id != create_run(tmp_path / "other").run_id


def test_a_missing_segment_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    (tmp_path / "run" / "bob-0001.h5").unlink()
    with pytest.raises(SchemaError, match=r"segment numbers \[0, 2, 3\]"):
        open_run([tmp_path / "run"])


def test_a_segment_named_twice_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    shutil.copy(tmp_path / "run" / "bob-0001.h5", tmp_path / "run" / "copy.h5")
    with pytest.raises(SchemaError, match=r"segment numbers \[0, 1, 1, 2, 3\]"):
        open_run([tmp_path / "run"])


def test_files_of_different_runs_are_refused(tmp_path: Path) -> None:
    first = write_file(tmp_path / "a.h5", [], run_id="r1")
    second = write_file(tmp_path / "b.h5", [], run_id="r2", party="alice")
    with pytest.raises(SchemaError, match="different runs: r1, r2"):
        open_run([first, second])


def test_a_file_of_an_unknown_party_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="belongs to 'mallory'"):
        open_run([write_file(tmp_path / "a.h5", [], party="mallory")])


def test_an_empty_folder_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="no run file in"):
        open_run([tmp_path])


def test_a_party_that_is_not_there_is_named(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    with pytest.raises(SchemaError, match="no file of alice"):
        open_run([tmp_path / "run"])[Party.ALICE]


def test_a_recovered_file_stands_for_its_original(tmp_path: Path) -> None:
    _, wanted = write_run(tmp_path / "run")
    path = tmp_path / "run" / "bob-0002.h5"
    recover(path, default_target(path))
    bob = open_run([tmp_path / "run"])[Party.BOB]
    assert [file.name for file in bob.paths][2] == "bob-0002.recovered.h5"
    assert_same(concatenate(bob.tags()), wanted)


def test_the_stream_of_a_kind_must_be_the_only_one(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    bob = open_run([tmp_path / "run"])[Party.BOB]
    assert bob.only_stream("tags").name == "tags"
    with pytest.raises(SchemaError, match="bob has 0 streams of settings"):
        bob.only_stream("settings")


def test_an_abandoned_writer_leaves_what_was_committed(tmp_path: Path) -> None:
    manifest = create_run(tmp_path / "run")
    writer = PartyWriter(tmp_path / "run", manifest, Party.BOB, streams=[TAGS], context={})
    writer.append("tags", (np.array([1]), np.array([1], np.uint8)))
    writer.sync()
    writer.abandon()
    assert json.loads((tmp_path / "run" / MANIFEST).read_text())["parties"] == {}
    assert len(concatenate(open_run([tmp_path / "run"])[Party.BOB].tags())) == 1
