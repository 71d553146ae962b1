"""Recovery saves every whole block and says what is missing."""

from pathlib import Path

import numpy as np
import pytest

from faintlink.core.errors import RunExistsError, SchemaError
from faintlink.core.runfile.reader import RunFileReader
from faintlink.core.runfile.recover import default_target, recover
from faintlink.core.runfile.schema import INDEX_DTYPE
from faintlink.core.tags import GapCause, GapRecord, TagBlock, concatenate
from tests.runs import chunk_offset, content, flip, tag_blocks, write_file

SIZES = [10, 20, 30, 40]


def damaged(folder: Path, *blocks: int) -> tuple[Path, list[TagBlock]]:
    written = tag_blocks(SIZES, gap_every=100)
    path = write_file(folder / "a.h5", written)
    for number in blocks:
        flip(path, chunk_offset(path, "streams/tags/channel") + sum(SIZES[:number]))
    return path, written


def recovered_tags(target: Path) -> TagBlock:
    with RunFileReader(target) as reader:
        return concatenate(block.as_tags() for block in reader.streams["tags"].blocks())


def test_a_whole_file_is_copied_whole(tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.h5", tag_blocks(SIZES))
    report = recover(path, tmp_path / "b.h5")
    assert report.is_complete
    assert report.was_sound
    assert report.rows == {"tags": 100, "events": 1}
    header, *rest = content(path)
    copied_header, *copied = content(tmp_path / "b.h5")
    assert copied == rest
    assert getattr(copied_header, "status", "") == "recovered"
    assert getattr(copied_header, "run_id", "") == getattr(header, "run_id", "")


def test_a_damaged_block_becomes_a_gap_between_its_neighbours(tmp_path: Path) -> None:
    path, written = damaged(tmp_path, 1)
    report = recover(path, tmp_path / "b.h5")
    assert not report.is_complete
    assert not report.was_sound
    assert report.damaged_blocks == {"tags": 1, "events": 0}
    assert report.damaged_rows == {"tags": 20, "events": 0}
    tags = recovered_tags(tmp_path / "b.h5")
    gap = GapRecord(int(written[0].times_ps[-1]), int(written[2].times_ps[0]), 20, GapCause.RECORD_DAMAGED)
    assert gap in tags.gaps
    assert len(tags) == 80


def test_neighbouring_damaged_blocks_become_one_gap(tmp_path: Path) -> None:
    path, _ = damaged(tmp_path, 1, 2)
    recover(path, tmp_path / "b.h5")
    gaps = [gap for gap in recovered_tags(tmp_path / "b.h5").gaps if gap.cause is GapCause.RECORD_DAMAGED]
    assert [gap.lost for gap in gaps] == [50]


def test_a_damaged_first_block_becomes_a_gap_before_the_second(tmp_path: Path) -> None:
    path, written = damaged(tmp_path, 0)
    recover(path, tmp_path / "b.h5")
    gap = recovered_tags(tmp_path / "b.h5").gaps[0]
    assert (gap.start_ps, gap.end_ps) == (int(written[0].times_ps[0]), int(written[1].times_ps[0]))
    assert gap.lost == 10


def test_a_damaged_last_block_becomes_a_gap_up_to_its_last_tag(tmp_path: Path) -> None:
    path, written = damaged(tmp_path, 3)
    recover(path, tmp_path / "b.h5")
    gap = recovered_tags(tmp_path / "b.h5").gaps[-1]
    assert (gap.start_ps, gap.end_ps) == (int(written[2].times_ps[-1]), int(written[3].times_ps[-1]))
    assert gap.lost == 40


def test_a_damaged_index_row_in_between_still_counts_the_lost_tags(tmp_path: Path) -> None:
    path, _ = damaged(tmp_path)
    flip(path, chunk_offset(path, "streams/tags/index") + INDEX_DTYPE.itemsize + 8 + 2)
    report = recover(path, tmp_path / "b.h5")
    assert report.damaged_rows["tags"] == 20


def test_a_damaged_last_index_row_is_a_gap_of_unknown_size(tmp_path: Path) -> None:
    path, _ = damaged(tmp_path)
    flip(path, chunk_offset(path, "streams/tags/index") + 3 * INDEX_DTYPE.itemsize + 8 + 2)
    report = recover(path, tmp_path / "b.h5")
    assert report.damaged_rows["tags"] == 0
    assert not report.is_complete
    assert recovered_tags(tmp_path / "b.h5").gaps[-1].lost == -1


def test_a_stream_all_of_whose_blocks_are_damaged_is_one_gap(tmp_path: Path) -> None:
    path, written = damaged(tmp_path, 0, 1, 2, 3)
    recover(path, tmp_path / "b.h5")
    tags = recovered_tags(tmp_path / "b.h5")
    assert len(tags) == 0
    assert tags.lost == 100
    assert tags.gaps[0].end_ps == int(written[3].times_ps[-1])


def test_the_damaged_file_is_not_touched(tmp_path: Path) -> None:
    path, _ = damaged(tmp_path, 2)
    before = path.read_bytes()
    recover(path, tmp_path / "b.h5")
    assert path.read_bytes() == before


def test_an_existing_target_is_refused(tmp_path: Path) -> None:
    path, _ = damaged(tmp_path)
    (tmp_path / "b.h5").write_bytes(b"precious")
    with pytest.raises(RunExistsError, match="nothing was overwritten"):
        recover(path, tmp_path / "b.h5")
    assert (tmp_path / "b.h5").read_bytes() == b"precious"


def test_a_file_of_which_nothing_can_be_read_leaves_no_target(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    path.write_bytes(np.random.default_rng(1).bytes(5000))
    with pytest.raises(SchemaError):
        recover(path, tmp_path / "b.h5")
    assert [file.name for file in tmp_path.iterdir()] == ["a.h5"]


def test_a_recovery_cut_short_leaves_no_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = damaged(tmp_path)

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("faintlink.core.runfile.writer.RunFileWriter.seal", full_disk)
    with pytest.raises(OSError, match="No space"):
        recover(path, tmp_path / "b.h5")
    assert [file.name for file in tmp_path.iterdir()] == ["a.h5"]


def test_the_copy_lies_beside_the_file_unless_told_otherwise() -> None:
    assert default_target(Path("run/bob-0000.h5")) == Path("run/bob-0000.recovered.h5")


@pytest.mark.parametrize(("name", "what"), [("", "is a folder"), ("nothing.h5", "is not there")])
def test_what_is_no_file_is_refused_in_words(name: str, what: str, tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=what) as refused:
        recover(tmp_path / name, tmp_path / "b.h5")
    assert "each party's file" in refused.value.hint
    assert not list(tmp_path.iterdir())
