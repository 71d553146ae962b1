"""Folders as the nodes of a link leave them, with made-up keys."""

import hashlib
import uuid
from pathlib import Path

from faintlink.core.records import SecretKey
from faintlink.delivery.network.links import DistilledLink
from faintlink.postprocess.keystore import FileKeyStore


def distilled(folder: Path, between: tuple[str, str], *, bits: int = 400_000) -> DistilledLink:
    """Return a link whose parties have one key."""
    key_id = str(uuid.uuid4())
    material = hashlib.shake_256(repr(between).encode()).digest(bits // 8)
    for party in ("alice", "bob"):
        FileKeyStore(folder / "keys" / party).put(SecretKey(key_id, bits, material, 1e-9), {"usable": False})
    return DistilledLink(between, "bb84-decoy", 10.0, 0.01, bits, folder)
