"""A supply that lives in memory: both sites in one, names and keys that a test can foretell."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from faintlink.core.errors import AccessDeniedError, FaintlinkError, KeyExhaustedError, KeyUnknownError
from faintlink.delivery.keystore.model import DeliveredKey
from faintlink.delivery.keystore.origins import KeyOrigin, Origin
from faintlink.delivery.supply import SupplyStatus


def name_of(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"


def material_of(name: str, bits: int) -> bytes:
    return hashlib.shake_256(name.encode()).digest(bits // 8)


@dataclass
class MemorySupply:
    """Obeys the contract of `KeySupply`, and counts what it hands out."""

    applications: frozenset[str] = frozenset({"alice", "bob", "carol"})
    stored: int = 25_000
    fault: FaintlinkError | None = None
    promised: dict[str, tuple[str, str, int]] = field(default_factory=dict)
    """Name -> master, slave, bits; gone once the slave has it."""
    handed_out: list[DeliveredKey] = field(default_factory=list)
    asked: list[tuple[int, int]] = field(default_factory=list)
    made: int = 0
    fault_of_origins: FaintlinkError | None = None

    async def status(self, *, caller: str, other: str) -> SupplyStatus:
        self._check(other)
        return SupplyStatus("kme-a", "kme-b", self.stored, 100_000)

    async def new_keys(self, *, master: str, slave: str, number: int, bits: int) -> list[DeliveredKey]:
        self._check(slave)
        self.asked.append((number, bits))
        if number > self.stored:
            raise KeyExhaustedError(f"{number} keys asked for, {self.stored} there")
        self.stored -= number
        return [self._hand_out(self.promise(master, slave, bits), bits) for _ in range(number)]

    async def keys_by_name(self, *, slave: str, master: str, key_ids: Sequence[str]) -> list[DeliveredKey]:
        if self.fault is not None:
            raise self.fault
        if any(name not in self.promised for name in key_ids):
            raise KeyUnknownError("not here")
        if any(self.promised[name][:2] != (master, slave) for name in key_ids):
            raise AccessDeniedError("not yours")
        return [self._hand_out(name, self.promised.pop(name)[2]) for name in key_ids]

    async def origins(self, key_ids: Sequence[str]) -> list[KeyOrigin]:
        if self.fault_of_origins is not None:
            raise self.fault_of_origins
        if any(name not in {name_of(number + 1) for number in range(self.made)} for name in key_ids):
            raise KeyUnknownError("not here")
        return [KeyOrigin(Origin.LINK, 2e-10, (f"block-{name}",)) for name in key_ids]

    def promise(self, master: str, slave: str, bits: int = 256) -> str:
        self.made += 1
        name = name_of(self.made)
        self.promised[name] = (master, slave, bits)
        return name

    def _check(self, other: str) -> None:
        if self.fault is not None:
            raise self.fault
        if other not in self.applications:
            raise KeyUnknownError(f"{other} is unknown")

    def _hand_out(self, name: str, bits: int) -> DeliveredKey:
        key = DeliveredKey(name, bits, bytearray(material_of(name, bits)))
        self.handed_out.append(key)
        return key
