"""Where a site's keys are, as its configuration says it, and what the configuration may not say."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from faintlink.core.errors import ConfigError, StoreError
from faintlink.delivery.keystore.anchor import Anchor, Condition
from faintlink.delivery.kme.config import KmeConfig, load_kme
from faintlink.delivery.kme.provision import Plan, make_sites
from faintlink.delivery.kme.store_config import PostgresStore, settings_of
from faintlink.delivery.kme.stores import ANCHOR, DATABASE, address_of, opened_store, opened_to_destroy
from tests.unit.delivery.kme.sites import SITES, change

GOOD = "host=/run/postgresql user=kme dbname=keys"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_sites(tmp_path / "sites", Plan([SITES], {}))[0]


def postgres(folder: Path, **section: object) -> KmeConfig:
    """Return the configuration of a site with a server that is not there."""
    change(folder, postgres={"address": f"host={folder} user=kme dbname=keys", **section})
    return load_kme(folder)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        (f"{GOOD} password=canary", "password may not stand here"),
        (f"{GOOD} passfile=canary", "passfile may not stand here"),
        (f"{GOOD} sslpassword=canary", "sslpassword may not stand here"),
        (f"{GOOD} service=canary", "service may not stand here"),
        (f"{GOOD} options=-csynchronous_commit=off", "options may not stand here"),
        ("postgresql://kme:canary@db.example/keys", "URIs are not taken"),
        (f"{GOOD} user=canary", "each name once"),
        (f"{GOOD} canary", "name=value"),
        ("host=/run/postgresql user=kme", "dbname and user"),
        ("host=db.example user=kme dbname=keys", "sslmode=verify-full"),
        ("host=/run,192.0.2.1 user=kme dbname=keys", "sslmode=verify-full"),
        ("host=db.example user=kme dbname=keys sslmode=require", "sslmode=verify-full"),
        ("hostaddr=192.0.2.1 host=/run user=kme dbname=keys", "sslmode=verify-full"),
    ],
)
def test_an_address_that_holds_a_secret_or_trusts_the_line_is_refused_and_not_shown(address: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why) as caught:
        PostgresStore(address=address)
    assert "canary" not in str(caught.value.errors(include_input=False))


@pytest.mark.parametrize(
    "section",
    [{"address": f"{GOOD} password=canary"}, {"address": GOOD, "password": "canary"}],
    ids=["inside", "beside"],
)
def test_a_password_does_not_come_back_in_what_the_operator_reads(folder: Path, section: dict[str, str]) -> None:
    change(folder, postgres=section)
    with pytest.raises(ConfigError, match="password_file") as caught:
        load_kme(folder)
    assert "canary" not in str(caught.value) + repr(caught.value) + str(caught.value.fields)


@pytest.mark.parametrize(
    "address",
    [
        GOOD,
        "user=kme dbname=keys",
        "host=localhost user=kme dbname=keys",
        "host=127.0.0.1,::1 port=5433 user=kme dbname=keys",
        "host=db.example user=kme dbname='my keys' sslmode=verify-full sslrootcert=/etc/ca.crt",
    ],
)
def test_an_address_without_a_secret_is_taken(address: str) -> None:
    assert PostgresStore(address=address).address == address


NAMES = st.sampled_from(["host", "user", "dbname", "sslrootcert"])
VALUES = st.text(st.sampled_from("ab /='\\,.-"), max_size=12)


@given(st.dictionaries(NAMES, VALUES))
def test_an_address_is_read_as_libpq_reads_it(settings: dict[str, str]) -> None:
    conninfo = pytest.importorskip("psycopg.conninfo")
    text = conninfo.make_conninfo("", **settings)
    assert settings_of(text) == conninfo.conninfo_to_dict(text)


def test_libpq_is_told_schema_password_file_and_patience(folder: Path) -> None:
    conninfo = pytest.importorskip("psycopg.conninfo")
    (folder / "pg pass").write_text("*:*:*:*:canary\n")
    (folder / "pg pass").chmod(0o600)
    settings = PostgresStore(address=f"{GOOD} connect_timeout=9", password_file="pg pass", db_schema="keys_a")
    told = conninfo.conninfo_to_dict(address_of(folder, settings))
    assert told["options"] == "-c search_path=keys_a"
    assert told["passfile"] == str(folder / "pg pass")
    assert (told["connect_timeout"], told["tcp_user_timeout"]) == ("9", "10000")
    assert "canary" not in str(told)


@pytest.mark.parametrize(("mode", "why"), [(0o640, "mode 640"), (None, "cannot be read")])
def test_a_password_file_that_others_may_read_or_that_is_not_there_is_refused(
    folder: Path, mode: int | None, why: str
) -> None:
    pytest.importorskip("psycopg")
    if mode is not None:
        (folder / "pgpass").write_text("x")
        (folder / "pgpass").chmod(mode)
    with pytest.raises(ConfigError, match=why), opened_store(folder, postgres(folder, password_file="pgpass")):
        pass


@pytest.mark.parametrize("name", ["Keys", "a-b", "x;y", '"a"', "", "a" * 64])
def test_a_schema_has_a_plain_name(name: str) -> None:
    with pytest.raises(ValidationError):
        PostgresStore(address=GOOD, db_schema=name)


def test_a_site_does_not_begin_a_second_store_of_the_other_kind(folder: Path) -> None:
    with opened_store(folder, load_kme(folder)):
        pass
    with pytest.raises(ConfigError, match="are in a file"), opened_store(folder, postgres(folder)):
        pass
    (folder / "store" / DATABASE).unlink()
    (folder / "store" / ANCHOR).touch()
    change(folder, postgres=None)
    with pytest.raises(ConfigError, match="in a PostgreSQL database"), opened_store(folder, load_kme(folder)):
        pass


def test_a_server_that_is_not_there_is_said_and_lets_go_of_the_anchor(folder: Path) -> None:
    pytest.importorskip("psycopg")
    for _ in range(2):
        with (
            pytest.raises(StoreError, match=r"does not answer: .*No such file"),
            opened_store(folder, postgres(folder)),
        ):
            pass


def test_keys_are_destroyed_while_their_server_is_away(folder: Path) -> None:
    pytest.importorskip("psycopg")
    config = postgres(folder)
    with pytest.raises(StoreError), opened_to_destroy(folder, config):
        pass
    anchor = folder / "store" / ANCHOR
    Anchor.create(anchor, "00000000-0000-4000-8000-000000000001").close()
    with opened_to_destroy(folder, config) as store:
        with pytest.raises(StoreError, match="in use by process"), opened_to_destroy(folder, config):
            pass
        store.zeroize()
    said = Anchor.open(anchor).said
    assert said.condition is Condition.ZEROIZED
    assert not any(said.secret)
