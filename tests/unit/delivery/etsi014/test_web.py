"""What goes over the wire."""

import asyncio
import http.client
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from faintlink.delivery.etsi014.service import Api014
from faintlink.delivery.etsi014.settings import Api014Settings
from faintlink.delivery.keystore.model import DeliveredKey
from tests.unit.delivery.etsi014.case import Case, supply_of_cases
from tests.unit.delivery.etsi014.cases import CASES
from tests.unit.delivery.etsi014.fakes import MemorySupply
from tests.unit.delivery.etsi014.loopback import CALLER, Loopback

WIRE_CASES = [case for case in CASES if case.request.path.startswith("/") and len(case.request.query) < 5000]


@pytest.fixture
def connection() -> Iterator[http.client.HTTPConnection]:
    with Loopback(Api014(MemorySupply()), caller="alice") as server:
        connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=10)
        yield connection
        connection.close()


def exchange(connection: http.client.HTTPConnection, case: Case) -> tuple[int, bytes, str | None]:
    request = case.request
    headers = {CALLER: request.caller or ""}
    if request.content_type:
        headers["Content-Type"] = request.content_type
    target = f"{request.path}?{request.query}" if request.query else request.path
    connection.request(request.method, target, request.body or None, headers)
    response = connection.getresponse()
    return response.status, response.read(), response.headers["Cache-Control"]


def test_the_wire_carries_what_the_service_answers() -> None:
    for case in WIRE_CASES:
        with Loopback(Api014(supply_of_cases()), caller=case.request.caller) as server:
            connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=10)
            answer = exchange(connection, case)
            connection.close()
        assert answer == (case.status, case.body, "no-store"), case.name


def test_an_answer_without_a_body_claims_no_media_type(connection: http.client.HTTPConnection) -> None:
    connection.request("GET", "/nothing")
    response = connection.getresponse()
    assert (response.status, response.read(), response.headers["Content-Length"]) == (404, b"", "0")
    assert response.headers["Content-Type"] is None


@pytest.mark.parametrize(("encoding", "status", "keys"), [("identity", 200, 2), ("Identity", 200, 2), ("gzip", 400, 0)])
def test_a_body_is_read_as_it_is_or_not_at_all(
    connection: http.client.HTTPConnection, encoding: str, status: int, keys: int
) -> None:
    connection.request("POST", "/api/v1/keys/bob/enc_keys", b'{"number":2}', {"Content-Encoding": encoding})
    response = connection.getresponse()
    assert (response.status, response.read().count(b"key_ID")) == (status, keys)


def test_a_body_without_end_is_cut_off_at_the_limit(connection: http.client.HTTPConnection) -> None:
    connection.request(
        "POST",
        "/api/v1/keys/bob/enc_keys",
        iter([b" " * 4096] * 40),
        {"Content-Type": "application/json"},
        encode_chunked=True,
    )
    assert connection.getresponse().status == 413


def test_requests_follow_each_other_on_one_connection(connection: http.client.HTTPConnection) -> None:
    for _ in range(3):
        connection.request("GET", "/api/v1/keys/bob/enc_keys?number=2")
        response = connection.getresponse()
        assert response.status == 200
        assert b"AAAAAAAA" not in response.read()


POST = b"POST /api/v1/keys/bob/enc_keys HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
GET = b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def raw(server: Loopback, data: bytes, *, then: bytes = b"") -> bytes:
    """Send bytes and return all that comes back; ``then`` is sent after a first answer."""
    with connect(server) as connection:
        connection.sendall(data)
        first = connection.recv(4096)
        connection.sendall(then)
        return first + b"".join(iter(lambda: connection.recv(4096), b""))


def connect(server: Loopback) -> socket.socket:
    host, _, port = server.url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=10)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}XX\r\n0\r\n\r\n", 400),
        (POST + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", 400),
        (POST + b"Content-Encoding: deflate\r\nContent-Length: 5\r\n\r\n\x78\x9cabc", 400),
        (POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
        (POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"CONNECT /api/v1/keys/bob/status" + GET, 405),
        (b"G\x00T /api/v1/keys/bob/status" + GET, 400),
        (b"GET /api/v1/keys/b\xc3\xb6b/status" + GET, 400),
        (b"OPTIONS *" + GET, 404),
        (b"GET /api/v1/keys/bob/status#x" + GET, 404),
        (b"GET //api/v1/keys/bob/status" + GET, 404),
        (b"GET http://[::1/api/v1/keys/bob/status" + GET, 400),
        (b"GET /api/v1/keys/" + b"b" * 20_000 + b"/status" + GET, 400),
        (b"GET /api/v1/keys/bob/status HTTP/9.9\r\n\r\n", 400),
        (b"GET /api/v1/keys/bob/status HTTP/1.0\r\n\r\n", 200),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    ],
)
def test_what_is_hardly_http_gets_an_answer_that_is_no_error_of_the_server(data: bytes, status: int) -> None:
    supply = MemorySupply()
    with Loopback(Api014(supply), caller="alice") as server:
        assert int(raw(server, data).split(b" ", 2)[1]) == status
    assert supply.handed_out == []


def test_a_client_that_waits_for_leave_to_send_its_body_gets_it() -> None:
    ask = POST + b"Content-Type: application/json\r\nContent-Length: 12\r\nExpect: 100-continue\r\n\r\n"
    with Loopback(Api014(MemorySupply()), caller="alice") as server:
        answer = raw(server, ask, then=b'{"number":2}')
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert answer.count(b"key_ID") == 2


def test_a_body_that_does_not_come_is_given_up() -> None:
    api = Api014(MemorySupply(), Api014Settings(body_within_s=0.1))
    with Loopback(api, caller="alice") as server, connect(server) as connection:
        connection.sendall(POST + b"Content-Length: 12\r\n\r\n{")
        assert connection.recv(13) == b"HTTP/1.1 408 "


class HeldSupply(MemorySupply):
    """Hands out keys only when the test lets it."""

    held = threading.Event()

    async def new_keys(self, *, master: str, slave: str, number: int, bits: int) -> list[DeliveredKey]:
        keys = await super().new_keys(master=master, slave=slave, number=number, bits=bits)
        while not self.held.is_set():
            await asyncio.sleep(0.01)
        return keys


def test_keys_for_a_client_that_has_left_are_overwritten_and_told(caplog: pytest.LogCaptureFixture) -> None:
    supply = HeldSupply()
    with Loopback(Api014(supply), caller="alice") as server:
        with connect(server) as connection:
            connection.sendall(b"GET /api/v1/keys/bob/enc_keys" + GET)
            eventually(lambda: bool(supply.handed_out))
            # The connection is reset and not merely ended.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        supply.held.set()
        eventually(lambda: "'alice' left before its keys were sent" in caplog.text)
    assert [set(key.material) for key in supply.handed_out] == [{0}]


def eventually(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)
