"""Signed checkpoints of the audit log: what nobody can write anew without the site's audit key.

A checkpoint says how many records there are, what the last one's hash is, and how many anchors were made. It is an
*anchor* when it is appended to a file of its own, which belongs on another disk or another machine, and the *head*
when it is overwritten after each commit. Each record is sealed besides. All signatures are
Ed25519: an auditor needs the public half alone.

Who holds the audit key and all files can write a log anew from the last anchor that was carried away; before that
one, nobody can.

Sources: RFC 8032 (Ed25519).
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from faintlink.core.errors import AuditError, FormatError
from faintlink.core.private import write_private

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_LABEL = b"faintlink audit checkpoint/1\n"
_RECORD_LABEL = b"faintlink audit record/1\n"
PUBLIC_SUFFIX = ".pub"
"""Of the file with the public half, beside the private one."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far the log was at some moment."""

    records: int
    """Number of records."""
    hash: str
    """Hash of the last of them, in hex."""
    anchors: int
    """Number of anchors made, this one included if it is one."""
    utc: str

    def text(self) -> str:
        """Return what is signed."""
        members = {"records": self.records, "hash": self.hash, "anchors": self.anchors, "utc": self.utc}
        return json.dumps(members, separators=(",", ":"))


class AuditKey:
    """The private half: makes checkpoints. Its ``repr`` shows the public half's fingerprint only."""

    def __init__(self, secret: bytes) -> None:
        """Take the 32 bytes of an Ed25519 private key."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self._key = Ed25519PrivateKey.from_private_bytes(secret)

    def __repr__(self) -> str:
        return f"AuditKey({self.public().fingerprint})"

    @classmethod
    def create(cls, path: Path) -> "AuditKey":
        """Make a key and leave it in a new file of mode 0600, its public half beside it.

        Raises
        ------
        RunExistsError
            The file exists.
        """
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        secret = Ed25519PrivateKey.generate().private_bytes_raw()
        write_private(path, secret.hex().encode() + b"\n", hint="an audit key is made once")
        key = cls(secret)
        write_private(path.with_name(path.name + PUBLIC_SUFFIX), key.public().raw.hex().encode() + b"\n")
        return key

    @classmethod
    def open(cls, path: Path) -> "AuditKey":
        """Return the key in a file that `create` made.

        Raises
        ------
        AuditError
            There is none, or others may read it.
        """
        raw = _read_hex(path)
        if path.stat().st_mode & 0o077:
            raise AuditError(f"{path} must be its owner's only", hint=f"chmod 600 {path}, or make a new key")
        return cls(raw)

    def public(self) -> "AuditPublicKey":
        """Return the public half."""
        return AuditPublicKey(self._key.public_key().public_bytes_raw())

    def seal(self, digest: bytes) -> bytes:
        """Return the signature over the digest of a record."""
        return self._key.sign(_RECORD_LABEL + digest)

    def sign(self, checkpoint: Checkpoint) -> bytes:
        """Return a checkpoint with its signature, as one line without newline."""
        text = checkpoint.text()
        signature = self._key.sign(_LABEL + text.encode())
        return f"{text} {signature.hex()}".encode("ascii")


@dataclass(frozen=True, slots=True)
class AuditPublicKey:
    """The public half: verifies checkpoints."""

    raw: bytes
    """32 bytes."""

    @classmethod
    def open(cls, path: Path) -> "AuditPublicKey":
        """Return the public key in a file.

        Raises
        ------
        AuditError
            There is none.
        """
        return cls(_read_hex(path))

    @property
    def fingerprint(self) -> str:
        """First 16 hex digits of the key's SHA-256."""
        return hashlib.sha256(self.raw).hexdigest()[:16]

    def read(self, line: bytes) -> Checkpoint:
        """Return the checkpoint of a line that the site signed.

        Raises
        ------
        FormatError
            It is none, or another key signed it.
        """
        from cryptography.exceptions import InvalidSignature

        text, _, signature = line.rpartition(b" ")
        try:
            self._loaded().verify(bytes.fromhex(signature.decode("ascii")), _LABEL + text)
            return Checkpoint(**json.loads(text))
        except InvalidSignature:
            raise FormatError(f"the key {self.fingerprint} did not sign this checkpoint") from None
        except (ValueError, TypeError) as error:
            raise FormatError(f"this is no checkpoint: {error}") from error

    def has_sealed(self, digest: bytes, seal: bytes) -> bool:
        """Return whether the site sealed the record of a digest."""
        from cryptography.exceptions import InvalidSignature

        try:
            self._loaded().verify(seal, _RECORD_LABEL + digest)
        except InvalidSignature:
            return False
        return True

    def _loaded(self) -> "Ed25519PublicKey":
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        return Ed25519PublicKey.from_public_bytes(self.raw)


def _read_hex(path: Path) -> bytes:
    try:
        raw = bytes.fromhex(path.read_text("ascii").strip())
        if len(raw) != 32:
            raise ValueError(f"{len(raw)} bytes instead of 32")
    except (OSError, ValueError) as error:
        # The file's text is not quoted: it may be a private key with a slip in it.
        reason = error.strerror if isinstance(error, OSError) else "it does not hold 32 bytes in hex"
        raise AuditError(
            f"{path} is no audit key: {reason}",
            hint="name the file audit.key, or audit.key.pub, that the site made",
            path=str(path),
        ) from None
    return raw
