"""Certificates are turned into names, or refused with the reason."""

import datetime as dt
import os
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from faintlink.core.errors import AccessDeniedError, ConfigError, RunExistsError
from faintlink.delivery.pki.authority import Authority
from faintlink.delivery.pki.identity import Gate, Revocations

URN = "urn:faintlink:sae:alice"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path, "applications")


def gate(authority: Authority, **settings: object) -> Gate:
    revoked = Revocations(authority.crl_file, authority.certificate_file)
    return Gate(lambda: {URN: "alice"}, revoked, **settings)  # type: ignore[arg-type]


def der(pem: bytes) -> bytes:
    return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)


def test_an_application_is_known_by_its_urn(authority: Authority) -> None:
    assert gate(authority).name(der(authority.issue(URN).certificate)) == "alice"


def test_nobody_is_known_without_a_certificate(authority: Authority) -> None:
    for nothing in (None, b""):
        with pytest.raises(AccessDeniedError, match="no certificate"):
            gate(authority).name(nothing)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"urn": URN + "x"}, "on no list"),
        ({"urn": URN.upper()}, "on no list"),
        ({"is_client": False}, "lacks"),
        ({"is_client": False, "is_server": True}, "not one for clients"),
        ({"days": -1}, "not valid at this time"),
        ({"hosts": ["localhost"]}, None),
    ],
)
def test_what_is_not_right_is_refused_with_the_reason(
    authority: Authority, settings: dict[str, object], why: str | None
) -> None:
    certificate = der(authority.issue(**{"urn": URN, **settings}).certificate)  # type: ignore[arg-type]
    if why is None:
        assert gate(authority).name(certificate) == "alice"
    else:
        with pytest.raises(AccessDeniedError, match=why):
            gate(authority).name(certificate)


def test_two_urns_are_refused_even_if_one_is_known(authority: Authority) -> None:
    made = x509.load_pem_x509_certificate(authority.issue(URN).certificate)
    key, _ = authority._open()
    from cryptography.hazmat.primitives import hashes

    builder = x509.CertificateBuilder(
        made.issuer,
        made.subject,
        made.public_key(),
        made.serial_number,
        made.not_valid_before_utc.replace(tzinfo=None),
        made.not_valid_after_utc.replace(tzinfo=None),
    )
    names = [x509.UniformResourceIdentifier(text) for text in (URN, "urn:faintlink:sae:other")]
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    builder = builder.add_extension(
        made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value, critical=False
    )
    with pytest.raises(AccessDeniedError, match="2 URIs"):
        gate(authority).name(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER))


def test_a_revoked_certificate_is_refused_from_the_moment_the_list_says_so(authority: Authority) -> None:
    first, second = (authority.issue(URN).certificate for _ in range(2))
    door = gate(authority)
    assert door.name(der(first)) == "alice"
    authority.revoke(first)
    with pytest.raises(AccessDeniedError, match="revoked"):
        door.name(der(first))
    assert door.name(der(second)) == "alice"
    authority.revoke(second)
    for certificate in (first, second):
        with pytest.raises(AccessDeniedError, match="revoked"):
            door.name(der(certificate))


@pytest.mark.parametrize("damage", ["nothing", "noise", "foreign", "gone"])
def test_a_list_that_cannot_be_used_does_not_replace_a_good_one(
    authority: Authority, tmp_path: Path, damage: str
) -> None:
    revoked, good = (authority.issue(URN).certificate for _ in range(2))
    authority.revoke(revoked)
    door = gate(authority)
    foreign = Authority.create(tmp_path / "other", "applications")
    content = {"nothing": b"", "noise": os.urandom(99), "foreign": foreign.crl_file.read_bytes()}
    if damage == "gone":
        authority.crl_file.unlink()
    else:
        authority.crl_file.write_bytes(content[damage])
    assert door.name(der(good)) == "alice"
    with pytest.raises(AccessDeniedError, match="revoked"):
        door.name(der(revoked))


def test_a_list_out_of_date_lets_nobody_in(authority: Authority) -> None:
    certificate = der(authority.issue(URN, days=2000).certificate)
    late = gate(authority, clock=lambda: dt.datetime.now(dt.UTC) + dt.timedelta(days=1000))
    with pytest.raises(AccessDeniedError, match="out of date"):
        late.name(certificate)


def test_a_site_does_not_start_with_a_foreign_list(authority: Authority, tmp_path: Path) -> None:
    foreign = Authority.create(tmp_path / "other", "applications")
    with pytest.raises(ConfigError, match="not signed"):
        Revocations(foreign.crl_file, authority.certificate_file)
    with pytest.raises(ConfigError):
        Revocations(tmp_path / "none.crl", authority.certificate_file)


def test_keys_are_their_owners_only_and_never_overwritten(authority: Authority, tmp_path: Path) -> None:
    assert (authority.folder / "applications.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(RunExistsError):
        Authority.create(authority.folder, "applications")
    issued = authority.issue(URN)
    issued.write(tmp_path, "client")
    assert (tmp_path / "client.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(RunExistsError):
        issued.write(tmp_path, "client")


def test_an_authority_that_is_not_there_is_missed_with_its_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no authority"):
        Authority(tmp_path, "applications").issue(URN)
