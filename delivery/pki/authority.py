"""A development authority for sites without a PKI of their own: files in a folder, and a few lines of `cryptography`.

Two of them are used, one for applications and one for sites, so that no application can ever pass for a site. Keys are
EC P-256, lives are short, and every certificate carries exactly one name that counts: a URN among its subject
alternative names.
"""

import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from faintlink.core.errors import ConfigError, RunExistsError
from faintlink.core.private import write_private

DAYS = 90
"""How long what is issued is valid, days; the authority itself is valid ten times as long."""
_DEVELOPMENT = "faintlink development authority for "
_EARLY = dt.timedelta(minutes=5)
"""Clocks of two sites differ a little."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A private key and its certificate, as PEM."""

    key: bytes
    certificate: bytes

    def write(self, folder: Path, name: str) -> None:
        """Write ``name.key``, mode 0600, and ``name.crt``.

        Raises
        ------
        RunExistsError
            The key is there; nothing was overwritten.
        """
        write_private(folder / f"{name}.key", self.key, hint="enroll under another name, or remove it first")
        (folder / f"{name}.crt").write_bytes(self.certificate)


@dataclass(frozen=True, slots=True)
class Authority:
    """``<name>.key``, ``<name>.crt`` and ``<name>.crl`` in a folder."""

    folder: Path
    name: str
    """``applications`` or ``peers``."""

    @property
    def certificate_file(self) -> Path:
        """The authority's certificate, which goes to everybody."""
        return self.folder / f"{self.name}.crt"

    @property
    def crl_file(self) -> Path:
        """The list of revoked certificates, which goes to every site."""
        return self.folder / f"{self.name}.crl"

    @classmethod
    def create(cls, folder: Path, name: str, *, days: int = DAYS) -> "Authority":
        """Make an authority with an empty list of revoked certificates.

        Raises
        ------
        RunExistsError
            It exists.
        """
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(f"{_DEVELOPMENT}{name}")
        builder = (
            _builder(subject, subject, key.public_key(), 10 * days)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(is_authority=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        made = cls(folder, name)
        Issued(_pem(key), _public(builder.sign(key, hashes.SHA256()))).write(folder, name)
        made._write_crl([], days=days)
        return made

    def issue(
        self, urn: str, *, hosts: Sequence[str] = (), is_server: bool = False, is_client: bool = True, days: int = DAYS
    ) -> Issued:
        """Return a new key with a certificate.

        Parameters
        ----------
        urn
            The identity.
        hosts
            Names and addresses that a server may be reached at.
        is_server, is_client
            What the certificate may be used for.
        days
            Its life; a negative one is over, for tests.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        uses = [ExtendedKeyUsageOID.CLIENT_AUTH] if is_client else []
        uses += [ExtendedKeyUsageOID.SERVER_AUTH] if is_server else []
        names = [x509.UniformResourceIdentifier(urn), *map(_host, hosts)]
        authority, certificate = self._open()
        builder = (
            _builder(_name(urn), certificate.subject, key.public_key(), days)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(is_authority=False), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()),
                critical=False,
            )
        )
        if uses:
            builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        return Issued(_pem(key), _public(builder.sign(authority, hashes.SHA256())))

    def revoke(self, certificate: bytes, *, days: int = DAYS) -> None:
        """Put a certificate (PEM) on the list of revoked ones."""
        revoked = x509.load_pem_x509_certificate(certificate)
        old = x509.load_pem_x509_crl(self.crl_file.read_bytes())
        entry = x509.RevokedCertificateBuilder().serial_number(revoked.serial_number).revocation_date(_now()).build()
        self._write_crl([*(one for one in old if one.serial_number != revoked.serial_number), entry], days=days)

    def _write_crl(self, entries: list[x509.RevokedCertificate], *, days: int) -> None:
        key, certificate = self._open()
        now = _now()
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(certificate.subject)
            .last_update(now - _EARLY)
            .next_update(now + dt.timedelta(days=10 * days))
            .add_extension(x509.CRLNumber(int(now.timestamp() * 1000)), critical=False)
        )
        for entry in entries:
            builder = builder.add_revoked_certificate(entry)
        signed = builder.sign(key, hashes.SHA256())
        # A site may read it at any moment: the old list or the new one, never half of one.
        new = self.crl_file.with_suffix(".new")
        new.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        new.replace(self.crl_file)

    def _open(self) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        try:
            key = serialization.load_pem_private_key((self.folder / f"{self.name}.key").read_bytes(), None)
            certificate = x509.load_pem_x509_certificate(self.certificate_file.read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"no authority {self.name!r} in {self.folder}: {error}",
                hint="name the folder `ca` that `faintlink kme pki` made",
            ) from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ConfigError(f"the key of authority {self.name!r} is no EC key", hint="make one with `kme pki`")
        return key, certificate


def fingerprint(certificate: bytes) -> str:
    """Return the SHA-256 of a certificate (PEM), in hex.

    Raises
    ------
    ConfigError
        It is none.
    """
    try:
        return x509.load_pem_x509_certificate(certificate).fingerprint(hashes.SHA256()).hex()
    except ValueError as error:
        raise ConfigError(f"no certificate: {error}", hint="a certificate is a PEM file") from None


def is_development(certificate: bytes) -> bool:
    """Return whether a certificate (PEM) is that of an authority of this module; raises as `fingerprint`."""
    fingerprint(certificate)
    names = x509.load_pem_x509_certificate(certificate).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return any(str(name.value).startswith(_DEVELOPMENT) for name in names)


def require_free(folder: Path, *, hint: str) -> None:
    """Raise `RunExistsError` if a folder exists."""
    if folder.exists():
        raise RunExistsError(f"{folder} exists; nothing was overwritten", hint=hint)


def make_folder(folder: Path, *, hint: str) -> Path:
    """Make a new private folder and return it.

    Raises
    ------
    RunExistsError
        It exists.
    """
    try:
        folder.mkdir(parents=True, mode=0o700)
    except FileExistsError:
        raise RunExistsError(f"{folder} exists; nothing was overwritten", hint=hint) from None
    return folder


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = _now()
    start, end = sorted((now - _EARLY, now + dt.timedelta(days=days)))
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _public(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
