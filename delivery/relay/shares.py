"""Keys in shares: each share is a relayed key over a route of its own, and the key is the exclusive or of them all.

Used by `faintlink.delivery.relay.supply`, and at both ends alike. Whoever lacks one share knows nothing of the key,
since each is uniform and independent of the others. The names of the shares follow from the key's, so that the slave's
application fetches a split key by one name, as any other; a share has no name that an application is ever told.

Sources: RFC 9562, section 5.5 (names from names).
"""

import uuid
from collections.abc import Sequence

import numpy as np

from faintlink.delivery.keystore.model import DeliveredKey
from faintlink.delivery.keystore.sealing import wipe


def share_name(key_id: str, share: int) -> str:
    """Return the name of a key's share, counted from 0."""
    return str(uuid.uuid5(uuid.UUID(key_id), f"faintlink share {share}"))


def share_names(key_ids: Sequence[str], shares: int) -> list[str]:
    """Return the names of all shares: first those of share 0 in the order of the keys, and so on."""
    return [share_name(key_id, share) for share in range(shares) for key_id in key_ids]


def joined(key_ids: Sequence[str], delivered: Sequence[DeliveredKey]) -> list[DeliveredKey]:
    """Return keys of their shares, which are in the order of `share_names` and are overwritten."""
    count, keys = len(key_ids), []
    for at, key_id in enumerate(key_ids):
        own = delivered[at::count]
        material = bytearray(len(own[0].material))
        into = np.frombuffer(material, np.uint8)
        for share in own:
            np.bitwise_xor(into, np.frombuffer(share.material, np.uint8), out=into)
        keys.append(DeliveredKey(key_id, own[0].bits, material))
    wipe(*(share.material for share in delivered))
    return keys
