"""One record of the audit log as one line of text, chained to the line before it.

A line is a JSON object. Its last member ``hash`` is SHA-256 over the bytes of the line before that member, which hold
the hash of the line before as ``prev``: whoever changes a byte changes a hash, and the next line does not fit any
more. The hash is over the bytes as they stand, so that no second spelling of the same content passes. The member before
it, ``seal``, is the site's signature over SHA-256 of the bytes before: it tells the site's own lines from others where
no signed mark behind them does.

Used by `faintlink.delivery.audit.log` and `faintlink.delivery.audit.verify`. It opens no files. The chain alone does
not stop somebody who writes the whole chain anew; `faintlink.delivery.audit.signing` does.

Sources: Schneier and Kelsey, "Cryptographic support for secure logs on untrusted machines", USENIX Security 1998
(hash chain); RFC 8259 (JSON).
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from faintlink.core.errors import AuditError, FormatError
from faintlink.delivery.witness import Fact

MAX_LINE_BYTES = 1 << 20
"""Longest line; a fact that needs more is refused."""
GENESIS = "0" * 64
"""``prev`` of the first record."""
_MEMBERS = {"n", "utc", "event", "subject", "about", "prev", "seal", "hash"}
_TAIL = ',"hash":"'
_TAIL_BYTES = len(_TAIL) + 64 + len('"}')
_SEAL = ',"seal":"'
_SEAL_BYTES = len(_SEAL) + 128 + len('"')


class LogEvent(StrEnum):
    """What the log says about itself."""

    OPENED = "log_opened"
    SET_ASIDE = "log_set_aside"
    """Bytes that a crash left behind the last acknowledged record were moved to a file of their own."""


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the log."""

    n: int
    """Number, from 0 without gaps, over all segments."""
    utc: str
    event: str
    subject: str
    about: Mapping[str, Any] = field(default_factory=dict)
    prev: str = GENESIS
    """Hash of the record before, in hex."""
    seal: str = ""
    """The site's signature, in hex."""
    hash: str = ""
    """Hash of this record, in hex."""


def content(event: str, subject: str, about: Mapping[str, Any]) -> str:
    """Return the part of a line that does not depend on its place, checked before it takes one.

    Raises
    ------
    AuditError
        It cannot be written as JSON, or is too long.
    """
    try:
        text = json.dumps({"event": event, "subject": subject, "about": dict(about)}, allow_nan=False)[1:-1]
    except (TypeError, ValueError) as error:
        raise AuditError(
            f"a fact {event!r} cannot be written down: {error}",
            hint="facts hold names, finite numbers and lists of names",
        ) from None
    if len(text) > MAX_LINE_BYTES - 512:
        raise AuditError(
            f"a fact {event!r} takes {len(text)} characters, a line of the log holds {MAX_LINE_BYTES - 512}",
            hint="note fewer keys at a time",
        )
    return text


def content_of(fact: Fact) -> str:
    """Return the content of a fact's line; see `content`."""
    return content(str(fact.event), fact.subject, fact.about)


def encode(n: int, utc: str, text: str, prev: str, sign: Callable[[bytes], bytes]) -> tuple[bytes, str]:
    """Return the line of a record, with its newline, and its hash.

    Parameters
    ----------
    n, utc
        Number and time of the record.
    text
        What `content` returned.
    prev
        Hash of the record before.
    sign
        Returns the site's signature of 64 bytes over a digest.
    """
    body = f'{{"n": {n}, "utc": "{utc}", {text}, "prev": "{prev}"'
    seal = sign(hashlib.sha256(body.encode("ascii")).digest())
    body += f'{_SEAL}{seal.hex()}"'
    digest = hashlib.sha256(body.encode("ascii")).hexdigest()
    return f'{body}{_TAIL}{digest}"}}\n'.encode("ascii"), digest


def decode(line: bytes) -> Record:
    """Return the record of a line without its newline.

    Raises
    ------
    FormatError
        It is no record, or its hash does not fit.
    """
    body, tail = line[:-_TAIL_BYTES], line[-_TAIL_BYTES:]
    digest = hashlib.sha256(body).hexdigest()
    if not hmac.compare_digest(tail, f'{_TAIL}{digest}"}}'.encode("ascii")):
        raise FormatError("its hash does not fit its bytes", hint="somebody or something changed the line")
    try:
        members = json.loads(line)
        if not isinstance(members, dict) or set(members) != _MEMBERS or not isinstance(members["about"], dict):
            raise ValueError("its members are not those of a record")
        return Record(**members)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"it is no record: {error}", hint="the program that wrote it is not this one") from error


def sealed(line: bytes) -> tuple[bytes, bytes]:
    """Return the digest that the seal of a line is over, and the seal; the line passed `decode`."""
    body, seal = line[: -_TAIL_BYTES - _SEAL_BYTES], line[-_TAIL_BYTES - _SEAL_BYTES : -_TAIL_BYTES]
    try:
        return hashlib.sha256(body).digest(), bytes.fromhex(seal[len(_SEAL) : -1].decode("ascii"))
    except ValueError:
        return hashlib.sha256(body).digest(), b""
