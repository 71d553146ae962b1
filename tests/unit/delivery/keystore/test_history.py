"""Any history of a store, with restarts and copies put back, agrees with a model that only counts."""

import shutil
import tempfile
import uuid
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from faintlink.core.errors import KeyExhaustedError, KeyUnknownError, StoreRolledBackError
from faintlink.delivery.keystore.conformance_stock import CUT, HERE, MASTER, SLAVE, THERE, new_block
from faintlink.delivery.keystore.epochs import EpochLimits
from faintlink.delivery.keystore.model import Assignment, KeyState, Pool, Role, UnitId
from tests.unit.delivery.keystore.shim import memory_folder
from tests.unit.delivery.keystore.stores import open_sqlite

LIMITS = EpochLimits(blocks=2)
SOME = st.lists(st.integers(0, 30), min_size=1, max_size=4, unique=True)
CLOSED = (KeyState.DELIVERED, KeyState.VOID)


class Histories(RuleBasedStateMachine):
    """One store of a master's site, and what it must hold."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = memory_folder()
        self.folder = self.memory.__enter__()
        self.store = open_sqlite(self.folder, HERE, LIMITS)
        self.free: list[UnitId] = []
        self.states: dict[str, KeyState] = {}
        self.bits: dict[UnitId, bytes] = {}
        self.units: dict[str, tuple[UnitId, ...]] = {}
        self.has_released = False
        self.copy: Path | None = None

    def teardown(self) -> None:
        self.store.close()
        self.memory.__exit__(None, None, None)

    def ours(self, pool: Pool) -> list[UnitId]:
        """Return what is left of a pool, in order."""
        return [unit for unit in self.free if CUT.pool(unit.number, HERE) is pool]

    def chosen(self, numbers: list[int]) -> list[str]:
        """Return names of keys, by number."""
        names = list(self.states)
        return list(dict.fromkeys(names[number % len(names)] for number in numbers)) if names else []

    def drop(self, units: list[UnitId]) -> None:
        """Take units out of the model."""
        gone = set(units)
        self.free = [unit for unit in self.free if unit not in gone]

    @rule(units=st.integers(0, 40), seed=st.integers(0, 9))
    def ingest(self, units: int, seed: int) -> None:
        block = new_block(units, seed=seed)
        assert self.store.ingest(THERE, block, CUT) == units
        assert self.store.ingest(THERE, block, CUT) == 0
        for number in range(units):
            unit = UnitId(block.block_id, number)
            self.free.append(unit)
            self.bits[unit] = block.material[32 * number : 32 * number + 32]

    @rule(sizes=st.lists(st.sampled_from([8, 256, 512, 700]), min_size=1, max_size=5))
    def reserve(self, sizes: list[int]) -> None:
        wanted = [(str(uuid.uuid4()), bits) for bits in sizes]
        there, needed = self.ours(Pool.OURS), sum(-(-bits // 256) for bits in sizes)
        if len(there) < needed:
            with pytest.raises(KeyExhaustedError):
                self.store.reserve(THERE, wanted, master=MASTER, slave=SLAVE)
            return
        keys: list[Assignment] = self.store.reserve(THERE, wanted, master=MASTER, slave=SLAVE)
        assert [unit for key in keys for unit in key.units] == there[:needed]
        self.drop(there[:needed])
        for key in keys:
            self.states[key.key_id] = KeyState.RESERVED
            self.units[key.key_id] = key.units

    @rule(numbers=SOME)
    def acknowledge(self, numbers: list[int]) -> None:
        names = self.chosen(numbers)
        self.store.acknowledge(names)
        self.states.update({name: KeyState.READY for name in names if self.states[name] is KeyState.RESERVED})

    @rule(numbers=SOME)
    def deliver(self, numbers: list[int]) -> None:
        names = self.chosen(numbers)
        if any(self.states[name] is not KeyState.READY for name in names):
            with pytest.raises(KeyUnknownError):
                self.store.deliver(names, role=Role.MASTER, sae=MASTER)
            return
        for key in self.store.deliver(names, role=Role.MASTER, sae=MASTER):
            whole = b"".join(self.bits[unit] for unit in self.units[key.key_id])
            assert key.material[: key.bits // 8] == whole[: key.bits // 8]
            self.states[key.key_id] = KeyState.DELIVERED
        self.has_released = True

    @rule(numbers=SOME)
    def void(self, numbers: list[int]) -> None:
        names = self.chosen(numbers)
        given_up = [name for name in names if self.states[name] not in CLOSED]
        assert sorted(self.store.void(names, reason="test")) == sorted(given_up)
        self.states.update(dict.fromkeys(given_up, KeyState.VOID))
        self.has_released = True

    @rule(pool=st.sampled_from([Pool.OURS, Pool.RESERVE_OURS]), units=st.integers(1, 4))
    def take(self, pool: Pool, units: int) -> None:
        there = self.ours(pool)
        if len(there) < units:
            with pytest.raises(KeyExhaustedError):
                self.store.take(THERE, pool, units, use="test")
            return
        names, material = self.store.take(THERE, pool, units, use="test")
        assert names == there[:units]
        assert material == b"".join(self.bits[unit] for unit in names)
        self.drop(names)
        self.has_released = True

    @precondition(lambda self: self.free)
    @rule(numbers=SOME)
    def retire(self, numbers: list[int]) -> None:
        units = list(dict.fromkeys(self.free[number % len(self.free)] for number in numbers))
        assert self.store.retire(THERE, units, reason="test") == len(units)
        self.drop(units)
        self.has_released = True

    @rule(forget=st.booleans())
    def restart(self, forget: bool) -> None:
        if forget:
            self.store.forget_epochs()
        self.store.close()
        self.store = open_sqlite(self.folder, HERE, LIMITS)

    @rule()
    def put_aside(self) -> None:
        self.store.close()
        self.copy = self.folder / "copy"
        shutil.copy(self.folder / f"{HERE}.db", self.copy)
        self.store = open_sqlite(self.folder, HERE, LIMITS)
        self.has_released = False

    @precondition(lambda self: self.copy and self.has_released)
    @rule()
    def put_back(self) -> None:
        assert self.copy is not None
        self.store.close()
        with tempfile.NamedTemporaryFile(dir=self.folder) as newest:
            shutil.copy(self.folder / f"{HERE}.db", newest.name)
            shutil.copy(self.copy, self.folder / f"{HERE}.db")
            with pytest.raises(StoreRolledBackError):
                open_sqlite(self.folder, HERE, LIMITS)
            shutil.copy(newest.name, self.folder / f"{HERE}.db")
        self.store = open_sqlite(self.folder, HERE, LIMITS)

    @invariant()
    def it_agrees(self) -> None:
        assert {pool: stock.units for (_, pool), stock in self.store.stock().items()} == {
            pool: len(self.ours(pool)) for pool in Pool if self.ours(pool)
        }
        left = {
            UnitId(ledger.block, number)
            for ledger in self.store.ledger(THERE)
            for number in range(ledger.units)
            if ledger.free[number // 8] & 0x80 >> number % 8
        }
        assert left == set(self.free)
        for state, found in self.store.count_keys().items():
            assert found == list(self.states.values()).count(state)


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=12, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
