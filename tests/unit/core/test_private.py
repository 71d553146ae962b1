"""What only its owner may read is so from the first byte on."""

import os
from pathlib import Path

import pytest

from faintlink.core.errors import RunExistsError
from faintlink.core.private import write_private
from faintlink.core.recordfile import SEAL_KEY_BYTES, SEAL_KEY_FILE, fresh_seal_key


def test_a_private_file_is_never_readable_by_others(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        path = write_private(tmp_path / "secret", b"abc")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes() == b"abc"


def test_a_private_file_is_never_overwritten(tmp_path: Path) -> None:
    write_private(tmp_path / "secret", b"abc")
    with pytest.raises(RunExistsError, match="nothing was overwritten"):
        write_private(tmp_path / "secret", b"other")
    assert (tmp_path / "secret").read_bytes() == b"abc"


def test_seal_keys_are_fresh_and_lie_in_their_owners_folder(tmp_path: Path) -> None:
    keys = set()
    for party in ("a", "b"):
        (tmp_path / party).mkdir()
        keys.add(fresh_seal_key(tmp_path / party))
        assert (tmp_path / party / SEAL_KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert len(keys) == 2
    assert {len(key) for key in keys} == {SEAL_KEY_BYTES}
