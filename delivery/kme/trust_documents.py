"""A proposal to change whom a site trusts, and the approvals of it: two kinds of documents that are carried as files.

An approval is an officer's ECDSA signature, with the key of the own certificate, over a fixed prefix and the SHA-256 of
the proposal's bytes as they stand. It counts if the certificate is of the site's authority for officers, is in force at
this time, is not revoked, and names an officer who is enrolled.

Sources: FIPS 186-5 (ECDSA), RFC 5280 (certificates and revocation lists).
"""

import datetime as dt
import hashlib
import json
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import Field, ValidationError, field_validator

from faintlink.core.config.models import StrictModel
from faintlink.core.errors import AccessDeniedError, ConfigError
from faintlink.delivery.kme.officers_config import Officers
from faintlink.delivery.pki.identity import Gate, Revocations

_DOMAIN: Final = b"faintlink trust change 1\0"
"""Before the digest: a signature for anything else is none for this."""
_SHA256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Document = TypeVar("Document", "Change", "Approval")


class Change(StrictModel):
    """What is proposed."""

    format: Literal["faintlink.trust-change/1"] = "faintlink.trust-change/1"
    site: str
    before: _SHA256
    """Digest of the trust that is to be changed."""
    record: Annotated[int, Field(ge=-1)]
    """Number of the fact in the audit log that put that trust into force; -1 before the site first starts."""
    changes: Annotated[list[str], Field(min_length=1)]
    """What differs, in words."""
    files: Annotated[dict[str, str], Field(min_length=1)]
    """By path in the site's folder, as they are to be."""
    expires_utc: str

    @field_validator("expires_utc")
    @classmethod
    def _is_a_time(cls, text: str) -> str:
        if dt.datetime.fromisoformat(text).utcoffset() != dt.timedelta(0):
            raise ValueError("a time in UTC is needed, such as 2026-01-04T09:00:00+00:00")
        return text


class Approval(StrictModel):
    """One officer's signature."""

    format: Literal["faintlink.trust-approval/1"] = "faintlink.trust-approval/1"
    change: _SHA256
    """Of the document's bytes."""
    certificate: str
    """Of the officer, as PEM."""
    signature: Annotated[str, Field(pattern=r"^([0-9a-f]{2})+$")]


def encode(model: Change | Approval) -> bytes:
    """Return a document as a file holds it."""
    return json.dumps(model.model_dump(), indent=1).encode() + b"\n"


def read(data: bytes, model: type[Document]) -> Document:
    """Return a document of a kind; raise `ConfigError` if it is none."""
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        raise ConfigError(
            f"no {model.__name__.lower()} of trust: {'; '.join(faults)}", hint="name the right file"
        ) from None


def approve(change: bytes, *, key: bytes, certificate: bytes) -> Approval:
    """Return an officer's approval of a proposal.

    Raises
    ------
    ConfigError
        The proposal is none, or key and certificate (PEM) do not belong together.
    """
    read(change, Change)
    try:
        secret = serialization.load_pem_private_key(key, None)
        public = x509.load_pem_x509_certificate(certificate).public_key()
    except (ValueError, TypeError) as error:
        raise ConfigError(f"no key or certificate of an officer: {error}", hint="name your own, as PEM") from None
    if not isinstance(secret, ec.EllipticCurvePrivateKey) or secret.public_key() != public:
        raise ConfigError("this key is not that of the certificate", hint="name both of one officer; keys are EC keys")
    digest = hashlib.sha256(change)
    signature = secret.sign(_DOMAIN + digest.digest(), ec.ECDSA(hashes.SHA256()))
    return Approval(change=digest.hexdigest(), certificate=certificate.decode(), signature=signature.hex())


def officer_of(folder: Path, officers: Officers, change: bytes, approval: Approval) -> tuple[str, bytes]:
    """Return the name of the officer who signed a proposal, and the public key.

    Raises
    ------
    AccessDeniedError
        The approval does not count; the message says why.
    """
    digest = hashlib.sha256(change)
    if approval.change != digest.hexdigest():
        raise AccessDeniedError(
            "an approval is for another change, or this one was altered after it was signed",
            hint="have the file approved as it is now",
        )
    try:
        certificate = x509.load_pem_x509_certificate(approval.certificate.encode())
        certificate.verify_directly_issued_by(
            x509.load_pem_x509_certificate((folder / officers.authority).read_bytes())
        )
    except (ValueError, TypeError, InvalidSignature):
        raise AccessDeniedError(
            "an approval is by somebody whose certificate is not of this site's authority for officers",
            hint="sign with a certificate that this site's officers have",
        ) from None
    gate = Gate(
        lambda: {urn: name for name, urn in officers.enrolled.items()},
        Revocations(folder / officers.revoked, folder / officers.authority),
    )
    name = gate.name(certificate.public_bytes(serialization.Encoding.DER))
    key = certificate.public_key()
    try:
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise InvalidSignature
        key.verify(bytes.fromhex(approval.signature), _DOMAIN + digest.digest(), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise AccessDeniedError(f"the signature of {name} does not fit", hint="sign the file again") from None
    return name, key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
