"""A node's custody of keys: each is stored prepared and released later, and a share of it refills the reserve.

The share is cut off before anything is stored, so that what authenticates later messages never was a user's key.
Both nodes cut the same share and refill in the same order, see `faintlink.postprocess.node.session`.
"""

import logging
from typing import Any

from faintlink.core.records import SecretKey
from faintlink.postprocess.channel.onetime import KEY_BYTES
from faintlink.postprocess.channel.reserve import KeyReserve
from faintlink.postprocess.node.keys import KeySink

_log = logging.getLogger(__name__)
SLOT_BYTES = 2 * KEY_BYTES
"""Key for one seal in each direction."""


class Custody:
    """Stores keys and refills the reserve; a `KeySink` for the programs of a block.

    Parameters
    ----------
    store
        Where keys go.
    reserve
        What each key refills.
    refill_slots
        Seals of each direction that a block's key pays for; a key that is not at least twice as long pays none.
    about
        Facts to store with each key.
    """

    def __init__(self, store: KeySink, reserve: KeyReserve, *, refill_slots: int, about: dict[str, Any]) -> None:
        self._store = store
        self._reserve = reserve
        self._share_bytes = refill_slots * SLOT_BYTES
        self._about = about
        self._shares: dict[str, bytearray] = {}
        self._next_refill = 0

    def __repr__(self) -> str:
        return f"Custody({len(self._shares)} keys wait)"

    def begin_session(self, last_refill: int) -> None:
        """Take the greatest number of a refill that either node knows; forget shares of an earlier session."""
        for share in self._shares.values():
            share[:] = bytes(len(share))
        self._shares.clear()
        self._next_refill = last_refill + 1

    def prepare(self, key: SecretKey, about: dict[str, Any]) -> None:
        """Store a key without the reserve's share; it may not be used yet."""
        size = self._share_bytes if key.bits >= 16 * self._share_bytes else 0
        rest = SecretKey(key.key_id, key.bits - 8 * size, key.data[size:], key.epsilon)
        self._store.prepare(rest, {**about, **self._about, "bits_to_reserve": 8 * size})
        self._shares[key.key_id] = bytearray(key.data[:size])

    def release(self, key_id: str) -> None:
        """Let a prepared key be used, and refill the reserve with its share."""
        self._store.release(key_id)
        share = self._shares.pop(key_id, None)
        if share:
            gained = self._reserve.refill(self._next_refill, share)
            share[:] = bytes(len(share))
            _log.debug("reserve refilled by %d one-time keys each way", gained)
            self._next_refill += 1

    def discard(self, key_id: str) -> None:
        """Destroy a prepared key."""
        self._shares.pop(key_id, None)
        self._store.discard(key_id)

    def prepared(self) -> list[str]:
        """Return the names of keys that are prepared and not released."""
        return self._store.prepared()

    def is_released(self, key_id: str) -> bool:
        """Return whether a key was released; also when it has been used since."""
        return self._store.is_released(key_id)
