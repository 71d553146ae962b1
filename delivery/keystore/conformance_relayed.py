"""What every key store must do with relayed keys; part of `KeyStoreContract`."""

import uuid
from collections.abc import Sequence

import pytest

from faintlink.core.entropy import SeededEntropy
from faintlink.core.errors import KeyUnknownError, LocalProtocolError
from faintlink.delivery.keystore.conformance_stock import HERE, MASTER, SLAVE, THERE, Sites, StockContract, fetch
from faintlink.delivery.keystore.model import Assignment, KeyState, Placed, Role
from faintlink.delivery.keystore.store import KeyStore


class RelayedContract(StockContract):
    """Keys that are made of no units."""

    def test_a_relayed_key_is_placed_once_and_fetched_once(self, sites: Sites) -> None:
        """Relays repeat what got no answer, too."""
        key = Assignment(str(uuid.uuid4()), 256, MASTER, SLAVE, ())
        material = SeededEntropy(5).draw(32, "relayed")

        def place(store: KeyStore, role: Role, bits: bytes = material) -> None:
            peer = THERE if role is Role.MASTER else HERE
            store.place(peer, [(key, bits)], role=role, epsilon=1e-9, blocks=["b1", "b2"])

        for store, role in ((sites.here, Role.MASTER), (sites.there, Role.SLAVE)):
            place(store, role)
            place(store, role)
            with pytest.raises(KeyUnknownError):
                place(store, role, bytes(32))
        with pytest.raises(LocalProtocolError):
            place(sites.here, Role.MASTER, bytes(31))
        assert sites.here.unsettled(THERE) == [key]
        allowed = sites.here.record(key.key_id).epsilon
        sites.here.acknowledge([key.key_id], epsilon=allowed / 4)
        sites.here.acknowledge([key.key_id], epsilon=allowed / 2)
        assert sites.here.record(key.key_id).epsilon == allowed / 4, "what it came to when it was acknowledged"
        assert (
            fetch(sites.here, [key.key_id], Role.MASTER) == fetch(sites.there, [key.key_id], Role.SLAVE) == [material]
        )
        place(sites.there, Role.SLAVE)
        assert sites.there.record(key.key_id).state is KeyState.DELIVERED
        assert sites.there.record(key.key_id).blocks == ("b1", "b2")

    def test_relayed_keys_are_placed_together_or_not_at_all(self, sites: Sites) -> None:
        """Half a request could neither be repeated nor given up by its answer."""
        keys = [Assignment(str(uuid.uuid4()), 128, MASTER, SLAVE, ()) for _ in range(3)]
        payload = bytearray(SeededEntropy(6).draw(48, "relayed"))
        parts: list[Placed] = [(key, memoryview(payload)[16 * at : 16 * at + 16]) for at, key in enumerate(keys)]

        def place(placed: Sequence[Placed]) -> None:
            sites.there.place(HERE, placed, role=Role.SLAVE, epsilon=1e-9, blocks=["b1"])

        place(parts[:1])
        another, too_short = (keys[0], bytes(16)), (keys[2], bytes(15))
        for wrong in (another, too_short, parts[1]):
            with pytest.raises((KeyUnknownError, LocalProtocolError)):
                place([parts[1], wrong])
            with pytest.raises(KeyUnknownError):
                sites.there.record(keys[1].key_id)
        place(parts)
        place(parts[::-1])
        place([])
        fetched = fetch(sites.there, [key.key_id for key in keys], Role.SLAVE)
        assert fetched == [bytes(part) for _, part in parts]
        assert any(payload), "the material is the caller's"
