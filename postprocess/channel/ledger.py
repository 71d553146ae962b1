"""The state of a reserve in memory, and as the base of its file.

A base is: magic "FLKR", version, name (16 random bytes), its own length; link id and link key; last segment number; of
each segment its number, its slots, the next slot of each direction and the unused keys; SHA-256 of all that.

Sources: FIPS 180-4 (SHA-256).
"""

import hashlib
import struct
from dataclasses import dataclass

from faintlink.core.errors import CorruptBlockError, SchemaError
from faintlink.postprocess.channel.envelope import Direction
from faintlink.postprocess.channel.onetime import KEY_BYTES
from faintlink.postprocess.channel.session import LINK_KEY_BYTES, LinkIdentity

_MAGIC = b"FLKR"
_VERSION = 1
_HEAD = struct.Struct(">4sB16sQ")
_AFTER_LINK = struct.Struct(">QI")
_SEGMENT = struct.Struct(">QIII")
_DIGEST_BYTES = 32
NO_BACKUP = "do not restore an old copy: its keys are used; make a new reserve from a new shared key on both sides"
"""What to do about a damaged ledger."""


@dataclass(slots=True, repr=False)
class Segment:
    """One distilled key in the reserve: for each direction ``slots`` one-time keys, the first ``next`` of them used."""

    number: int
    slots: int
    next: list[int]
    """Next slot, by direction (Alice to Bob, Bob to Alice)."""
    keys: tuple[bytearray, bytearray]
    """Keys of each direction from slot ``first`` on; those used are zeros."""
    first: tuple[int, int]
    """Slot of the first key held."""

    def unused(self, direction: Direction) -> int:
        """Return how many keys of a direction are unused."""
        return self.slots - self.next[direction - 1]

    def advance(self, direction: Direction, slot: int) -> None:
        """Make ``slot`` the next one of a direction and overwrite the keys before it in memory."""
        index = direction - 1
        begin, end = ((number - self.first[index]) * KEY_BYTES for number in (self.next[index], slot))
        if end > begin:
            self.keys[index][begin:end] = bytes(end - begin)
            self.next[index] = slot

    def copy_key(self, direction: Direction, slot: int) -> bytearray:
        """Return a copy of one key."""
        begin = (slot - self.first[direction - 1]) * KEY_BYTES
        return self.keys[direction - 1][begin : begin + KEY_BYTES]

    def wipe(self) -> None:
        """Overwrite all keys in memory with zeros."""
        for keys in self.keys:
            keys[:] = bytes(len(keys))


@dataclass(slots=True, repr=False)
class Ledger:
    """What a ledger file holds."""

    link: LinkIdentity
    last_number: int
    """Greatest segment number that was ever put in."""
    segments: dict[int, Segment]
    """By number, rising."""

    def encode(self, name: bytes) -> bytearray:
        """Return the base of this state; segments without unused keys are left out."""
        link_id = self.link.link_id.encode()
        kept = [segment for segment in self.segments.values() if any(segment.unused(d) for d in Direction)]
        data = bytearray(_HEAD.size)
        data += bytes([len(link_id)]) + link_id + self.link.key
        data += _AFTER_LINK.pack(self.last_number, len(kept))
        for segment in kept:
            data += _SEGMENT.pack(segment.number, segment.slots, *segment.next)
            for index, keys in enumerate(segment.keys):
                data += memoryview(keys)[(segment.next[index] - segment.first[index]) * KEY_BYTES :]
        _HEAD.pack_into(data, 0, _MAGIC, _VERSION, name, len(data) + _DIGEST_BYTES)
        return data + hashlib.sha256(data).digest()


def decode(data: bytearray) -> tuple[Ledger, bytes, int]:
    """Return the ledger in a file's base, the base's name, and where the base ends.

    Raises
    ------
    SchemaError
        It is no ledger, or of another version.
    CorruptBlockError
        It is damaged.
    """
    if len(data) < _HEAD.size or data[: len(_MAGIC)] != _MAGIC:
        raise SchemaError(f"a reserve begins with {_MAGIC!r}, got {bytes(data[: len(_MAGIC)])!r}")
    _, version, name, end = _HEAD.unpack_from(data)
    if version != _VERSION:
        raise SchemaError(f"a reserve of version {_VERSION} is expected, got version {version}")
    checked = max(0, end - _DIGEST_BYTES)
    with memoryview(data) as view:
        digest = hashlib.sha256(view[:checked]).digest()
    if digest != data[checked:end]:
        raise CorruptBlockError("a reserve is damaged: the checksum of its base is wrong", hint=NO_BACKUP)
    return _decode_checked(data), name, end


def _decode_checked(data: bytearray) -> Ledger:
    size = data[_HEAD.size]
    at = _HEAD.size + 1 + size + LINK_KEY_BYTES
    key = bytes(data[at - LINK_KEY_BYTES : at])
    link = LinkIdentity(data[_HEAD.size + 1 : at - LINK_KEY_BYTES].decode(), key)
    last_number, count = _AFTER_LINK.unpack_from(data, at)
    at += _AFTER_LINK.size
    segments = {}
    for _ in range(count):
        number, slots, *first = _SEGMENT.unpack_from(data, at)
        middle = at + _SEGMENT.size + (slots - first[0]) * KEY_BYTES
        end = middle + (slots - first[1]) * KEY_BYTES
        keys = data[at + _SEGMENT.size : middle], data[middle:end]
        segments[number] = Segment(number, slots, first, keys, (first[0], first[1]))
        at = end
    return Ledger(link, last_number, segments)
