"""The mended superblock and its checksum."""

import io
from pathlib import Path

import pytest

from faintlink.core.errors import SchemaError
from faintlink.core.runfile.superblock import RepairedFile, is_marked_for_swmr, lookup3
from tests.runs import tag_blocks, write_file


@pytest.mark.parametrize(
    ("text", "value"),
    # From the self-test driver5() of Bob Jenkins' lookup3.c (2006): hashlittle with initial value 0.
    [(b"", 0xDEADBEEF), (b"Four score and seven years ago", 0x17770551)],
)
def test_the_checksum_is_lookup3(text: bytes, value: int) -> None:
    assert lookup3(text) == value


def test_a_mended_closed_file_is_the_file_itself(tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.h5", tag_blocks([5]))
    with RepairedFile(path) as raw:
        assert raw.read(-1) == path.read_bytes()
        raw.seek(-4, io.SEEK_END)
        raw.seek(1, io.SEEK_CUR)
        assert raw.tell() == raw.size - 3
        assert len(raw.read(100)) == 3


def test_a_closed_file_is_not_marked_for_swmr(tmp_path: Path) -> None:
    assert not is_marked_for_swmr(write_file(tmp_path / "a.h5", []))


def test_a_file_without_superblock_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    path.write_bytes(b"short")
    assert not is_marked_for_swmr(path)
    with pytest.raises(SchemaError, match="does not begin with an HDF5 superblock"):
        RepairedFile(path)
