"""What every key store must do with its stock; part of `faintlink.delivery.keystore.conformance`, with its helpers."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from faintlink.core.entropy import SeededEntropy
from faintlink.core.errors import KeyExhaustedError, KeyUnknownError, LocalProtocolError
from faintlink.delivery.keystore.model import (
    UNIT_BITS,
    UNIT_BYTES,
    Assignment,
    Block,
    Cut,
    Pool,
    Role,
    UnitId,
)
from faintlink.delivery.keystore.store import KeyStore

MASTER, SLAVE = "urn:sae:master", "urn:sae:slave"
HERE, THERE = "alpha", "beta"
CUT = Cut(HERE)


class Sites(NamedTuple):
    """The stores of two sites, which share what is ingested."""

    here: KeyStore
    there: KeyStore

    def ingest(self, block: Block) -> None:
        """Put a block in at both."""
        assert self.here.ingest(THERE, block, CUT) == self.there.ingest(HERE, block, CUT)

    def promise(self, *bits: int) -> list[str]:
        """Make keys up to the moment in which they may be fetched, and return their names."""
        keys = reserve(self.here, *bits)
        self.there.assign(HERE, keys)
        names = [key.key_id for key in keys]
        self.here.acknowledge(names)
        return names


def new_block(units: int = 100, *, seed: int = 1) -> Block:
    """Return a block of repeatable bits under a new name."""
    material = SeededEntropy(seed).draw(units * UNIT_BYTES, "block")
    return Block(str(uuid.uuid4()), material, 1e-10, {"run_id": "20260101T000000Z-0", "run_sha256": "ab" * 32})


def reserve(store: KeyStore, *bits: int, slave: str = SLAVE) -> list[Assignment]:
    """Reserve keys of given lengths at the first site."""
    return store.reserve(THERE, [(str(uuid.uuid4()), size) for size in bits], master=MASTER, slave=slave)


def fetch(store: KeyStore, names: Sequence[str], role: Role, sae: str = "") -> list[bytes]:
    """Fetch keys as the application of a role."""
    found = store.deliver(names, role=role, sae=sae or (MASTER if role is Role.MASTER else SLAVE))
    assert [key.key_id for key in found] == list(names)
    return [bytes(key.material) for key in found]


def free(store: KeyStore, pool: Pool, peer: str = THERE) -> int:
    """Return how many units of a pool there are."""
    found = store.stock().get((peer, pool))
    return found.units if found else 0


class StockContract:
    """Blocks, pools, reserve and ledgers."""

    def open_site(self, folder: Path, site: str) -> KeyStore:
        """Return the store of a site, the one from before if it was open in this folder before."""
        raise NotImplementedError

    @pytest.fixture
    def sites(self, tmp_path: Path) -> Iterator[Sites]:
        """Two empty stores."""
        pair = Sites(self.open_site(tmp_path, HERE), self.open_site(tmp_path, THERE))
        yield pair
        for store in pair:
            store.close()

    def test_a_block_becomes_the_pools_of_the_cut_at_both_sites(self, sites: Sites) -> None:
        """Each site sees the other's view mirrored; a rest shorter than a unit is dropped."""
        block = new_block(100)
        assert sites.here.ingest(THERE, replace(block, material=block.material + b"\xff"), CUT) == 100
        assert sites.there.ingest(HERE, block, CUT) == 100
        ours = {pool: stock.units for (_, pool), stock in sites.here.stock().items()}
        theirs = {pool: stock.units for (_, pool), stock in sites.there.stock().items()}
        assert ours == {Pool.OURS: 45, Pool.THEIRS: 45, Pool.RESERVE_OURS: 5, Pool.RESERVE_THEIRS: 5}
        assert (theirs[Pool.OURS], theirs[Pool.RESERVE_OURS]) == (45, 5)
        assert sites.here.stock()[THERE, Pool.OURS].bits == 45 * UNIT_BITS

    def test_a_block_comes_in_once_even_after_it_is_used_up(self, sites: Sites) -> None:
        """The node's folder may offer it again after a crash."""
        block = new_block(20)
        sites.ingest(block)
        fetch(sites.here, sites.promise(*[256] * free(sites.here, Pool.OURS)), Role.MASTER)
        sites.here.retire(THERE, [UnitId(block.block_id, number) for number in range(20)], reason="test")
        assert sites.here.stock() == {}
        assert sites.here.ingest(THERE, block, CUT) == 0
        assert sites.here.stock() == {}

    def test_too_little_material_takes_nothing(self, sites: Sites) -> None:
        """A failed request costs nobody a bit."""
        sites.ingest(new_block())
        before = sites.here.stock()
        for sizes in ([256] * 46, [46 * 256]):
            with pytest.raises(KeyExhaustedError):
                reserve(sites.here, *sizes)
        with pytest.raises(KeyExhaustedError):
            sites.here.take(THERE, Pool.RESERVE_OURS, 6, use="relay")
        assert sites.here.stock() == before
        assert len(reserve(sites.here, *[256] * 45)) == 45

    def test_users_never_get_the_reserve_or_the_other_sites_share(self, sites: Sites) -> None:
        """Else the sites could not authenticate, or would race for units."""
        sites.ingest(new_block())
        reserve(sites.here, *[256] * 45)
        assert [free(sites.here, pool) for pool in Pool] == [0, 45, 5, 5]
        wrong = {pool: n for n in range(100) for pool in Pool if CUT.pool(n, THERE) is pool}
        block = sites.there.ledger(HERE)[0].block
        for pool in (Pool.OURS, Pool.RESERVE_OURS, Pool.RESERVE_THEIRS):
            key = Assignment(str(uuid.uuid4()), 256, MASTER, SLAVE, (UnitId(block, wrong[pool]),))
            with pytest.raises(KeyUnknownError):
                sites.there.assign(HERE, [key])
        assert free(sites.there, Pool.OURS, HERE) == 45

    def test_the_reserve_is_taken_alike_at_both_sites(self, sites: Sites) -> None:
        """The one takes, the other follows by name."""
        sites.ingest(new_block())
        units, mine = sites.here.take(THERE, Pool.RESERVE_OURS, 3, use="relay")
        assert mine == sites.there.take_named(HERE, units, use="relay")
        assert len(mine) == 3 * UNIT_BYTES
        for again in (units, [units[0], units[0]]):
            with pytest.raises(KeyUnknownError):
                sites.there.take_named(HERE, again, use="relay")
        with pytest.raises(LocalProtocolError):
            sites.here.take(THERE, Pool.THEIRS, 1, use="relay")
        assert sites.here.ledger(THERE) == sites.there.ledger(HERE)

    def test_ledgers_say_which_units_are_left_and_retiring_makes_them_equal(self, sites: Sites) -> None:
        """This is how two sites find back together."""
        block = new_block(100)
        sites.ingest(block)
        taken = [unit for key in reserve(sites.here, 512, 256) for unit in key.units]
        (mine,), (theirs,) = sites.here.ledger(THERE), sites.there.ledger(HERE)
        assert (mine.block, mine.units, len(mine.free)) == (block.block_id, 100, 13)
        assert theirs.free == b"\xff" * 12 + b"\xf0"
        gone = [n for n in range(100) if not mine.free[n // 8] & 0x80 >> n % 8]
        assert gone == [unit.number for unit in taken]
        assert sites.there.retire(HERE, [*taken, UnitId(block.block_id, 999)], reason="ledger") == 3
        assert sites.there.retire(HERE, taken, reason="ledger") == 0
        assert sites.here.ledger(THERE) == sites.there.ledger(HERE)
        sites.here.retire(THERE, [UnitId(block.block_id, n) for n in range(100)], reason="ledger")
        assert sites.here.ledger(THERE) == []

    def test_peers_do_not_share_stock(self, sites: Sites) -> None:
        """What two sites share is no third one's."""
        block = new_block()
        sites.ingest(block)
        with pytest.raises(KeyExhaustedError):
            sites.here.reserve("gamma", [(str(uuid.uuid4()), 256)], master=MASTER, slave=SLAVE)
        assert sites.here.retire("gamma", [UnitId(block.block_id, 50)], reason="test") == 0
        assert sites.here.ledger("gamma") == []

    def test_epochs_with_nothing_left_are_forgotten(self, sites: Sites) -> None:
        """And only these; the store goes on with a new one."""
        block = new_block()
        sites.ingest(block)
        names = sites.promise(256)
        assert sites.here.forget_epochs() == 0
        sites.here.void(names, reason="test")
        sites.here.retire(THERE, [UnitId(block.block_id, number) for number in range(100)], reason="test")
        assert sites.here.forget_epochs() == 1
        assert sites.here.forget_epochs() == 0
        sites.here.ingest(THERE, new_block(seed=2), CUT)
        assert len(reserve(sites.here, 256)) == 1
