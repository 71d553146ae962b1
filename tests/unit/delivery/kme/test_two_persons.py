"""Whom a site trusts changes only when two of its crypto officers have approved exactly that change."""

import asyncio
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from faintlink.core.errors import AccessDeniedError, AuditError, ConfigError, DeliveryError
from faintlink.delivery.commands.kme import kme
from faintlink.delivery.kme import approving
from faintlink.delivery.kme.admin import serve_admin
from faintlink.delivery.kme.approving import apply_at, files_for, propose
from faintlink.delivery.kme.config import FILE_NAME, load_kme
from faintlink.delivery.kme.noting import opened_audit
from faintlink.delivery.kme.officers import add_officers
from faintlink.delivery.kme.provision import enroll, revoke
from faintlink.delivery.kme.running import opened_site, read_again
from faintlink.delivery.kme.site import Parts, Site
from faintlink.delivery.kme.trust import reader, takes_two, trust_of
from faintlink.delivery.kme.trust_documents import approve, encode
from faintlink.delivery.pki.authority import Authority, Issued
from tests.unit.delivery.kme.logbook import break_log, facts
from tests.unit.delivery.kme.sites import change, make_pair
from tests.unit.delivery.ledger.fakes import MemoryStore

NAMES = ("alice", "bob", "carol")
VPN = "vpn-a=urn:example:vpn-a"


@dataclass
class Guarded:
    """A site with three officers."""

    folder: Path
    officers: dict[str, Issued]
    authority: Authority

    def proposal(self, **changes: Any) -> bytes:
        return encode(propose(self.folder, files_for(self.folder, **(changes or {"enrolled": [VPN]}))))

    def approval(self, change: bytes, officer: str | Issued) -> bytes:
        who = self.officers[officer] if isinstance(officer, str) else officer
        return encode(approve(change, key=who.key, certificate=who.certificate))

    def apply(self, change: bytes, *officers: str | Issued) -> tuple[str, ...]:
        return apply_at(self.folder, change, [self.approval(change, one) for one in officers]).officers


def start(folder: Path) -> None:
    with opened_site(folder) as opened:
        opened.site.thread.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sites that never started; tests change copies."""
    folders = make_pair(tmp_path_factory.mktemp("made") / "sites")
    add_officers(folders, NAMES)
    return folders[0].parent


@pytest.fixture
def site(made: Path, tmp_path: Path) -> Guarded:
    out = shutil.copytree(made, tmp_path / "sites")
    places = [out / "officers" / name for name in NAMES]
    officers = {p.name: Issued((p / "officer.key").read_bytes(), (p / "officer.crt").read_bytes()) for p in places}
    return Guarded(out / "site-a", officers, Authority(out / "ca", "officers"))


def own(site: Guarded) -> set[str]:
    return set(load_kme(site.folder).own)


def test_what_two_officers_approved_is_in_force_and_noted_with_both(site: Guarded) -> None:
    start(site.folder)
    assert site.apply(site.proposal(), "carol", "alice") == ("carol", "alice")
    assert own(site) == {"sae-site-a", "vpn-a"}
    noted = facts(site.folder, "trust_changed")[-1]
    assert noted.about["officers"] == ["carol", "alice"]
    assert noted.about["changes"][0] == "application vpn-a: nobody -> urn:example:vpn-a"
    entry = facts(site.folder, "enrolled")[-1].about
    assert (entry["name"], entry["urn"], entry["officers"]) == ("vpn-a", "urn:example:vpn-a", ["carol", "alice"])
    start(site.folder)


def test_an_authority_is_exchanged_by_two_officers(site: Guarded, tmp_path: Path) -> None:
    start(site.folder)
    fresh = Authority.create(tmp_path / "other", "peers").certificate_file
    change = site.proposal(files=[f"tls/peers-authority.crt={fresh}"])
    assert [line.partition(":")[0] for line in json.loads(change)["changes"]] == ["authority of sites"]
    site.apply(change, "alice", "bob")
    assert (site.folder / "tls" / "peers-authority.crt").read_bytes() == fresh.read_bytes()
    start(site.folder)


@pytest.mark.parametrize("officers", [(), ("alice",), ("alice", "alice")])
def test_fewer_than_two_persons_are_refused(site: Guarded, officers: tuple[str, ...]) -> None:
    with pytest.raises(AccessDeniedError, match="takes two officers"):
        site.apply(site.proposal(), *officers)
    assert own(site) == {"sae-site-a"}


def test_one_person_with_two_certificates_counts_once(site: Guarded) -> None:
    again = site.authority.issue("urn:faintlink:officer:alice")
    with pytest.raises(AccessDeniedError, match="takes two officers, 1 approved it: alice"):
        site.apply(site.proposal(), "alice", again)


def test_two_names_with_one_key_are_refused(site: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    key = serialization.load_pem_private_key(site.officers["alice"].key, None)
    with monkeypatch.context() as patch:
        patch.setattr(ec, "generate_private_key", lambda _: key)
        bob = site.authority.issue("urn:faintlink:officer:bob")
    with pytest.raises(AccessDeniedError, match="alice and bob share one key"):
        site.apply(site.proposal(), "alice", bob)


def strange(site: Guarded, kind: str) -> Issued:
    other = Authority.create(site.folder.parent / "other", "officers")
    issue: dict[str, Callable[[], Issued]] = {
        "foreign": lambda: other.issue("urn:faintlink:officer:bob"),
        "application": lambda: Authority(site.folder.parent / "ca", "applications").issue("urn:faintlink:officer:bob"),
        "expired": lambda: site.authority.issue("urn:faintlink:officer:bob", days=-1),
        "not enrolled": lambda: site.authority.issue("urn:faintlink:officer:mallory"),
        "revoked": lambda: site.officers["bob"],
    }
    if kind == "revoked":
        site.authority.revoke(site.officers["bob"].certificate)
        (site.folder / "tls" / "officers.crl").write_bytes(site.authority.crl_file.read_bytes())
    return issue[kind]()


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("foreign", "not of this site's authority"),
        ("application", "not of this site's authority"),
        ("expired", "not valid at this time"),
        ("not enrolled", "on no list"),
        ("revoked", "is revoked"),
    ],
)
def test_an_approval_of_somebody_who_is_no_officer_now_is_refused(site: Guarded, kind: str, why: str) -> None:
    with pytest.raises(AccessDeniedError, match=why):
        site.apply(site.proposal(), "alice", strange(site, kind))
    assert own(site) == {"sae-site-a"}


def test_a_signature_under_anothers_name_is_refused(site: Guarded) -> None:
    change = site.proposal()
    forged = json.loads(site.approval(change, "alice")) | {"certificate": site.officers["bob"].certificate.decode()}
    with pytest.raises(AccessDeniedError, match="signature of bob does not fit"):
        apply_at(site.folder, change, [site.approval(change, "alice"), json.dumps(forged).encode()])
    with pytest.raises(ConfigError, match="not that of the certificate"):
        approve(change, key=site.officers["alice"].key, certificate=site.officers["bob"].certificate)


def test_content_that_was_changed_after_the_approvals_is_refused(site: Guarded) -> None:
    change = site.proposal()
    approvals = [site.approval(change, name) for name in ("alice", "bob")]
    altered = change.replace(b"urn:example:vpn-a", b"urn:example:mallo")
    with pytest.raises(AccessDeniedError, match="altered after it was signed"):
        apply_at(site.folder, altered, approvals)
    assert own(site) == {"sae-site-a"}


def test_files_that_change_something_else_than_the_words_say_are_refused(site: Guarded) -> None:
    told = json.loads(site.proposal())
    told["files"][FILE_NAME] = told["files"][FILE_NAME].replace("urn:example:vpn-a", "urn:example:mallory")
    with pytest.raises(ConfigError, match="something else than the document says"):
        site.apply(json.dumps(told).encode(), "alice", "bob")
    assert own(site) == {"sae-site-a"}


def test_a_change_serves_once_for_one_site_and_for_a_while(site: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = site.proposal(), site.proposal(enrolled=["vpn-b=urn:example:vpn-b"])
    late = encode(propose(site.folder, files_for(site.folder, enrolled=[VPN]), hours=-1.0))
    with pytest.raises(AccessDeniedError, match="was to be applied until"):
        site.apply(late, "alice", "bob")
    site.apply(first, "alice", "bob")
    with pytest.raises(AccessDeniedError, match="not the one that the change was proposed for"):
        site.apply(second, "alice", "bob")
    other = Guarded(site.folder.parent / "site-b", site.officers, site.authority)
    with pytest.raises(AccessDeniedError, match="for site-a, not for site-b"):
        other.apply(first, "alice", "bob")


def test_a_change_that_was_taken_back_does_not_come_back_with_its_old_approvals(site: Guarded) -> None:
    start(site.folder)
    before = (site.folder / FILE_NAME).read_text()
    first = site.proposal()
    site.apply(first, "alice", "bob")
    (site.folder.parent / "before.yaml").write_text(before)
    site.apply(site.proposal(config=site.folder.parent / "before.yaml"), "bob", "carol")
    assert own(site) == {"sae-site-a"}
    with pytest.raises(AccessDeniedError, match="not the one that the change was proposed for"):
        site.apply(first, "alice", "bob")
    assert own(site) == {"sae-site-a"}


def test_a_change_that_cannot_be_noted_changes_nothing(site: Guarded) -> None:
    change = site.proposal()
    break_log(site.folder)
    with pytest.raises(AuditError):
        site.apply(change, "alice", "bob")
    assert own(site) == {"sae-site-a"}


def test_a_change_that_was_broken_off_after_it_was_noted_is_carried_through(
    site: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    change = site.proposal()
    with monkeypatch.context() as patch:
        patch.setattr(approving, "_write", die)
        with pytest.raises(KeyboardInterrupt):
            site.apply(change, "alice", "bob")
    with pytest.raises(AccessDeniedError, match="not what two officers approved"):
        start(site.folder)
    assert site.apply(change) == ("alice", "bob")
    assert own(site) == {"sae-site-a", "vpn-a"}
    assert len([fact for fact in facts(site.folder, "trust_changed") if "officers" in fact.about]) == 1
    start(site.folder)


def test_one_person_cannot_get_round_the_rule_by_hand(site: Guarded) -> None:
    start(site.folder)
    sound = (site.folder / FILE_NAME).read_text()
    data = yaml.safe_load(sound)
    without = {name: value for name, value in data.items() if name != "officers"}
    mallory = {"mallory": "urn:example:mallory"}
    edits = [
        data | {"own": data["own"] | mallory},
        data | {"two_persons": False},
        without | {"two_persons": False, "own": data["own"] | mallory},
        data | {"officers": data["officers"] | {"enrolled": data["officers"]["enrolled"] | mallory}},
    ]
    for edit in edits:
        (site.folder / FILE_NAME).write_text(yaml.safe_dump(edit))
        with pytest.raises(AccessDeniedError, match="not what two officers approved"):
            start(site.folder)
        with pytest.raises(AccessDeniedError, match="takes two crypto officers"):
            enroll(site.folder, "vpn-a")
    (site.folder / FILE_NAME).write_text(sound)
    (site.folder / "tls" / "peers-authority.crt").write_bytes(
        (site.folder / "tls" / "officers-authority.crt").read_bytes()
    )
    with pytest.raises(AccessDeniedError, match="authority of sites"):
        start(site.folder)
    assert len(facts(site.folder, "access_denied")) == len(edits) + 1
    assert len(facts(site.folder, "trust_changed")) == 1


def test_a_running_site_takes_nobody_over_whom_two_have_not_approved(site: Guarded) -> None:
    async def scene() -> None:
        with opened_audit(site.folder, config) as log:
            running = Site(site.folder, config, Parts(MemoryStore("site-a"), log))
            runner = await serve_admin(running)
            sound = (site.folder / FILE_NAME).read_text()
            try:
                (site.folder / FILE_NAME).write_text(sound.replace("own:\n", "own:\n  mallory: urn:x:mallory\n"))
                await read_again(running)
                assert "mallory" not in running.config.own
                (site.folder / FILE_NAME).write_text(sound)
                with pytest.raises(DeliveryError, match="takes two officers, 1 approved it: bob"):
                    await asyncio.to_thread(site.apply, change, "bob")
                assert await asyncio.to_thread(site.apply, change, "bob", "alice") == ("bob", "alice")
                await read_again(running)
                assert "vpn-a" in running.config.own
            finally:
                await runner.cleanup()
                running.thread.close()

    start(site.folder)
    change, config = site.proposal(), load_kme(site.folder)
    asyncio.run(scene())
    assert facts(site.folder, "trust_changed")[-1].about["officers"] == ["bob", "alice"]


def test_a_proposal_changes_trust_and_touches_public_files_only(site: Guarded, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="change nothing that the site trusts"):
        site.proposal(config=site.folder / FILE_NAME)
    (tmp_path / "text").write_text("x")
    for name in ("store/master.key", "../site-b/kme.yaml", "tls/peers.key"):
        with pytest.raises(ConfigError, match="is no authority"):
            site.proposal(files=[f"{name}={tmp_path / 'text'}"], enrolled=[VPN])
    for wrong in ({"enrolled": ["vpn-a"]}, {"files": ["x=nowhere"]}, {"enrolled": [VPN], "config": tmp_path / "text"}):
        with pytest.raises(ConfigError):
            site.proposal(**wrong)
    told = json.loads(site.proposal())
    for when in ("2026-13-01T00:00:00+00:00", "2026-01-01T00:00:00", "2999-01-01T00:00:00+01:00"):
        with pytest.raises(ConfigError, match="expires_utc"):
            apply_at(site.folder, json.dumps(told | {"expires_utc": when}).encode(), [])
    for wrong_document in (b"{}", b"\xff", b""):
        with pytest.raises(ConfigError, match="no change of trust"):
            apply_at(site.folder, wrong_document, [])
        with pytest.raises(ConfigError, match="no approval of trust"):
            apply_at(site.folder, site.proposal(), [wrong_document])


def test_the_rule_begins_where_the_certificates_are_not_of_the_development_authority(tmp_path: Path) -> None:
    folder = make_pair(tmp_path / "sites")[0]
    assert not takes_two(load_kme(folder), reader(folder))
    start(folder)
    enroll(folder, "vpn-a")
    start(folder)
    assert facts(folder, "trust_changed")[-1].about["changes"] == [
        "application vpn-a: nobody -> urn:faintlink:sae:vpn-a"
    ]
    own_pki(folder / "tls" / "applications-authority.crt")
    with pytest.raises(ConfigError, match="names none"):
        start(folder)
    change(folder, two_persons=False)
    start(folder)
    assert trust_of(load_kme(folder), reader(folder))["two persons"] == "no"


def own_pki(path: Path) -> None:
    """Put an authority that somebody else made in the place of a site's."""
    import datetime as dt

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Example Ltd")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + dt.timedelta(days=1))
    path.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))


def test_the_commands_propose_approve_and_apply(tmp_path: Path) -> None:
    def run(*arguments: object) -> str:
        result = CliRunner().invoke(kme, [str(one) for one in arguments])
        assert result.exit_code == 0, (result.output, result.exception)
        return result.output

    out = tmp_path / "sites"
    made = run("pki", "--pair", "site-a", "site-b", "--out", out, "--officer", "alice", "--officer", "bob")
    assert "officers/alice" in made
    assert (out / "officers" / "alice" / "officer.key").stat().st_mode & 0o777 == 0o600
    refused = CliRunner().invoke(kme, ["enroll", str(out / "site-a"), "vpn-a"])
    assert isinstance(refused.exception, AccessDeniedError)
    assert "kme change" in refused.exception.hint
    proposed = run("change", out / "site-a", "--enroll", VPN, "--out", tmp_path / "change")
    assert "application vpn-a: nobody -> urn:example:vpn-a" in proposed
    for name in ("alice", "bob"):
        place = out / "officers" / name
        key, certificate = place / "officer.key", place / "officer.crt"
        said = run("approve", tmp_path / "change", "--key", key, "--certificate", certificate, "--out", tmp_path / name)
        assert "application vpn-a" in said
    done = run(
        "apply", out / "site-a", tmp_path / "change", "--approval", tmp_path / "bob", "--approval", tmp_path / "alice"
    )
    assert "bob and alice" in done
    assert "vpn-a" in load_kme(out / "site-a").own
    assert revoke(out / "site-a", "sae-site-a"), "one person may turn somebody away"


def test_two_officers_are_needed_to_begin_with(tmp_path: Path) -> None:
    folders = make_pair(tmp_path / "sites")
    with pytest.raises(ConfigError, match="takes two"):
        add_officers(folders, ["alice", "alice"])
    twice = {"authority": "a", "revoked": "b", "enrolled": {"alice": "urn:x:one", "bob": "urn:x:one"}}
    change(folders[0], officers=twice)
    with pytest.raises(ConfigError, match="same URN"):
        load_kme(folders[0])
