"""What is appended is read back, whatever the split into blocks."""

import stat
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faintlink.core.errors import LocalProtocolError, RunExistsError, TagOrderError
from faintlink.core.records import LossCount
from faintlink.core.runfile.reader import RunFileReader
from faintlink.core.runfile.schema import StreamSpec
from faintlink.core.runfile.writer import RunFileWriter
from faintlink.core.tags import UNKNOWN_LOSS, GapCause, GapRecord, TagBlock, concatenate
from tests.runs import CONTEXT, EVENTS, TAGS, content, header, tag_blocks, write_file


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=8), st.integers(1, 100))
def test_any_split_into_blocks_reads_back_bit_exact(plan: list[tuple[int, bool]], seed: int) -> None:
    blocks = tag_blocks([size for size, _ in plan], seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.h5"
        with RunFileWriter(path, header=header(), streams=[TAGS], context={}) as writer:
            for block, (_, commit) in zip(blocks, plan, strict=True):
                writer.append_tags("tags", block)
                if commit:
                    writer.commit()
        with RunFileReader(path) as reader:
            read = concatenate(block.as_tags() for block in reader.streams["tags"].blocks())
    wanted = concatenate(blocks)
    assert read.times_ps.tobytes() == wanted.times_ps.tobytes()
    assert read.channels.tobytes() == wanted.channels.tobytes()
    assert read.gaps == wanted.gaps


def test_a_block_of_gaps_alone_is_kept(tmp_path: Path) -> None:
    gap = GapRecord(5, 9, UNKNOWN_LOSS, GapCause.REFERENCE_LOST)
    path = write_file(tmp_path / "a.h5", [TagBlock.empty([gap])])
    with RunFileReader(path) as reader:
        stream = reader.streams["tags"]
        assert stream.read_block(0).gaps == (gap,)
        assert stream.loss == LossCount(tags=0, lost=0, gaps=1)
        assert stream.key_span == (0, 0)


def test_an_empty_block_leaves_no_trace(tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.h5", [TagBlock.empty()])
    with RunFileReader(path) as reader:
        assert len(reader.streams["tags"].index) == 0


def test_header_streams_and_context_read_back(tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.h5", tag_blocks([3]), party="alice", run_id="ré", segment=4)
    with RunFileReader(path) as reader:
        assert reader.header.party == "alice"
        assert reader.header.run_id == "ré"
        assert reader.header.segment == 4
        assert reader.header.status == "closed"
        assert reader.streams["tags"].spec == TAGS
        assert reader.context == CONTEXT
        assert [stream.name for stream in reader.of_kind("events")] == ["events"]


def test_settings_and_events_read_back(tmp_path: Path) -> None:
    slots, codes = np.array([4, 5, 9]), np.array([0, 3, 0x80], np.uint8)
    path = tmp_path / "a.h5"
    with RunFileWriter(path, header=header(), streams=[StreamSpec("sent", "settings"), EVENTS], context={}) as w:
        w.append("sent", (slots, codes))
        w.append("events", (np.array([1]), np.array([30], np.uint8), np.array([b"x" * 240], "S240")))
    with RunFileReader(path) as reader:
        read = reader.streams["sent"].read_block(0).columns
        assert read[0].tolist() == [4, 5, 9]
        assert read[1].tolist() == [0, 3, 0x80]
        assert reader.streams["events"].read_block(0).columns[2].tolist() == [b"x" * 240]


def test_the_counts_of_a_stream_are_those_of_its_blocks(tmp_path: Path) -> None:
    blocks = tag_blocks([10, 20, 30, 40])
    with RunFileReader(write_file(tmp_path / "a.h5", blocks)) as reader:
        stream = reader.streams["tags"]
        assert stream.rows == 100
        assert stream.loss == LossCount(100, sum(block.lost for block in blocks), 2)
        assert stream.key_span == (int(blocks[0].times_ps[0]), int(blocks[3].times_ps[-1]))


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.h5", [])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_existing_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    path.write_bytes(b"precious")
    with pytest.raises(RunExistsError, match="nothing was overwritten"):
        RunFileWriter(path, header=header(), streams=[TAGS], context={})
    assert path.read_bytes() == b"precious"
    assert [file.name for file in tmp_path.iterdir()] == ["a.h5"]


def test_a_writer_that_cannot_start_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="already exists"):
        RunFileWriter(tmp_path / "a.h5", header=header(), streams=[TAGS, TAGS], context={})
    assert list(tmp_path.iterdir()) == []


def test_a_block_before_its_predecessor_is_refused(tmp_path: Path) -> None:
    with RunFileWriter(tmp_path / "a.h5", header=header(), streams=[TAGS], context={}) as writer:
        writer.append("tags", (np.array([10, 20]), np.zeros(2, np.uint8)))
        with pytest.raises(TagOrderError, match="starts at 19, before 20"):
            writer.append("tags", (np.array([19]), np.zeros(1, np.uint8)))


def test_columns_of_unequal_length_are_refused(tmp_path: Path) -> None:
    columns = (np.array([10, 20]), np.zeros(1, np.uint8))
    with (
        RunFileWriter(tmp_path / "a.h5", header=header(), streams=[TAGS], context={}) as writer,
        pytest.raises(LocalProtocolError, match="2 columns of one length"),
    ):
        writer.append("tags", columns)


def test_closing_without_a_seal_keeps_the_status_recording(tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.h5", tag_blocks([5]), seal=False)
    with RunFileReader(path) as reader:
        assert reader.header.status == "recording"
        assert reader.streams["tags"].rows == 5


def test_rows_without_an_index_row_do_not_exist(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with RunFileWriter(path, header=header(), streams=[TAGS], context={}) as writer:
        writer.append("tags", (np.array([1, 2]), np.zeros(2, np.uint8)))
        writer.commit()
        writer.append("tags", (np.array([3, 4, 5]), np.zeros(3, np.uint8)))
        with RunFileReader(path) as reader:
            stream = reader.streams["tags"]
            assert stream.rows == 2
            assert [block.columns[0].tolist() for block in stream.blocks()] == [[1, 2]]
    assert len(content(path)[4]["tags"]) == 2  # type: ignore[index]  # rows by stream


def test_two_readers_of_one_process_read_the_same(tmp_path: Path) -> None:
    # More rows than a chunk holds: HDF5 2.0 mixed chunks up when one of two handles refreshed its datasets.
    path = write_file(tmp_path / "bob-0000.h5", tag_blocks([60_000] * 5))
    with RunFileReader(path) as first:
        before = first.streams["tags"].read_block(0)
        with RunFileReader(path) as second:
            blocks = list(second.streams["tags"].blocks())
        again = list(first.streams["tags"].blocks())
    assert np.array_equal(before.columns[0], again[0].columns[0])
    for one, other in zip(blocks, again, strict=True):
        assert np.array_equal(one.columns[0], other.columns[0])
