"""The file key store keeps keys to their owner and overwrites nothing."""

import stat
from pathlib import Path

import pytest

from faintlink.core.errors import KeyUnknownError, RunExistsError, SchemaError
from faintlink.core.records import SecretKey
from faintlink.postprocess.keystore import FileKeyStore

KEY = SecretKey("0f5e3b1c-aaaa-4bbb-8ccc-1234567890ab", 20, b"\xde\xad\xb0", 1e-9)


@pytest.fixture
def store(tmp_path: Path) -> FileKeyStore:
    return FileKeyStore(tmp_path / "keys" / "alice")


def test_a_key_comes_back_as_it_went_in(store: FileKeyStore) -> None:
    store.put(KEY, {"run_id": "r1"})
    got = store.get(KEY.key_id)
    assert (got, got.data) == (KEY, KEY.data)
    assert store.about(KEY.key_id)["run_id"] == "r1"
    assert store.key_ids() == [KEY.key_id]


def test_files_are_for_their_owner_only(store: FileKeyStore) -> None:
    path = store.put(KEY, {})
    modes = [stat.S_IMODE(entry.stat().st_mode) for entry in (path, path.with_suffix(".json"), store.folder)]
    assert modes == [0o600, 0o600, 0o700]


def test_the_description_holds_no_bits(store: FileKeyStore) -> None:
    text = store.put(KEY, {}).with_suffix(".json").read_text()
    assert KEY.data.hex() not in text


def test_a_key_is_never_overwritten(store: FileKeyStore) -> None:
    store.put(KEY, {})
    with pytest.raises(RunExistsError, match="nothing was overwritten"):
        store.put(SecretKey(KEY.key_id, 8, b"\x00", 1e-9), {})
    assert store.get(KEY.key_id).data == KEY.data


@pytest.mark.parametrize("name", ["unknown", "../alice/x", ""])
def test_an_unknown_key_is_named_in_the_error(store: FileKeyStore, name: str) -> None:
    store.put(KEY, {})
    with pytest.raises(KeyUnknownError, match="no key"):
        store.get(name)


@pytest.mark.parametrize("damage", ["{", "[]", '{"format": "other", "key_id": "x"}'])
def test_a_damaged_description_is_refused(store: FileKeyStore, damage: str) -> None:
    store.put(KEY, {}).with_suffix(".json").write_text(damage)
    with pytest.raises(SchemaError):
        store.get(KEY.key_id)


def test_a_truncated_key_is_refused_without_showing_it(store: FileKeyStore) -> None:
    store.put(KEY, {}).write_bytes(b"\xde")
    with pytest.raises(SchemaError) as caught:
        store.get(KEY.key_id)
    assert "de" not in str(caught.value).replace("key", "").split(KEY.key_id)[-1].split("hint")[0][-4:]
