"""Records of applications: readable with h5py alone, sealed by their owner."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest

from faintlink.core.errors import RecordMismatchError, RecordSealError, RunExistsError, SchemaError
from faintlink.core.recordfile import Record, read_record, write_record

KEY = bytes(range(32))


def record() -> Record:
    """Return a small record of two groups."""
    columns: dict[str, npt.NDArray[Any]] = {
        "slot": np.arange(5, dtype=np.int64),
        "bit": np.array([0, 1, 1, 0, 1], np.uint8),
    }
    return Record(
        "token-issue", "s1", "run-1", "bob", {"pulses": 5}, {"public": columns, "secret": {"a": columns["bit"]}}
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the file of a sealed record."""
    file = tmp_path / "token.h5"
    write_record(file, record(), KEY)
    return file


def test_a_record_comes_back_whole(path: Path) -> None:
    read = read_record(path, KEY, kind="token-issue", session="s1", run_id="run-1", owner="bob")
    assert read.header == {"pulses": 5}
    assert read.column("public", "slot").tolist() == [0, 1, 2, 3, 4]
    assert "bit" not in repr(read)


def test_h5py_alone_reads_a_record(path: Path) -> None:
    with h5py.File(path) as file:
        assert file.attrs["kind"] == "token-issue"
        assert file["public/bit"][()].tolist() == [0, 1, 1, 0, 1]


def test_a_record_is_private_and_never_overwritten(path: Path) -> None:
    assert path.stat().st_mode & 0o077 == 0
    with pytest.raises(RunExistsError):
        write_record(path, record(), KEY)


def test_one_changed_bit_breaks_the_seal(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["public/bit"][2] ^= 1
    with pytest.raises(RecordSealError, match="seal of its owner"):
        read_record(path, KEY, kind="token-issue")


@pytest.mark.parametrize("name", ["session", "run_id", "owner", "kind", "header", "created", "software"])
def test_a_changed_attribute_breaks_the_seal(path: Path, name: str) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs[name] = file.attrs[name] + " "
    with pytest.raises(RecordSealError):
        read_record(path, KEY, kind="token-issue")


def test_an_added_a_renamed_and_a_missing_column_break_the_seal(path: Path) -> None:
    for change in ("add", "move", "delete"):
        with h5py.File(path, "r+") as file:
            if change == "add":
                file["public/more"] = np.zeros(2)
            elif change == "move":
                file.move("public/more", "secret/more")
            else:
                del file["secret/more"], file["secret/a"]
        with pytest.raises(RecordSealError):
            read_record(path, KEY, kind="token-issue")


def test_another_key_does_not_open_a_record(path: Path) -> None:
    with pytest.raises(RecordSealError):
        read_record(path, bytes(32), kind="token-issue")


@pytest.mark.parametrize("field", ["kind", "session", "run_id", "owner"])
def test_a_record_of_something_else_is_refused_by_what_differs(path: Path, field: str) -> None:
    wanted = {"kind": "token-issue", field: "other"}
    with pytest.raises(RecordMismatchError, match=f"{field} '.*', needed is 'other'"):
        read_record(path, KEY, **wanted)


def test_a_truncated_file_is_refused_at_any_length(path: Path) -> None:
    data = path.read_bytes()
    for size in range(0, len(data), 97):
        path.write_bytes(data[:size])
        with pytest.raises((SchemaError, RecordSealError)):
            read_record(path, KEY, kind="token-issue")


def test_a_lacking_column_is_named(path: Path) -> None:
    with pytest.raises(SchemaError, match="public/nothing"):
        read_record(path, KEY, kind="token-issue").column("public", "nothing")
