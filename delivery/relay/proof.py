"""How the last site of a route proves to the first that it has the very same keys.

Behind the keys travels a check key that serves this once. The proof is the one-time tag under it over the errand and
the keys. It says nothing of the keys to whoever has not the check key, and a key that a site on the way altered, by a
fault of its memory for instance, is found before it is handed out. A site on the way that means harm has both and can
make the proof itself: it is trusted.
"""

from collections.abc import Iterator

from faintlink.delivery.keystore.model import Assignment, Placed
from faintlink.delivery.relay.packet import CHECK_BYTES, Errand, KeyName
from faintlink.delivery.relay.parts import encode_name
from faintlink.postprocess.channel.envelope import Direction
from faintlink.postprocess.channel.onetime import KeyPosition, OneTimeKey


def split(errand: Errand, payload: bytearray) -> Iterator[tuple[KeyName, memoryview]]:
    """Return each key's name and its part of the payload."""
    at, view = 0, memoryview(payload)
    for key in errand.keys:
        yield key, view[at : at + key.size]
        at += key.size


def placed(errand: Errand, payload: bytearray) -> list[Placed]:
    """Return the keys of a payload as a store takes them; they are parts of the payload and no copies."""
    return [
        (Assignment(key.key_id, key.bits, errand.master, errand.slave, ()), material)
        for key, material in split(errand, payload)
    ]


def proof_of(errand: Errand, payload: bytearray) -> bytes:
    """Return the proof for a payload, which holds the keys and the check key in the clear."""
    names = (*errand.route, errand.master, errand.slave, *errand.key_ids)
    key = OneTimeKey(payload[-CHECK_BYTES:], direction=Direction.BOB_TO_ALICE, position=KeyPosition(0, 0))
    return key.tag((b"".join(map(encode_name, names)), bytes(payload[:-CHECK_BYTES])))
