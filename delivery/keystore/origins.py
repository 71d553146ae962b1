"""Where the bits of a key came from, in so far as both sites know it alike: what an application may be told.

Made of records, which stay when a key's material is gone. Nothing in it says anything about the bits.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from faintlink.delivery.keystore.model import KeyRecord
from faintlink.delivery.keystore.stock import BlockRecord

DEVICE_SOURCE = "ETSI GS QKD 014"
"""Provenance ``source`` of blocks that devices of others gave."""


class Origin(StrEnum):
    """What made a key's bits. Of several kinds in one key the later one in this list counts."""

    LINK = "link"
    """Distilled by nodes of this program on a link of the two sites."""
    DEVICE = "device"
    """Given by a pair of devices of others; its epsilon is their maker's word."""
    TEST = "test"
    """Distilled, and marked as not usable: a simulated link, or one whose monitors had no veto."""
    RELAYED = "relayed"
    """Passed on by trusted sites."""


@dataclass(frozen=True, slots=True)
class KeyOrigin:
    """Where a key came from."""

    origin: Origin
    epsilon: float
    """Bound on the chance that the key is not what it should be: the sum over the blocks, or over a relay's hops."""
    blocks: tuple[str, ...]
    """Names of the distilled blocks, equal at both sites; none of a relayed key, whose hops differ."""


def origin_of(record: KeyRecord, blocks: Iterable[BlockRecord]) -> KeyOrigin:
    """Return the origin of a key that was made of ``blocks``."""
    if not record.assignment.units:
        return KeyOrigin(Origin.RELAYED, record.epsilon, ())
    kinds = [_kind(block) for block in blocks]
    return KeyOrigin(max(kinds, key=list(Origin).index), record.epsilon, record.blocks)


def _kind(block: BlockRecord) -> Origin:
    if block.provenance.get("source") == DEVICE_SOURCE:
        return Origin.DEVICE
    return Origin.TEST if block.provenance.get("usable") == str(False) else Origin.LINK
