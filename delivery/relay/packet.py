"""What a relayed key travels in, from one site to the next: one request, one answer, both of fixed binary form.

A request, integers big-endian, names as a byte of length and as many of ASCII::

    0   4  magic "FLRY"        8   2  keys              16  8  epsilon spent so far, up to this hop
    4   1  version (1)         10  2  units             24  8  epsilon that may be spent, at most
    5   1  kind                12  4  bytes of payload
    6   1  hop, from 0
    7   1  sites

(offset, size, meaning), then the route's sites, master, slave, each key's UUID (16 bytes) and bits (2), the units of
stock that protect this hop, the padded payload, and a tag of 16 bytes. Units stand as runs: block name, count (2),
numbers (4 each). An answer::

    0   4  magic "FLRA"        6   2  zero              16  16  proof of the last site
    4   1  version (1)         8   8  epsilon           32  16  tag
    5   1  verdict

Who may read a request needs no secret: the tags bind all of it, and so route, hop, key names and both applications, to
the two sites of the hop. Nothing here knows keys; `faintlink.delivery.relay.hop` makes and checks tags and pads.
"""

import struct
import uuid
from dataclasses import dataclass, field
from enum import IntEnum

from faintlink.core.errors import RemoteProtocolError
from faintlink.delivery.keystore.model import UNIT_BYTES, UnitId
from faintlink.delivery.relay.parts import (
    encode_name,
    encode_units,
    member,
    probability,
    read_name,
    read_units,
    within,
)
from faintlink.postprocess.channel.onetime import TAG_BYTES
from faintlink.postprocess.conjugate.fields import Fields

MAX_SITES = 16
MAX_KEYS = 256
MAX_KEY_BITS = 8192
MAX_UNITS = 2048
"""Units that one request may name."""
CHECK_BYTES = 32
"""Bytes of the key under which the last site proves what it got; they travel behind the keys."""
MAX_PAYLOAD = (MAX_UNITS - 2) * UNIT_BYTES
MAX_REQUEST = 2**18
"""Bytes of the longest request."""
_REQUEST_HEAD, _ANSWER_HEAD = b"FLRY\x01", b"FLRA\x01"
"""Magic and version."""
_REQUEST = struct.Struct(">BBBHHIdd")
_ANSWER = struct.Struct(">BHd16s16s")
ANSWER_BYTES = len(_ANSWER_HEAD) + _ANSWER.size


class Kind(IntEnum):
    """What a request asks for."""

    KEYS = 1
    """Carry keys to the last site of the route."""
    VOID = 2
    """Give up keys at the last site of the route, wherever they are on their way."""


class Verdict(IntEnum):
    """What became of a request."""

    PLACED = 1
    """The last site has the keys."""
    VOIDED = 2
    """The last site has given up the keys, or never had them."""
    DELIVERED = 3
    """Too late to give up: the last site has handed out one of them."""
    EXHAUSTED = 4
    """A hop has too little reserve; the last site did not get the keys."""
    NO_WAY = 5
    """A site knows no link to the next; the last site did not get the keys."""
    LIMIT = 6
    """The epsilon would exceed what may be spent; the last site did not get the keys."""
    REFUSED = 7
    """The last site does not take the keys."""
    UNSURE = 8
    """A hop did not answer: the last site may have the keys."""

    @property
    def is_certain_loss(self) -> bool:
        """Whether the last site has not got the keys, for sure."""
        return self in (Verdict.EXHAUSTED, Verdict.NO_WAY, Verdict.LIMIT, Verdict.REFUSED)


@dataclass(frozen=True, slots=True)
class KeyName:
    """Name and length of a key on its way."""

    key_id: str
    """UUID in its canonical form."""
    bits: int
    """A multiple of 8."""

    @property
    def size(self) -> int:
        """Bytes that the key takes."""
        return self.bits // 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """What stays the same on all hops."""

    kind: Kind
    route: tuple[str, ...]
    """Sites, the master's first, the slave's last."""
    master: str
    slave: str
    keys: tuple[KeyName, ...]
    max_epsilon: float
    """What the keys' epsilon may sum up to on the whole way."""

    @property
    def payload_bytes(self) -> int:
        """Bytes that travel under the pad."""
        return sum(key.size for key in self.keys) + CHECK_BYTES if self.kind is Kind.KEYS else 0

    @property
    def units(self) -> int:
        """Units of reserve that each hop uses: one for the request's tag, one for the answer's, the rest as pad."""
        return 2 + -(-self.payload_bytes // UNIT_BYTES)

    @property
    def key_ids(self) -> list[str]:
        """Names of the keys."""
        return [key.key_id for key in self.keys]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An errand on one hop."""

    errand: Errand
    hop: int
    """From 0; it goes from ``route[hop]`` to ``route[hop + 1]``."""
    epsilon: float
    """Sum of the epsilons up to this hop, this one included."""
    units: tuple[UnitId, ...]
    """For the request's tag, the answer's tag, and the pad."""
    payload: bytes = field(default=b"", repr=False)
    """Padded."""
    tag: bytes = field(default=bytes(TAG_BYTES), repr=False)

    @property
    def sender(self) -> str:
        """The site that sends it."""
        return self.errand.route[self.hop]

    @property
    def receiver(self) -> str:
        """The site that it is for."""
        return self.errand.route[self.hop + 1]

    @property
    def is_last_hop(self) -> bool:
        """Whether the receiver is the slave's site."""
        return self.hop + 2 == len(self.errand.route)

    def text(self) -> bytes:
        """Return everything but the tag, as it travels."""
        errand = self.errand
        sizes = len(errand.keys), len(self.units), len(self.payload)
        numbers = errand.kind, self.hop, len(errand.route), *sizes, self.epsilon, errand.max_epsilon
        names = (*errand.route, errand.master, errand.slave)
        return b"".join(
            (
                _REQUEST_HEAD,
                _REQUEST.pack(*numbers),
                *map(encode_name, names),
                *(uuid.UUID(key.key_id).bytes + key.bits.to_bytes(2, "big") for key in errand.keys),
                encode_units(self.units),
                self.payload,
            )
        )

    def encode(self) -> bytes:
        """Return the bytes that travel."""
        return self.text() + self.tag


def decode_request(data: bytes) -> Request:
    """Return the request that these bytes hold; who made it is not judged.

    Raises
    ------
    RemoteProtocolError
        They are no request, or break a limit.
    """
    if len(data) > MAX_REQUEST:
        raise RemoteProtocolError(f"a relay request has at most {MAX_REQUEST} bytes, got {len(data)}")
    fields = Fields(data, _REQUEST_HEAD, "of the relay")
    code, hop, sites, keys, units, length, spent, most = _REQUEST.unpack(fields.take(_REQUEST.size))
    errand = Errand(
        kind=member(Kind, code),
        route=tuple(read_name(fields) for _ in range(within("sites", sites, 2, MAX_SITES))),
        master=read_name(fields),
        slave=read_name(fields),
        keys=tuple(_read_key(fields) for _ in range(within("keys", keys, 1, MAX_KEYS))),
        max_epsilon=probability(most),
    )
    request = Request(
        errand=errand,
        hop=hop,
        epsilon=probability(spent),
        units=read_units(fields, within("units", units, 2, MAX_UNITS)),
        payload=fields.take(within("bytes of payload", length, 0, MAX_PAYLOAD)),
        tag=fields.take(TAG_BYTES),
    )
    fields.end()
    _check(request)
    return request


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request."""

    verdict: Verdict
    epsilon: float = 0.0
    """`Verdict.PLACED`: sum of the epsilons of all hops."""
    proof: bytes = bytes(TAG_BYTES)
    """`Verdict.PLACED`: the last site's tag over what it got, under the key that came with it."""
    tag: bytes = field(default=bytes(TAG_BYTES), repr=False)

    def text(self) -> bytes:
        """Return everything but the tag, as it travels."""
        return self.encode()[:-TAG_BYTES]

    def encode(self) -> bytes:
        """Return the 48 bytes that travel."""
        return _ANSWER_HEAD + _ANSWER.pack(self.verdict, 0, self.epsilon, self.proof, self.tag)


def decode_answer(data: bytes) -> Answer:
    """Return the answer that these bytes hold; who made it is not judged.

    Raises
    ------
    RemoteProtocolError
        They are no answer.
    """
    fields = Fields(data, _ANSWER_HEAD, "of the relay")
    code, zero, epsilon, proof, tag = _ANSWER.unpack(fields.take(_ANSWER.size))
    fields.end()
    within("bytes kept free", zero, 0, 0)
    return Answer(member(Verdict, code), probability(epsilon), proof, tag)


def _check(request: Request) -> None:
    errand = request.errand
    faults = [
        fault
        for is_wrong, fault in (
            (len(set(errand.route)) != len(errand.route), "its route passes a site twice"),
            (request.hop > len(errand.route) - 2, "its hop lies beyond its route"),
            (len(set(errand.key_ids)) != len(errand.keys), "it names a key twice"),
            (len(request.payload) != errand.payload_bytes, "its payload does not fit its keys"),
            (len(request.units) != errand.units, "it names more or fewer units than it needs"),
            (len(set(request.units)) != len(request.units), "it names a unit twice"),
        )
        if is_wrong
    ]
    if faults:
        raise RemoteProtocolError("a relay request is refused: " + "; ".join(faults))


def _read_key(fields: Fields) -> KeyName:
    name, bits = str(uuid.UUID(bytes=fields.take(16))), int.from_bytes(fields.take(2), "big")
    within("bits of a key beyond whole bytes", bits % 8, 0, 0)
    return KeyName(name, within("bits of a key", bits, 8, MAX_KEY_BITS))
