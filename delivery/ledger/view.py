"""A site's ledger as it is shown to the other: what is promised but not agreed to counts as left.

Otherwise a comparison in the middle of an agreement would take the units of a key on its way for lost.
"""

from dataclasses import replace

from faintlink.delivery.keystore.model import BlockLedger
from faintlink.delivery.keystore.store import KeyStore


def promised_and_free(store: KeyStore, peer: str) -> list[BlockLedger]:
    """Return what is left of each block shared with ``peer``, together with what is promised and not agreed to."""
    # The ledger first: a key agreed to in between is then missing in both, as it is at the other site.
    ledgers = store.ledger(peer)
    promised: dict[str, list[int]] = {}
    for key in store.unsettled(peer):
        for unit in key.units:
            promised.setdefault(unit.block, []).append(unit.number)
    return [_with(ledger, promised.get(ledger.block, ())) for ledger in ledgers]


def _with(ledger: BlockLedger, numbers: "list[int] | tuple[()]") -> BlockLedger:
    if not numbers:
        return ledger
    free = bytearray(ledger.free)
    for number in numbers:
        free[number >> 3] |= 0x80 >> (number & 7)
    return replace(ledger, free=bytes(free))
