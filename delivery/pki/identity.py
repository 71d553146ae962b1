"""Whom a certificate speaks for, decided anew with every request.

TLS has checked that the certificate comes from the right authority. What TLS checks once per connection is checked here
per request: that it is still valid and not revoked. And what TLS does not check: that it may be used by a client, and
that its one URN is, letter by letter, one that the site knows.
"""

import datetime as dt
import hmac
import logging
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtendedKeyUsageOID

from faintlink.core.errors import AccessDeniedError, ConfigError

_log = logging.getLogger(__name__)
_UNREADABLE = (
    ValueError,
    TypeError,
    OverflowError,
    UnsupportedAlgorithm,
    CryptographyDeprecationWarning,
    x509.InvalidVersion,
    x509.ExtensionNotFound,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""What the library raises over certificates that are not as they should be."""
_ASK = "ask the site's operator to enroll it"


@dataclass(frozen=True, slots=True)
class Certificate:
    """What matters of a certificate."""

    urns: tuple[str, ...]
    serial: int
    not_before: dt.datetime
    not_after: dt.datetime
    is_client: bool
    """Whether its extended key usage names client authentication."""


@lru_cache(maxsize=4096)
def read_certificate(der: bytes) -> Certificate:
    """Return what matters of a certificate.

    Raises
    ------
    AccessDeniedError
        It cannot be read.
    """
    try:
        with warnings.catch_warnings():
            # What the library says it will refuse one day is refused now.
            warnings.simplefilter("error", CryptographyDeprecationWarning)
            return _certificate(x509.load_der_x509_certificate(der))
    except _UNREADABLE as error:
        raise AccessDeniedError(f"the certificate lacks what an identity needs: {error}", hint=_ASK) from None


def _certificate(certificate: x509.Certificate) -> Certificate:
    extensions = certificate.extensions
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    urns = tuple(names.get_values_for_type(x509.UniformResourceIdentifier))
    usage = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    return Certificate(
        urns,
        certificate.serial_number,
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        ExtendedKeyUsageOID.CLIENT_AUTH in usage,
    )


class Revocations:
    """The revoked certificates of one authority, read again whenever the file changes.

    A list that is not signed by the authority, or cannot be read, does not replace one that was good. A list that is
    out of date lets nobody in: whoever keeps it from being renewed must not gain by it.
    """

    def __init__(self, crl_file: Path, authority_file: Path) -> None:
        self._file = crl_file
        try:
            self._authority = x509.load_pem_x509_certificate(authority_file.read_bytes())
            self._stamp = self._now_stamp()
            self._load()
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"the revocation list {crl_file} cannot be used: {error}", hint="copy it from the authority's folder"
            ) from None

    def check(self, serial: int, now: dt.datetime) -> None:
        """Refuse a revoked certificate.

        Raises
        ------
        AccessDeniedError
            It is revoked, or the list is out of date.
        """
        try:
            stamp = self._now_stamp()
            if stamp != self._stamp:
                self._stamp = stamp
                self._load()
                _log.info("%s was read again: %d revoked", self._file.name, len(self._serials))
        except (OSError, ValueError) as error:
            _log.error("%s cannot be read, the old list stays in force: %s", self._file, error)
        if now > self._next_update:
            raise AccessDeniedError("the revocation list is out of date", hint="copy a fresh one to the site")
        if serial in self._serials:
            raise AccessDeniedError("the certificate is revoked", hint=_ASK)

    def _now_stamp(self) -> tuple[int, int, int]:
        seen = self._file.stat()
        return seen.st_mtime_ns, seen.st_size, seen.st_ino

    def _load(self) -> None:
        crl = x509.load_pem_x509_crl(self._file.read_bytes())
        key = self._authority.public_key()
        if not crl.is_signature_valid(key):  # type: ignore[arg-type]  # an authority's key is one that can sign
            raise ValueError("it is not signed by the authority")
        if crl.next_update_utc is None:
            raise ValueError("it does not say until when it is good")
        self._serials = frozenset(entry.serial_number for entry in crl)
        self._next_update = crl.next_update_utc


@dataclass(frozen=True, slots=True)
class Gate:
    """Turns certificates into names."""

    allowed: Callable[[], Mapping[str, str]]
    """Name by URN, as the configuration has it now."""
    revocations: Revocations
    clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)

    def name(self, der: bytes | None) -> str:
        """Return the name that a certificate speaks for.

        Raises
        ------
        AccessDeniedError
            For nobody whom the site knows; the message says why, for the log.
        """
        if not der:
            raise AccessDeniedError("no certificate was shown", hint=_ASK)
        certificate = read_certificate(der)
        now = self.clock()
        if not certificate.not_before <= now <= certificate.not_after:
            raise AccessDeniedError("the certificate is not valid at this time", hint=_ASK)
        if not certificate.is_client:
            raise AccessDeniedError("the certificate is not one for clients", hint=_ASK)
        self.revocations.check(certificate.serial, now)
        if len(certificate.urns) != 1:
            raise AccessDeniedError(f"the certificate has {len(certificate.urns)} URIs, one is needed", hint=_ASK)
        urn = certificate.urns[0]
        for known, name in self.allowed().items():
            if hmac.compare_digest(known.encode(), urn.encode()):
                return name
        raise AccessDeniedError(f"{urn!r} is on no list of this site", hint=_ASK)
