"""The messages between two sites, as strict JSON with one encoding each.

A site asks, the other answers; every request can be repeated without harm. Names and numbers only: no bit of key
material is ever part of a message. A frame whose bytes differ from what `encode` makes of its content is refused, so
that repeated members, spare white space and trailing data cannot hide anything.

Sources: the rules follow ETSI GS QKD 020 V1.1.1 (no key is released before the other key management entity has
acknowledged it; whatever is not answered may be assigned and is repeated or voided); the encoding is our own.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal, TypeAlias, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from faintlink.core.config.models import StrictModel
from faintlink.core.errors import RemoteProtocolError
from faintlink.delivery.keystore.model import Assignment, BlockLedger, UnitId

MOST_BYTES = 4 << 20
"""Longest frame."""
MOST_KEYS = 4096
"""Most keys in one message."""
MOST_BLOCKS = 16384
"""Most blocks in one message."""
_MOST_UNITS = 1 << 20

KeyId = Annotated[str, Field(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")]
"""A UUID in its canonical form."""
SaeName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._~:@!$&'()*+,;=-]{1,64}$")]
"""Name of an application: at most 64 characters that may stand in a URL (ETSI GS QKD 020)."""
SiteName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,62}$")]
"""Name of a site: what may be a label of a host name."""
BlockName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]
"""Name of a distilled block."""
_Unit = Annotated[int, Field(ge=0, lt=_MOST_UNITS)]
_Share = Annotated[int, Field(ge=0, le=100)]
_Reason = Annotated[str, Field(pattern=r"^[ -~]{0,200}$")]
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_KeyIds = Annotated[tuple[KeyId, ...], Field(max_length=MOST_KEYS)]
_BlockNames = Annotated[tuple[BlockName, ...], Field(max_length=MOST_BLOCKS)]


class _Message(StrictModel):
    v: Literal[1] = 1


class AssignedKey(StrictModel):
    """A key that the asking site promised to its application."""

    key_id: KeyId
    bits: Annotated[int, Field(ge=8, le=1 << 20)]
    master: SaeName
    slave: SaeName
    units: Annotated[
        tuple[tuple[BlockName, Annotated[tuple[_Unit, ...], Field(max_length=4096)]], ...], Field(max_length=4096)
    ]

    @classmethod
    def of(cls, key: Assignment) -> "AssignedKey":
        """Return the message's form of an assignment; units keep their order."""
        units: list[tuple[str, tuple[int, ...]]] = []
        for unit in key.units:
            if units and units[-1][0] == unit.block:
                units[-1] = (unit.block, (*units[-1][1], unit.number))
            else:
                units.append((unit.block, (unit.number,)))
        return cls(key_id=key.key_id, bits=key.bits, master=key.master, slave=key.slave, units=tuple(units))

    @property
    def assignment(self) -> Assignment:
        """What is asked for."""
        units = tuple(UnitId(block, number) for block, numbers in self.units for number in numbers)
        return Assignment(self.key_id, self.bits, self.master, self.slave, units)


class Hello(_Message):
    """Who asks, and on what both must agree before any key is shared."""

    kind: Literal["hello"] = "hello"
    site: SiteName
    instance: KeyId
    """Fresh with every start, so that the other site notices a restart."""
    first_site: SiteName
    share_first: _Share
    share_reserve: _Share


class Assign(_Message):
    """Take these units as these keys."""

    kind: Literal["assign"] = "assign"
    keys: Annotated[tuple[AssignedKey, ...], Field(min_length=1, max_length=MOST_KEYS)]


class Assigned(_Message):
    """All keys are ready here, but those refused."""

    kind: Literal["assigned"] = "assigned"
    refused: _KeyIds = ()


class Void(_Message):
    """Give up keys that the asking site is master of."""

    kind: Literal["void"] = "void"
    key_ids: _KeyIds
    reason: _Reason


class Voided(_Message):
    """Names of keys that are given up now."""

    kind: Literal["voided"] = "voided"
    key_ids: _KeyIds


class AskStates(_Message):
    """Say in what state these keys are, of which the asked site is the master's."""

    kind: Literal["ask_states"] = "ask_states"
    key_ids: _KeyIds


State: TypeAlias = Literal["reserved", "ready", "delivered", "void", "unknown"]


class States(_Message):
    """State of each key that was asked for, in that order."""

    kind: Literal["states"] = "states"
    states: Annotated[tuple[State, ...], Field(max_length=MOST_KEYS)]


class AskBlocks(_Message):
    """Say whether both ledgers agree; ``digest`` covers all blocks."""

    kind: Literal["ask_blocks"] = "ask_blocks"
    digest: _Sha256


class Blocks(_Message):
    """Digest of each block's ledger; none when the whole agrees."""

    kind: Literal["blocks"] = "blocks"
    is_same: bool
    digests: Annotated[tuple[tuple[BlockName, _Sha256], ...], Field(max_length=MOST_BLOCKS)] = ()
    at_hand: _BlockNames = ()
    """Blocks that are distilled but not taken into the store yet."""


class AskBitmaps(_Message):
    """Say what exactly is left of these blocks."""

    kind: Literal["ask_bitmaps"] = "ask_bitmaps"
    blocks: Annotated[tuple[BlockName, ...], Field(max_length=256)]


class Bitmap(StrictModel):
    """What is left of a block."""

    block: BlockName
    units: Annotated[int, Field(ge=0, le=_MOST_UNITS)]
    free: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/=]*$")]
    """Base64."""

    @classmethod
    def of(cls, ledger: BlockLedger) -> "Bitmap":
        """Return the message's form of a ledger."""
        return cls(block=ledger.block, units=ledger.units, free=base64.b64encode(ledger.free).decode())

    def free_units(self) -> frozenset[int]:
        """Return the numbers of the units that are left.

        Raises
        ------
        RemoteProtocolError
            The bitmap is not one of that many units.
        """
        try:
            data = base64.b64decode(self.free, validate=True)
        except binascii.Error as error:
            raise RemoteProtocolError(f"the bitmap of block {self.block} is not base64: {error}") from None
        if len(data) != (self.units + 7) // 8:
            raise RemoteProtocolError(f"the bitmap of block {self.block} has {len(data)} bytes for {self.units} units")
        return free_units(BlockLedger(self.block, self.units, data))


class Bitmaps(_Message):
    """The bitmaps that were asked for; a block that is not here is left out."""

    kind: Literal["bitmaps"] = "bitmaps"
    bitmaps: Annotated[tuple[Bitmap, ...], Field(max_length=256)]


class Offer(_Message):
    """These blocks are distilled and at hand here: take yours into the store."""

    kind: Literal["offer"] = "offer"
    blocks: _BlockNames


class Held(_Message):
    """Those of the offered blocks that are in the answering site's store."""

    kind: Literal["held"] = "held"
    blocks: _BlockNames


class Refused(_Message):
    """The request is understood and not granted."""

    kind: Literal["refused"] = "refused"
    reason: _Reason


Request: TypeAlias = Hello | Assign | Void | AskStates | AskBlocks | AskBitmaps | Offer
Answer: TypeAlias = Hello | Assigned | Voided | States | Blocks | Bitmaps | Held | Refused
M = TypeVar("M", "Request", "Answer")
Item = TypeVar("Item")
_REQUESTS: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="kind")])
_ANSWERS: TypeAdapter[Answer] = TypeAdapter(Annotated[Answer, Field(discriminator="kind")])


def encode(message: Request | Answer) -> bytes:
    """Return the one encoding of a message."""
    return message.model_dump_json().encode()


def decode_request(frame: bytes) -> Request:
    """Return the request in a frame.

    Raises
    ------
    RemoteProtocolError
        It is none.
    """
    return _decode(frame, _REQUESTS)


def decode_answer(frame: bytes) -> Answer:
    """Return the answer in a frame; raises as `decode_request`."""
    return _decode(frame, _ANSWERS)


def _decode(frame: bytes, adapter: "TypeAdapter[M]") -> M:
    if len(frame) > MOST_BYTES:
        raise RemoteProtocolError(f"a frame of {len(frame)} bytes is longer than {MOST_BYTES}")
    try:
        message = adapter.validate_json(frame)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise RemoteProtocolError(
            f"not a message of the ledger: {'.'.join(map(str, first['loc']))}: {first['msg']}",
            hint="do both sites run the same version?",
        ) from None
    if encode(message) != frame:
        raise RemoteProtocolError("a message of the ledger is not in its one encoding")
    return message


def free_units(ledger: BlockLedger) -> frozenset[int]:
    """Return the numbers of the units that are left of a block."""
    return frozenset(number for number in range(ledger.units) if ledger.free[number >> 3] & (0x80 >> (number & 7)))


def block_digest(ledger: BlockLedger) -> str:
    """Return the digest of what is left of a block."""
    text = f"{ledger.block}\0{ledger.units}\0".encode()
    return hashlib.sha256(text + ledger.free).hexdigest()


def ledger_digest(ledgers: Iterable[BlockLedger]) -> str:
    """Return the digest of all ledgers, whatever their order."""
    return hashlib.sha256("".join(sorted(map(block_digest, ledgers))).encode()).hexdigest()


def pieces(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    """Return ``items`` in runs of at most ``size``."""
    return [items[start : start + size] for start in range(0, len(items), size)]
