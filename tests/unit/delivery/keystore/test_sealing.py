"""Master keys are their owner's only, and sealed rows open nowhere but in their place."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faintlink.core.errors import ConfigError, RunExistsError, StoreError
from faintlink.delivery.keystore import sealing
from faintlink.delivery.keystore.sealing import KEY_BYTES, Cipher, FileMasterKey, bound, wipe, wrapping_key

KEY = bytes(range(32))


def test_a_new_master_key_is_random_private_and_never_replaced(tmp_path: Path) -> None:
    first, second = (FileMasterKey.create(tmp_path / name) for name in ("a", "b"))
    assert first.path.stat().st_mode & 0o777 == 0o600
    assert len(first.read()) == KEY_BYTES
    assert first.read() != second.read()
    with pytest.raises(RunExistsError):
        FileMasterKey.create(first.path)


@pytest.mark.parametrize(("mode", "size"), [(0o640, 32), (0o604, 32), (0o600, 31), (0o600, 33), (0o600, 0)])
def test_a_master_key_that_others_may_read_or_of_another_length_is_refused(
    tmp_path: Path, mode: int, size: int
) -> None:
    path = tmp_path / "master"
    path.write_bytes(bytes(size))
    path.chmod(mode)
    with pytest.raises(ConfigError):
        FileMasterKey(path).read()


def test_a_master_key_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        FileMasterKey(tmp_path / "master").read()


def test_a_credential_comes_from_the_service_managers_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(ConfigError, match="CREDENTIALS_DIRECTORY is not set"):
        FileMasterKey.credential("keystore")
    (tmp_path / "keystore").write_bytes(KEY)
    (tmp_path / "keystore").chmod(0o400)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert FileMasterKey.credential("keystore").read() == KEY


@pytest.mark.parametrize("is_old", [False, True])
def test_what_is_sealed_opens_with_its_key_in_its_place_only(is_old: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if is_old:
        monkeypatch.setattr(sealing, "_CAN_DECRYPT_INTO", False)
    sealed = Cipher(KEY).seal(b"secret", b"here")
    assert Cipher(KEY).open(sealed, b"here") == b"secret"
    assert b"secret" not in sealed
    changed = bytes([sealed[20] ^ 1])
    for key, what, about in (
        (KEY, sealed, b"there"),
        (bytes(32), sealed, b"here"),
        (KEY, sealed[:20] + changed + sealed[21:], b"here"),
        (KEY, sealed[:-1], b"here"),
        (KEY, b"", b"here"),
    ):
        with pytest.raises(StoreError):
            Cipher(key).open(what, about)


def test_no_nonce_comes_twice() -> None:
    cipher = Cipher(KEY)
    assert len({cipher.seal(b"", b"")[:12] for _ in range(5000)}) == 5000
    assert cipher.uses == 5000


def test_the_wrapping_key_depends_on_master_secret_and_store(tmp_path: Path) -> None:
    masters = [FileMasterKey.create(tmp_path / name) for name in ("a", "b")]
    sealed = wrapping_key(masters[0], bytes(32), "store").seal(b"epoch key", b"")
    assert wrapping_key(masters[0], bytes(32), "store").open(sealed, b"") == b"epoch key"
    for master, secret, store in (
        (masters[1], bytes(32), "store"),
        (masters[0], b"\1" + bytes(31), "store"),
        (masters[0], bytes(32), "other"),
    ):
        with pytest.raises(StoreError):
            wrapping_key(master, secret, store).open(sealed, b"")


_NAMES = st.lists(st.text(max_size=5), max_size=4)


@given(_NAMES, _NAMES)
def test_two_lists_of_names_are_never_bound_alike(one: list[str], other: list[str]) -> None:
    assert (bound(*one) == bound(*other)) == (one == other)


def test_wiping_leaves_zeros_of_the_same_length() -> None:
    secrets = bytearray(b"ab"), bytearray(b"c")
    wipe(*secrets)
    assert secrets == (bytearray(2), bytearray(1))


def test_no_representation_shows_a_key(tmp_path: Path) -> None:
    (tmp_path / "master").write_bytes(KEY)
    assert str(KEY[:4])[2:-1] not in repr(Cipher(KEY)) + repr(FileMasterKey(tmp_path / "master"))
