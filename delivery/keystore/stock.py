"""Blocks, lots and units: what a key store holds before it is promised to anybody.

Functions over a `Database`, within a transaction of the caller's. A unit is sealed when its block comes in, and is
deleted in the transaction in which it is taken.
"""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

from faintlink.core.errors import KeyExhaustedError, KeyUnknownError, StoreError
from faintlink.delivery.keystore.database import Database, among, chunks
from faintlink.delivery.keystore.epochs import Epochs
from faintlink.delivery.keystore.model import (
    UNIT_BITS,
    UNIT_BYTES,
    Block,
    BlockLedger,
    Cut,
    Pool,
    Stock,
    UnitId,
)
from faintlink.delivery.keystore.sealing import bound

_POOLS = tuple(Pool)
_SELECT_UNITS = "SELECT number, sealed FROM units WHERE lot = ? AND number IN (…)"


def now_utc() -> str:
    """Return the time for records."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """What is kept of a block for ever."""

    block_id: str
    peer: str
    units: int
    """Units that it came in with."""
    epsilon: float
    provenance: dict[str, str]
    ingested_utc: str


class StockRoom:
    """The stock of a site.

    Parameters
    ----------
    database, epochs
        What it is made of.
    site
        Whose it is.
    store_id
        What sealed units are bound to, beside their names.
    """

    def __init__(self, database: Database, epochs: Epochs, *, site: str, store_id: str) -> None:
        self._db = database
        self._epochs = epochs
        self._site = site
        self._store_id = store_id

    def put(self, peer: str, block: Block, cut: Cut) -> int:
        """Store a block and return its number of units, or 0 if it is or was there."""
        known = self._db.rows("SELECT peer FROM blocks WHERE block = ?", (block.block_id,))
        if known:
            _require_same_peer(block.block_id, known[0][0], peer)
            return 0
        units = len(block.material) // UNIT_BYTES
        epoch = self._epochs.current(self._db, new_blocks=1)
        record = BlockRecord(block.block_id, peer, units, block.epsilon, block.provenance, now_utc())
        number = self._insert(record, epoch)
        self._put_units(number, peer, block, [cut.pool(unit, self._site) for unit in range(units)], epoch)
        return units

    def note_spent(self, records: Iterable[BlockRecord]) -> int:
        """Put in records of blocks of which nothing is left, so that they cannot come in; return how many were new."""
        known = {block for (block,) in self._db.rows("SELECT block FROM blocks")}
        new = [record for record in records if record.block_id not in known]
        for record in new:
            self._insert(record, epoch=0)
        return len(new)

    def count(self) -> dict[tuple[str, Pool], Stock]:
        """Return what there is."""
        found = self._db.rows("SELECT peer, pool, SUM(free) FROM lots WHERE free > 0 GROUP BY peer, pool")
        return {(peer, Pool(pool)): Stock(int(units), int(units) * UNIT_BITS) for peer, pool, units in found}

    def take_oldest(self, peer: str, pool: Pool, units: int) -> list[tuple[UnitId, bytearray]]:
        """Take units in the order of their blocks and numbers.

        Raises
        ------
        KeyExhaustedError
            There are fewer.
        """
        lots = self._db.rows(
            "SELECT l.lot, l.free, b.block, b.epoch FROM lots l JOIN blocks b ON b.block_no = l.block_no"
            " WHERE l.peer = ? AND l.pool = ? AND l.free > 0 ORDER BY l.lot",
            (peer, pool),
        )
        there = sum(free for _, free, _, _ in lots)
        if there < units:
            raise KeyExhaustedError(
                f"{units} units of {pool} shared with {peer} are wanted, {there} are there",
                hint="wait for the link to make more, or ask for fewer or shorter keys",
                wanted=units,
                there=there,
            )
        return list(self._take_from(lots, peer, pool, units))

    def take_named(self, peer: str, units: Sequence[UnitId], pools: Iterable[Pool]) -> dict[UnitId, bytearray]:
        """Take those of ``units`` that are in one of ``pools``; the caller looks whether all were."""
        taken: dict[UnitId, bytearray] = {}
        for block, group in groupby(sorted(units), key=lambda unit: unit.block):
            numbers = [unit.number for unit in group]
            for pool in pools:
                taken.update(self._take_numbers(peer, block, pool, numbers))
        return taken

    def ledger(self, peer: str) -> list[BlockLedger]:
        """Return the bitmap of each block that is not used up."""
        blocks = self._db.rows(
            "SELECT b.block_no, b.block, b.units, SUM(l.free) FROM blocks b JOIN lots l ON l.block_no = b.block_no"
            " WHERE b.peer = ? AND l.free > 0 GROUP BY b.block_no, b.block, b.units ORDER BY b.block_no",
            (peer,),
        )
        return [
            BlockLedger(block, units, self._bitmap(number, units, int(free))) for number, block, units, free in blocks
        ]

    def record(self, block_id: str) -> BlockRecord:
        """Return the record of a block; raise KeyUnknownError if it never came in."""
        found = self._db.rows(
            "SELECT block, peer, units, epsilon, provenance, ingested_utc FROM blocks WHERE block = ?", (block_id,)
        )
        if not found:
            raise KeyUnknownError(f"no block {block_id} ever came in", hint="is it another site's?")
        block, peer, units, epsilon, provenance, ingested = found[0]
        return BlockRecord(block, peer, units, epsilon, json.loads(provenance), ingested)

    def epsilons(self, blocks: Iterable[str]) -> float:
        """Return the sum of the epsilons of blocks."""
        names = list(blocks)
        found = self._db.rows(among("SELECT epsilon FROM blocks WHERE block IN (…)", names), names)
        # Rounded once: both sites get the same sum in whatever order their databases have the blocks.
        return math.fsum(epsilon for (epsilon,) in found)

    def note_use(self, peer: str, units: Sequence[UnitId], reason: str) -> None:
        """Note what units were taken for."""
        number = 1 + int(self._db.rows("SELECT COALESCE(MAX(number), 0) FROM uses")[0][0])
        self._db.run(
            "INSERT INTO uses (number, peer, units, reason, used_utc) VALUES (?, ?, ?, ?, ?)",
            (number, peer, encode_units(units), reason, now_utc()),
        )

    def _insert(self, record: BlockRecord, epoch: int) -> int:
        number = 1 + int(self._db.rows("SELECT COALESCE(MAX(block_no), 0) FROM blocks")[0][0])
        provenance = json.dumps(record.provenance, sort_keys=True)
        self._db.run(
            "INSERT INTO blocks (block_no, block, peer, units, epsilon, provenance, epoch, ingested_utc)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                number,
                record.block_id,
                record.peer,
                record.units,
                record.epsilon,
                provenance,
                epoch,
                record.ingested_utc,
            ),
        )
        return number

    def _put_units(self, number: int, peer: str, block: Block, pools: list[Pool], epoch: int) -> None:
        self._db.run_many(
            "INSERT INTO lots (lot, block_no, peer, pool, free) VALUES (?, ?, ?, ?, ?)",
            [(_lot(number, pool), number, peer, pool, pools.count(pool)) for pool in _POOLS if pool in pools],
        )
        cipher = self._epochs.cipher(epoch)
        with memoryview(block.material) as bits:
            self._db.run_many(
                "INSERT INTO units (lot, number, sealed) VALUES (?, ?, ?)",
                [
                    (
                        _lot(number, pool),
                        unit,
                        cipher.seal(
                            bits[unit * UNIT_BYTES : (unit + 1) * UNIT_BYTES],
                            self._about(peer, pool, block.block_id, unit),
                        ),
                    )
                    for unit, pool in enumerate(pools)
                ],
            )

    def _take_from(
        self, lots: list[tuple[int, int, str, int]], peer: str, pool: Pool, units: int
    ) -> Iterator[tuple[UnitId, bytearray]]:
        left = units
        for lot, _, block, epoch in lots:
            if not left:
                return
            found = self._db.rows("SELECT number, sealed FROM units WHERE lot = ? ORDER BY number LIMIT ?", (lot, left))
            if found:
                self._db.run("DELETE FROM units WHERE lot = ? AND number <= ?", (lot, found[-1][0]))
            self._count_down(lot, len(found))
            left -= len(found)
            cipher = self._epochs.cipher(epoch)
            for number, sealed in found:
                yield UnitId(block, number), cipher.open(bytes(sealed), self._about(peer, pool, block, number))

    def _take_numbers(
        self, peer: str, block: str, pool: Pool, numbers: list[int]
    ) -> Iterator[tuple[UnitId, bytearray]]:
        lots = self._db.rows(
            "SELECT l.lot, b.epoch FROM lots l JOIN blocks b ON b.block_no = l.block_no"
            " WHERE b.block = ? AND l.peer = ? AND l.pool = ? AND l.free > 0",
            (block, peer, pool),
        )
        for lot, epoch in lots:
            cipher = self._epochs.cipher(epoch)
            for part in chunks(numbers):
                found = self._db.rows(among(_SELECT_UNITS, part), (lot, *part))
                self._db.run(among("DELETE FROM units WHERE lot = ? AND number IN (…)", part), (lot, *part))
                self._count_down(lot, len(found))
                for number, sealed in found:
                    yield UnitId(block, number), cipher.open(bytes(sealed), self._about(peer, pool, block, number))

    def _count_down(self, lot: int, units: int) -> None:
        self._db.run("UPDATE lots SET free = free - ? WHERE lot = ?", (units, lot))

    def _bitmap(self, block_no: int, units: int, left: int) -> bytes:
        if left == units:
            return (((1 << units) - 1) << -units % 8).to_bytes((units + 7) // 8, "big")
        free = bytearray((units + 7) // 8)
        first = _lot(block_no, _POOLS[0])
        found = self._db.rows("SELECT number FROM units WHERE lot >= ? AND lot < ?", (first, first + len(_POOLS)))
        for (number,) in found:
            free[number // 8] |= 0x80 >> number % 8
        return bytes(free)

    def _about(self, peer: str, pool: Pool, block: str, number: int) -> bytes:
        return bound("units", self._store_id, peer, pool, block, number)


def encode_units(units: Sequence[UnitId]) -> str:
    """Return units as text, the block's name once for neighbours."""
    runs = [[block, [unit.number for unit in run]] for block, run in groupby(units, key=lambda unit: unit.block)]
    return json.dumps(runs, separators=(",", ":"))


def decode_units(text: str) -> tuple[UnitId, ...]:
    """Return the units of a text."""
    return tuple(UnitId(block, number) for block, numbers in json.loads(text) for number in numbers)


def require_units(wanted: Sequence[UnitId], taken: dict[UnitId, bytearray]) -> None:
    """Raise unless every unit that was named was taken, and none was named twice.

    Raises
    ------
    KeyUnknownError
        One is missing.
    """
    missing = [unit for unit in wanted if unit not in taken]
    if missing or len(wanted) != len(taken):
        example = f", for example {missing[0].number} of block {missing[0].block}" if missing else ""
        raise KeyUnknownError(
            f"{len(wanted)} units were named, {len(taken)} of them can be taken{example}",
            hint="the ledgers of the two sites differ: compare them",
        )


def _lot(block_no: int, pool: Pool) -> int:
    return block_no * len(_POOLS) + _POOLS.index(pool)


def _require_same_peer(block: str, known: str, peer: str) -> None:
    if known != peer:
        raise StoreError(
            f"block {block} is shared with {known}, and comes in as shared with {peer}",
            hint="two links must not be fed from one folder of keys",
        )
