"""All keys of a site are destroyed when two persons want it, and not before."""

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from click.testing import CliRunner

from faintlink.core.errors import AccessDeniedError, AuditError, ConfigError, StoreError
from faintlink.delivery import zeroizing
from faintlink.delivery.access import CONFIRM_WITHIN_S, Identity, Role
from faintlink.delivery.audit.site import LOG_FOLDER, verify_site_log
from faintlink.delivery.audit.verify import acknowledged
from faintlink.delivery.commands.zeroize import zeroize as command
from faintlink.delivery.keystore.model import Block
from faintlink.delivery.keystore.store import KeyStore
from faintlink.delivery.kme.config import load_kme
from faintlink.delivery.kme.stores import opened_store
from faintlink.delivery.witness import Event, Fact
from faintlink.delivery.zeroizing import Wishes, two_persons, zeroize
from tests.unit.delivery.kme.sites import make_pair
from tests.unit.delivery.ledger.fakes import CUT

ROLES = {
    1001: {Role.CRYPTO_OFFICER},
    1002: {Role.CRYPTO_OFFICER},
    1003: {Role.OPERATOR},
    1004: {Role.OPERATOR},
    1005: {Role.AUDITOR},
    1006: set(),
}
Want = Callable[..., None]


def identify(uid: int) -> Identity:
    if uid not in ROLES:
        raise AccessDeniedError(f"user {uid} is not known", hint="add it")
    return Identity(f"user:{uid}", frozenset(ROLES[uid]))


@pytest.fixture
def wishes(tmp_path: Path) -> Wishes:
    folder = tmp_path / "wishes"
    folder.mkdir(mode=0o700)
    return Wishes(folder)


@pytest.fixture
def want(wishes: Wishes, monkeypatch: pytest.MonkeyPatch) -> Want:
    """Leave the wish of an account, which only root could do for real."""
    owners: dict[int, int] = {}

    class Owned:
        def __init__(self, found: os.stat_result) -> None:
            self.st_mode, self.st_nlink, self.st_mtime = found.st_mode, found.st_nlink, found.st_mtime
            self.st_uid = owners.get(found.st_ino, found.st_uid)

    real = Path.lstat
    monkeypatch.setattr(Path, "lstat", lambda path: Owned(real(path)))

    def leave(uid: int, *, seconds_ago: float = 0.0, site: str = "site-a", name: int | None = None) -> None:
        path = wishes.folder / f"{site}.{uid if name is None else name}.zeroize"
        path.touch()
        owners[path.stat().st_ino] = uid
        os.utime(path, times=(0, time.time() - seconds_ago))

    return leave


@pytest.mark.parametrize(("first", "second"), [(1001, 1002), (1001, 1003), (1003, 1001)])
def test_two_persons_with_the_right_roles_are_enough(wishes: Wishes, want: Want, first: int, second: int) -> None:
    want(first, seconds_ago=60)
    want(second)
    persons = two_persons(wishes, "site-a", identify=identify)
    assert [person.name for person in persons] == [f"user:{first}", f"user:{second}"]


@pytest.mark.parametrize(
    "accounts", [[], [1001], [1003, 1004], [1001, 1005], [1001, 1006], [1001, 4711], [1005, 1006]], ids=str
)
def test_others_are_not(wishes: Wishes, want: Want, accounts: Iterable[int]) -> None:
    for uid in accounts:
        want(uid)
    with pytest.raises(AccessDeniedError, match="no two persons"):
        two_persons(wishes, "site-a", identify=identify)


def test_a_wish_counts_for_ten_minutes(wishes: Wishes, want: Want) -> None:
    want(1001, seconds_ago=CONFIRM_WITHIN_S + 1)
    want(1002)
    with pytest.raises(AccessDeniedError):
        two_persons(wishes, "site-a", identify=identify)


def test_a_wish_for_another_site_does_not_count(wishes: Wishes, want: Want) -> None:
    want(1001)
    want(1002, site="site-b")
    with pytest.raises(AccessDeniedError):
        two_persons(wishes, "site-a", identify=identify)


def test_nobody_wishes_in_anothers_name(wishes: Wishes, want: Want) -> None:
    want(1001)
    want(1001, name=1002)
    with pytest.raises(AccessDeniedError):
        two_persons(wishes, "site-a", identify=identify)


@pytest.mark.parametrize("make", [os.link, os.symlink])
def test_a_link_to_anothers_file_is_no_wish(
    wishes: Wishes, want: Want, make: Callable[[Path, Path], None], tmp_path: Path
) -> None:
    want(1001)
    want(1002)
    path = wishes.folder / "site-a.1002.zeroize"
    path.rename(tmp_path / "elsewhere")
    make(tmp_path / "elsewhere", path)
    with pytest.raises(AccessDeniedError):
        two_persons(wishes, "site-a", identify=identify)


def test_a_folder_in_which_wishes_are_not_safe_is_refused(wishes: Wishes) -> None:
    wishes.folder.chmod(0o777)
    with pytest.raises(ConfigError, match="not safe"):
        wishes.leave("site-a")
    wishes.folder.chmod(0o1777)
    wishes.leave("site-a")
    with pytest.raises(ConfigError, match="install -d"):
        Wishes(wishes.folder / "nowhere").leave("site-a")


class Full:
    """Cannot write."""

    def note(self, fact: Fact) -> None:
        raise AuditError("the disk is full", hint="free it")


class Store:
    """Remembers that it was destroyed."""

    is_destroyed = False

    def zeroize(self) -> None:
        self.is_destroyed = True


def test_keys_are_destroyed_though_it_cannot_be_noted() -> None:
    store = Store()
    assert not zeroize(store, Full(), persons=(identify(1001), identify(1002)))
    assert store.is_destroyed


def fill(store: KeyStore) -> None:
    store.ingest("site-b", Block("block-1", bytes(range(256)) * 40, 1e-10), CUT)


def test_the_command_destroys_all_keys_of_a_site_and_notes_it(
    tmp_path: Path, wishes: Wishes, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_pair(tmp_path / "sites")[0]
    config = load_kme(folder)
    with opened_store(folder, config) as store:
        fill(store)
    monkeypatch.setattr(zeroizing, "two_persons", lambda *_: (identify(1001), identify(1002)))
    result = CliRunner().invoke(command, [str(folder), "--wishes", str(wishes.folder)])
    assert result.exception is None, result.exception
    assert "are destroyed" in result.output
    with pytest.raises(StoreError), opened_store(folder, config):
        pass
    found = verify_site_log(folder / "audit")
    facts = acknowledged(folder / "audit" / LOG_FOLDER, until=found.records)
    (fact,) = [one for one in facts if one.event == Event.ZEROIZED]
    assert fact.about["persons"] == ["user:1001", "user:1002"]


def test_the_command_alone_destroys_nothing(tmp_path: Path, wishes: Wishes) -> None:
    folder = make_pair(tmp_path / "sites")[0]
    with opened_store(folder, load_kme(folder)) as store:
        fill(store)
    result = CliRunner().invoke(command, [str(folder), "--ask", "--wishes", str(wishes.folder)])
    assert "ten minutes" in result.output
    result = CliRunner().invoke(command, [str(folder), "--wishes", str(wishes.folder)])
    assert isinstance(result.exception, AccessDeniedError)
    with opened_store(folder, load_kme(folder)) as store:
        assert store.stock()
