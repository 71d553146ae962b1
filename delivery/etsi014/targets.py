"""Which of the three methods a URL names, and for which application (ETSI GS QKD 014 V1.1.1 clause 5, table 1).

Works on the path as it came over the wire: a name may hold an encoded ``/``, which a decoded path no longer shows.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote_to_bytes

from faintlink.core.errors import RemoteProtocolError

PREFIX = "/api/v1/keys/"
_ENCODED = re.compile(r"(?:[!-$&-~]|%[0-9A-Fa-f]{2})+")
"""Visible ASCII, with ``%`` only before two hexadecimal digits."""
_URI_CHARACTERS = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]+")
"""Unreserved and reserved characters of RFC 3986: what ETSI GS QKD 020 lets a name be made of."""
_SPACE_ENCODED = str.maketrans({"+": " "})


class Method(StrEnum):
    """The last part of the path."""

    STATUS = "status"
    ENC_KEYS = "enc_keys"
    DEC_KEYS = "dec_keys"

    @property
    def verbs(self) -> tuple[str, ...]:
        """The HTTP methods that it answers to."""
        return ("GET",) if self is Method.STATUS else ("GET", "POST")


_METHODS = {method.value: method for method in Method}


@dataclass(frozen=True, slots=True)
class Target:
    """A method, and the application in the path, still encoded."""

    method: Method
    encoded_sae: str


def find_target(path: str) -> Target | None:
    """Return what a raw path names, or None if it is none of the API's."""
    sae, _, method = path.removeprefix(PREFIX).partition("/")
    if not path.startswith(PREFIX) or not sae or method not in _METHODS:
        return None
    return Target(_METHODS[method], sae)


def sae_id(encoded: str, *, max_length: int) -> str:
    """Return an application's name out of a URL.

    Raises
    ------
    RemoteProtocolError
        It is wrongly encoded, too long, or holds characters that a URI does not have.
    """
    if not _ENCODED.fullmatch(encoded):
        raise RemoteProtocolError("the SAE ID in the path is not URL-encoded")
    name = _utf8(encoded)
    if len(name) > max_length or not _URI_CHARACTERS.fullmatch(name):
        raise RemoteProtocolError(f"an SAE ID shall have 1 to {max_length} characters of a URI")
    return name


def parameters(query: str, *, allowed: tuple[str, ...]) -> dict[str, str]:
    """Return the parameters of a query string, each at most once.

    Raises
    ------
    RemoteProtocolError
        One is unknown, stands twice, has no value, or is wrongly encoded.
    """
    found: dict[str, str] = {}
    if not query:
        return found
    for pair in query.split("&"):
        name, equals, value = pair.partition("=")
        if name not in allowed or not equals:
            raise RemoteProtocolError(_not_allowed(allowed))
        if name in found:
            raise RemoteProtocolError(f"parameter {name} stands twice")
        if not _ENCODED.fullmatch(value):
            raise RemoteProtocolError(f"parameter {name} has no URL-encoded value")
        found[name] = _utf8(value.translate(_SPACE_ENCODED))
    return found


def _not_allowed(allowed: tuple[str, ...]) -> str:
    if not allowed:
        return "no parameters are allowed in the URL"
    return f"only {' and '.join(allowed)} may stand in the URL; anything else takes POST"


def _utf8(encoded: str) -> str:
    try:
        return unquote_to_bytes(encoded).decode()
    except UnicodeDecodeError:
        raise RemoteProtocolError("an encoded part of the URL is not UTF-8") from None
