"""What the audit log is told of keys that are promised: enough to trace each to its blocks without the store."""

from collections.abc import Iterable

from faintlink.delivery.keystore.model import Assignment
from faintlink.delivery.witness import Event, Fact


def promised(event: Event, peer: str, keys: Iterable[Assignment]) -> list[Fact]:
    """Return the facts about keys that an application here, or a peer, had promised.

    Those that differ in nothing but their names share one.
    """
    groups: dict[tuple[str, str, int, tuple[str, ...]], list[str]] = {}
    for key in keys:
        blocks = tuple(dict.fromkeys(unit.block for unit in key.units))
        groups.setdefault((key.master, key.slave, key.bits, blocks), []).append(key.key_id)
    return [
        Fact(
            event,
            master if event is Event.KEYS_RESERVED else peer,
            {"peer": peer, "master": master, "slave": slave, "bits": bits, "blocks": [*blocks], "key_ids": names},
        )
        for (master, slave, bits, blocks), names in groups.items()
    ]
