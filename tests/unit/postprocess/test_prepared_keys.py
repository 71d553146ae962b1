"""A key that is prepared is nobody's until both sides have it."""

from pathlib import Path

import pytest

from faintlink.core.errors import KeyUnknownError, RunExistsError
from faintlink.core.records import SecretKey
from faintlink.postprocess.keystore import FileKeyStore

KEY = SecretKey("0f5e3b1c-aaaa-4bbb-8ccc-1234567890ab", 24, b"\xde\xad\xbe", 1e-9)


@pytest.fixture
def store(tmp_path: Path) -> FileKeyStore:
    store = FileKeyStore(tmp_path / "keys")
    store.prepare(KEY, {"block": 3})
    return store


def test_a_prepared_key_cannot_be_read(store: FileKeyStore) -> None:
    assert store.prepared() == [KEY.key_id]
    assert store.key_ids() == []
    with pytest.raises(KeyUnknownError):
        store.get(KEY.key_id)


def test_a_released_key_is_the_one_that_was_prepared(store: FileKeyStore) -> None:
    store.release(KEY.key_id)
    store.release(KEY.key_id)
    assert store.is_released(KEY.key_id)
    assert store.get(KEY.key_id).data == KEY.data
    assert store.prepared() == []


def test_a_discarded_key_leaves_nothing(store: FileKeyStore) -> None:
    store.discard(KEY.key_id)
    store.discard(KEY.key_id)
    assert list(store.folder.iterdir()) == []
    with pytest.raises(KeyUnknownError):
        store.release(KEY.key_id)


def test_a_released_key_cannot_be_discarded_or_prepared_again(store: FileKeyStore) -> None:
    store.release(KEY.key_id)
    store.discard(KEY.key_id)
    assert store.get(KEY.key_id).data == KEY.data
    with pytest.raises(RunExistsError):
        store.prepare(KEY, {})
