"""The application's side of ETSI GS QKD 014 without sockets: what to ask, and what an answer means.

For pooling the keys of foreign sites: devices are less careful than the standard, so that answers are read with some
leniency where no key depends on it (``Keys`` for ``keys``, numbers as text, members that nobody knows, base64 without
its padding, 404 for a key that is not there), and with none where one does: a key that was not asked for, that comes
twice, or has another length than the one asked for makes the answer void.

New keys are asked for by POST only. HTTP lets libraries repeat a GET whose answer was lost, and each repetition would
cost keys.

Sources
-------
ETSI GS QKD 014 V1.1.1 clauses 5 and 6.
"""

import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn
from urllib.parse import quote

from faintlink.core.errors import (
    AccessDeniedError,
    DeliveryError,
    KeyUnknownError,
    PeerUnavailableError,
    RemoteProtocolError,
)
from faintlink.delivery.etsi014.extensions import PROVENANCE, read_key_extension
from faintlink.delivery.etsi014.messages import KEYS_NOT_FOUND, key_id
from faintlink.delivery.etsi014.settings import INT32_MAX, MAX_KEYS_A_REQUEST
from faintlink.delivery.etsi014.strict_json import parse, shown
from faintlink.delivery.etsi014.targets import PREFIX, Method
from faintlink.delivery.keystore.model import DeliveredKey
from faintlink.delivery.keystore.origins import KeyOrigin
from faintlink.delivery.keystore.sealing import wipe

MAX_ANSWER_BYTES = 2**24
"""What the C wrapper takes, too."""
_THEIR_FAULT = "the foreign KME does not keep to ETSI GS QKD 014; tell its maker"


@dataclass(frozen=True, slots=True)
class Call:
    """A request to be sent."""

    verb: str
    target: str
    """Path, encoded."""
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it came."""

    status: int
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ForeignStatus:
    """What a site says of its keys for a pair of applications."""

    source_kme: str
    target_kme: str
    master: str
    slave: str
    key_size: int
    stored_key_count: int
    max_key_count: int
    max_key_per_request: int
    max_key_size: int
    min_key_size: int
    max_sae_id_count: int


# Requests


def status_call(slave: str) -> Call:
    """Return the request for the status of the caller's keys with ``slave``."""
    return Call("GET", _target(slave, Method.STATUS))


def enc_keys_call(slave: str, *, number: int, size: int, with_origins: bool = False) -> Call:
    """Return the request for ``number`` new keys of ``size`` bits that ``slave`` may fetch."""
    asked: dict[str, Any] = {"number": number, "size": size}
    if with_origins:
        asked["extension_mandatory"] = [{PROVENANCE: True}]
    return Call("POST", _target(slave, Method.ENC_KEYS), _json(asked))


def dec_keys_call(master: str, key_ids: Sequence[str], *, with_origins: bool = False) -> Call:
    """Return the request for the copies of keys that ``master`` has named."""
    asked: dict[str, Any] = {"key_IDs": [{"key_ID": name} for name in key_ids]}
    if with_origins:
        asked["key_IDs_extension"] = {PROVENANCE: True}
    return Call("POST", _target(master, Method.DEC_KEYS), _json(asked))


# Answers


def read_status(reply: Reply) -> ForeignStatus:
    """Return the status in an answer.

    Raises
    ------
    DeliveryError
        The site refuses; the class says why.
    RemoteProtocolError
        It is no status.
    """
    members = _members(reply, Method.STATUS)
    texts = [members.get(name) for name in ("source_KME_ID", "target_KME_ID", "master_SAE_ID", "slave_SAE_ID")]
    source, target, master, slave = (text if isinstance(text, str) else _bad("a name in the status") for text in texts)
    numbers = {
        name: _number(members.get(name), name)
        for name in ("key_size", "stored_key_count", "max_key_count", "max_key_per_request", "max_key_size")
    }
    least = _number(members.get("min_key_size"), "min_key_size")
    multicast = _number(members.get("max_SAE_ID_count", 0), "max_SAE_ID_count")
    return ForeignStatus(source, target, master, slave, **numbers, min_key_size=least, max_sae_id_count=multicast)


def read_new_keys(reply: Reply, *, number: int, size: int) -> list[DeliveredKey]:
    """Return the keys in the answer to `enc_keys_call`: ``number`` at most, each of ``size`` bits.

    Raises
    ------
    DeliveryError
        The site refuses; the class says why.
    RemoteProtocolError
        It holds other keys than were asked for.
    """
    keys = _keys(reply, Method.ENC_KEYS)
    if not 1 <= len(keys) <= number:
        _bad(f"{len(keys)} keys where {number} were asked for")
    _check_lengths(keys, size)
    return keys


def read_named_keys(reply: Reply, *, key_ids: Sequence[str], size: int) -> list[DeliveredKey]:
    """Return the keys in the answer to `dec_keys_call`, in the order in which they were named.

    Raises
    ------
    DeliveryError
        The site refuses; the class says why.
    RemoteProtocolError
        It holds other keys than were asked for.
    """
    keys = {_canonical(key.key_id): key for key in _keys(reply, Method.DEC_KEYS)}
    wanted = [_canonical(name) for name in key_ids]
    if keys.keys() != set(wanted):
        _bad(f"{len(keys)} keys that are not the {len(wanted)} that were named")
    named = [keys[name] for name in wanted]
    _check_lengths(named, size)
    return named


def read_origins(reply: Reply, keys: Sequence[DeliveredKey]) -> list[KeyOrigin]:
    """Return where ``keys``, which were read out of the same answer, came from, in their order.

    Raises
    ------
    RemoteProtocolError
        It does not say so of each; the keys are overwritten.
    """
    try:
        entries = _entries(_members(reply, Method.ENC_KEYS))
        told = {_canonical(entry["key_ID"]): read_key_extension(entry.get("key_extension")) for entry in entries}
    except RemoteProtocolError as error:
        wipe(*(key.material for key in keys))
        raise RemoteProtocolError(f"the foreign KME sent {error.message}", hint=error.hint) from None
    return [told[_canonical(key.key_id)] for key in keys]


def refusal(reply: Reply, method: Method) -> DeliveryError | RemoteProtocolError:
    """Return the error that an answer other than 200 stands for."""
    said = _message(reply)
    text = f"the foreign KME answers {method} with {reply.status}" + (f": {said}" if said else "")
    if reply.status in (401, 403):
        return AccessDeniedError(text, hint="is our certificate enrolled there, and are the SAE IDs right?")
    # Some answer 404 for a key that is not there, where the standard says 400.
    if method is Method.DEC_KEYS and (reply.status == 404 or (reply.status == 400 and said == KEYS_NOT_FOUND)):
        return KeyUnknownError(text, hint="the key was fetched before, or the two foreign KMEs have drifted apart")
    if reply.status >= 500:
        return PeerUnavailableError(text, hint="wait for it to make keys, or see its own log")
    return RemoteProtocolError(text, hint="compare size and number with what its status allows")


def _members(reply: Reply, method: Method) -> dict[str, Any]:
    if reply.status != 200:
        raise refusal(reply, method)
    if len(reply.body) > MAX_ANSWER_BYTES:
        _bad(f"an answer of more than {MAX_ANSWER_BYTES} bytes")
    try:
        members = parse(reply.body)
    except RemoteProtocolError as error:
        # Where in the body the fault lies is told; the body may hold keys, and is not.
        raise RemoteProtocolError(f"answer to {method}: {error.message}", hint=_THEIR_FAULT) from None
    if not isinstance(members, dict):
        _bad("an answer that is no object")
    return members


def _keys(reply: Reply, method: Method) -> list[DeliveredKey]:
    keys = [_key(entry) for entry in _entries(_members(reply, method))]
    if len({_canonical(key.key_id) for key in keys}) != len(keys):
        _bad("a key twice")
    return keys


def _entries(members: dict[str, Any]) -> list[Any]:
    # Table 11 prints "Keys", its examples "keys".
    entries = members.get("keys", members.get("Keys"))
    if not isinstance(entries, list) or len(entries) > MAX_KEYS_A_REQUEST:
        _bad(f"no list of at most {MAX_KEYS_A_REQUEST} keys")
    return entries


def _key(entry: Any) -> DeliveredKey:
    name, text = (entry.get("key_ID"), entry.get("key")) if isinstance(entry, dict) else (None, None)
    if not isinstance(name, str) or not isinstance(text, str):
        _bad("a key without key_ID or key")
    _canonical(name)
    try:
        material = bytearray(
            binascii.a2b_base64(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), strict_mode=True)
        )
    except ValueError:
        # Neither the text nor what is wrong with it is told: it is a key.
        _bad("a key that is not base64")
    return DeliveredKey(name, 8 * len(material), material)


def _check_lengths(keys: Sequence[DeliveredKey], size: int) -> None:
    if any(key.bits != size for key in keys):
        _bad(f"a key that has not the {size} bits that were asked for")


def _canonical(name: str) -> str:
    try:
        return key_id(name)
    except RemoteProtocolError:
        _bad("a key_ID that is no UUID")


def _number(value: Any, name: str) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= len(str(INT32_MAX)):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= INT32_MAX:
        _bad(f"{name} in the status")
    return value


def _message(reply: Reply) -> str:
    try:
        said = parse(reply.body)["message"]
    except (RemoteProtocolError, KeyError, TypeError, IndexError):
        return ""
    return shown(said) if isinstance(said, str) and said.isprintable() else ""


def _bad(what: str) -> NoReturn:
    raise RemoteProtocolError(f"the foreign KME sent {what}", hint=_THEIR_FAULT)


def _target(sae: str, method: Method) -> str:
    return f"{PREFIX}{quote(sae, safe='')}/{method}"


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")
