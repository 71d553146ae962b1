"""The evidence pack: what it holds, what it says when something is missing or broken, and what it never says."""

import hashlib
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from faintlink.core.errors import RunExistsError, StoreError
from faintlink.delivery.access import Action, Role
from faintlink.delivery.audit.records import Record
from faintlink.delivery.audit.signing import AuditKey
from faintlink.delivery.audit.site import ANCHORS_FILE, KEY_FILE, LOG_FOLDER
from faintlink.delivery.evidence import collect as collecting
from faintlink.delivery.evidence import sbom
from faintlink.delivery.evidence.collect import Pack, Sources, collect
from faintlink.delivery.evidence.families import CLAIM, FAMILIES, SECTIONS, Standing
from faintlink.delivery.evidence.page import SUMS, page, write_pack
from faintlink.delivery.evidence.records import with_store
from faintlink.delivery.evidence.sbom import Component
from faintlink.delivery.evidence.usage import gather
from faintlink.delivery.selftest.known_answers import Result
from faintlink.delivery.witness import Event, Fact
from tests.data import ROOT
from tests.unit.delivery.audit.logs import BLOCK, Home


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site with a configuration, a certificate, a secret and an audit log."""
    folder = tmp_path / "site-a"
    (folder / "tls").mkdir(parents=True)
    (folder / "kme.yaml").write_text("site: site-a\n")
    (folder / "tls" / "sites.crt").write_text("certificate")
    (folder / "tls" / "sites.key").write_text("secret")
    audit = folder / "audit"
    audit.mkdir()
    home = Home(audit / LOG_FOLDER, AuditKey.create(audit / KEY_FILE), audit / ANCHORS_FILE)
    log = home.open()
    log.note(Fact(Event.BLOCK_INGESTED, "node", BLOCK))
    log.note(Fact(Event.KEYS_DELIVERED, "app-a", {"role": "master", "key_ids": ["key-1", "key-2"]}))
    log.note(Fact(Event.KEYS_VOIDED, "site-b", {"key_ids": ["key-3"], "reason": "no answer"}))
    log.close()
    return folder


def store_of(folder: Path, blocks: str = '["block-1"]') -> Path:
    """The tables of a SQLite store that hold no material."""
    path = folder / "keys.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE meta (name TEXT, value TEXT)")
        connection.execute("INSERT INTO meta VALUES ('format', '1')")
        connection.execute("CREATE TABLE keys (key_id TEXT, state TEXT, bits INTEGER, epsilon REAL, blocks TEXT)")
        rows = [(f"key-{n}", "delivered", 256, 1e-10, blocks) for n in (1, 2)]
        connection.executemany("INSERT INTO keys VALUES (?, ?, ?, ?, ?)", rows)
    connection.close()
    return path


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Self-tests and parts have tests of their own."""
    monkeypatch.setattr(collecting, "try_all", lambda _: [Result("AES", "a paper", True, 0.0)])
    monkeypatch.setattr(sbom, "components", lambda: {"faintlink": Component("faintlink", "0.1", "", False)})


def section(pack: Pack, name: str) -> dict[str, Any]:
    found: dict[str, Any] = pack.sections[name]
    return found


def test_the_pack_has_every_section_and_finds_no_fault(site: Path) -> None:
    pack = collect(Sources(site=site, audit=site / "audit", store=store_of(site)))
    assert list(pack.sections) == list(SECTIONS)
    assert pack.is_good
    assert section(pack, "audit")["is_good"] is True
    assert section(pack, "usage")["untraced"] == 0
    assert section(pack, "epsilon")["sum_over_blocks"] == pytest.approx(1e-10)
    matrix = section(pack, "permissions")["matrix"]
    assert {(action, role) for action in matrix for role in matrix[action]} == {(a, r) for a in Action for r in Role}


def test_only_public_files_of_the_configuration_are_hashed(site: Path) -> None:
    hashes = section(collect(Sources(site=site)), "configuration")["sha256"]
    assert hashes["kme.yaml"] == hashlib.sha256(b"site: site-a\n").hexdigest()
    assert "tls/sites.crt" in hashes
    assert not any(name.endswith(".key") for name in hashes)


def test_what_was_not_named_is_said_to_be_absent() -> None:
    pack = collect(Sources())
    for name in ("configuration", "audit", "usage", "epsilon"):
        assert "was not named" in section(pack, name)["absent"]
    assert pack.usage is None


def test_a_broken_log_is_a_fault_and_the_other_sections_stand(site: Path) -> None:
    path = next((site / "audit" / LOG_FOLDER).glob("audit-*.jsonl"))
    path.write_bytes(path.read_bytes().replace(b"app-a", b"app-b"))
    pack = collect(Sources(site=site, audit=site / "audit"))
    assert not pack.is_good
    assert section(pack, "audit")["faults"][0]["record"] == 2
    assert section(pack, "usage")["keys"] == 0
    assert section(pack, "configuration")["is_good"] is True


def test_a_section_that_cannot_be_made_says_why(site: Path, tmp_path: Path) -> None:
    pack = collect(Sources(audit=tmp_path / "nowhere", manifest=tmp_path / "nothing"))
    assert "no audit key" in section(pack, "audit")["failed"]
    assert "no manifest" in section(pack, "integrity")["failed"]
    assert not pack.is_good


def test_a_failed_self_test_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "try_all", lambda _: [Result("AES", "a paper", False, 0.0)])
    assert not collect(Sources()).is_good


def test_a_delivered_key_of_an_unknown_block_is_a_fault(site: Path) -> None:
    pack = collect(Sources(audit=site / "audit", store=store_of(site, '["block-9"]')))
    assert section(pack, "usage")["is_good"] is False
    assert section(pack, "usage")["delivered_and_not_traced_to_blocks"] == ["key-1", "key-2"]


def record(n: int, event: str, about: dict[str, Any]) -> Record:
    return Record(n, "2026-01-01T00:00:00+00:00", event, "somebody", about)


def test_usage_follows_each_key_through_the_log() -> None:
    usage = gather(
        [
            record(0, Event.KEYS_RESERVED, {"key_ids": ["a", "b"]}),
            record(1, Event.KEYS_DELIVERED, {"key_ids": ["a"], "role": "master"}),
            record(2, Event.KEYS_VOIDED, {"key_ids": ["b"]}),
            record(3, Event.STARTED, {"key_ids": "none"}),
        ]
    )
    assert [step.event for step in usage.keys["a"].steps] == ["keys_reserved", "keys_delivered"]
    assert [step.record for step in usage.keys["b"].steps] == [0, 2]
    assert usage.facts["started"] == 1


PROMISE = {"peer": "site-b", "master": "app", "slave": "far", "bits": 256, "blocks": ["x", "y"], "key_ids": ["a"]}


def blocks_of(*names: str) -> list[Record]:
    return [record(n, Event.BLOCK_INGESTED, {**BLOCK, "block_id": name}) for n, name in enumerate(names)]


def test_the_log_alone_tells_what_a_key_was_made_of_and_how_good_it_is() -> None:
    usage = gather(
        [
            *blocks_of("x", "y"),
            record(2, Event.KEYS_RESERVED, PROMISE),
            record(3, Event.KEYS_DELIVERED, {"key_ids": ["a"], "role": "master"}),
        ]
    )
    row = usage.keys["a"].as_data()
    assert {name: row[name] for name in ("state", "role", "peer", "master", "slave", "bits", "blocks")} == {
        "state": "delivered",
        "role": "master",
        "peer": "site-b",
        "master": "app",
        "slave": "far",
        "bits": 256,
        "blocks": ["x", "y"],
    }
    assert row["epsilon"] == pytest.approx(2e-10)
    assert usage.untraced == []


def test_a_promise_that_is_noted_late_does_not_undo_a_delivery() -> None:
    usage = gather(
        [
            record(0, Event.KEYS_DELIVERED, {"key_ids": ["a"], "role": "slave"}),
            record(1, Event.KEYS_ASSIGNED, PROMISE),
        ]
    )
    key = usage.keys["a"]
    assert (key.state, key.role) == ("delivered", "slave")
    assert key.settled is not None
    assert key.settled.record == 0
    assert key.epsilon is None, "a block that never came in has no epsilon"


def test_a_relayed_key_has_the_epsilon_of_its_whole_way() -> None:
    way = {"key_ids": ["a"], "route": ["site-a", "site-m", "site-b"], "master": "app", "slave": "far"}
    for what, role, peer in (("arrived", "master", "site-b"), ("taken in", "slave", "site-a")):
        usage = gather([record(0, Event.KEYS_RELAYED, {**way, "what": what, "epsilon": 3e-10})])
        key = usage.keys["a"]
        assert (key.role, key.peer, key.epsilon, key.state) == (role, peer, 3e-10, "ready")


@pytest.mark.parametrize(("blocks", "is_good"), [('["block-1"]', True), ('["block-2"]', False)])
def test_a_store_that_tells_something_else_than_the_log_is_a_fault(site: Path, blocks: str, is_good: bool) -> None:
    log = Home(site / "audit" / LOG_FOLDER, AuditKey.open(site / "audit" / KEY_FILE), site / "audit" / ANCHORS_FILE)
    opened = log.open()
    promised: list[str] = ["key-1", "key-2"]
    opened.note(Fact(Event.BLOCK_INGESTED, "node", {**BLOCK, "block_id": "block-2"}))
    opened.note(Fact(Event.KEYS_RESERVED, "app-a", {"bits": 256, "blocks": ["block-1"], "key_ids": promised}))
    opened.close()
    usage = section(collect(Sources(audit=site / "audit", store=store_of(site, blocks))), "usage")
    assert usage["is_good"] is is_good
    assert usage["log_and_store_differ"] == ([] if is_good else ["key-1", "key-2"])
    alone = section(collect(Sources(audit=site / "audit")), "usage")
    assert (alone["is_good"], alone["untraced"], alone["store"]) == (True, 0, "not named")


def test_relayed_keys_need_no_block() -> None:
    facts = [
        record(0, Event.KEYS_RELAYED, {"key_ids": ["a"]}),
        record(1, Event.KEYS_DELIVERED, {"key_ids": ["a", "b"]}),
    ]
    assert gather(facts).untraced == ["b"]


def test_epsilons_of_blocks_add_and_a_block_counts_once() -> None:
    blocks = [record(n, Event.BLOCK_INGESTED, {**BLOCK, "block_id": name}) for n, name in enumerate("xyx")]
    assert gather(blocks).epsilon_of_blocks == pytest.approx(2e-10)


def test_a_store_of_another_format_or_none_at_all_is_refused(tmp_path: Path) -> None:
    path = store_of(tmp_path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE meta SET value = '99'")
    connection.close()
    with pytest.raises(StoreError, match="format 99"):
        with_store(gather([]), path)
    (tmp_path / "text").write_text("no database" * 100)
    with pytest.raises(StoreError, match="cannot be read"):
        with_store(gather([]), tmp_path / "text")


def test_a_store_that_a_running_site_holds_leaves_what_the_log_tells(site: Path) -> None:
    path = store_of(site)
    with closing(sqlite3.connect(path)) as owner:
        owner.execute("PRAGMA locking_mode = EXCLUSIVE")
        owner.execute("BEGIN EXCLUSIVE")
        usage = section(collect(Sources(audit=site / "audit", store=path)), "usage")
    assert "locked" in usage["store"]
    assert (usage["is_good"], usage["keys"]) == (None, 3)


def test_the_pack_is_private_complete_and_hashed(site: Path, tmp_path: Path) -> None:
    out = tmp_path / "pack"
    files = write_pack(collect(Sources(site=site, audit=site / "audit")), out)
    assert {path.name for path in files} == {"evidence.json", "sbom.cdx.json", "index.html", "usage.jsonl", SUMS}
    assert out.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in files)
    for line in (out / SUMS).read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest
    usage = [json.loads(line) for line in (out / "usage.jsonl").read_text().splitlines()]
    assert [one["key_id"] for one in usage] == ["key-1", "key-2", "key-3"]
    assert json.loads((out / "evidence.json").read_text())["claim"] == CLAIM
    with pytest.raises(RunExistsError):
        write_pack(collect(Sources()), out)


def test_the_page_shows_every_section_and_escapes_what_it_shows(site: Path) -> None:
    (site / "<script>.crt").write_text("x")
    text = page(collect(Sources(site=site)))
    for name in SECTIONS:
        assert f"<h2>{name.replace('_', ' ').capitalize()}</h2>" in text
    assert "&lt;script&gt;" in text
    assert "<script>" not in text
    assert "valuation-ready, not certified" in text


def test_nothing_claims_more_than_it_may() -> None:
    text = " ".join(str(one) for one in FAMILIES).lower()
    for word in ("compliant", "unconditional", "certified by", "approved"):
        assert word not in text
    assert CLAIM == "evaluation-ready, not certified"


@pytest.mark.parametrize("family", FAMILIES, ids=lambda one: one.family)
def test_a_row_names_a_clause_only_where_that_was_confirmed(family: Any) -> None:
    assert re.match(r"confirmed against |by title", family.checked), family.checked
    for number in re.findall(r"\b\d+\.\d+(?:\.\d+)*\b", f"{family.family} {family.area} {family.asked}"):
        assert f"{number} confirmed against" in family.checked


@pytest.mark.parametrize("family", FAMILIES, ids=lambda one: one.family)
def test_every_row_of_the_map_leads_somewhere(family: Any) -> None:
    assert set(family.sections) <= set(SECTIONS)
    for test in family.tests:
        assert (ROOT / test).exists(), test
    if family.standing is Standing.EVIDENCE:
        assert family.tests
        assert family.sections
    if family.standing is not Standing.EVIDENCE:
        assert len(family.note) > 30
