"""Keys of a foreign pair of KMEs as stock of our own: commercial devices beside, or instead of, our nodes.

At each site the store is an application of the device there. The *master's* site pulls new keys and tells the other
site their names in a `PoolOffer`; the *slave's* site pulls the copies and answers with a `PoolVerdict`. What both have
pulled becomes a `Block` of the same name, which each site ingests like a block of its own node::

    master                                       slave
    pull: status, enc_keys of its device
    offer: names, tag                     ---->  answer: dec_keys of its device, compare the tag, ingest
    settle: ingest, or forget             <----  verdict

Both sites have the same bits, or no block: the last 256 bits of each pull are a one-time key for a Wegman-Carter tag
over names and bits, and are then destroyed. So devices that have drifted apart, or mix keys up, are noticed before a
single unit is stocked, and the offer says nothing of the bits to anybody. An offer may be sent again: the slave answers
it as before. Where no verdict comes the master forgets the keys; should the slave have ingested them, the ledgers will
show it and its units are retired.

Nothing here opens a connection to the other site: the caller carries offer and verdict, authenticated.

Sources
-------
ETSI GS QKD 014 V1.1.1 clause 5; `faintlink.postprocess.channel.onetime` for the tag.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Protocol

from pydantic import Field, model_validator

from faintlink.core.config.models import StrictModel
from faintlink.core.errors import DeliveryError, KeyExhaustedError, ProtocolError, RemoteProtocolError
from faintlink.delivery.etsi014.exchange import ForeignStatus
from faintlink.delivery.etsi014.pooling import PoolOffer, PoolVerdict, block_name
from faintlink.delivery.etsi014.settings import Bits
from faintlink.delivery.keystore.model import UNIT_BITS, Block, DeliveredKey
from faintlink.delivery.keystore.origins import DEVICE_SOURCE
from faintlink.postprocess.channel.envelope import Direction
from faintlink.postprocess.channel.onetime import KEY_BYTES, KeyPosition, OneTimeKey

logger = logging.getLogger(__name__)

Ingest = Callable[[Block], Awaitable[int]]
"""Puts a block into the store under the peer and cut that the caller knows; durable when it returns."""
_REMEMBERED_NAMES = 65_536
_REMEMBERED_VERDICTS = 256


class PoolAgreement(StrictModel):
    """What both sites agree on about one foreign link; the same in both configurations."""

    link: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    """Name of the link."""
    master_sae: Annotated[str, Field(min_length=1, max_length=64)]
    """Application name, at the foreign KMEs, of the site that asks for new keys."""
    slave_sae: Annotated[str, Field(min_length=1, max_length=64)]
    """Application name of the other site."""
    key_bits: Bits = 256
    """Size that is asked for."""
    keys_per_block: Annotated[int, Field(ge=2, le=1024)] = 128
    """Most keys that are pulled at a time."""
    epsilon_per_key: Annotated[float, Field(gt=0.0, lt=1.0)]
    """Security parameter that the maker states for a key."""

    @model_validator(mode="after")
    def _hold_a_unit(self) -> "PoolAgreement":
        if self.key_bits * self.keys_per_block < 2 * UNIT_BITS:
            raise ValueError(f"keys_per_block times key_bits must be at least {2 * UNIT_BITS}: a unit, and the check")
        return self


class ForeignKme(Protocol):
    """What is asked of a device; `faintlink.delivery.etsi014.client.Client014` is one."""

    async def status(self, slave: str) -> ForeignStatus:
        """Return the status of our keys with ``slave``."""
        ...

    async def new_keys(self, slave: str, *, number: int, size: int) -> list[DeliveredKey]:
        """Return new keys."""
        ...

    async def named_keys(self, master: str, key_ids: Sequence[str], *, size: int) -> list[DeliveredKey]:
        """Return the copies of keys."""
        ...


@dataclass(slots=True)
class _Pulled:
    """Keys on their way to become a block."""

    offer: PoolOffer
    material: bytearray = field(repr=False)
    kmes: tuple[str, str]
    """The devices: ours, and the other site's."""

    def block(self, agreement: PoolAgreement) -> Block:
        number = len(self.offer.key_ids)
        return Block(
            self.offer.block,
            bytes(self.material),
            number * agreement.epsilon_per_key,
            {
                "source": DEVICE_SOURCE,
                "link": agreement.link,
                "kme": self.kmes[0],
                "peer_kme": self.kmes[1],
                "keys": str(number),
                "first_key": self.offer.key_ids[0],
                "last_key": self.offer.key_ids[-1],
            },
        )

    def wipe(self) -> None:
        self.material[:] = bytes(len(self.material))


class PoolMaster:
    """The site that asks for new keys."""

    def __init__(self, kme: ForeignKme, agreement: PoolAgreement, ingest: Ingest) -> None:
        self._kme = kme
        self._agreement = agreement
        self._ingest = ingest
        self._pending: dict[str, _Pulled] = {}
        self._names: dict[str, None] = {}

    async def pull(self) -> PoolOffer:
        """Take new keys out of our device and return what the other site must be told.

        Raises
        ------
        KeyExhaustedError
            The device holds too few keys; none was taken.
        DeliveryError, RemoteProtocolError
            The device refuses, gives a key a second time, or does not keep to the standard.
        """
        agreement = self._agreement
        status = await self._kme.status(agreement.slave_sae)
        least = -(-2 * UNIT_BITS // agreement.key_bits)
        if status.stored_key_count < least:
            raise KeyExhaustedError(
                f"{status.source_kme} holds {status.stored_key_count} keys, a block takes {least}",
                hint="wait for it to make more",
            )
        number = min(agreement.keys_per_block, status.stored_key_count)
        keys = await self._take(number, least, max(1, status.max_key_per_request))
        names = tuple(key.key_id for key in keys)
        material = _joined(keys)
        self._refuse_repeated(names)
        check = _check_key(material)
        unsigned = PoolOffer(block_name(agreement.link, names), agreement.link, agreement.key_bits, names, b"")
        offer = unsigned.with_tag(check.tag(unsigned.tagged_parts(material)))
        self._pending[offer.block] = _Pulled(offer, material, (status.source_kme, status.target_kme))
        return offer

    async def settle(self, verdict: PoolVerdict) -> int:
        """Ingest what the other site has ingested, or forget what it has not; return the number of units."""
        pulled = self._pending.get(verdict.block)
        if pulled is None:
            return 0
        units = 0
        if verdict.accepted:
            # If this fails the keys are still there, and the verdict can be settled again.
            units = await self._ingest(pulled.block(self._agreement))
        else:
            logger.warning("link %s: the other site refuses block %s", self._agreement.link, verdict.block)
        self.give_up(verdict.block)
        return units

    def give_up(self, block: str) -> None:
        """Forget keys for which no verdict came."""
        pulled = self._pending.pop(block, None)
        if pulled is not None:
            pulled.wipe()

    async def _take(self, number: int, least: int, per_request: int) -> list[DeliveredKey]:
        agreement, keys = self._agreement, list[DeliveredKey]()
        while len(keys) < number:
            wanted = min(per_request, number - len(keys))
            try:
                keys += await self._kme.new_keys(agreement.slave_sae, number=wanted, size=agreement.key_bits)
            except DeliveryError:
                # Others empty the device too. What came so far is a block if it is long enough.
                if len(keys) < least:
                    raise
                break
        return keys

    def _refuse_repeated(self, names: Sequence[str]) -> None:
        # Names are UUIDs: the same in other letters is the same.
        names = [name.lower() for name in names]
        if len(set(names)) != len(names) or any(name in self._names for name in names):
            raise RemoteProtocolError(
                f"the KME of link {self._agreement.link} gave a key a second time",
                hint="do not use this device: it hands out keys more than once",
            )
        self._names.update(dict.fromkeys(names))
        while len(self._names) > _REMEMBERED_NAMES:
            del self._names[next(iter(self._names))]


class PoolSlave:
    """The site that is told the names."""

    def __init__(self, kme: ForeignKme, agreement: PoolAgreement, ingest: Ingest) -> None:
        self._kme = kme
        self._agreement = agreement
        self._ingest = ingest
        self._verdicts: dict[str, PoolVerdict] = {}
        self._turn = asyncio.Lock()

    async def answer(self, offer: PoolOffer) -> PoolVerdict:
        """Fetch the keys of an offer, ingest them if they are the master's, and return what became of it."""
        async with self._turn:
            known = self._verdicts.get(offer.block)
            if known is not None:
                return known
            verdict = PoolVerdict(offer.block, accepted=await self._accept(offer))
            self._verdicts[offer.block] = verdict
            while len(self._verdicts) > _REMEMBERED_VERDICTS:
                del self._verdicts[next(iter(self._verdicts))]
            return verdict

    async def _accept(self, offer: PoolOffer) -> bool:
        agreement = self._agreement
        if (offer.link, offer.key_bits) != (agreement.link, agreement.key_bits):
            logger.error("an offer of link %r does not fit the agreement about %s", offer.link, agreement.link)
            return False
        try:
            status = await self._kme.status(agreement.master_sae)
            material = _joined(await self._fetch(offer.key_ids, max(1, status.max_key_per_request)))
        except (DeliveryError, ProtocolError) as error:
            logger.warning("link %s: block %s is refused: %s", agreement.link, offer.block, error.message)
            return False
        pulled = _Pulled(offer, material, (status.source_kme, status.target_kme))
        try:
            if not _check_key(material).check(offer.tagged_parts(material), offer.tag):
                logger.error("link %s: the devices of the two sites gave different keys", agreement.link)
                return False
            await self._ingest(pulled.block(agreement))
            return True
        finally:
            pulled.wipe()

    async def _fetch(self, names: Sequence[str], per_request: int) -> list[DeliveredKey]:
        agreement, keys = self._agreement, list[DeliveredKey]()
        for start in range(0, len(names), per_request):
            part = names[start : start + per_request]
            keys += await self._kme.named_keys(agreement.master_sae, part, size=agreement.key_bits)
        return keys


def _joined(keys: Sequence[DeliveredKey]) -> bytearray:
    material = bytearray(sum(len(key.material) for key in keys))
    at = 0
    for key in keys:
        material[at : at + len(key.material)] = key.material
        at += len(key.material)
        key.material[:] = bytes(len(key.material))
    return material


def _check_key(material: bytearray) -> OneTimeKey:
    """Cut the one-time key off the end of ``material``."""
    key = material[-KEY_BYTES:]
    material[-KEY_BYTES:] = bytes(KEY_BYTES)
    del material[-KEY_BYTES:]
    return OneTimeKey(key, direction=Direction.ALICE_TO_BOB, position=KeyPosition(0, 0))
