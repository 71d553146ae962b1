"""Who stands at the two ends of a hybrid exchange, and how each knows that it is the other, whoever is between.

`faintlink.delivery.hybrid` signs with this what it sends and checks what it gets. Relayed keys cannot do that: each
site on the way knows them, and could put its own ML-KEM key in the place of an end's. So each end signs with the key of
its site's certificate (`faintlink.delivery.pki`), and holds the other end's certificate itself, *pinned*: a file that
the operators carried, not whatever the authority has signed, since it has signed the certificates of the sites on the
way too. The signatures are over both ends' names and certificates, the part that each plays, the names of the delivered
keys that serve as keys of the tags, and all that was sent until then.

ECDSA is not secure against a quantum computer. Whoever breaks it *while* an exchange is under way, and is a site on the
way besides, can put himself between; whoever breaks it afterwards learns nothing, since it keeps nothing secret.

Sources
-------
FIPS 186-5, section 6 (ECDSA); Krawczyk, "SIGMA", CRYPTO 2003 (why both names are under the signatures).
"""

import datetime as dt
import hashlib
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA384

from faintlink.core.errors import (
    AccessDeniedError,
    AuthenticationError,
    ConfigError,
    LocalProtocolError,
    RemoteProtocolError,
)
from faintlink.delivery.pki.identity import Certificate, read_certificate
from faintlink.postprocess.conjugate.fields import Fields

MOST_SIGNATURE_BYTES = 160
"""Bytes of the longest signature: ECDSA over the largest curve that certificates have, P-521, in DER."""
_LABEL = b"faintlink hybrid exchange 2"
_HINT = "name a certificate as `faintlink kme pki` makes: of an EC key, with one URN"


def _utc() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@dataclass(frozen=True, slots=True)
class OwnEnd:
    """This end: its certificate, and the key that goes with it."""

    urn: str
    digest: bytes
    """SHA-384 of the certificate."""
    _key: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def load(cls, certificate: Path, key: Path) -> "OwnEnd":
        """Return the end of a certificate and its key, both PEM.

        Raises
        ------
        ConfigError
            A file cannot be used, or they do not belong together.
        """
        told, public, digest = _read(certificate)
        try:
            private = serialization.load_pem_private_key(key.read_bytes(), None)
        except (OSError, ValueError, TypeError) as error:
            raise ConfigError(f"{key} cannot be used: {type(error).__name__}", hint=_HINT) from None
        if not isinstance(private, ec.EllipticCurvePrivateKey) or private.public_key() != public:
            raise ConfigError(f"{key} is not the key of {certificate}", hint=_HINT)
        return cls(told.urns[0], digest, private)

    def sign(self, text: bytes) -> bytes:
        """Return the signature of a text."""
        return self._key.sign(text, ec.ECDSA(SHA384()))


@dataclass(frozen=True, slots=True)
class PinnedEnd:
    """The other end: the one certificate that is taken for its."""

    urn: str
    digest: bytes
    """SHA-384 of the certificate."""
    _key: ec.EllipticCurvePublicKey = field(repr=False)
    _certificate: Certificate = field(repr=False)
    _clock: Callable[[], dt.datetime] = field(default=_utc, repr=False)

    @classmethod
    def load(cls, certificate: Path, *, urn: str, clock: Callable[[], dt.datetime] = _utc) -> "PinnedEnd":
        """Return the end of a certificate, PEM, that an operator has carried here.

        Parameters
        ----------
        certificate
            Of the other end's site.
        urn
            Whom it must name, as `site_urn <faintlink.delivery.kme.provision.site_urn>` says.
        clock
            Tells the time.

        Raises
        ------
        ConfigError
            It cannot be used, or is another's.
        """
        told, public, digest = _read(certificate)
        if told.urns[0] != urn:
            raise ConfigError(
                f"{certificate} is pinned for {urn} and names {told.urns[0]}",
                hint="carry the certificate from the other end itself, and compare its digest by telephone",
            )
        return cls(urn, digest, public, told, clock)

    def verify(self, text: bytes, signature: bytes) -> None:
        """Return if the signature of a text is this end's.

        Raises
        ------
        AuthenticationError
            It is not, or the certificate is not valid now.
        """
        if not self._certificate.not_before <= self._clock() <= self._certificate.not_after:
            raise AuthenticationError(
                f"the pinned certificate of {self.urn} is not valid at this time",
                hint="carry its new certificate here from the other end itself",
            )
        try:
            self._key.verify(signature, text, ec.ECDSA(SHA384()))
        except InvalidSignature:
            raise AuthenticationError(
                f"a hybrid exchange is not signed by {self.urn} for this exchange",
                hint="a site on the way may have put its own key in: nothing was combined, do not use these keys",
            ) from None


@dataclass(frozen=True, slots=True)
class Ends:
    """Both ends of one exchange, as one of them sees it."""

    own: OwnEnd
    other: PinnedEnd
    key_ids: tuple[str, ...]
    """Names of the delivered keys that the tags' keys are of."""

    def __post_init__(self) -> None:
        if self.own.urn == self.other.urn or self.own.digest == self.other.digest or not self.key_ids:
            raise LocalProtocolError(
                f"{self.own.urn} and {self.other.urn} cannot exchange under {len(self.key_ids)} keys",
                hint="two different ends, and the names of the keys that both use for the tags",
            )

    def text(self, *, began_here: bool) -> bytes:
        """Return what both ends know of an exchange before it begins, equal at both.

        Parameters
        ----------
        began_here
            Whether this end made the offer.
        """
        ends = (self.own, self.other) if began_here else (self.other, self.own)
        parts = [part for end in ends for part in (end.urn.encode(), end.digest)]
        return _LABEL + _listed([*parts, *map(str.encode, self.key_ids)])


def signed(end: OwnEnd, text: bytes) -> bytes:
    """Return an end's signature of a text as it travels: two bytes of length, then DER."""
    signature = end.sign(text)
    return struct.pack(">H", len(signature)) + signature


def read_signature(fields: Fields) -> bytes:
    """Return the next signature of a message.

    Raises
    ------
    RemoteProtocolError
        It is longer than any.
    """
    (size,) = struct.unpack(">H", fields.take(2))
    if size > MOST_SIGNATURE_BYTES:
        raise RemoteProtocolError(f"a hybrid exchange holds a signature of {size} bytes", hint="run the same version")
    return fields.take(size)


def _listed(parts: Sequence[bytes]) -> bytes:
    """Return parts behind their number, each behind its length, so that no two lists give the same bytes."""
    return struct.pack(">H", len(parts)) + b"".join(struct.pack(">H", len(part)) + part for part in parts)


def _read(path: Path) -> tuple[Certificate, ec.EllipticCurvePublicKey, bytes]:
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        der = certificate.public_bytes(serialization.Encoding.DER)
        told, public = read_certificate(der), certificate.public_key()
    except (OSError, ValueError) as error:
        raise ConfigError(f"the certificate {path} cannot be used: {error}", hint=_HINT) from None
    except AccessDeniedError as error:
        raise ConfigError(f"the certificate {path} cannot be used: {error.message}", hint=_HINT) from None
    if len(told.urns) != 1 or not isinstance(public, ec.EllipticCurvePublicKey):
        raise ConfigError(f"the certificate {path} does not name one end by an EC key", hint=_HINT)
    return told, public, hashlib.sha384(der).digest()
