"""What two sites say to each other about keys of a foreign link: an offer and a verdict, as values and as JSON."""

import hashlib
import json
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from faintlink.core.errors import RemoteProtocolError
from faintlink.delivery.etsi014.messages import key_id
from faintlink.delivery.etsi014.settings import KEY_BITS_STEP, MAX_KEY_BITS
from faintlink.delivery.etsi014.strict_json import parse
from faintlink.delivery.keystore.model import UNIT_BITS
from faintlink.postprocess.channel.onetime import TAG_BYTES

_FORMAT = "faintlink-pool/1"
_MAX_KEYS = 1024
_LINK = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SAME_VERSION = "both sites must run the same program version"


@dataclass(frozen=True, slots=True)
class PoolOffer:
    """Names of keys that the master's site has pulled."""

    block: str
    """Name of the block that they become; follows from the others."""
    link: str
    key_bits: int
    key_ids: tuple[str, ...]
    """As the device wrote them."""
    tag: bytes
    """Over all this and the bits, under a one-time key that both sites have from the same pull."""

    def with_tag(self, tag: bytes) -> "PoolOffer":
        """Return the offer with its tag."""
        return replace(self, tag=tag)

    def tagged_parts(self, material: bytearray) -> list[bytes]:
        """Return what is under the tag; ``material`` without the one-time key."""
        head = json.dumps([_FORMAT, self.block, self.link, self.key_bits, self.key_ids]).encode()
        return [len(head).to_bytes(4, "big"), head, bytes(material)]

    def encode(self) -> bytes:
        """Return it as JSON."""
        return _encode(
            block=self.block, link=self.link, key_bits=self.key_bits, key_ids=self.key_ids, tag=self.tag.hex()
        )

    @classmethod
    def decode(cls, data: bytes) -> "PoolOffer":
        """Return the offer in JSON.

        Raises
        ------
        RemoteProtocolError
            It is none.
        """
        members = _decode(data, ("block", "link", "key_bits", "key_ids", "tag"))
        link, bits, tag = members["link"], members["key_bits"], members["tag"]
        names = members["key_ids"]
        if not isinstance(link, str) or not _LINK.fullmatch(link):
            _refuse("link")
        if type(bits) is not int or not KEY_BITS_STEP <= bits <= MAX_KEY_BITS or bits % KEY_BITS_STEP:
            _refuse("key_bits")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            _refuse("key_ids")
        enough = len(names) <= _MAX_KEYS and len(names) * bits >= 2 * UNIT_BITS
        if not enough or len({key_id(name) for name in names}) != len(names):
            _refuse("key_ids")
        if not isinstance(tag, str) or not re.fullmatch(f"[0-9a-f]{{{2 * TAG_BYTES}}}", tag):
            _refuse("tag")
        if members["block"] != block_name(link, names):
            _refuse("block")
        return cls(members["block"], link, bits, tuple(names), bytes.fromhex(tag))


@dataclass(frozen=True, slots=True)
class PoolVerdict:
    """What became of an offer at the slave's site."""

    block: str
    accepted: bool
    """Whether the block is in its store, for good."""

    def encode(self) -> bytes:
        """Return it as JSON."""
        return _encode(block=self.block, accepted=self.accepted)

    @classmethod
    def decode(cls, data: bytes) -> "PoolVerdict":
        """Return the verdict in JSON.

        Raises
        ------
        RemoteProtocolError
            It is none.
        """
        members = _decode(data, ("block", "accepted"))
        if not isinstance(members["block"], str) or not isinstance(members["accepted"], bool):
            _refuse("block or accepted")
        return cls(key_id(members["block"]), members["accepted"])


def block_name(link: str, key_ids: Sequence[str]) -> str:
    """Return the name of the block that keys become: the same keys never become a second block."""
    digest = hashlib.sha256(json.dumps([_FORMAT, link, list(key_ids)]).encode()).digest()
    return str(uuid.UUID(bytes=digest[:16], version=5))


def _encode(**members: Any) -> bytes:
    return json.dumps({"format": _FORMAT, **members}, separators=(",", ":")).encode()


def _decode(data: bytes, names: tuple[str, ...]) -> dict[str, Any]:
    members = parse(data)
    if not isinstance(members, dict) or members.get("format") != _FORMAT or set(members) != {"format", *names}:
        raise RemoteProtocolError(f"no message of {_FORMAT} with {', '.join(names)}", hint=_SAME_VERSION)
    return members


def _refuse(what: str) -> NoReturn:
    raise RemoteProtocolError(f"{what} in a message of {_FORMAT} is out of range", hint=_SAME_VERSION)
