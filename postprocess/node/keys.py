"""Where a node's keys go: prepared first, released when both sides have them.

Bob prepares his key and says so; Alice then stores hers, which is the decision, and says release. A node that dies in
between asks at the next meeting which of its prepared keys were released, and destroys the others: afterwards both
sides hold a key or neither does.
"""

from typing import Any, Protocol

import numpy as np

from faintlink.core.records import SecretKey
from faintlink.core.units import Bits
from faintlink.postprocess.qkd.hash_families import HashFamily
from faintlink.postprocess.security.ledger import EpsilonLedger


class KeySink(Protocol):
    """A durable place for keys."""

    def prepare(self, key: SecretKey, about: dict[str, Any]) -> None:
        """Store a key that may not be used yet; it must survive a crash."""
        ...

    def release(self, key_id: str) -> None:
        """Let a prepared key be used; twice does no harm."""
        ...

    def discard(self, key_id: str) -> None:
        """Destroy a prepared key; one that is not there does no harm."""
        ...

    def prepared(self) -> list[str]:
        """Return the names of keys that are prepared and not released."""
        ...

    def is_released(self, key_id: str) -> bool:
        """Return whether a key may be used."""
        ...


def amplified(
    bits: Bits, seed: bytes, length: int, key_id: str, ledger: EpsilonLedger, family: HashFamily
) -> SecretKey:
    """Return the key of verified bits."""
    data = np.packbits(family.hash(bits, seed, length)).tobytes()
    return SecretKey(key_id, length, data, ledger.total)


def description(number: int, bound: str, ledger: EpsilonLedger) -> dict[str, Any]:
    """Return what is stored with a key: its block, bound and ledger."""
    parts = [
        {"name": part.name, "kind": part.kind, "value": part.value, "source": part.source} for part in ledger.parts
    ]
    return {"block": number, "bound": bound, "ledger": parts}


class MemorySink:
    """Keeps keys nowhere but with the caller: for analyses that store them, if at all, by themselves."""

    def prepare(self, key: SecretKey, about: dict[str, Any]) -> None:
        """Take no key: the outcome of the block holds it."""

    def release(self, key_id: str) -> None:
        """Do nothing."""

    def discard(self, key_id: str) -> None:
        """Do nothing."""

    def prepared(self) -> list[str]:
        """Return no names: nothing survives a crash."""
        return []

    def is_released(self, key_id: str) -> bool:  # noqa: ARG002 - nothing is kept by name
        """Return that no key is kept here."""
        return False
