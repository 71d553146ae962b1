"""A key store over a database: the part that SQLite and PostgreSQL share.

Every change is one transaction under one lock. A change that lets key material out of the store (delivery, the site's
own uses, giving up) is also noted in the `anchor <faintlink.delivery.keystore.anchor>` after the commit and before the
material leaves this module. Whatever fails on the way, the caller gets an error and no material.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self, TypeVar

from faintlink.core.errors import KeyUnknownError, LocalProtocolError, StoreError
from faintlink.delivery.keystore.backup import write_backup
from faintlink.delivery.keystore.commits import Commits
from faintlink.delivery.keystore.keys import KeyRoom, new_record
from faintlink.delivery.keystore.model import (
    Assignment,
    Block,
    BlockLedger,
    Cut,
    DeliveredKey,
    KeyRecord,
    KeyState,
    Placed,
    Pool,
    Role,
    Stock,
    UnitId,
)
from faintlink.delivery.keystore.opening import Opened, exchange_secret, wipe_out
from faintlink.delivery.keystore.origins import KeyOrigin, origin_of
from faintlink.delivery.keystore.promises import Promises, poured
from faintlink.delivery.keystore.sealing import wipe
from faintlink.delivery.keystore.stock import BlockRecord, StockRoom, require_units

_T = TypeVar("_T")


class SqlKeyStore:
    """A `KeyStore <faintlink.delivery.keystore.store.KeyStore>` over a database and an anchor; for several threads."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._db = opened.database
        self._epochs = opened.epochs
        self._commits = Commits(opened.database, opened.anchor, opened.epochs)
        self._stock = StockRoom(opened.database, opened.epochs, site=opened.site, store_id=opened.store_id)
        self._keys = KeyRoom(opened.database, opened.epochs, store_id=opened.store_id)
        self._promises = Promises(self._stock, self._keys)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._db.where!r}, site {self._opened.site!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def site(self) -> str:
        """Whose keys these are."""
        return self._opened.site

    def close(self) -> None:
        """Let go of the store and of its keys in memory."""
        with self._commits.alone():
            self._epochs.clear()
            self._opened.anchor.close()
            self._db.close()

    def ingest(self, peer: str, block: Block, cut: Cut) -> int:
        """Put a distilled block into the stock shared with ``peer`` and return its number of units."""
        self._require_room()
        return self._commits.run(lambda: self._stock.put(peer, block, cut))

    def stock(self) -> Mapping[tuple[str, Pool], Stock]:
        """Return what there is for each peer and pool."""
        return self._commits.run(self._stock.count)

    def reserve(self, peer: str, wanted: Sequence[tuple[str, int]], *, master: str, slave: str) -> list[Assignment]:
        """Promise keys to a pair of applications: all of them or none."""
        self._require_room()
        return self._commits.run(lambda: self._promises.reserve(peer, wanted, master=master, slave=slave))

    def assign(self, peer: str, assignments: Sequence[Assignment]) -> None:
        """Take keys that ``peer`` promised to its application and one of ours: all of them or none."""
        self._require_room()
        self._commits.run(lambda: self._promises.assign(peer, assignments))

    def place(self, peer: str, keys: Sequence[Placed], *, role: Role, epsilon: float, blocks: Sequence[str]) -> None:
        """Put in keys that were relayed and are not made of units: all of them or none."""
        self._require_room()
        records = [(new_record(key, peer, role, epsilon, blocks), material) for key, material in keys]
        self._commits.run(lambda: self._promises.place(records))

    def acknowledge(self, key_ids: Iterable[str], *, epsilon: float | None = None) -> None:
        """Note that the other site has the keys: `KeyState.RESERVED` becomes `KeyState.READY`."""
        names = list(key_ids)
        self._commits.run(lambda: self._keys.acknowledge(names, epsilon))

    def void(self, key_ids: Iterable[str], *, reason: str) -> list[str]:
        """Give up keys that were not delivered, destroy their material, and return the names of those given up."""
        names = list(key_ids)
        return self._making_room(lambda: self._keys.void(names, reason))

    def deliver(self, key_ids: Sequence[str], *, role: Role, sae: str, is_agreed: bool = False) -> list[DeliveredKey]:
        """Hand out keys, all of them or none, and destroy their material here before it returns."""
        return self._commits.run(
            lambda: self._keys.deliver(key_ids, role=role, sae=sae, is_agreed=is_agreed),
            releases=True,
            secrets=lambda keys: [key.material for key in keys],
        )

    def take(self, peer: str, pool: Pool, units: int, *, use: str) -> tuple[list[UnitId], bytearray]:
        """Take units for the site's own use (one-time pad, authentication) and note the use."""
        if pool not in (Pool.OURS, Pool.RESERVE_OURS) or units < 1:
            raise LocalProtocolError(
                f"{units} units of {pool} cannot be taken of this site's own accord",
                hint="the other site's pools are taken from as that site names the units",
            )

        def take() -> tuple[list[UnitId], bytearray]:
            taken = self._stock.take_oldest(peer, pool, units)
            names = [unit for unit, _ in taken]
            self._stock.note_use(peer, names, use)
            return names, poured([piece for _, piece in taken])

        return self._commits.run(take, releases=True, secrets=lambda taken: [taken[1]])

    def take_named(self, peer: str, units: Sequence[UnitId], *, use: str) -> bytearray:
        """Take the units that the other site named, out of `Pool.RESERVE_THEIRS` or `Pool.THEIRS`."""

        def take() -> bytearray:
            taken = self._stock.take_named(peer, units, (Pool.RESERVE_THEIRS, Pool.THEIRS))
            require_units(units, taken)
            self._stock.note_use(peer, units, use)
            return poured([taken[unit] for unit in units])

        return self._commits.run(take, releases=True, secrets=lambda material: [material])

    def retire(self, peer: str, units: Sequence[UnitId], *, reason: str) -> int:
        """Destroy units that the other site no longer holds and return how many there were."""

        def destroy() -> int:
            taken = self._stock.take_named(peer, units, tuple(Pool))
            wipe(*taken.values())
            if taken:
                self._stock.note_use(peer, sorted(taken), f"retired: {reason}")
            return len(taken)

        return self._making_room(destroy)

    def unsettled(self, peer: str) -> list[Assignment]:
        """Return keys that are promised here and not agreed to yet."""
        records = self._commits.run(lambda: self._keys.in_state(peer, KeyState.RESERVED))
        return [record.assignment for record in records]

    def waiting(self, peer: str) -> list[KeyRecord]:
        """Return keys that are ready and not fetched."""
        return self._commits.run(lambda: self._keys.in_state(peer, KeyState.READY))

    def ledger(self, peer: str) -> list[BlockLedger]:
        """Return what is left of each block shared with ``peer``, blocks that are used up excepted."""
        return self._commits.run(lambda: self._stock.ledger(peer))

    def record(self, key_id: str) -> KeyRecord:
        """Return what may be known of a key."""
        found = self._commits.run(lambda: self._keys.find([key_id]))
        if key_id not in found:
            raise KeyUnknownError(f"no key {key_id} was ever here", hint="is it another site's?")
        return found[key_id]

    def count_keys(self) -> Mapping[KeyState, int]:
        """Return how many keys ever were, by what became of them; looks through all of them."""
        return self._commits.run(self._keys.count)

    def block(self, block_id: str) -> BlockRecord:
        """Return what may be known of a block: where its bits came from, and how good they are.

        Raises
        ------
        KeyUnknownError
            No such block ever came in.
        """
        return self._commits.run(lambda: self._stock.record(block_id))

    def origins(self, key_ids: Sequence[str]) -> list[KeyOrigin]:
        """Return where keys came from, in this order.

        Raises
        ------
        KeyUnknownError
            One was never here.
        """

        def look() -> list[KeyOrigin]:
            found = self._keys.find(key_ids)
            if missing := [key_id for key_id in key_ids if key_id not in found]:
                raise KeyUnknownError(f"no key {missing[0]} was ever here", hint="is it another site's?")
            names = {name for record in found.values() if record.assignment.units for name in record.blocks}
            blocks = {name: self._stock.record(name) for name in names}
            return [
                origin_of(found[key_id], [blocks[name] for name in found[key_id].blocks if name in blocks])
                for key_id in key_ids
            ]

        return self._commits.run(look)

    def forget_epochs(self) -> int:
        """Destroy the wrapping keys of epochs with nothing left in them and clear what the files remember of them."""
        with self._commits.alone():
            with self._db.transaction():
                empty = self._epochs.forget(self._db)
            self._epochs.drop(empty)
            if empty:
                exchange_secret(self._opened)
            self._db.tidy()
        return len(empty)

    def backup(self, path: Path) -> int:
        """Write the store's records, without a key, into a new file and return the number of rows.

        See `faintlink.delivery.keystore.backup`. Nothing else happens in the store meanwhile.
        """
        with self._commits.alone(), self._db.transaction():
            return write_backup(self._db, path)

    def zeroize(self) -> None:
        """Destroy every wrapping key, so that nothing in the store or in any copy of it can be read again."""
        with self._commits.alone():
            wipe_out(self._opened, lambda: self._keys.void_all("zeroized"))

    def _require_room(self) -> None:
        if not self._db.has_room():
            raise StoreError(
                f"the disk under {self._db.where} is nearly full: no new keys are taken in or promised",
                hint="free the disk; keys that are promised already can still be handed out and given up",
            )

    def _making_room(self, change: Callable[[], _T]) -> _T:
        """Run a change that only destroys; on a full disk give up the space kept for it and run it again."""
        try:
            return self._commits.run(change, releases=True)
        except StoreError as error:
            if not (error.fields.get("is_full") and self._db.make_room()):
                raise
        return self._commits.run(change, releases=True)
