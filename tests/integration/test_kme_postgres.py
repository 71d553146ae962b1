"""Sites with their keys in PostgreSQL: servers that stop under load and come back, killed sites, who owns a store."""

import asyncio
import json
import random
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from faintlink.core.errors import StoreError
from faintlink.delivery.kme.config import FILE_NAME, load_kme
from faintlink.delivery.kme.stores import opened_store
from tests.kme_load import Load, disturbed
from tests.kme_processes import Processes
from tests.unit.delivery.keystore.postgres_server import Server, restartable_server
from tests.unit.delivery.kme.sites import SITES, application_context, ask, change, client, free_ports
from tests.unit.delivery.ledger.fakes import CUT, block

CLIENTS = 4
PROVENANCE = "faintlink_provenance"


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Server]]:
    """One for each site."""
    with ExitStack() as stack:
        yield {site: stack.enter_context(restartable_server()) for site in SITES}


@dataclass
class Pair:
    """Two sites as processes, each over a server of its own."""

    sites: Processes
    servers: dict[str, Server]

    @classmethod
    def make(cls, folder: Path, servers: dict[str, Server]) -> "Pair":
        """Make both, with a schema that nobody had before."""
        pair = cls(Processes.make(folder), servers)
        for site, port in zip(SITES, free_ports(2), strict=True):
            schema = f"keys_{abs(hash(folder)):x}"
            execute(servers[site], f"CREATE SCHEMA {schema}")
            change(pair.sites.folders[site], postgres=section(servers[site], schema), monitoring_port=port)
            change(pair.sites.folders[site], api={"extensions": [PROVENANCE]})
        return pair

    def health(self, site: str) -> dict[str, Any]:
        """Return what a site says of its own health."""
        answer: dict[str, Any] = json.loads(self._monitoring(site, "/health")[1])
        return answer

    def metric(self, site: str, name: str) -> float:
        """Return a gauge without labels."""
        text = self._monitoring(site, "/metrics")[1]
        return float(next(line.split()[1] for line in text.splitlines() if line.startswith(f"faintlink_{name} ")))

    def _monitoring(self, site: str, path: str) -> tuple[int, str]:
        port = yaml.safe_load((self.sites.folders[site] / FILE_NAME).read_text())["monitoring_port"]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def await_keys(self, *, within_s: float = 30.0) -> None:
        """Wait until both sites hand out keys again."""
        asyncio.run(self._await_keys(time.monotonic() + within_s))

    async def _await_keys(self, deadline: float) -> None:
        for site in SITES:
            async with client(application_context(self.sites.folders[site])) as session:
                while (await ask(session, f"{self.sites.url(site)}/enc_keys", {}))[0] != 200:
                    assert time.monotonic() < deadline, self.sites.log()
                    await asyncio.sleep(0.05)


def section(server: Server, schema: str) -> dict[str, Any]:
    """Return what stands in kme.yaml."""
    address = f"host={server.folder} user=faintlink dbname=postgres"
    return {"address": address, "db_schema": schema, "look_every_s": 0.2, "answer_within_s": 5.0}


def execute(server: Server, statement: str) -> Any:
    """Run a statement as the server's owner and return its rows."""
    import psycopg

    with psycopg.connect(server.address, autocommit=True) as connection:
        found = connection.execute(statement.encode())
        return found.fetchall() if found.description else None


async def disturb(pair: Pair, load: Load, times: int) -> list[float]:
    """Stop servers and kill sites in turns while applications ask, and return how long each was away, s."""
    chance = random.Random(15)

    async def act(number: int) -> None:
        site = chance.choice(SITES)
        if number % 2:
            await asyncio.to_thread(pair.sites.kill, site)
            pair.sites.start(site)
        else:
            await asyncio.to_thread(pair.servers[site].stop_at_once)
            await asyncio.sleep(chance.uniform(0.0, 0.5))
            await asyncio.to_thread(pair.servers[site].start)
        await asyncio.to_thread(pair.sites.await_up)
        await asyncio.to_thread(pair.await_keys)

    return await disturbed(
        load, CLIENTS, times, act, pause=lambda: asyncio.sleep(chance.uniform(0.3, 0.9)), sites=SITES
    )


def started(folder: Path, servers: dict[str, Server], units: int) -> Pair:
    """Return two sites that run and have stock."""
    pair = Pair.make(folder, servers)
    pair.sites.distil(1, units)
    for site in SITES:
        pair.sites.start(site)
    pair.sites.await_up()
    return pair


def end(pair: Pair, load: Load, *, times: int, fetched_by_none: int) -> None:
    """Assert that nothing was handed out twice or differs, that the ledgers agree, and that little was lost."""
    try:
        for _ in range(2):
            for site in SITES:
                seen = pair.sites.status(site, compare=True)
        assert next(iter(seen["peers"].values()))["last_differences"] == 0
    finally:
        pair.sites.stop()
    history = load.history
    history.check()
    lost = pair.sites.check_stores() - fetched_by_none + len(set(history.master) - set(history.slave))
    print(
        f"{times} disturbances: {len(history.master)} keys to masters, {len(history.slave)} to slaves, {lost} lost, "
        f"{history.broken} requests without an answer, {dict(history.answers)}"
    )
    # What is in flight when a site or its server ends is burnt; no other key is lost.
    assert lost <= CLIENTS * times
    assert len(history.slave) > 2 * times
    assert history.answers["enc_keys 503"] > 0


async def what_is_said(pair: Pair, site: str) -> tuple[int, Any]:
    """Return a site's answer to an application that asks for a key."""
    async with client(application_context(pair.sites.folders[site])) as session:
        return await ask(session, f"{pair.sites.url(site)}/enc_keys", {})


async def both_are_told_the_same(pair: Pair) -> None:
    """Ask for keys and for where they came from, at both sites."""
    contexts = {site: application_context(folder) for site, folder in pair.sites.folders.items()}
    async with client(contexts["site-a"]) as master, client(contexts["site-b"]) as slave:
        body = {"number": 3, "extension_mandatory": [{PROVENANCE: True}]}
        status, made = await ask(master, f"{pair.sites.url('site-a')}/enc_keys", body)
        assert status == 200
        names = [{"key_ID": key["key_ID"]} for key in made["keys"]]
        asked = {"key_IDs": names, "key_IDs_extension": {PROVENANCE: True}}
        assert await ask(slave, f"{pair.sites.url('site-b')}/dec_keys", asked) == (200, made)
        blocks = ["00000000-0000-4000-8000-000000000001"]
        about = {PROVENANCE: {"origin": "link", "epsilon": 1e-10, "blocks": blocks}}
        assert [key["key_extension"] for key in made["keys"]] == [about] * 3


def test_a_site_says_that_its_server_is_gone_and_goes_on_when_it_is_back(
    tmp_path: Path, servers: dict[str, Server]
) -> None:
    pair = started(tmp_path / "sites", servers, 3000)

    async def scene() -> Load:
        load = pair.sites.load()
        running = asyncio.create_task(load.run(CLIENTS, 3600.0, sites=SITES))
        while len(load.history.slave) < 10:
            await asyncio.sleep(0.02)
        assert pair.metric("site-a", "store_up") == 1
        await asyncio.to_thread(servers["site-a"].stop_at_once)
        # The other site is killed meanwhile: both have to find each other again.
        pair.sites.kill("site-b")
        pair.sites.start("site-b")
        assert await what_is_said(pair, "site-a") == (503, {"message": "key data access error"})
        health = pair.health("site-a")
        assert health["status"] == "down"
        assert "failed before" in health["checks"]["store"] or "fails" in health["checks"]["store"]
        assert pair.metric("site-a", "store_up") == 0
        await asyncio.to_thread(servers["site-a"].start)
        await asyncio.to_thread(pair.sites.await_up)
        await asyncio.to_thread(pair.await_keys)
        before = len(load.history.slave)
        while len(load.history.slave) < before + 10:
            await asyncio.sleep(0.02)
        load.is_over = True
        await running
        return load

    try:
        load = asyncio.run(scene())
        assert pair.health("site-a")["checks"]["store"] == "ok"
        asyncio.run(both_are_told_the_same(pair))
    except BaseException:
        pair.sites.stop()
        raise
    end(pair, load, times=2, fetched_by_none=2)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_stopped_servers_and_killed_sites_never_hand_out_twice_and_agree_in_the_end(
    tmp_path: Path, servers: dict[str, Server]
) -> None:
    times = 80
    pair = started(tmp_path / "sites", servers, 8000 + 200 * times)
    try:
        load = pair.sites.load()
        away = asyncio.run(disturb(pair, load, times))
    except BaseException:
        pair.sites.stop()
        raise
    print(f"away {sorted(away)[times // 2]:.1f} s, at most {max(away):.1f} s")
    end(pair, load, times=times, fetched_by_none=2 * times)


def test_a_site_that_starts_waits_for_its_server(tmp_path: Path, servers: dict[str, Server]) -> None:
    server = servers["site-b"]
    folder = Processes.make(tmp_path / "sites").folders["site-b"]
    execute(server, "CREATE SCHEMA of_late")
    change(folder, postgres=section(server, "of_late"))
    server.stop_at_once()
    with pytest.raises(StoreError, match="does not answer"), opened_store(folder, load_kme(folder)):
        pass
    starter = threading.Timer(0.3, server.start)
    starter.start()
    with opened_store(folder, load_kme(folder), is_starting=True) as store:
        assert store.stock() == {}
    starter.join()


def test_a_password_comes_out_of_a_file_and_the_user_needs_no_more_than_a_schema(
    tmp_path: Path, servers: dict[str, Server]
) -> None:
    server = servers["site-a"]
    folder = Processes.make(tmp_path / "sites").folders["site-a"]
    rules = server.folder / "data" / "pg_hba.conf"
    rules.write_text("local all kme scram-sha-256\n" + rules.read_text())
    for statement in (
        "SELECT pg_reload_conf()",
        "CREATE ROLE kme LOGIN PASSWORD 'canary-pass'",
        "CREATE SCHEMA of_kme AUTHORIZATION kme",
    ):
        execute(server, statement)
    address = f"host={server.folder} user=kme dbname=postgres"
    for name, word in (("right", "canary-pass"), ("wrong", "canary-fail")):
        (folder / name).write_text(f"*:*:postgres:kme:{word}\n")
        (folder / name).chmod(0o600)
    for password_file, why in ((None, "no password supplied"), ("wrong", "password authentication failed")):
        change(folder, postgres={"address": address, "db_schema": "of_kme", "password_file": password_file})
        with pytest.raises(StoreError, match=why) as caught, opened_store(folder, load_kme(folder)):
            pass
        assert "canary" not in str(caught.value) + repr(caught.value.__cause__)
    change(folder, postgres={"address": address, "db_schema": "of_kme", "password_file": "right"})
    with opened_store(folder, load_kme(folder)) as store:
        store.ingest("site-b", block(1, 100), CUT)
        store.forget_epochs()
        assert "canary" not in repr(store)
    with opened_store(folder, load_kme(folder)) as store:
        assert sum(one.units for one in store.stock().values()) == 100


def test_two_sites_never_share_a_store(tmp_path: Path, servers: dict[str, Server]) -> None:
    pair = Pair.make(tmp_path / "sites", servers)
    first, second = (pair.sites.folders[site] for site in SITES)
    change(second, postgres=yaml.safe_load((first / FILE_NAME).read_text())["postgres"])
    with opened_store(first, load_kme(first)) as store:
        with (
            pytest.raises(StoreError, match=r"in use by the server's process \d+"),
            opened_store(second, load_kme(second)),
        ):
            pass
        assert store.stock() == {}
    with (
        pytest.raises(StoreError, match="is the key store of site-a, not of site-b"),
        opened_store(second, load_kme(second)),
    ):
        pass
