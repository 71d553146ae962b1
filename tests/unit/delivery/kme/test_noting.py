"""What operators do to a site is in its audit log before it takes effect, and does not take effect without."""

import asyncio
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from faintlink.core.errors import AuditError, ConfigError, DeliveryError, PeerUnavailableError
from faintlink.delivery.access import name_of_user
from faintlink.delivery.audit.latest import latest
from faintlink.delivery.audit.records import content, encode
from faintlink.delivery.audit.signing import AuditKey
from faintlink.delivery.audit.site import LOG_FOLDER
from faintlink.delivery.commands.kme import kme
from faintlink.delivery.kme.admin import serve_admin
from faintlink.delivery.kme.asking import post
from faintlink.delivery.kme.changes import note_change
from faintlink.delivery.kme.config import FILE_NAME, load_kme
from faintlink.delivery.kme.noting import RunningSite, noting, opened_audit
from faintlink.delivery.kme.provision import enroll, revoke
from faintlink.delivery.kme.running import opened_site, read_again
from faintlink.delivery.kme.site import Parts, Site
from faintlink.delivery.witness import Event, Fact, SilentWitness
from tests.unit.delivery.audit.logs import Home
from tests.unit.delivery.kme.logbook import break_log, facts
from tests.unit.delivery.kme.sites import change, make_pair
from tests.unit.delivery.ledger.fakes import MemoryStore


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sites that never started; tests change copies."""
    return make_pair(tmp_path_factory.mktemp("made") / "sites")[0].parent


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "sites") / "site-a"


def fingerprint(path: Path) -> str:
    return x509.load_pem_x509_certificate(path.read_bytes()).fingerprint(hashes.SHA256()).hex()


def test_a_new_site_begins_its_log_with_whom_it_knows(folder: Path) -> None:
    peer, application = facts(folder, "enrolled")
    assert (peer.subject, application.subject) == (name_of_user(), name_of_user())
    assert peer.about == {
        "kind": "site",
        "name": "site-b",
        "urn": "urn:faintlink:kme:site-b",
        "authority": fingerprint(folder / "tls" / "peers-authority.crt"),
    }
    assert application.about == {
        "kind": "application",
        "name": "sae-site-a",
        "urn": "urn:faintlink:sae:sae-site-a",
        "certificate": fingerprint(folder / "applications" / "sae-site-a" / "client.crt"),
    }


def test_enrolling_and_revoking_are_noted(folder: Path) -> None:
    result = CliRunner().invoke(kme, ["enroll", str(folder), "vpn"])
    assert result.exit_code == 0, result.output
    assert facts(folder, "enrolled")[-1].about["name"] == "vpn"
    assert CliRunner().invoke(kme, ["enroll", str(folder), "vpn", "--revoke"]).exit_code == 0
    (gone,) = facts(folder, "revoked")
    assert gone.about["certificate"] == facts(folder, "enrolled")[-1].about["certificate"]


def test_nobody_is_enrolled_whom_the_log_cannot_note(folder: Path) -> None:
    break_log(folder)
    before = (folder / FILE_NAME).read_bytes()
    with pytest.raises(AuditError):
        enroll(folder, "vpn")
    assert (folder / FILE_NAME).read_bytes() == before
    assert not (folder / "applications" / "vpn").exists()


def test_somebody_is_revoked_even_where_the_log_is_broken_and_that_is_said(folder: Path) -> None:
    before = (folder / "tls" / "applications.crl").read_bytes()
    break_log(folder)
    result = CliRunner().invoke(kme, ["enroll", str(folder), "sae-site-a", "--revoke"])
    assert result.exit_code == 0, result.output
    assert "COULD NOT NOTE IT" in result.output
    assert (folder / "tls" / "applications.crl").read_bytes() != before
    assert revoke(folder, "sae-site-a") is False


def test_a_running_site_notes_what_commands_do(folder: Path) -> None:
    async def scene() -> None:
        with opened_audit(folder, config) as log:
            site = Site(folder, config, Parts(MemoryStore("site-a"), log))
            runner = await serve_admin(site)
            try:
                await asyncio.to_thread(enroll, folder, "vpn")
                with pytest.raises(DeliveryError, match="not told from outside"):
                    await asyncio.to_thread(RunningSite(folder, "admin.sock").note, Fact(Event.STARTED, "x"))
                with pytest.raises(DeliveryError, match="cannot be noted"):
                    await asyncio.to_thread(post, folder, "admin.sock", "/note", {"event": "nonsense"})
                log.close()
                with pytest.raises(AuditError, match="takes no facts"):
                    await asyncio.to_thread(RunningSite(folder, "admin.sock").note, Fact(Event.ENROLLED, "x"))
            finally:
                await runner.cleanup()
                site.thread.close()

    config = load_kme(folder)
    asyncio.run(scene())
    assert [fact.about["name"] for fact in facts(folder, "enrolled")] == ["site-b", "sae-site-a", "vpn"]


def test_a_site_that_starts_just_now_is_not_passed_by(folder: Path) -> None:
    with opened_audit(folder, load_kme(folder)), pytest.raises(PeerUnavailableError):
        enroll(folder, "vpn")
    assert "vpn" not in load_kme(folder).own


def start(folder: Path) -> None:
    with opened_site(folder) as opened:
        opened.site.thread.close()


def test_each_start_with_another_configuration_is_noted_with_what_differs(folder: Path) -> None:
    start(folder)
    start(folder)
    (first,) = facts(folder, "config_changed")
    assert first.about["before"] == ""
    assert {"own", "peers", "timing", "file tls/peers-authority.crt"} <= set(first.about["changed"])
    change(folder, timing={"answer_within_s": 3.0})
    start(folder)
    changed = facts(folder, "config_changed")[-1]
    assert changed.about["changed"] == ["timing"]
    assert changed.about["before"] == first.about["digest"]
    assert changed.about["digest"] != first.about["digest"]
    (folder / "tls" / "peers-authority.crt").write_bytes((folder / "tls" / "applications-authority.crt").read_bytes())
    start(folder)
    assert facts(folder, "config_changed")[-1].about["changed"] == ["file tls/peers-authority.crt"]
    assert len(facts(folder, "config_changed")) == 3


def test_a_configuration_is_noted_before_anything_else_of_a_start(folder: Path) -> None:
    start(folder)
    (changed,) = facts(folder, "config_changed")
    assert changed.n < facts(folder, "self_test")[0].n


def test_no_start_with_another_configuration_that_cannot_be_noted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    start(folder)
    change(folder, timing={"answer_within_s": 3.0})
    with monkeypatch.context() as patch:
        patch.setattr("faintlink.delivery.audit.files.append", full)
        with pytest.raises(AuditError, match="No space left"):
            start(folder)
    assert len(facts(folder, "config_changed")) == 1
    start(folder)
    assert len(facts(folder, "config_changed")) == 2


def test_a_file_that_the_configuration_names_and_that_is_gone_is_named(folder: Path) -> None:
    (folder / "tls" / "peers-authority.crt").unlink()
    with pytest.raises(ConfigError, match="peers-authority"):
        start(folder)


def test_applications_are_not_taken_over_before_that_is_noted(folder: Path) -> None:
    async def scene() -> Site:
        site = Site(folder, load_kme(folder), Parts(MemoryStore("site-a"), witness))
        enroll(folder, "vpn")
        await read_again(site)
        return site

    class Full(SilentWitness):
        def note(self, fact: Fact) -> None:
            raise AuditError("the log cannot be written")

    witness = Full()
    assert "vpn" not in asyncio.run(scene()).config.own


def test_what_is_taken_over_while_a_site_runs_is_no_news_at_its_next_start(folder: Path) -> None:
    with opened_site(folder) as opened:
        data = (folder / FILE_NAME).read_text().replace("own:\n", "own:\n  vpn: urn:x:vpn\n")
        (folder / FILE_NAME).write_text(data)
        asyncio.run(read_again(opened.site))
        opened.site.thread.close()
    assert [fact.about["changed"] for fact in facts(folder, "config_changed")][1:] == [["own"]]
    start(folder)
    assert len(facts(folder, "config_changed")) == 2


def test_the_anchors_follow_when_another_place_is_named_for_them(folder: Path, tmp_path: Path) -> None:
    before = (folder / "audit" / "anchors").read_bytes()
    (tmp_path / "disk").mkdir()
    change(folder, anchors=str(tmp_path / "disk" / "anchors"))
    start(folder)
    assert (tmp_path / "disk" / "anchors").read_bytes().startswith(before)
    assert not (folder / "audit" / "anchors").exists()


def test_the_latest_fact_of_a_kind_is_found_over_segments_and_half_lines(tmp_path: Path) -> None:
    home = Home.make(tmp_path)
    log = home.open()
    assert latest(tmp_path, Event.BACKUP) is None
    log.note(Fact(Event.BACKUP, "x", {"file": '"event": "config_changed"'}))
    assert latest(tmp_path, Event.CONFIG_CHANGED) is None
    for number in range(3):
        log.note(Fact(Event.CONFIG_CHANGED, "x", {"number": number}))
    log.note(Fact(Event.STOPPED, "x"))
    log.close()
    found = latest(tmp_path, Event.CONFIG_CHANGED)
    assert found is not None
    assert found.about["number"] == 2
    (path,) = home.folder.glob("audit-*.jsonl")
    with path.open("ab") as file:
        file.write(b'{"n": 9, "event": "config_changed"')
    assert latest(tmp_path, Event.CONFIG_CHANGED) == found
    (home.folder / "audit-000000000009.jsonl").touch()
    assert latest(tmp_path, Event.CONFIG_CHANGED) == found
    path.write_bytes(path.read_bytes().replace(b'"number": 2', b'"number": 3'))
    with pytest.raises(AuditError, match="hash does not fit"):
        latest(tmp_path, Event.CONFIG_CHANGED)


def test_a_fact_that_the_site_did_not_seal_is_not_believed(tmp_path: Path) -> None:
    home = Home.make(tmp_path)
    home.open().close()
    text = content(Event.TRUST_CHANGED, "mallory", {"parts": []})
    line, _ = encode(1, "now", text, "0" * 64, AuditKey.create(tmp_path / "another.key").seal)
    (home.folder / "audit-000000000001.jsonl").write_bytes(line)
    with pytest.raises(AuditError, match="not sealed by this site"):
        latest(tmp_path, Event.TRUST_CHANGED)


def test_a_change_is_told_against_the_log_and_nothing_is_noted_twice(folder: Path) -> None:
    config = load_kme(folder)
    with noting(folder, config) as witness:
        assert note_change(folder, config, witness)
        assert not note_change(folder, config, witness)
    assert LOG_FOLDER in {path.name for path in (folder / "audit").iterdir()}
