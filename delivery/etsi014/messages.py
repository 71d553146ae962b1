"""Requests of ETSI GS QKD 014 as values, read strictly, and its answers as bytes.

Reading refuses whatever the tables of the standard do not hold: a misspelt ``size`` must not get a key of another size.
A refusal is a `RemoteProtocolError` whose message is sent to the application as it is; where the standard words one,
it is that one. Keys are written straight from the store's bytes into the answer's, so that the text of a key never
stands in an object that cannot be overwritten.

Sources
-------
ETSI GS QKD 014 V1.1.1 clause 6, tables 9 to 13; RFC 8259; RFC 4648 section 4.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from faintlink.core.errors import RemoteProtocolError
from faintlink.delivery.etsi014.extensions import wanted_by_master, wanted_by_slave
from faintlink.delivery.etsi014.settings import KEY_BITS_STEP, Api014Settings
from faintlink.delivery.etsi014.strict_json import parse, shown
from faintlink.delivery.keystore.model import DeliveredKey
from faintlink.delivery.supply import SupplyStatus

NOT_MULTIPLE_OF_8 = "size shall be a multiple of 8"
KEYS_NOT_FOUND = "one or more keys specified are not found on KME"

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NUMBER = re.compile(r"[0-9]{1,10}")
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_PAD = ord("=")


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """What *Get key* asks for (table 10), once everything that is not supported has been refused."""

    number: int
    size: int
    """Bits of each key."""
    wants_provenance: bool = False


@dataclass(frozen=True, slots=True)
class KeyNames:
    """What *Get key with key IDs* asks for (table 12)."""

    key_ids: tuple[str, ...]
    """In lower case, without repetition."""
    wants_provenance: bool = False


# Requests


def key_request(body: bytes, settings: Api014Settings) -> KeyRequest:
    """Return the *Key request* of a POST body; an empty one asks for one key of the default size.

    Raises
    ------
    RemoteProtocolError
        It is none, or asks for what this site does not offer.
    """
    members = _object(parse(body), "the body") if body else {}
    known = ("number", "size", "additional_slave_SAE_IDs", "extension_mandatory", "extension_optional")
    _refuse_unknown(members, known, "a Key request")
    number = _integer(members.get("number", 1), "number")
    size = _integer(members.get("size", settings.key_size), "size")
    _refuse_multicast(_list(members, "additional_slave_SAE_IDs"))
    wants_provenance = wanted_by_master(
        _objects(members, "extension_mandatory"), _objects(members, "extension_optional"), settings.extensions
    )
    return replace(_offered(number, size, settings), wants_provenance=wants_provenance)


def key_request_of_query(parameters: Mapping[str, str], settings: Api014Settings) -> KeyRequest:
    """Return the *Key request* of a GET request, which holds number and size at most.

    Raises
    ------
    RemoteProtocolError
        One is no number, or asks for what this site does not offer.
    """
    given = {}
    for name, text in parameters.items():
        if not _NUMBER.fullmatch(text):
            raise RemoteProtocolError(f"{name} shall be an integer")
        given[name] = int(text)
    return _offered(given.get("number", 1), given.get("size", settings.key_size), settings)


def key_names(body: bytes, settings: Api014Settings) -> KeyNames:
    """Return the *Key IDs* of a POST body.

    Raises
    ------
    RemoteProtocolError
        It is none, names too many keys, or one twice.
    """
    members = _object(parse(body), "the body")
    _refuse_unknown(members, ("key_IDs", "key_IDs_extension"), "Key IDs")
    if "key_IDs" not in members:
        raise RemoteProtocolError("key_IDs is missing")
    extension = _object(members.get("key_IDs_extension", {}), "key_IDs_extension")
    entries = _objects(members, "key_IDs")
    most = settings.max_key_per_request
    if not 1 <= len(entries) <= most:
        raise RemoteProtocolError(f"key_IDs shall name 1 to {most} keys")
    names = [_named(entry) for entry in entries]
    if len(set(names)) != len(names):
        raise RemoteProtocolError("key_IDs shall name each key once")
    return KeyNames(tuple(names), wanted_by_slave(extension, settings.extensions))


def key_id(text: str) -> str:
    """Return a key's name in lower case.

    Raises
    ------
    RemoteProtocolError
        It is no UUID.
    """
    if not _UUID.fullmatch(text):
        raise RemoteProtocolError("key_ID shall be a UUID")
    return text.lower()


# Answers


def encode_status(status: SupplyStatus, settings: Api014Settings, *, master: str, slave: str) -> bytes:
    """Return the *Status* (table 9)."""
    most = min(status.max_keys, settings.max_key_count)
    return _json(
        {
            "source_KME_ID": status.source_kme,
            "target_KME_ID": status.target_kme,
            "master_SAE_ID": master,
            "slave_SAE_ID": slave,
            "key_size": settings.key_size,
            "stored_key_count": min(status.stored_keys, most),
            "max_key_count": most,
            "max_key_per_request": settings.max_key_per_request,
            "max_key_size": settings.max_key_size,
            "min_key_size": settings.min_key_size,
            "max_SAE_ID_count": 0,
        }
    )


def encode_error(message: str, details: Sequence[Mapping[str, Any]] = ()) -> bytes:
    """Return an *Error* (table 13)."""
    return _json({"message": message, "details": list(details)} if details else {"message": message})


def encode_keys(keys: Sequence[DeliveredKey], extensions: Sequence[bytes] = ()) -> bytearray:
    """Return the *Key container* (table 11), in bytes that the caller overwrites when they are sent.

    Parameters
    ----------
    keys
        What is handed out.
    extensions
        ``key_extension`` of each key, as JSON; none by default.
    """
    tails = [b'","key_extension":' + one + b"}" for one in extensions] or [b'"}'] * len(keys)
    heads = [f'{{"key_ID":"{key.key_id}","key":"'.encode("ascii") for key in keys]
    parts = list(zip(heads, keys, tails, strict=True))
    size = sum(len(head) + base64_size(len(key.material)) + len(tail) for head, key, tail in parts)
    # Of its final size from the start: a buffer that grows leaves copies of its contents behind.
    body = bytearray(size + len(b'{"keys":[]}') + max(0, len(keys) - 1))
    at = _put(body, 0, b'{"keys":[')
    for index, (head, key, tail) in enumerate(parts):
        at = _put(body, at, b"," + head if index else head)
        at = base64_into(body, at, key.material)
        at = _put(body, at, tail)
    _put(body, at, b"]}")
    return body


def base64_size(count: int) -> int:
    """Return the characters that ``count`` bytes take."""
    return (count + 2) // 3 * 4


def base64_into(target: bytearray, at: int, source: bytes | bytearray) -> int:
    """Write ``source`` as base64 into ``target`` from ``at`` on, and return where it ends.

    The library's function returns the text of the key as an object that cannot be overwritten. Every number here is
    below 256, and the interpreter makes no new object for such.
    """
    for start in range(0, len(source), 3):
        left = len(source) - start
        first = source[start]
        second = source[start + 1] if left > 1 else 0
        third = source[start + 2] if left > 2 else 0
        target[at] = _ALPHABET[first >> 2]
        target[at + 1] = _ALPHABET[(first & 3) << 4 | second >> 4]
        target[at + 2] = _ALPHABET[(second & 15) << 2 | third >> 6] if left > 1 else _PAD
        target[at + 3] = _ALPHABET[third & 63] if left > 2 else _PAD
        at += 4
    return at


def _put(target: bytearray, at: int, part: bytes) -> int:
    target[at : at + len(part)] = part
    return at + len(part)


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")


# Rules of the tables


def _offered(number: int, size: int, settings: Api014Settings) -> KeyRequest:
    if not 1 <= number <= settings.max_key_per_request:
        raise RemoteProtocolError(f"number shall be within 1 and {settings.max_key_per_request}")
    if size % KEY_BITS_STEP:
        raise RemoteProtocolError(NOT_MULTIPLE_OF_8)
    if not settings.min_key_size <= size <= settings.max_key_size:
        raise RemoteProtocolError(f"size shall be within {settings.min_key_size} and {settings.max_key_size}")
    return KeyRequest(number, size)


def _refuse_multicast(saes: list[Any]) -> None:
    if not all(isinstance(sae, str) for sae in saes):
        raise RemoteProtocolError("additional_slave_SAE_IDs shall be an array of strings")
    if saes:
        raise RemoteProtocolError("additional_slave_SAE_IDs shall hold at most max_SAE_ID_count = 0 SAE IDs")


def _named(entry: dict[str, Any]) -> str:
    # QuKayDee wants the master's name with each key, and the C wrapper behind strongSwan's plug-in sends it to all.
    # It says nothing new: the master stands in the URL.
    _refuse_unknown(entry, ("key_ID", "key_ID_extension", "master_SAE_ID"), "an entry of key_IDs")
    name = entry.get("key_ID")
    if not isinstance(name, str):
        raise RemoteProtocolError("key_ID shall be a UUID")
    if "key_ID_extension" in entry:
        _object(entry["key_ID_extension"], "key_ID_extension")
    return key_id(name)


def _refuse_unknown(members: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for name in members:
        if name not in known:
            raise RemoteProtocolError(f"member {shown(name)} is unknown in {where}")


def _integer(value: Any, name: str) -> int:
    # True is an int to Python and none to JSON.
    if not isinstance(value, int) or isinstance(value, bool):
        raise RemoteProtocolError(f"{name} shall be an integer")
    return value


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RemoteProtocolError(f"{name} shall be an object")
    return value


def _list(members: Mapping[str, Any], name: str) -> list[Any]:
    value = members.get(name, [])
    if not isinstance(value, list):
        raise RemoteProtocolError(f"{name} shall be an array")
    return value


def _objects(members: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    values = _list(members, name)
    if not all(isinstance(value, dict) for value in values):
        raise RemoteProtocolError(f"{name} shall be an array of objects")
    return values
