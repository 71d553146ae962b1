"""Keys of foreign KMEs become the same block at both sites, or none."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faintlink.core.errors import KeyExhaustedError, PeerUnavailableError, RemoteProtocolError, StoreError
from faintlink.delivery.etsi014.exchange import ForeignStatus
from faintlink.delivery.etsi014.pooling import PoolOffer, PoolVerdict, block_name
from faintlink.delivery.etsi014.source import PoolAgreement, PoolMaster, PoolSlave
from faintlink.delivery.keystore.model import Block, DeliveredKey
from tests.unit.delivery.etsi014.fakes import MemorySupply, material_of, name_of

AGREEMENT = PoolAgreement(
    link="box-7", master_sae="alice", slave_sae="bob", key_bits=256, keys_per_block=5, epsilon_per_key=1e-12
)


class Device:
    """One side of a foreign pair, as one of its applications sees it."""

    def __init__(self, supply: MemorySupply, caller: str, *, per_request: int = 2) -> None:
        self.supply = supply
        self.caller = caller
        self.per_request = per_request
        self.sizes: list[int] = []

    async def status(self, slave: str) -> ForeignStatus:
        known = await self.supply.status(caller=self.caller, other=slave)
        sites = ("kme-a", "kme-b") if self.caller == "alice" else ("kme-b", "kme-a")
        return ForeignStatus(*sites, self.caller, slave, 256, known.stored_keys, 100, self.per_request, 1024, 64, 0)

    async def new_keys(self, slave: str, *, number: int, size: int) -> list[DeliveredKey]:
        self.sizes.append(number)
        return await self.supply.new_keys(master=self.caller, slave=slave, number=number, bits=size)

    async def named_keys(self, master: str, key_ids: Sequence[str], *, size: int) -> list[DeliveredKey]:
        self.sizes.append(len(key_ids))
        return await self.supply.keys_by_name(slave=self.caller, master=master, key_ids=key_ids)


class Pair:
    """Both sites, their devices, and what they have ingested."""

    def __init__(self, agreement: PoolAgreement = AGREEMENT, *, stored: int = 100) -> None:
        self.supply = MemorySupply(stored=stored)
        self.devices = Device(self.supply, "alice"), Device(self.supply, "bob")
        self.stores: tuple[list[Block], list[Block]] = ([], [])
        self.fault: StoreError | None = None
        self.master = PoolMaster(self.devices[0], agreement, lambda block: self._ingest(0, block))
        self.slave = PoolSlave(self.devices[1], agreement, lambda block: self._ingest(1, block))

    async def _ingest(self, site: int, block: Block) -> int:
        if self.fault is not None:
            raise self.fault
        self.stores[site].append(block)
        return len(block.material) // 32

    def pool(self) -> int:
        """Carry one block through, over the wire's bytes."""
        return asyncio.run(self._pool())

    async def _pool(self) -> int:
        offer = PoolOffer.decode((await self.master.pull()).encode())
        verdict = await self.slave.answer(offer)
        return await self.master.settle(PoolVerdict.decode(verdict.encode()))


def names(*numbers: int) -> tuple[str, ...]:
    return tuple(map(name_of, numbers))


def test_both_sites_stock_the_same_bits_under_the_same_name() -> None:
    pair = Pair()
    assert pair.pool() == 4
    (ours,), (theirs,) = pair.stores
    assert ours.block_id == theirs.block_id == block_name("box-7", names(1, 2, 3, 4, 5))
    assert ours.material == theirs.material == b"".join(material_of(name, 256) for name in names(1, 2, 3, 4))


def test_a_block_says_where_it_came_from_and_what_it_is_worth() -> None:
    pair = Pair()
    pair.pool()
    (ours,), (theirs,) = pair.stores
    assert ours.epsilon == pytest.approx(5e-12)
    assert ours.provenance == {
        "source": "ETSI GS QKD 014",
        "link": "box-7",
        "kme": "kme-a",
        "peer_kme": "kme-b",
        "keys": "5",
        "first_key": name_of(1),
        "last_key": name_of(5),
    }
    assert (theirs.provenance["kme"], theirs.provenance["peer_kme"]) == ("kme-b", "kme-a")


def test_no_more_is_asked_for_at_a_time_than_the_device_allows() -> None:
    pair = Pair()
    pair.pool()
    assert [device.sizes for device in pair.devices] == [[2, 2, 1], [2, 2, 1]]


def test_blocks_follow_each_other_and_share_nothing() -> None:
    pair = Pair()
    assert [pair.pool(), pair.pool()] == [4, 4]
    assert len({block.block_id for block in pair.stores[0]}) == 2
    assert pair.stores[0][0].material != pair.stores[0][1].material


def test_small_keys_are_joined() -> None:
    pair = Pair(AGREEMENT.model_copy(update={"key_bits": 64, "keys_per_block": 12}))
    assert pair.pool() == 2
    assert pair.stores[0][0].material == b"".join(material_of(name, 64) for name in names(*range(1, 9)))


def test_a_device_with_too_few_keys_loses_none() -> None:
    pair = Pair(stored=1)
    with pytest.raises(KeyExhaustedError, match="kme-a holds 1 keys, a block takes 2"):
        pair.pool()
    assert pair.supply.stored == 1


def test_a_device_with_few_keys_gives_a_short_block() -> None:
    assert Pair(stored=3).pool() == 2


def test_what_came_before_others_emptied_the_device_becomes_a_block() -> None:
    pair = Pair()

    async def emptied(slave: str, *, number: int, size: int) -> list[DeliveredKey]:
        keys = await MemorySupply.new_keys(pair.supply, master="alice", slave=slave, number=number, bits=size)
        pair.supply.stored = 0
        return keys

    pair.devices[0].new_keys = emptied  # type: ignore[method-assign] # a device that is emptied in between
    assert pair.pool() == 1


def test_devices_that_give_different_bits_are_found_out_and_nothing_is_stocked() -> None:
    pair = Pair()

    async def other_bits(master: str, key_ids: Sequence[str], *, size: int) -> list[DeliveredKey]:
        keys = await pair.supply.keys_by_name(slave="bob", master=master, key_ids=key_ids)
        keys[0].material[0] ^= 1
        return keys

    pair.devices[1].named_keys = other_bits  # type: ignore[method-assign] # a device that has drifted apart
    assert pair.pool() == 0
    assert pair.stores == ([], [])


@pytest.mark.parametrize("field", ["key_ids", "link", "tag", "key_bits"])
def test_an_offer_that_was_changed_on_its_way_is_refused(field: str) -> None:
    pair = Pair()

    async def run() -> bool:
        offer = await pair.master.pull()
        changed = {
            "key_ids": (*offer.key_ids[1::-1], *offer.key_ids[2:]),
            "link": "box-8",
            "tag": bytes(16),
            "key_bits": 512,
        }
        return (await pair.slave.answer(replace(offer, **{field: changed[field]}))).accepted  # type: ignore[arg-type]

    assert asyncio.run(run()) is False
    assert pair.stores[1] == []


def test_a_device_that_gives_a_key_again_is_found_out() -> None:
    pair = Pair()
    pair.pool()
    pair.supply.made = 0
    with pytest.raises(RemoteProtocolError, match="a second time"):
        pair.pool()
    assert len(pair.stores[0]) == 1


def test_a_repeated_offer_gets_the_same_verdict_and_is_stocked_once() -> None:
    pair = Pair()

    async def run() -> list[PoolVerdict]:
        offer = await pair.master.pull()
        return await asyncio.gather(*(pair.slave.answer(offer) for _ in range(3)))

    verdicts = asyncio.run(run())
    assert [verdict.accepted for verdict in verdicts] == [True] * 3
    assert len(pair.stores[1]) == 1


def test_a_slave_whose_device_is_away_refuses() -> None:
    pair = Pair()

    async def run() -> PoolVerdict:
        offer = await pair.master.pull()
        pair.supply.fault = PeerUnavailableError("no answer")
        return await pair.slave.answer(offer)

    assert asyncio.run(run()).accepted is False


def test_a_verdict_can_be_settled_again_when_the_store_failed() -> None:
    pair = Pair()

    async def run() -> tuple[int, int]:
        verdict = PoolVerdict((await pair.master.pull()).block, accepted=True)
        pair.fault = StoreError("disk full")
        with pytest.raises(StoreError):
            await pair.master.settle(verdict)
        pair.fault = None
        return await pair.master.settle(verdict), await pair.master.settle(verdict)

    assert asyncio.run(run()) == (4, 0)


def test_keys_without_a_verdict_are_forgotten() -> None:
    pair = Pair()

    async def run() -> int:
        offer = await pair.master.pull()
        pair.master.give_up(offer.block)
        return await pair.master.settle(PoolVerdict(offer.block, accepted=True))

    assert asyncio.run(run()) == 0
    assert [set(key.material) for key in pair.supply.handed_out] == [{0}] * 5


def test_an_agreement_holds_at_least_a_unit_and_the_check() -> None:
    with pytest.raises(ValueError, match="at least 512"):
        PoolAgreement(link="x", master_sae="a", slave_sae="b", key_bits=64, keys_per_block=7, epsilon_per_key=1e-9)


OFFER = PoolOffer(block_name("x", names(1, 2)), "x", 256, names(1, 2), bytes(16))


def changed(**members: object) -> bytes:
    return json.dumps({**json.loads(OFFER.encode()), **members}).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        changed(more=1),
        changed(format="faintlink-pool/2"),
        changed(block=name_of(1)),
        changed(block=None),
        changed(link="../x"),
        changed(link=1),
        changed(key_bits=257),
        changed(key_bits=True),
        changed(key_bits="256"),
        changed(key_ids="x"),
        changed(key_ids=[1, 2]),
        changed(key_ids=[name_of(1)]),
        changed(key_ids=[name_of(1)] * 2),
        changed(key_ids=["x", "y"]),
        changed(key_ids=list(names(*range(1025)))),
        changed(tag="00"),
        changed(tag=None),
        OFFER.encode() + b" 1",
        OFFER.encode()[:-1] + b',"tag":""}',
    ],
)
def test_a_malformed_offer_is_refused(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        PoolOffer.decode(data)


@given(st.binary(max_size=60))
def test_no_bytes_make_a_decoder_raise_anything_else(data: bytes) -> None:
    for decode in (PoolOffer.decode, PoolVerdict.decode):
        with pytest.raises(RemoteProtocolError):
            decode(data)


@pytest.mark.parametrize("data", [b'{"format":"faintlink-pool/1","block":"x","accepted":true}', changed()])
def test_a_malformed_verdict_is_refused(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        PoolVerdict.decode(data)


def test_offer_and_verdict_survive_the_wire() -> None:
    verdict = PoolVerdict(OFFER.block, accepted=False)
    assert PoolOffer.decode(OFFER.encode()) == OFFER
    assert PoolVerdict.decode(verdict.encode()) == verdict
