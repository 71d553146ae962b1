"""A key store that keeps everything in memory and obeys the contract, for tests of what stands on it."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from faintlink.core.errors import AccessDeniedError, KeyExhaustedError, KeyUnknownError
from faintlink.delivery.keystore.model import (
    UNIT_BITS,
    UNIT_BYTES,
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

CUT = Cut("site-a")
BLOCK = "00000000-0000-4000-8000-{:012x}"


def block(number: int, units: int) -> Block:
    """Return a made-up block; its bits follow from its number."""
    material = hashlib.shake_256(b"%d" % number).digest(units * UNIT_BYTES)
    return Block(BLOCK.format(number), material, 1e-10, {"run": "made up"})


@dataclass
class MemoryStore:
    """Survives what a test calls a crash, since every method is whole."""

    site: str
    units: dict[tuple[str, UnitId], tuple[Pool, bytes]] = field(default_factory=dict)
    blocks: dict[tuple[str, str], int] = field(default_factory=dict)
    keys: dict[str, KeyRecord] = field(default_factory=dict)
    material: dict[str, bytes] = field(default_factory=dict)
    now: str = field(default_factory=lambda: datetime.now(UTC).isoformat())

    def close(self) -> None:
        """Do nothing."""

    def ingest(self, peer: str, block: Block, cut: Cut) -> int:
        if (peer, block.block_id) in self.blocks:
            return 0
        count = len(block.material) // UNIT_BYTES
        self.blocks[peer, block.block_id] = count
        for number in range(count):
            bits = block.material[number * UNIT_BYTES : (number + 1) * UNIT_BYTES]
            self.units[peer, UnitId(block.block_id, number)] = cut.pool(number, self.site), bits
        return count

    def stock(self) -> Mapping[tuple[str, Pool], Stock]:
        counts: dict[tuple[str, Pool], int] = {}
        for (peer, _), (pool, _) in self.units.items():
            counts[peer, pool] = counts.get((peer, pool), 0) + 1
        return {key: Stock(count, count * UNIT_BITS) for key, count in counts.items()}

    def reserve(self, peer: str, wanted: Sequence[tuple[str, int]], *, master: str, slave: str) -> list[Assignment]:
        free = [unit for (whose, unit), (pool, _) in self.units.items() if whose == peer and pool is Pool.OURS]
        needs = [-(-bits // UNIT_BITS) for _, bits in wanted]
        if sum(needs) > len(free):
            raise KeyExhaustedError(f"{sum(needs)} units are needed, {len(free)} are there")
        made = []
        for (key_id, bits), need in zip(wanted, needs, strict=True):
            taken, free = free[:need], free[need:]
            made.append(Assignment(key_id, bits, master, slave, tuple(taken)))
            self._make(peer, made[-1], Role.MASTER, KeyState.RESERVED)
        return made

    def _make(self, peer: str, key: Assignment, role: Role, state: KeyState) -> None:
        bits = b"".join(self.units.pop((peer, unit))[1] for unit in key.units)
        self.material[key.key_id] = bits[: -(-key.bits // 8)]
        blocks = tuple(dict.fromkeys(unit.block for unit in key.units))
        self.keys[key.key_id] = KeyRecord(key, peer, role, state, 1e-10, blocks, self.now, None)

    def assign(self, peer: str, assignments: Sequence[Assignment]) -> None:
        new = [key for key in assignments if key.key_id not in self.keys]
        for key in assignments:
            if key not in new and self.keys[key.key_id].assignment != key:
                raise KeyUnknownError(f"{key.key_id} is another key")
        wanted = [unit for key in new for unit in key.units]
        pools = [self.units.get((peer, unit), (None, b""))[0] for unit in wanted]
        if any(pool is not Pool.THEIRS for pool in pools) or len(set(wanted)) != len(wanted):
            raise KeyUnknownError("a unit is not in the stock")
        for key in new:
            self._make(peer, key, Role.SLAVE, KeyState.READY)

    def place(self, peer: str, keys: Sequence[Placed], *, role: Role, epsilon: float, blocks: Sequence[str]) -> None:
        raise NotImplementedError

    def acknowledge(self, key_ids: Iterable[str], *, epsilon: float | None = None) -> None:
        for key_id in key_ids:
            key = self.keys[key_id]
            if key.state is KeyState.RESERVED:
                self.keys[key_id] = replace(key, state=KeyState.READY, epsilon=epsilon or key.epsilon)

    def void(self, key_ids: Iterable[str], *, reason: str) -> list[str]:
        voided = []
        for key_id in key_ids:
            record = self.keys.get(key_id)
            if record and record.state in (KeyState.RESERVED, KeyState.READY):
                self.keys[key_id] = replace(record, state=KeyState.VOID, reason=reason)
                del self.material[key_id]
                voided.append(key_id)
        return voided

    def deliver(self, key_ids: Sequence[str], *, role: Role, sae: str, is_agreed: bool = False) -> list[DeliveredKey]:
        allowed = (KeyState.READY, KeyState.RESERVED) if is_agreed else (KeyState.READY,)
        for key_id in key_ids:
            record = self.keys.get(key_id)
            if record is None or record.state not in allowed or record.role is not role:
                raise KeyUnknownError(f"{key_id} is not here")
            if sae != (record.assignment.master if role is Role.MASTER else record.assignment.slave):
                raise AccessDeniedError(f"{key_id} is another's")
        handed = []
        for key_id in key_ids:
            record = self.keys[key_id]
            self.keys[key_id] = replace(record, state=KeyState.DELIVERED)
            handed.append(DeliveredKey(key_id, record.assignment.bits, bytearray(self.material.pop(key_id))))
        return handed

    def take(self, peer: str, pool: Pool, units: int, *, use: str) -> tuple[list[UnitId], bytearray]:
        mine = [unit for (whose, unit), (where, _) in self.units.items() if (whose, where) == (peer, pool)]
        if len(mine) < units:
            raise KeyExhaustedError("too few units")
        taken = mine[:units]
        return taken, bytearray(b"".join(self.units.pop((peer, unit))[1] for unit in taken))

    def take_named(self, peer: str, units: Sequence[UnitId], *, use: str) -> bytearray:
        raise NotImplementedError

    def retire(self, peer: str, units: Sequence[UnitId], *, reason: str) -> int:
        return sum(self.units.pop((peer, unit), None) is not None for unit in units)

    def unsettled(self, peer: str) -> list[Assignment]:
        return [key.assignment for key in self._of(peer, KeyState.RESERVED)]

    def waiting(self, peer: str) -> list[KeyRecord]:
        return self._of(peer, KeyState.READY)

    def _of(self, peer: str, state: KeyState) -> list[KeyRecord]:
        return [key for key in self.keys.values() if key.peer == peer and key.state is state]

    def ledger(self, peer: str) -> list[BlockLedger]:
        ledgers = []
        for (whose, name), count in self.blocks.items():
            free = bytearray((count + 7) // 8)
            for number in range(count):
                if whose == peer and (peer, UnitId(name, number)) in self.units:
                    free[number >> 3] |= 0x80 >> (number & 7)
            if any(free):
                ledgers.append(BlockLedger(name, count, bytes(free)))
        return ledgers

    def record(self, key_id: str) -> KeyRecord:
        if key_id not in self.keys:
            raise KeyUnknownError(f"no key {key_id} was ever here")
        return self.keys[key_id]

    def forget_epochs(self) -> int:
        return 0

    def zeroize(self) -> None:
        self.units.clear()
        self.material.clear()
