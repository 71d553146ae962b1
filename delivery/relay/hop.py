"""One hop of a relayed key: its one-time pad, its tags, and what they add to the key's epsilon.

The sender takes as many units of its reserve towards the next site as `Errand.units
<faintlink.delivery.relay.packet.Errand.units>` says: the first is the key of the request's tag, the second that of
the answer's, the rest is a one-time pad over the keys. It names them in the request; the receiver finds the same bits
in its store. No unit ever serves twice, on either side, whatever is repeated, lost or forged.

The receiver checks the tag under the first unit before it takes any other, and uses up this unit only when the tag
verifies: see `faintlink.delivery.relay.tagkeys`. So a repeated request costs no unit, for its first one is gone; and a
forged one costs the honest request nothing, whether it comes before or after. The answer's tag covers the whole request
besides the answer, so that it cannot stand for another. It is checked once: an answer that was altered on the way
cannot come again.

Both tags are Wegman-Carter tags of `faintlink.postprocess.channel.onetime`; a forged one passes with a chance of at
most ``8 ceil(L / 16) / 2**106``, L being the most bytes that a request and its answer may have. For each hop this is
added once for the answer, and for the request as often as tags are checked under one key at most, beside the epsilons
of the distilled blocks that the units come from.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

import numpy as np

from faintlink.core.errors import AuthenticationError
from faintlink.delivery.keystore.model import UNIT_BYTES, Pool, UnitId
from faintlink.delivery.keystore.sealing import wipe
from faintlink.delivery.keystore.store import KeyStore
from faintlink.delivery.relay.packet import ANSWER_BYTES, MAX_REQUEST, Answer, Errand, Request, decode_answer
from faintlink.delivery.relay.tagkeys import REQUEST_EPSILON, TagKeys
from faintlink.postprocess.channel.envelope import Direction
from faintlink.postprocess.channel.epsilon import forgery_bound
from faintlink.postprocess.channel.onetime import TAG_BYTES, KeyPosition, OneTimeKey
from faintlink.postprocess.security.rounding import float_above

TAGS_EPSILON: Final = REQUEST_EPSILON + forgery_bound(MAX_REQUEST + ANSWER_BYTES)
"""Chance, at most, that somebody forges the request or the answer of a hop, however often he tries."""
BlockEpsilon = Callable[[str], float]
"""Tells the security parameter of a distilled block by its name."""


@dataclass(frozen=True, slots=True)
class SentRequest:
    """A request that is ready to go, with what is needed to judge its answer."""

    request: Request
    frame: bytes
    answer_key: OneTimeKey


@dataclass(frozen=True, slots=True)
class OpenedRequest:
    """A request whose tag is the sender's."""

    request: Request
    frame: bytes
    answer_key: OneTimeKey
    payload: bytearray
    """Keys and check key in the clear; whoever has it overwrites it."""

    def __repr__(self) -> str:
        return f"OpenedRequest(hop {self.request.hop} of {self.request.errand.key_ids})"


def spent(before: float, units: Sequence[UnitId], block_epsilon: BlockEpsilon) -> float:
    """Return the epsilon after a hop that uses ``units``: one share for each block, and one for the tags."""
    blocks = sum(Fraction(block_epsilon(block)) for block in {unit.block for unit in units})
    return min(1.0, float_above(Fraction(before) + blocks + TAGS_EPSILON))


def seal_request(
    store: KeyStore,
    errand: Errand,
    hop: int,
    payload: bytearray,
    *,
    epsilon: float,
    block_epsilon: BlockEpsilon,
) -> SentRequest:
    """Take the units of a hop and return its request; ``payload`` is padded in place.

    Parameters
    ----------
    store
        Of the sending site.
    errand, hop
        What is asked for, and where on the way.
    payload
        Keys and check key in the clear; they are gone when this returns.
    epsilon
        Spent on the hops before.
    block_epsilon
        Of the blocks shared with the next site.

    Raises
    ------
    KeyExhaustedError
        The reserve holds too little; nothing was taken.
    """
    use = f"relay {errand.kind.name.lower()} of {errand.key_ids[0]}, hop {hop}"
    units, material = store.take(errand.route[hop + 1], Pool.RESERVE_OURS, errand.units, use=use)
    tag_key = _one_time(material[:UNIT_BYTES], units[0], Direction.ALICE_TO_BOB)
    answer_key = _one_time(material[UNIT_BYTES : 2 * UNIT_BYTES], units[1], Direction.BOB_TO_ALICE)
    _pad(payload, memoryview(material)[2 * UNIT_BYTES :])
    wipe(material)
    request = Request(
        errand=errand,
        hop=hop,
        epsilon=spent(epsilon, units, block_epsilon),
        units=tuple(units),
        payload=bytes(payload),
    )
    request = replace(request, tag=tag_key.tag([request.text()]))
    return SentRequest(request, request.encode(), answer_key)


def open_request(tag_keys: TagKeys, peer: str, request: Request, frame: bytes) -> OpenedRequest:
    """Check a request's tag, take the units that it names and return what it carries.

    Raises
    ------
    KeyUnknownError
        A unit was used before or is not in the stock: the request is a repetition, or the stocks differ.
    AuthenticationError
        The tag is not the sender's. Nothing that an honest request needs was used up.
    """
    tag_keys.verify(peer, request.units[0], [frame[:-TAG_BYTES]], request.tag)
    use = f"relay {request.errand.kind.name.lower()} of {request.errand.key_ids[0]}, from {peer}"
    rest = tag_keys.take(peer, request.units[1:], use=use)
    answer_key = _one_time(rest[:UNIT_BYTES], request.units[1], Direction.BOB_TO_ALICE)
    payload = bytearray(request.payload)
    _pad(payload, memoryview(rest)[UNIT_BYTES:])
    wipe(rest)
    return OpenedRequest(request, frame, answer_key, payload)


def seal_answer(opened: OpenedRequest, answer: Answer) -> bytes:
    """Return the one answer to a request."""
    return replace(answer, tag=opened.answer_key.tag([opened.frame, answer.text()])).encode()


def open_answer(sent: SentRequest, data: bytes) -> Answer:
    """Return the answer to a request.

    Raises
    ------
    RemoteProtocolError
        The bytes are no answer.
    AuthenticationError
        It is not the receiver's, or the answer to another request.
    """
    answer = decode_answer(data)
    if not sent.answer_key.check([sent.frame, answer.text()], answer.tag):
        raise AuthenticationError(
            f"the tag of an answer of {sent.request.receiver} is wrong",
            hint="somebody alters what passes between the sites; what the request carried is given up",
        )
    return answer


def _one_time(key: bytearray, unit: UnitId, direction: Direction) -> OneTimeKey:
    return OneTimeKey(key, direction=direction, position=KeyPosition(0, unit.number))


def _pad(payload: bytearray, pad: memoryview) -> None:
    """Pad in place, so that no further copy of the keys or of the pad comes into being."""
    if payload:
        into = np.frombuffer(payload, np.uint8)
        np.bitwise_xor(into, np.frombuffer(pad, np.uint8)[: len(payload)], out=into)
