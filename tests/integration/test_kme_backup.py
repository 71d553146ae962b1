"""A site loses its key store and is restored from a backup: nothing is handed out twice, and both sites agree."""

import asyncio
import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from faintlink.core.errors import (
    AuditError,
    ConfigError,
    DeliveryError,
    RunExistsError,
    SchemaError,
    StoreError,
    StoreRolledBackError,
)
from faintlink.core.records import SecretKey
from faintlink.delivery.audit.log import AuditLog
from faintlink.delivery.audit.site import verify_site_log
from faintlink.delivery.commands.kme import kme
from faintlink.delivery.kme.config import load_kme
from faintlink.delivery.kme.running import opened_site
from faintlink.delivery.kme.stores import opened_store
from faintlink.postprocess.keystore import FileKeyStore
from tests.kme_load import OTHER, History
from tests.kme_processes import Processes
from tests.unit.delivery.keystore.postgres_server import running_server
from tests.unit.delivery.kme.logbook import break_log, facts
from tests.unit.delivery.kme.sites import SITES, application_context, ask, change, client, make_pair
from tests.unit.delivery.ledger.fakes import CUT, block


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Processes]:
    made = Processes.make(tmp_path / "sites")
    made.distil(1, 1000)
    with made.serving():
        yield made


def run(*arguments: object) -> str:
    result = CliRunner().invoke(kme, [str(one) for one in arguments])
    if result.exception is not None:
        raise result.exception
    return result.output


def lose(folder: Path) -> None:
    """Lose the database; the anchor stands elsewhere, as the page on backups asks for."""
    for path in (folder / "store").glob("keys.db*"):
        if path.suffix != ".anchor":
            path.unlink()


async def promise(pair: Processes, site: str, number: int, history: History) -> list[str]:
    """Have a site hand keys to its application; nobody fetches the other halves yet."""
    async with client(application_context(pair.folders[site])) as session:
        status, made = await ask(session, f"{pair.url(site)}/enc_keys", {"number": number})
    assert status == 200, made
    return history.keep(history.master, made)


async def fetch(pair: Processes, site: str, names: list[str], history: History) -> int:
    """Fetch the slave's copies at a site and return the status."""
    async with client(application_context(pair.folders[site])) as session:
        status, made = await ask(session, f"{pair.url(site)}/dec_keys", {"key_IDs": [{"key_ID": n} for n in names]})
    if status == 200:
        history.keep(history.slave, made)
    return status


def keep_on_loading(pair: Processes, history: History, seconds: float = 0.5) -> None:
    load = pair.load()
    load.history = history
    asyncio.run(load.run(2, seconds, sites=SITES))


def put_back(pair: Processes, block: int, units: int) -> str:
    """Put a block's file back into the folder of site-a's node, as a restored file system would."""
    name = f"00000000-0000-4000-8000-{block:012x}"
    keys = FileKeyStore(pair.folders["site-a"] / "node-keys")
    for path in keys.folder.glob(f"{name}*"):
        path.unlink()
    data = hashlib.shake_256(b"block %d" % block).digest(units * 32)
    keys.put(SecretKey(name, units * 256, data, 1e-10), {"usable": True, "run_id": "made up"})
    return name


def units(pair: Processes, site: str) -> int:
    return sum(pair.status(site, compare=True)["peers"][OTHER[site]]["units"].values())


def await_stock(pair: Processes, wanted: int) -> None:
    deadline = time.monotonic() + 20.0
    while any(units(pair, site) != wanted for site in SITES):
        assert time.monotonic() < deadline, [units(pair, site) for site in SITES]
        time.sleep(0.05)


def test_a_restored_site_hands_nothing_out_again_and_agrees_with_its_peer(pair: Processes, tmp_path: Path) -> None:
    history, folder, backup = History(), pair.folders["site-a"], tmp_path / "backup"
    keep_on_loading(pair, history)
    fetched_before = asyncio.run(promise(pair, "site-b", 3, history))
    assert asyncio.run(fetch(pair, "site-a", fetched_before, history)) == 200

    assert "no key" in run("backup", folder, "--to", backup)
    assert backup.stat().st_mode & 0o777 == 0o600
    with pytest.raises(DeliveryError, match="nothing was overwritten"):
        run("backup", folder, "--to", backup)
    with pytest.raises(DeliveryError, match="cannot be written"):
        run("backup", folder, "--to", tmp_path / "nowhere" / "backup")
    with pytest.raises(AuditError, match=r"site-a in .* runs"):
        run("restore", folder, "--from", backup)

    # After the backup: keys handed out at both sites, halves that nobody has fetched yet, and another block.
    keep_on_loading(pair, history)
    pair.distil(2, 100)
    left = asyncio.run(promise(pair, "site-a", 4, history))
    fetched_since = asyncio.run(promise(pair, "site-b", 3, history))
    assert asyncio.run(fetch(pair, "site-a", fetched_since, history)) == 200
    lost = asyncio.run(promise(pair, "site-b", 2, history))
    assert asyncio.run(fetch(pair, "site-b", left[:1], history)) == 200
    put_back_name = f"00000000-0000-4000-8000-{2:012x}"
    while put_back_name not in {fact.about["block_id"] for fact in facts(folder, "block_ingested")}:
        pair.status("site-a", compare=True)

    pair.running["site-a"].terminate()
    pair.running["site-a"].wait(20)
    with pytest.raises(RunExistsError, match=r"keys\.db is there"):
        run("restore", folder, "--from", backup)
    lose(folder)
    put_back(pair, 2, 100)
    said = run("restore", folder, "--from", backup)
    assert "1 blocks that came in since" in said
    pair.start("site-a")
    pair.await_up()

    # The block that was put back stays out, and the other site gives its halves of the lost stock up.
    await_stock(pair, 0)
    assert pair.status("site-a", compare=True)["peers"]["site-b"]["last_differences"] == 0
    # What site-a handed out after the backup, the audit log told the restored store: site-b kept its halves.
    assert asyncio.run(fetch(pair, "site-b", left[1:], history)) == 200
    assert asyncio.run(fetch(pair, "site-b", left[:1], history)) == 400
    for names in (fetched_before, fetched_since, lost):
        assert asyncio.run(fetch(pair, "site-a", names, history)) == 400
    pair.distil(3, 300)
    await_stock(pair, 300)
    count = len(history.slave)
    keep_on_loading(pair, history)
    assert len(history.slave) > count + 3
    history.check()
    assert set(history.master) - set(history.slave) <= set(lost)
    written, restored = facts(folder, "backup")
    assert (written.about["what"], restored.about["what"]) == ("written", "restored")
    assert written.about["sha256"] == restored.about["sha256"] == hashlib.sha256(backup.read_bytes()).hexdigest()
    assert verify_site_log(pair.folders["site-b"] / "audit").is_sound


def stop(pair: Processes, site: str) -> None:
    pair.running[site].terminate()
    pair.running[site].wait(20)


def test_a_site_whose_older_store_was_put_back_is_recovered_and_hands_nothing_out_again(
    pair: Processes, tmp_path: Path
) -> None:
    history, folder = History(), pair.folders["site-a"]
    keep_on_loading(pair, history)
    stop(pair, "site-a")
    with pytest.raises(StoreError, match="nothing to recover"):
        run("recover", folder)
    older = {path: path.read_bytes() for path in (folder / "store").glob("keys.db*") if path.suffix != ".anchor"}
    pair.start("site-a")
    pair.await_up()
    keep_on_loading(pair, history)
    left = asyncio.run(promise(pair, "site-a", 3, history))
    with pytest.raises(AuditError, match=r"site-a in .* runs"):
        run("recover", folder)
    stop(pair, "site-a")

    lose(folder)
    for path, content in older.items():
        path.write_bytes(content)
    with pytest.raises(StoreError, match="mode 644"):
        run("recover", folder)
    for path in older:
        path.chmod(0o600)
    with pytest.raises(StoreRolledBackError), opened_site(folder):
        pass
    assert "units of stock were given up" in run("recover", folder)
    pair.start("site-a")
    pair.await_up()
    await_stock(pair, 0)
    # What site-a handed out since, the audit log told the recovered store: site-b kept its halves.
    assert asyncio.run(fetch(pair, "site-b", left, history)) == 200
    pair.distil(2, 300)
    await_stock(pair, 300)
    count = len(history.slave)
    keep_on_loading(pair, history)
    assert len(history.slave) > count + 3
    history.check()
    (noted,) = facts(folder, "backup")
    assert noted.about["what"] == "recovered"
    assert "older copy" in noted.about["reason"]


def test_a_zeroized_store_begins_anew(tmp_path: Path) -> None:
    folder = make_pair(tmp_path / "sites")[0]
    with opened_site(folder) as opened:
        opened.site.parts.store.zeroize()
        opened.site.thread.close()
    with pytest.raises(StoreError, match="was zeroized"):
        start(folder)
    run("recover", folder)
    start(folder)
    assert "was zeroized" in facts(folder, "backup")[0].about["reason"]


def test_a_lost_master_key_is_made_anew_and_the_store_goes_on_without_its_keys(tmp_path: Path) -> None:
    folder = make_pair(tmp_path / "sites")[0]
    with pytest.raises(StoreError, match="no key store"):
        run("recover", folder)
    start(folder)
    (folder / "store" / "master.key").unlink()
    run("recover", folder)
    start(folder)
    assert facts(folder, "backup")[0].about["reason"] == "the master key is lost"


def test_backing_up_and_restoring_refuse_what_is_not_in_order(tmp_path: Path) -> None:
    first, second = make_pair(tmp_path / "sites")
    start(first)
    start(second)
    run("backup", first, "--to", tmp_path / "one")
    with pytest.raises(RunExistsError, match="nothing was overwritten"):
        run("backup", first, "--to", tmp_path / "one")
    run("backup", first, "--to", tmp_path / "two")
    run("backup", second, "--to", tmp_path / "other")
    assert (tmp_path / "one").read_bytes() != b""
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["one", "other", "two"]
    lose(first)
    with pytest.raises(StoreError, match="no key store yet"):
        run("backup", first, "--to", tmp_path / "three")
    with pytest.raises(StoreError, match="of site-b, not of site-a"):
        run("restore", first, "--from", tmp_path / "other")
    (tmp_path / "cut").write_bytes((tmp_path / "two").read_bytes()[:-30])
    with pytest.raises(SchemaError, match="no whole backup"):
        run("restore", first, "--from", tmp_path / "cut")
    break_log(first)
    with pytest.raises(AuditError):
        run("restore", first, "--from", tmp_path / "two")
    break_log(second)
    with pytest.raises(AuditError):
        run("backup", second, "--to", tmp_path / "four")
    assert not (first / "store" / "keys.db").exists()
    assert not (tmp_path / "four").exists()


def full(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


def start(folder: Path) -> None:
    """Open a site as for its start, and close it again."""
    with opened_site(folder) as opened:
        opened.site.thread.close()


def test_nothing_is_left_where_the_log_cannot_note_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AuditError("the log cannot be written")

    folder = make_pair(tmp_path / "sites")[0]
    start(folder)
    run("backup", folder, "--to", tmp_path / "good")
    count = len(facts(folder, "backup"))
    with monkeypatch.context() as patch:
        patch.setattr(AuditLog, "note", refuse)
        with pytest.raises(AuditError, match="cannot be written"):
            run("backup", folder, "--to", tmp_path / "bad")
        lose(folder)
        with pytest.raises(AuditError, match="cannot be written"):
            run("restore", folder, "--from", tmp_path / "good")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["good"]
    assert not (folder / "store" / "keys.db").exists()
    assert len(facts(folder, "backup")) == count
    # A restore that the disk breaks off leaves nothing that would refuse the next one.
    with monkeypatch.context() as patch:
        patch.setattr("faintlink.delivery.keystore.backup.recover", full)
        with pytest.raises(OSError, match="No space"):
            run("restore", folder, "--from", tmp_path / "good")
    assert "restored" in run("restore", folder, "--from", tmp_path / "good")
    start(folder)


def test_a_store_in_a_database_is_restored_and_its_backup_moves_it_into_a_file(tmp_path: Path) -> None:
    folder = make_pair(tmp_path / "sites")[0]
    with running_server() as address:
        change(folder, postgres={"address": address})
        start(folder)
        with opened_store(folder, load_kme(folder)) as store:
            store.ingest("site-b", block(1, 10), CUT)
        run("backup", folder, "--to", tmp_path / "backup")
        with pytest.raises(StoreError, match="holds a key store already"):
            run("restore", folder, "--from", tmp_path / "backup")
        import psycopg

        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
        assert "restored 1 records" in run("restore", folder, "--from", tmp_path / "backup")
        with opened_store(folder, load_kme(folder)) as store:
            assert store.ingest("site-b", block(1, 10), CUT) == 0
    change(folder, postgres=None)
    assert "restored 1 records" in run("restore", folder, "--from", tmp_path / "backup")
    with pytest.raises(ConfigError, match="in a PostgreSQL database"):
        start(folder)
    (folder / "store" / "postgres.anchor").unlink()
    start(folder)
