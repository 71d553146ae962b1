"""What the interfaces to applications ask of a site, whoever fulfils it: the seam between ETSI 014 and the KME."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from faintlink.delivery.keystore.model import DeliveredKey
from faintlink.delivery.keystore.origins import KeyOrigin


@dataclass(frozen=True, slots=True)
class SupplyStatus:
    """What may be told to an application about its keys with another."""

    source_kme: str
    target_kme: str
    stored_keys: int
    """Keys of the default size that can be made now."""
    max_keys: int
    """Most keys that the site keeps for this pair of sites."""


class Origins(Protocol):
    """Tells where keys came from, also of those that were handed out."""

    async def __call__(self, key_ids: Sequence[str]) -> list[KeyOrigin]:
        """Return the origin of each key, in this order.

        Raises
        ------
        KeyUnknownError
            One was never here.
        StoreError
            The store does not answer.
        """
        ...


class KeySupply(Protocol):
    """Keys for pairs of applications (SAEs). Whoever calls has authenticated the caller."""

    async def status(self, *, caller: str, other: str) -> SupplyStatus:
        """Return the state of the supply for ``caller`` as master and ``other`` as slave.

        Raises
        ------
        KeyUnknownError
            ``other`` is at no site that keys are shared with.
        """
        ...

    async def new_keys(self, *, master: str, slave: str, number: int, bits: int) -> list[DeliveredKey]:
        """Hand out new keys to the master: only after the other site has them for sure.

        Raises
        ------
        KeyUnknownError
            The slave is at no site that keys are shared with.
        KeyExhaustedError
            Too little material.
        PeerUnavailableError
            The other site does not agree in time; nothing is handed out, nothing is used twice.
        AuditError, StoreError, SelfTestError
            The site may not hand out anything now.
        """
        ...

    async def keys_by_name(self, *, slave: str, master: str, key_ids: Sequence[str]) -> list[DeliveredKey]:
        """Hand out the slave's copies: all of them or none.

        Raises
        ------
        KeyUnknownError
            One is unknown or was delivered before.
        AccessDeniedError
            One was not promised to this pair.
        """
        ...
