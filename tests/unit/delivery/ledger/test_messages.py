"""Messages between sites: one encoding each, and nothing else is read."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faintlink.core.errors import RemoteProtocolError
from faintlink.delivery.keystore.model import Assignment, BlockLedger, UnitId
from faintlink.delivery.ledger.messages import (
    MOST_BYTES,
    AskStates,
    Assign,
    AssignedKey,
    Bitmap,
    Hello,
    Refused,
    Request,
    Void,
    decode_answer,
    decode_request,
    encode,
    free_units,
    ledger_digest,
)
from tests.unit.delivery.ledger.sites import Pair

ids = st.uuids().map(str)
names = st.text("abcXYZ019-.@", min_size=1, max_size=64)
units = st.builds(UnitId, names.map(lambda text: text.replace("@", "_")), st.integers(0, 2**20 - 1))
keys = st.builds(Assignment, ids, st.integers(8, 1 << 20), names, names, st.lists(units, max_size=9).map(tuple))
requests = st.one_of(
    st.lists(keys, min_size=1, max_size=4).map(lambda made: Assign(keys=tuple(AssignedKey.of(key) for key in made))),
    st.builds(lambda key_ids, reason: Void(key_ids=tuple(key_ids), reason=reason), st.lists(ids), st.just("a test")),
    st.builds(lambda key_ids: AskStates(key_ids=tuple(key_ids)), st.lists(ids)),
)


@given(requests)
def test_every_request_survives_its_encoding(request_: Request) -> None:
    assert decode_request(encode(request_)) == request_


@given(keys)
def test_an_assignment_keeps_its_units_in_their_order(key: Assignment) -> None:
    assert AssignedKey.of(key).assignment == key


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused_and_answered(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_request(data)
    assert isinstance(decode_answer(Pair().answers("site-a").receive(data)), Refused)


@given(requests, st.data())
def test_a_frame_with_one_byte_changed_is_refused_or_is_another_request(request_: Request, data: st.DataObject) -> None:
    frame = bytearray(encode(request_))
    place = data.draw(st.integers(0, len(frame) - 1))
    frame[place] ^= data.draw(st.integers(1, 255))
    try:
        seen = decode_request(bytes(frame))
    except RemoteProtocolError:
        return
    assert seen != request_


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + " ",
        lambda text: text.replace('"kind"', '"kind":"void","kind"'),
        lambda text: text.replace('"v":1', '"v":2'),
        lambda text: text.replace('"v":1', '"v":true'),
        lambda text: text.replace('"v":1', '"v":1,"more":0'),
        lambda text: text[:-1],
        lambda text: "",
        lambda text: text.replace("share_first", "share_last"),
    ],
)
def test_what_is_not_the_one_encoding_is_refused(change: "object") -> None:
    hello = Hello(site="a", instance=str(uuid.uuid4()), first_site="a", share_first=50, share_reserve=10)
    text = encode(hello).decode()
    assert decode_request(text.encode()) == hello
    with pytest.raises(RemoteProtocolError):
        decode_request(change(text).encode())  # type: ignore[operator]


def test_a_frame_beyond_the_limit_is_not_read() -> None:
    with pytest.raises(RemoteProtocolError, match="longer"):
        decode_request(bytes(MOST_BYTES + 1))


@given(st.integers(0, 200), st.data())
def test_a_bitmap_names_the_units_that_are_left(count: int, data: st.DataObject) -> None:
    left = data.draw(st.frozensets(st.integers(0, max(0, count - 1)), max_size=count))
    free = bytearray((count + 7) // 8)
    for number in left:
        free[number >> 3] |= 0x80 >> (number & 7)
    ledger = BlockLedger("block", count, bytes(free))
    assert free_units(ledger) == left
    assert Bitmap.of(ledger).free_units() == left


@pytest.mark.parametrize("free", ["A", "AAAA", "AAA="])
def test_a_bitmap_of_another_length_is_refused(free: str) -> None:
    with pytest.raises(RemoteProtocolError):
        Bitmap(block="b", units=3, free=free).free_units()


def test_the_digest_does_not_depend_on_the_order_of_blocks() -> None:
    one, two = BlockLedger("b1", 8, b"\xff"), BlockLedger("b2", 8, b"\x0f")
    assert ledger_digest([one, two]) == ledger_digest([two, one])
    assert ledger_digest([one]) != ledger_digest([two])
