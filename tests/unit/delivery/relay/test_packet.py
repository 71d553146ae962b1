"""Relay messages have one form each, and nothing else is read."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faintlink.core.errors import RemoteProtocolError
from faintlink.delivery.keystore.model import UnitId
from faintlink.delivery.relay.packet import (
    ANSWER_BYTES,
    MAX_REQUEST,
    MAX_UNITS,
    Answer,
    Errand,
    KeyName,
    Kind,
    Request,
    Verdict,
    decode_answer,
    decode_request,
)

NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64)
EPSILONS = st.floats(0.0, 1.0)
KEYS = st.builds(KeyName, st.uuids().map(str), st.integers(1, 128).map(lambda size: 8 * size))
UNITS = st.builds(UnitId, st.sampled_from(["block-a", "block-b"]), st.integers(0, 2**32 - 1))


@st.composite
def requests(draw: st.DrawFn) -> Request:
    errand = Errand(
        kind=draw(st.sampled_from(Kind)),
        route=tuple(draw(st.lists(NAMES, min_size=2, max_size=16, unique=True))),
        master=draw(NAMES),
        slave=draw(NAMES),
        keys=tuple(draw(st.lists(KEYS, min_size=1, max_size=5, unique_by=lambda key: key.key_id))),
        max_epsilon=draw(EPSILONS),
    )
    return Request(
        errand=errand,
        hop=draw(st.integers(0, len(errand.route) - 2)),
        epsilon=draw(EPSILONS),
        units=tuple(draw(st.lists(UNITS, min_size=errand.units, max_size=errand.units, unique=True))),
        payload=draw(st.binary(min_size=errand.payload_bytes, max_size=errand.payload_bytes)),
        tag=draw(st.binary(min_size=16, max_size=16)),
    )


ANSWERS = st.builds(
    Answer, st.sampled_from(Verdict), EPSILONS, st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16)
)


def example(**changes: object) -> Request:
    """Return one request of a hundred and a few bytes, with changes."""
    keys = (KeyName("00000000-0000-4000-8000-000000000001", 256),)
    errand = Errand(kind=Kind.KEYS, route=("a", "b"), master="m", slave="s", keys=keys, max_epsilon=1e-6)
    fields: dict[str, object] = {
        "errand": errand,
        "hop": 0,
        "epsilon": 1e-9,
        "units": tuple(UnitId("u", number) for number in range(4)),
        "payload": bytes(64),
    }
    return Request(**{**fields, **changes})  # type: ignore[arg-type]


@given(requests())
def test_a_request_is_read_as_it_was_written(request_: Request) -> None:
    assert decode_request(request_.encode()) == request_


@given(ANSWERS)
def test_an_answer_is_read_as_it_was_written(answer: Answer) -> None:
    data = answer.encode()
    assert len(data) == ANSWER_BYTES
    assert decode_answer(data) == answer


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_or_have_one_form(data: bytes) -> None:
    for head, decode in ((b"FLRY\x01", decode_request), (b"FLRA\x01", decode_answer)):
        try:
            message = decode(head + data)
        except RemoteProtocolError:
            continue
        assert message.encode() == head + data


@given(requests(), st.data())
def test_a_changed_byte_is_refused_or_gives_another_request(request_: Request, data: st.DataObject) -> None:
    frame = bytearray(request_.encode())
    frame[data.draw(st.integers(0, len(frame) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        seen = decode_request(bytes(frame))
    except RemoteProtocolError:
        return
    assert seen != request_
    assert seen.encode() == bytes(frame)


@given(requests(), st.integers(0, 400))
def test_a_request_that_is_cut_short_or_too_long_is_refused(request_: Request, size: int) -> None:
    frame = request_.encode()
    for wrong in (frame[: min(size, len(frame) - 1)], frame + bytes(1 + size)):
        with pytest.raises(RemoteProtocolError):
            decode_request(wrong)


def test_the_form_of_a_request_is_pinned() -> None:
    head = "464c525901010002" + "00010004" + "00000040" + "3e112e0be826d695" + "3eb0c6f7a0b5ed8d"
    names = "0161" + "0162" + "016d" + "0173"
    key = "00000000000040008000000000000001" + "0100"
    units = "0175" + "0004" + "00000000" + "00000001" + "00000002" + "00000003"
    assert example().encode().hex() == head + names + key + units + "00" * 64 + "00" * 16


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hop": 1}, "beyond its route"),
        ({"payload": bytes(63)}, "does not fit"),
        ({"payload": bytes(65)}, "does not fit"),
        ({"units": (UnitId("u", 0), UnitId("u", 1), UnitId("u", 2))}, "more or fewer units"),
        ({"units": (UnitId("u", 0),) * 4}, "a unit twice"),
        ({"epsilon": 1.5}, "within 0 and 1"),
        ({"epsilon": float("nan")}, "within 0 and 1"),
    ],
)
def test_a_request_at_odds_with_itself_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(RemoteProtocolError, match=words):
        decode_request(example(**changes).encode())


@pytest.mark.parametrize(
    ("route", "words"),
    [(("a",), "sites"), (("a", "b", "a"), "a site twice"), (tuple(str(n) for n in range(17)), "sites")],
)
def test_a_route_that_is_none_is_refused(route: tuple[str, ...], words: str) -> None:
    errand = Errand(kind=Kind.VOID, route=route, master="m", slave="s", keys=example().errand.keys, max_epsilon=1.0)
    frame = example(errand=errand, units=(UnitId("u", 0), UnitId("u", 1)), payload=b"").encode()
    with pytest.raises(RemoteProtocolError, match=words):
        decode_request(frame)


@pytest.mark.parametrize("bits", [0, 4, 257, 8200])
def test_a_key_of_a_length_that_is_not_relayed_is_refused(bits: int) -> None:
    frame = bytearray(example().encode())
    at = bytes(frame).index(bytes.fromhex("0100" + "0175"))
    frame[at : at + 2] = bits.to_bytes(2, "big")
    with pytest.raises(RemoteProtocolError, match="bits of a key"):
        decode_request(bytes(frame))


def test_a_request_longer_than_the_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(RemoteProtocolError, match=str(MAX_REQUEST)):
        decode_request(bytes(MAX_REQUEST + 1))


def test_the_longest_request_within_the_limits_fits() -> None:
    keys = tuple(KeyName(str(uuid.UUID(int=number)), 2040) for number in range(256))
    errand = Errand(kind=Kind.KEYS, route=("a", "b"), master="m" * 64, slave="s" * 64, keys=keys, max_epsilon=1.0)
    units = tuple(UnitId(f"{number:064d}", 2**32 - 1) for number in range(errand.units))
    assert errand.units <= MAX_UNITS
    request = Request(errand=errand, hop=0, epsilon=1.0, units=units, payload=bytes(errand.payload_bytes))
    assert decode_request(request.encode()) == request


def test_a_message_shows_no_payload_in_its_repr() -> None:
    assert "payload" not in repr(example(payload=b"\xaa" * 64))
    assert "\\xaa" not in repr(example(payload=b"\xaa" * 64))


@pytest.mark.parametrize("verdict", [0, 9, 255])
def test_an_unknown_verdict_is_refused(verdict: int) -> None:
    frame = bytearray(Answer(Verdict.PLACED).encode())
    frame[5] = verdict
    with pytest.raises(RemoteProtocolError, match="verdict"):
        decode_answer(bytes(frame))
