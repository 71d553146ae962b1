"""The contract of a key store. Every backend passes the suite in `faintlink.delivery.keystore.conformance`.

Every method is one transaction that is durable when it returns; a process killed at any instant leaves the state
before or after it. Methods block: asynchronous callers run them in a thread. All sites, applications and keys are named
by strings that the caller has checked.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from faintlink.delivery.keystore.model import (
    Assignment,
    Block,
    BlockLedger,
    Cut,
    DeliveredKey,
    KeyRecord,
    Placed,
    Pool,
    Role,
    Stock,
    UnitId,
)


class KeyStore(Protocol):
    """Keys of one site."""

    def close(self) -> None:
        """Let go of the store; the process forgets its master key."""
        ...

    def ingest(self, peer: str, block: Block, cut: Cut) -> int:
        """Put a distilled block into the stock shared with ``peer`` and return its number of units.

        A block that is there, or was there, changes nothing and returns 0. Bits beyond the last whole unit are dropped.
        """
        ...

    def stock(self) -> Mapping[tuple[str, Pool], Stock]:
        """Return what there is for each peer and pool."""
        ...

    def reserve(self, peer: str, wanted: Sequence[tuple[str, int]], *, master: str, slave: str) -> list[Assignment]:
        """Promise keys to a pair of applications: all of them or none.

        Parameters
        ----------
        peer
            The site of the slave's application.
        wanted
            Name and bits of each key.
        master, slave
            The applications.

        Returns
        -------
        list
            The keys, `KeyState.RESERVED`, made of the oldest units of `Pool.OURS`.

        Raises
        ------
        KeyExhaustedError
            The pool holds too little; nothing was taken.
        """
        ...

    def assign(self, peer: str, assignments: Sequence[Assignment]) -> None:
        """Take keys that ``peer`` promised to its application and one of ours: all of them or none.

        They become `KeyState.READY` here. The very same assignment once more does no harm.

        Raises
        ------
        KeyUnknownError
            A unit is not in the stock, belongs to another pool, or a key of that name is another one. Nothing was
            taken.
        """
        ...

    def place(self, peer: str, keys: Sequence[Placed], *, role: Role, epsilon: float, blocks: Sequence[str]) -> None:
        """Put in keys that were relayed and are not made of units: all of them or none.

        They become `RESERVED` for the master and `READY` for the slave. The very same one once more does no harm.

        Raises
        ------
        KeyUnknownError
            A key of that name is another one, or was given up here. Nothing was put in.
        LocalProtocolError
            A key has units or another length than its material, or is named twice.
        """
        ...

    def acknowledge(self, key_ids: Iterable[str], *, epsilon: float | None = None) -> None:
        """Note that the other site has the keys: `RESERVED` becomes `READY`.

        Parameters
        ----------
        key_ids
            Keys in another state stay what they are.
        epsilon
            Of relayed keys: what they have come to, where their records hold what was allowed.
        """
        ...

    def void(self, key_ids: Iterable[str], *, reason: str) -> list[str]:
        """Give up keys that were not delivered, destroy their material, and return the names of those given up.

        A delivered key stays delivered, and an unknown one is passed over.
        """
        ...

    def deliver(self, key_ids: Sequence[str], *, role: Role, sae: str, is_agreed: bool = False) -> list[DeliveredKey]:
        """Hand out keys, all of them or none, and destroy their material here before it returns.

        Parameters
        ----------
        key_ids
            Without repetition.
        role
            Of the application at this site.
        sae
            Who asks; each key must be promised to it.
        is_agreed
            The other site has just agreed: keys that are `RESERVED` go too, acknowledged in the same transaction.

        Raises
        ------
        KeyUnknownError
            A key is unknown, not ready, given up or delivered before.
        AccessDeniedError
            A key is promised to another application.
        """
        ...

    def take(self, peer: str, pool: Pool, units: int, *, use: str) -> tuple[list[UnitId], bytearray]:
        """Take units for the site's own use (one-time pad, authentication) and note the use.

        Raises
        ------
        KeyExhaustedError
            The pool holds too little; nothing was taken.
        """
        ...

    def take_named(self, peer: str, units: Sequence[UnitId], *, use: str) -> bytearray:
        """Take the units that the other site named, out of `Pool.RESERVE_THEIRS` or `Pool.THEIRS`.

        Raises
        ------
        KeyUnknownError
            One is not in these pools; nothing was taken.
        """
        ...

    def retire(self, peer: str, units: Sequence[UnitId], *, reason: str) -> int:
        """Destroy units that the other site no longer holds and return how many there were."""
        ...

    def unsettled(self, peer: str) -> list[Assignment]:
        """Return keys that are `RESERVED`: promised here, not agreed to yet."""
        ...

    def waiting(self, peer: str) -> list[KeyRecord]:
        """Return keys that are `READY` and not fetched."""
        ...

    def ledger(self, peer: str) -> list[BlockLedger]:
        """Return what is left of each block shared with ``peer``, blocks that are used up excepted."""
        ...

    def record(self, key_id: str) -> KeyRecord:
        """Return what may be known of a key.

        Raises
        ------
        KeyUnknownError
            No such key was ever here.
        """
        ...

    def forget_epochs(self) -> int:
        """Destroy the wrapping keys of epochs with nothing left in them and clear what the files remember of them.

        Returns
        -------
        int
            Number of epochs.
        """
        ...

    def zeroize(self) -> None:
        """Destroy every wrapping key, so that nothing in the store or in any copy of it can be read again."""
        ...
