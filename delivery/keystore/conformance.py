"""What every key store must do, as tests: a backend subclasses `KeyStoreContract` and says how a store is opened.

::

    class TestMyStore(KeyStoreContract):
        def open_site(self, folder: Path, site: str) -> KeyStore:
            return MyStore(folder / site, site)

Opening a site in the same folder again must find what was there. Used by the tests of this package and of backends
elsewhere; needs pytest.
"""

import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest

from faintlink.core.errors import AccessDeniedError, KeyUnknownError, LocalProtocolError
from faintlink.delivery.keystore.conformance_relayed import RelayedContract
from faintlink.delivery.keystore.conformance_stock import (
    CUT,
    HERE,
    MASTER,
    SLAVE,
    THERE,
    Sites,
    fetch,
    free,
    new_block,
    reserve,
)
from faintlink.delivery.keystore.model import (
    UNIT_BYTES,
    DeliveredKey,
    KeyState,
    Pool,
    Role,
    UnitId,
)


class KeyStoreContract(RelayedContract):
    """The suite; subclass it as ``Test…`` and write ``open_site``."""

    def test_both_sites_hand_out_the_same_bits_of_the_block(self, sites: Sites) -> None:
        """Also of lengths that are no whole units or bytes."""
        block = new_block()
        sites.ingest(block)
        names = sites.promise(256, 512, 64, 20)
        mine = fetch(sites.here, names, Role.MASTER)
        assert mine == fetch(sites.there, names, Role.SLAVE)
        assert [len(key) for key in mine] == [32, 64, 8, 3]
        for name, key in zip(names, mine, strict=True):
            units = sites.here.record(name).assignment.units
            bits = b"".join(block.material[u.number * UNIT_BYTES : (u.number + 1) * UNIT_BYTES] for u in units)
            whole, rest = divmod(sites.here.record(name).assignment.bits, 8)
            assert key[:whole] == bits[:whole]
            assert not rest or key[whole] == bits[whole] & 0xF0

    def test_keys_are_made_of_the_oldest_units_of_ours_and_no_unit_serves_twice(self, sites: Sites) -> None:
        """Old epochs drain, and a bit protects one message only."""
        blocks = [new_block(seed=1), new_block(seed=2)]
        for block in blocks:
            sites.ingest(block)
        keys = reserve(sites.here, *[256] * 60) + reserve(sites.here, 768)
        units = list(chain.from_iterable(key.units for key in keys))
        ours = [UnitId(b.block_id, n) for b in blocks for n in range(100) if CUT.pool(n, HERE) is Pool.OURS]
        assert units == ours[:63]

    def test_a_key_may_not_be_fetched_before_the_other_site_agreed(self, sites: Sites) -> None:
        """A master must not encrypt what the slave cannot decrypt."""
        sites.ingest(new_block())
        (key,) = reserve(sites.here, 256)
        with pytest.raises(KeyUnknownError):
            fetch(sites.here, [key.key_id], Role.MASTER)
        assert sites.here.unsettled(THERE) == [key]
        sites.here.acknowledge([key.key_id])
        assert sites.here.unsettled(THERE) == []
        assert [record.assignment for record in sites.here.waiting(THERE)] == [key]
        assert len(fetch(sites.here, [key.key_id], Role.MASTER)) == 1

    @pytest.mark.parametrize("role", Role)
    def test_a_key_is_handed_out_once(self, sites: Sites, role: Role) -> None:
        """At most once to each side, whatever is asked beside it."""
        sites.ingest(new_block())
        names = sites.promise(256, 256)
        store = sites.here if role is Role.MASTER else sites.there
        fetch(store, names[:1], role)
        for wanted in (names[:1], names):
            with pytest.raises(KeyUnknownError):
                fetch(store, wanted, role)
        assert store.record(names[0]).state is KeyState.DELIVERED
        assert store.record(names[0]).settled_utc is not None
        assert store.record(names[1]).state is KeyState.READY
        assert len(fetch(store, names[1:], role)) == 1

    def test_a_key_is_handed_to_its_application_in_its_role_only(self, sites: Sites) -> None:
        """Refusals leave the key to its owner."""
        sites.ingest(new_block())
        (name,) = sites.promise(256)
        for store, role in ((sites.here, Role.MASTER), (sites.there, Role.SLAVE)):
            with pytest.raises(AccessDeniedError):
                fetch(store, [name], role, sae="urn:sae:other")
        with pytest.raises(KeyUnknownError):
            fetch(sites.here, [name], Role.SLAVE)
        with pytest.raises(LocalProtocolError):
            fetch(sites.here, [name, name], Role.MASTER)
        assert fetch(sites.here, [name], Role.MASTER) == fetch(sites.there, [name], Role.SLAVE)

    def test_one_key_that_cannot_be_had_leaves_the_others_where_they_are(self, sites: Sites) -> None:
        """All or none."""
        sites.ingest(new_block())
        names = sites.promise(256, 256)
        with pytest.raises(KeyUnknownError):
            fetch(sites.there, [*names, str(uuid.uuid4())], Role.SLAVE)
        assert len(fetch(sites.there, names, Role.SLAVE)) == 2

    def test_an_assignment_once_more_does_no_harm_and_another_of_its_name_is_refused(self, sites: Sites) -> None:
        """The other site repeats what got no answer."""
        sites.ingest(new_block())
        keys = reserve(sites.here, 256, 512)
        sites.there.assign(HERE, keys)
        before = sites.there.stock()
        sites.there.assign(HERE, keys)
        fetch(sites.there, [keys[0].key_id], Role.SLAVE)
        sites.there.assign(HERE, keys)
        other = reserve(sites.here, 256)[0]
        for wrong in (replace(other, key_id=keys[1].key_id), replace(keys[1], slave="urn:sae:other")):
            with pytest.raises(KeyUnknownError):
                sites.there.assign(HERE, [wrong])
        assert sites.there.stock() == before

    @pytest.mark.parametrize("change", ["unit of another key", "unknown block", "unit twice", "too few units"])
    def test_an_assignment_that_does_not_fit_takes_nothing(self, sites: Sites, change: str) -> None:
        """The other site may be out of step, or worse."""
        sites.ingest(new_block())
        good, taken = reserve(sites.here, 512, 256)
        sites.there.assign(HERE, [taken])
        before = sites.there.stock()
        units = {
            "unit of another key": (good.units[0], taken.units[0]),
            "unknown block": (good.units[0], UnitId(str(uuid.uuid4()), 0)),
            "unit twice": (good.units[0], good.units[0]),
            "too few units": good.units[:1],
        }[change]
        with pytest.raises(KeyUnknownError):
            sites.there.assign(HERE, [reserve(sites.here, 256)[0], replace(good, units=units)])
        assert sites.there.stock() == before
        sites.there.assign(HERE, [good])

    def test_a_key_that_was_given_up_cannot_be_fetched_or_assigned_again(self, sites: Sites) -> None:
        """Its material is gone for good, at this site and in the stock."""
        sites.ingest(new_block())
        keys = reserve(sites.here, 256, 256)
        names = [key.key_id for key in keys]
        sites.there.assign(HERE, keys)
        sites.here.acknowledge(names[:1])
        stock = sites.here.stock()
        assert sorted(sites.here.void([*names, "unknown"], reason="no answer")) == sorted(names)
        assert sites.here.void(names, reason="again") == []
        for name in names:
            with pytest.raises(KeyUnknownError):
                fetch(sites.here, [name], Role.MASTER)
            assert (sites.here.record(name).state, sites.here.record(name).reason) == (KeyState.VOID, "no answer")
        sites.here.acknowledge(names)
        assert sites.here.record(names[0]).state is KeyState.VOID
        assert sites.here.stock() == stock, "units of keys that were given up never come back"
        sites.there.void(names, reason="no answer")
        with pytest.raises(KeyUnknownError):
            sites.there.assign(HERE, keys)

    def test_a_delivered_key_stays_delivered(self, sites: Sites) -> None:
        """Giving up comes too late then."""
        sites.ingest(new_block())
        names = sites.promise(256)
        fetch(sites.here, names, Role.MASTER)
        assert sites.here.void(names, reason="late") == []
        assert sites.here.record(names[0]).state is KeyState.DELIVERED

    def test_keys_that_were_agreed_to_are_acknowledged_and_handed_out_at_once(self, sites: Sites) -> None:
        """All of them or none, once, and to their own application."""
        sites.ingest(new_block())
        reserved, ready = (key.key_id for key in reserve(sites.here, 256, 512))
        sites.there.assign(HERE, sites.here.unsettled(THERE))
        sites.here.acknowledge([ready])

        def deliver(names: Sequence[str], sae: str = MASTER) -> list[DeliveredKey]:
            return sites.here.deliver(names, role=Role.MASTER, sae=sae, is_agreed=True)

        with pytest.raises(AccessDeniedError):
            deliver([reserved, ready], SLAVE)
        with pytest.raises(KeyUnknownError):
            deliver([reserved, ready, str(uuid.uuid4())])
        assert sites.here.record(reserved).state is KeyState.RESERVED
        mine = [bytes(key.material) for key in deliver([reserved, ready])]
        assert mine == fetch(sites.there, [reserved, ready], Role.SLAVE)
        for name in (reserved, ready):
            assert sites.here.record(name).state is KeyState.DELIVERED
            with pytest.raises(KeyUnknownError):
                deliver([name])
        (given_up,) = reserve(sites.here, 256)
        sites.here.void([given_up.key_id], reason="not agreed to")
        with pytest.raises(KeyUnknownError):
            deliver([given_up.key_id])

    def test_a_key_name_is_never_used_again(self, sites: Sites) -> None:
        """Nobody could tell the two apart."""
        sites.ingest(new_block())
        names = sites.promise(256)
        fetch(sites.here, names, Role.MASTER)
        fresh = str(uuid.uuid4())
        for wanted in ([(names[0], 256)], [(fresh, 256), (fresh, 256)], [(fresh, 0)]):
            with pytest.raises(LocalProtocolError):
                sites.here.reserve(THERE, wanted, master=MASTER, slave=SLAVE)

    def test_a_record_leads_to_the_blocks_and_outlives_the_key(self, sites: Sites) -> None:
        """Auditors ask long after."""
        blocks = [new_block(12, seed=1), new_block(12, seed=2)]
        for block in blocks:
            sites.ingest(block)
        (name,) = sites.promise(256 * (free(sites.here, Pool.OURS)))
        fetch(sites.here, [name], Role.MASTER)
        record = sites.here.record(name)
        assert record.blocks == tuple(block.block_id for block in blocks)
        assert record.epsilon == pytest.approx(2e-10)
        assert (record.peer, record.role, record.assignment.slave) == (THERE, Role.MASTER, SLAVE)
        assert sites.there.record(name).role is Role.SLAVE
        with pytest.raises(KeyUnknownError):
            sites.here.record(str(uuid.uuid4()))

    def test_everything_is_there_after_opening_again(self, sites: Sites, tmp_path: Path) -> None:
        """What was promised before is kept, and what was handed out stays handed out."""
        sites.ingest(new_block())
        ready, handed = sites.promise(256, 256)
        (reserved,) = reserve(sites.here, 256)
        fetch(sites.here, [handed], Role.MASTER)
        stock, ledger = sites.here.stock(), sites.here.ledger(THERE)
        sites.here.close()
        again = self.open_site(tmp_path, HERE)
        try:
            assert (again.stock(), again.ledger(THERE)) == (stock, ledger)
            assert again.unsettled(THERE) == [reserved]
            assert fetch(again, [ready], Role.MASTER) == fetch(sites.there, [ready], Role.SLAVE)
            with pytest.raises(KeyUnknownError):
                fetch(again, [handed], Role.MASTER)
            assert len(reserve(again, 256)) == 1
        finally:
            again.close()

    def test_many_threads_get_every_key_once(self, sites: Sites) -> None:
        """A server asks from several threads."""
        sites.ingest(new_block(200))
        names = sites.promise(*[256] * 60)

        def grab(name: str) -> bytes | None:
            try:
                return fetch(sites.here, [name], Role.MASTER)[0]
            except KeyUnknownError:
                return None

        with ThreadPoolExecutor(8) as pool:
            got = [key for key in pool.map(grab, names * 3) if key is not None]
        assert len(got) == len(set(got)) == 60
        assert set(got) == set(fetch(sites.there, names, Role.SLAVE))
