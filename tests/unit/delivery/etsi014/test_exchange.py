"""Answers of foreign KMEs: lenient where no key depends on it."""

import asyncio
import base64
import json
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faintlink.core.errors import (
    AccessDeniedError,
    DeliveryError,
    FaintlinkError,
    KeyUnknownError,
    PeerUnavailableError,
    RemoteProtocolError,
)
from faintlink.delivery.etsi014 import exchange
from faintlink.delivery.etsi014.exchange import Call, Reply
from faintlink.delivery.etsi014.service import Api014, ApiRequest
from faintlink.delivery.etsi014.targets import Method
from tests.unit.delivery.etsi014.case import STATUS
from tests.unit.delivery.etsi014.fakes import MemorySupply, material_of, name_of

A, B = name_of(1), name_of(2)
KEY = material_of(A, 256)


def container(*names: str, label: str = "keys", **more: Any) -> bytes:
    entries = [{"key_ID": name, "key": base64.b64encode(material_of(name, 256)).decode()} for name in names]
    return json.dumps({label: entries, **more}).encode()


def one(key: Any, name: Any = A) -> bytes:
    return json.dumps({"keys": [{"key_ID": name, "key": key}]}).encode()


def new_keys(body: bytes, *, number: int = 1, size: int = 256) -> list[bytes]:
    keys = exchange.read_new_keys(Reply(200, body), number=number, size=size)
    return [bytes(key.material) for key in keys]


def ask(api: Api014, call: Call, caller: str) -> Reply:
    """Carry a call to our own service."""
    request = ApiRequest(call.verb, call.target, "", caller, call.body or b"", "application/json")
    answer = asyncio.run(api.answer(request))
    return Reply(answer.status, bytes(answer.body))


def test_our_own_service_understands_the_calls() -> None:
    api = Api014(MemorySupply())
    status = exchange.read_status(ask(api, exchange.status_call("bob"), "alice"))
    assert (status.source_kme, status.slave, status.max_key_per_request) == ("kme-a", "bob", 128)
    made = exchange.read_new_keys(
        ask(api, exchange.enc_keys_call("bob", number=3, size=512), "alice"), number=3, size=512
    )
    names = [key.key_id for key in reversed(made)]
    copies = exchange.read_named_keys(ask(api, exchange.dec_keys_call("alice", names), "bob"), key_ids=names, size=512)
    assert [bytes(key.material) for key in copies] == [bytes(key.material) for key in reversed(made)]


def test_new_keys_are_never_asked_for_by_a_verb_that_libraries_repeat() -> None:
    assert exchange.enc_keys_call("bob", number=1, size=256).verb == "POST"


def test_a_name_is_encoded_for_the_url() -> None:
    assert exchange.status_call("urn:a/b?c").target == "/api/v1/keys/urn%3Aa%2Fb%3Fc/status"


@pytest.mark.parametrize(
    "body",
    [
        container(A),
        container(A, label="Keys"),
        container(A, key_container_extension={"x": 1}, vendor="y"),
        one(base64.b64encode(KEY).decode().rstrip("=")),
        one(base64.b64encode(KEY).decode() + "=="),
        one(base64.b64encode(KEY).decode(), A.upper()),
    ],
    ids=["plain", "as table 11 prints it", "more members", "no padding", "too much padding", "capitals"],
)
def test_a_key_is_read_in_spite_of_a_quirk(body: bytes) -> None:
    assert new_keys(body) == [KEY]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys":{}}',
        b'{"keys":[]}',
        b'{"keys":[1]}',
        b'{"keys":[{"key_ID":"' + A.encode() + b'"}]}',
        container(A, B),
        container(A, A),
        container(A) + container(A),
        one(base64.b64encode(KEY + b"\0").decode()),
        one(base64.b64encode(KEY[:-1]).decode()),
        one(base64.b64encode(KEY).decode()[:-2]),
        one(KEY.hex()),
        one(base64.b64encode(KEY).decode().replace("=", "*")),
        one(base64.b64encode(KEY).decode(), "key 1"),
        one(base64.b64encode(KEY).decode(), 1),
        one(None),
    ],
)
def test_an_answer_that_is_not_one_key_of_the_size_is_refused_and_not_repeated(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        new_keys(body)
    told = f"{caught.value!r} {caught.value} {caught.value.fields}"
    assert base64.b64encode(KEY).decode()[:20] not in told
    assert KEY.hex()[:20] not in told
    assert caught.value.hint


def test_more_keys_than_anybody_asks_for_are_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="no list of at most 1024 keys"):
        new_keys(container(*map(name_of, range(1025))), number=2000)


def test_an_answer_that_is_too_long_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="more than 16777216 bytes"):
        new_keys(container(A) + b" " * 2**24)


@pytest.mark.parametrize("names", [(A,), (A, B, name_of(3)), (A, name_of(3))])
def test_other_keys_than_the_named_ones_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(RemoteProtocolError, match="that are not the 2 that were named"):
        exchange.read_named_keys(Reply(200, container(*names)), key_ids=[A, B], size=256)


def test_named_keys_come_in_the_order_of_their_names() -> None:
    keys = exchange.read_named_keys(Reply(200, container(B, A)), key_ids=[A.upper(), B], size=256)
    assert [key.key_id for key in keys] == [A, B]


@pytest.mark.parametrize(
    ("status", "body", "method", "kind"),
    [
        (401, b"", Method.ENC_KEYS, AccessDeniedError),
        (403, b"<html>", Method.STATUS, AccessDeniedError),
        (503, b'{"message":"insufficient key material"}', Method.ENC_KEYS, PeerUnavailableError),
        (500, b"oops", Method.DEC_KEYS, PeerUnavailableError),
        (404, b"", Method.DEC_KEYS, KeyUnknownError),
        (400, b'{"message":"one or more keys specified are not found on KME"}', Method.DEC_KEYS, KeyUnknownError),
        (400, b'{"message":"size shall be a multiple of 8"}', Method.ENC_KEYS, RemoteProtocolError),
        (404, b"", Method.ENC_KEYS, RemoteProtocolError),
        (302, b"", Method.ENC_KEYS, RemoteProtocolError),
    ],
)
def test_a_refusal_becomes_the_error_that_says_why(
    status: int, body: bytes, method: Method, kind: type[FaintlinkError]
) -> None:
    error = exchange.refusal(Reply(status, body), method)
    assert type(error) is kind
    assert str(status) in error.message
    assert error.hint


def test_a_message_of_the_kme_is_told_if_it_can_be_shown() -> None:
    assert "no luck" in exchange.refusal(Reply(503, b'{"message":"no luck"}'), Method.STATUS).message
    assert "\x1b" not in exchange.refusal(Reply(503, b'{"message":"\\u001b[2J"}'), Method.STATUS).message
    assert len(exchange.refusal(Reply(503, b'{"message":"' + b"x" * 5000 + b'"}'), Method.STATUS).message) < 200


def test_numbers_of_a_status_may_be_text() -> None:
    status = json.loads(STATUS)
    told = json.dumps({name: str(value) for name, value in status.items()}).encode()
    assert exchange.read_status(Reply(200, told)) == exchange.read_status(Reply(200, STATUS))


NAMES = [name for name, value in json.loads(STATUS).items() if isinstance(value, str)]
NUMBERS = [name for name, value in json.loads(STATUS).items() if isinstance(value, int)]


BAD_NAMES: list[Any] = [None, 1, []]
BAD_NUMBERS: list[Any] = [None, True, -1, 2**31, "1e3", "\u0663", 1.0, []]


@pytest.mark.parametrize(("name", "value"), [*product(NAMES, BAD_NAMES), *product(NUMBERS, BAD_NUMBERS)])
def test_a_status_with_a_wrong_member_is_refused(name: str, value: Any) -> None:
    with pytest.raises(RemoteProtocolError):
        exchange.read_status(Reply(200, json.dumps({**json.loads(STATUS), name: value}).encode()))


@given(status=st.sampled_from([200, 200, 400, 401, 404, 503]), body=st.binary(max_size=100) | st.just(container(A)))
@settings(max_examples=100, deadline=None)
def test_no_answer_raises_anything_else(status: int, body: bytes) -> None:
    readers = (
        exchange.read_status,
        lambda reply: exchange.read_new_keys(reply, number=1, size=256),
        lambda reply: exchange.read_named_keys(reply, key_ids=[A], size=256),
    )
    for read in readers:
        try:
            read(Reply(status, body))
        except (DeliveryError, RemoteProtocolError):
            continue
        assert (status, body) == (200, container(A))


def test_a_reply_does_not_show_its_body() -> None:
    assert base64.b64encode(KEY).decode() not in repr(Reply(200, container(A)))
