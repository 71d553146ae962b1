"""Whatever happens to the bytes of a run file, it reads back right or is refused by an error of the tree."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from faintlink.core.errors import CorruptBlockError, RunfileError, SchemaError
from faintlink.core.runfile.reader import RunFileReader
from faintlink.core.runfile.schema import INDEX_DTYPE
from faintlink.core.runfile.writer import RunFileWriter
from tests.runs import CONTEXT, TAGS, chunk_offset, content, flip, header, tag_blocks, write_file

FLIPS_FAST = 400
LENGTHS_FAST = 150


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_file(tmp_path_factory.mktemp("whole") / "whole.h5", tag_blocks([30, 0, 50, 20]))


@pytest.fixture(scope="module")
def left_open(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file as its killed writer leaves it."""
    folder = tmp_path_factory.mktemp("left")
    with RunFileWriter(folder / "open.h5", header=header(), streams=[TAGS], context=CONTEXT) as writer:
        for block in tag_blocks([30, 0, 50, 20]):
            writer.append_tags("tags", block)
            writer.commit()
        return Path(shutil.copy(folder / "open.h5", folder / "left.h5"))


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(whole, tmp_path / "copy.h5"))


def test_a_damaged_byte_names_its_block(copy: Path) -> None:
    flip(copy, chunk_offset(copy, "streams/tags/time_ps") + 8 * 35)
    with RunFileReader(copy) as reader:
        stream = reader.streams["tags"]
        assert stream.read_block(0).columns[0].size == 30
        with pytest.raises(CorruptBlockError, match="block 1 of stream tags does not match its checksum") as caught:
            list(stream.blocks())
    assert caught.value.fields["block"] == 1
    assert "faintlink recover" in caught.value.hint


@pytest.mark.parametrize("field", list(INDEX_DTYPE.names or ()))
def test_a_damaged_entry_of_the_index_is_noticed(copy: Path, field: str) -> None:
    offset = INDEX_DTYPE.fields[field][1]  # type: ignore[index]  # it has fields
    flip(copy, chunk_offset(copy, "streams/tags/index") + INDEX_DTYPE.itemsize + offset)
    with RunFileReader(copy) as reader, pytest.raises(CorruptBlockError, match="block 1"):
        reader.streams["tags"].read_block(1)


def test_an_index_row_of_zeros_is_no_block(copy: Path) -> None:
    with copy.open("r+b") as file:
        file.seek(chunk_offset(copy, "streams/tags/index"))
        file.write(bytes(INDEX_DTYPE.itemsize))
    with RunFileReader(copy) as reader, pytest.raises(CorruptBlockError, match="block 0"):
        reader.streams["tags"].read_block(0)


def test_a_damaged_context_is_noticed(copy: Path) -> None:
    flip(copy, chunk_offset(copy, "context/link"))
    with pytest.raises(SchemaError, match="damaged"):
        RunFileReader(copy)


@pytest.mark.parametrize(("name", "value"), [("format_version", "2.0"), ("format_version", "0.9")])
def test_another_major_version_is_refused(copy: Path, name: str, value: str) -> None:
    with h5py.File(copy, "r+") as file:
        file.attrs[name] = value
    with pytest.raises(SchemaError, match=f"format version {value}; this program reads 1.x"):
        RunFileReader(copy)


def test_a_newer_minor_version_is_read(copy: Path) -> None:
    with h5py.File(copy, "r+") as file:
        file.attrs["format_version"] = "1.7"
    with RunFileReader(copy) as reader:
        assert reader.streams["tags"].rows == 100


def test_hdf5_of_another_format_is_refused(copy: Path) -> None:
    with h5py.File(copy, "r+") as file:
        file.attrs["format_name"] = "Photon-HDF5"
    with pytest.raises(SchemaError, match="format_name is 'Photon-HDF5' and not 'faintlink-run'"):
        RunFileReader(copy)


def test_plain_hdf5_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.arange(3)
    with pytest.raises(SchemaError, match="format_name is 'nothing'"):
        RunFileReader(tmp_path / "a.h5")


@pytest.mark.parametrize("data", [b"", b"time,channel\n1,2\n", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + bytes(90)])
def test_a_file_that_is_no_hdf5_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.h5"
    path.write_bytes(data)
    with pytest.raises(SchemaError, match=r"no HDF5 file|damaged HDF5 file") as caught:
        RunFileReader(path)
    assert caught.value.hint
    with pytest.raises(SchemaError):
        RunFileReader(path, repaired=True)


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.h5"):
        with pytest.raises(SchemaError, match="is not a file"):
            RunFileReader(path)


@pytest.mark.parametrize(
    "name", ["streams", "context", "streams/tags/time_ps", "streams/tags/gaps", "streams/tags/index"]
)
def test_a_missing_part_is_named(copy: Path, name: str) -> None:
    with h5py.File(copy, "r+") as file:
        del file[name]
    with pytest.raises(SchemaError, match=name.rpartition("/")[2]):
        RunFileReader(copy)


@pytest.mark.parametrize("name", ["run_id", "party", "status", "segment", "created_utc"])
def test_a_missing_root_attribute_is_named(copy: Path, name: str) -> None:
    with h5py.File(copy, "r+") as file:
        del file.attrs[name]
    with pytest.raises(SchemaError, match=name):
        RunFileReader(copy)


def test_an_unknown_kind_of_stream_is_refused(copy: Path) -> None:
    with h5py.File(copy, "r+") as file:
        file["streams/tags"].attrs["kind"] = "images"
    with pytest.raises(SchemaError, match="unknown kind 'images'"):
        RunFileReader(copy)


def test_an_index_of_another_layout_is_refused(copy: Path) -> None:
    with h5py.File(copy, "r+") as file:
        del file["streams/tags/index"]
        file["streams/tags/index"] = np.zeros(3, np.int64)
    with pytest.raises(SchemaError, match="index of another layout"):
        RunFileReader(copy)


def test_a_dataset_where_a_stream_should_be_is_refused(copy: Path) -> None:
    with h5py.File(copy, "r+") as file:
        file["streams/odd"] = np.zeros(3)
    with pytest.raises(SchemaError, match="no group odd"):
        RunFileReader(copy)


def outcome(path: Path, truth: tuple[object, ...], *, repaired: bool) -> str:
    """Return ``refused`` or ``whole``; anything else fails the test."""
    try:
        read = content(path, repaired=repaired)
    except RunfileError:
        return "refused"
    assert read == truth
    return "whole"


def fuzz(whole: Path, path: Path, flips: int, seed: int) -> set[str]:
    truth = content(whole)
    data = whole.read_bytes()
    # Most of the file is unused room of chunks; half of the flips go where something stands.
    used = np.flatnonzero(np.frombuffer(data, np.uint8))
    rng = np.random.default_rng(seed)
    outcomes = set()
    for number in range(flips):
        damaged = bytearray(data)
        offset = int(rng.integers(len(data))) if number % 4 == 0 else int(rng.choice(used))
        damaged[offset] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        for repaired in (False, True):
            outcomes.add(outcome(path, truth, repaired=repaired))
    return outcomes


def test_a_flipped_byte_is_refused_or_does_not_matter(whole: Path, tmp_path: Path) -> None:
    assert fuzz(whole, tmp_path / "a.h5", FLIPS_FAST, seed=20260102) == {"refused", "whole"}


def test_a_flipped_byte_in_a_file_left_open_never_hangs_a_reader(left_open: Path, tmp_path: Path) -> None:
    assert fuzz(left_open, tmp_path / "a.h5", FLIPS_FAST // 5, seed=3) == {"refused", "whole"}


@pytest.mark.slow
def test_four_thousand_flipped_bytes_are_refused_or_do_not_matter(whole: Path, tmp_path: Path) -> None:
    assert fuzz(whole, tmp_path / "a.h5", 4_000, seed=7) == {"refused", "whole"}


def test_a_file_cut_at_any_length_is_refused_or_whole(whole: Path, tmp_path: Path) -> None:
    truth = content(whole)
    data = whole.read_bytes()
    path = tmp_path / "a.h5"
    lengths = {0, 1, 7, 8, 47, 48, 49, len(data) - 1}
    lengths |= {int(n) for n in np.geomspace(50, len(data), LENGTHS_FAST)}
    for length in sorted(lengths):
        path.write_bytes(data[:length])
        for repaired in (False, True):
            kind = outcome(path, truth, repaired=repaired)
            assert kind == "refused" or length >= np.flatnonzero(np.frombuffer(data, np.uint8))[-1] + 1
