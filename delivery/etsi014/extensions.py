"""Extensions of ETSI GS QKD 014 that a site may offer: where a key came from, beside the key.

The master asks with ``extension_mandatory`` or ``extension_optional`` of its *Key request*, the slave with
``key_IDs_extension`` of its *Key IDs*; each key of the answer then has a ``key_extension``. The value is ``true`` and
nothing else. What is in the answer is the same at both sites, and no part of it is secret.

Sources
-------
ETSI GS QKD 014 V1.1.1 clause 6.2 (extensions are named with their maker's prefix), tables 10 to 13; the words of the
refusals are the standard's.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, Literal

from faintlink.core.errors import RemoteProtocolError
from faintlink.delivery.etsi014.strict_json import shown
from faintlink.delivery.keystore.origins import KeyOrigin, Origin

PROVENANCE: Final = "faintlink_provenance"
Extension = Literal["faintlink_provenance"]

MANDATORY_UNSUPPORTED = "not all extension_mandatory parameters are supported"
MANDATORY_UNMET = "not all extension_mandatory request options could be met"
OPTIONAL_UNHANDLED = "not all extension_optional request options handled"
_MAX_DETAILS = 16
_NO_USE = "do not use the key where a policy asks for its origin"


def wanted_by_master(
    mandatory: Sequence[Mapping[str, Any]], optional: Sequence[Mapping[str, Any]], offered: Collection[str]
) -> bool:
    """Return whether a *Key request* asks for the provenance of its keys.

    Raises
    ------
    RemoteProtocolError
        Something mandatory is not offered, or the one that is offered has a value that it cannot have.
    """
    _require_supported(mandatory, offered)
    for extensions, kind, message in (
        (mandatory, "mandatory", MANDATORY_UNMET),
        (optional, "optional", OPTIONAL_UNHANDLED),
    ):
        if any(value is not True for value in _values(extensions, offered)):
            raise RemoteProtocolError(
                message, details=[{f"extension_{kind}_unmet": f"{PROVENANCE} can be true and nothing else"}]
            )
    return bool(_values([*mandatory, *optional], offered))


def wanted_by_slave(extension: Mapping[str, Any], offered: Collection[str]) -> bool:
    """Return whether *Key IDs* ask for the provenance of their keys; names that nobody knows are passed over.

    Raises
    ------
    RemoteProtocolError
        The value is one that it cannot have.
    """
    values = _values([extension], offered)
    if any(value is not True for value in values):
        raise RemoteProtocolError(f"{PROVENANCE} in key_IDs_extension shall be true")
    return bool(values)


def key_extension(origin: KeyOrigin) -> bytes:
    """Return the ``key_extension`` of a key, as JSON."""
    told: dict[str, Any] = {"origin": origin.origin.value, "epsilon": origin.epsilon}
    if origin.blocks:
        told["blocks"] = list(origin.blocks)
    return json.dumps({PROVENANCE: told}, separators=(",", ":")).encode("ascii")


def read_key_extension(extension: Any) -> KeyOrigin:
    """Return the origin in a ``key_extension``; members beside it are passed over.

    Raises
    ------
    RemoteProtocolError
        There is none, or it is not as it must be.
    """
    told = extension.get(PROVENANCE) if isinstance(extension, dict) else None
    if not isinstance(told, dict):
        raise RemoteProtocolError("a key without the provenance that was asked for", hint=_NO_USE)
    origin, epsilon, blocks = told.get("origin"), told.get("epsilon"), told.get("blocks", [])
    if origin not in list(Origin):
        raise RemoteProtocolError("a key of an origin that this program does not know", hint=_NO_USE)
    if isinstance(epsilon, bool) or not isinstance(epsilon, int | float) or not 0 <= epsilon <= 1:
        raise RemoteProtocolError("a key whose provenance has no epsilon", hint=_NO_USE)
    if not isinstance(blocks, list) or not all(isinstance(block, str) for block in blocks):
        raise RemoteProtocolError("a key whose provenance has no list of blocks", hint=_NO_USE)
    return KeyOrigin(Origin(origin), float(epsilon), tuple(blocks))


def _require_supported(mandatory: Sequence[Mapping[str, Any]], offered: Collection[str]) -> None:
    names = [name for extension in mandatory for name in extension if name not in offered]
    # An object without a name asks for something that nobody can know.
    if names or not all(mandatory):
        details = [
            {"extension_mandatory_unsupported": f"{shown(name)} is not supported"} for name in names[:_MAX_DETAILS]
        ]
        raise RemoteProtocolError(MANDATORY_UNSUPPORTED, details=details)


def _values(extensions: Sequence[Mapping[str, Any]], offered: Collection[str]) -> list[Any]:
    if PROVENANCE not in offered:
        return []
    return [extension[PROVENANCE] for extension in extensions if PROVENANCE in extension]
