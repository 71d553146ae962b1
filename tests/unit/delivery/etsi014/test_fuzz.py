"""Whatever comes over the wire: an answer of the standard, no exception, no key for a request that is none."""

import asyncio
import json
import time
import uuid
from collections import Counter
from dataclasses import replace
from urllib.parse import parse_qs, unquote

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faintlink.delivery.etsi014.messages import encode_error
from faintlink.delivery.etsi014.service import Api014, ApiRequest, ApiResponse
from faintlink.delivery.etsi014.settings import Api014Settings, RateSettings
from tests.unit.delivery.etsi014.case import FOR_BOB, supply_of_cases
from tests.unit.delivery.etsi014.cases import CASES
from tests.unit.delivery.etsi014.fakes import MemorySupply
from tests.unit.delivery.etsi014.schema import fits, validator

UNLIMITED = Api014Settings(rate=RateSettings(requests_per_s=1e9, request_burst=2**31 - 1, keys_per_s=1e9))
HEALTHY = {200, 400, 401, 404, 405, 413}
WORDS = [b"\x00", b"\xff", b"%", b"%00", b"&", b"=", b"{", b"}", b"[", b'"', b"null", b"1e999", b"-0", b"\\ud800", b"/"]


class Fuzzer:
    """Repeats known requests with parts cut, doubled, swapped between them, or overwritten."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._seeds = [case.request for case in CASES if len(case.request.body) < 4096]

    def request(self) -> ApiRequest:
        base, other = self._seed(), self._seed()
        place = self._random.integers(0, 5)
        if place == 0:
            return replace(base, path=self._mutated(base.path.encode(), other.path.encode()).decode("latin-1"))
        if place == 1:
            return replace(base, query=self._mutated(base.query.encode(), other.query.encode()).decode("latin-1"))
        if place == 2:
            return replace(base, method=other.method, caller=other.caller, content_type=other.content_type)
        return replace(base, body=self._mutated(base.body, other.body))

    def _seed(self) -> ApiRequest:
        return self._seeds[int(self._random.integers(0, len(self._seeds)))]

    def _mutated(self, data: bytes, other: bytes) -> bytes:
        for _ in range(int(self._random.integers(1, 4))):
            start, end = sorted(int(at) for at in self._random.integers(0, len(data) + 1, 2))
            kind = self._random.integers(0, 5)
            if kind == 0:
                data = data[:start] + data[end:]
            elif kind == 1:
                data = data[:end] + data[start:end] + data[end:]
            elif kind == 2:
                data = data[:start] + WORDS[int(self._random.integers(0, len(WORDS)))] + data[start:]
            elif kind == 3:
                data = data[:start] + other[start:end] + data[end:]
            elif start < len(data):
                data = data[:start] + bytes([int(self._random.integers(0, 256))]) + data[start + 1 :]
        return data


def is_valid(request: ApiRequest) -> bool:
    """Say, by the OpenAPI file and the standard library, whether a request may be answered with keys."""
    method = request.path.rpartition("/")[2]
    if request.method == "POST":
        schema = {"enc_keys": "KeyRequest", "dec_keys": "KeyIds"}[method]
        return fits(schema, json.loads(request.body or b"{}"))
    given = parse_qs(request.query, keep_blank_values=True, strict_parsing=bool(request.query))
    if method == "dec_keys":
        return str(uuid.UUID(unquote(given["key_ID"][0]))) == given["key_ID"][0].lower()
    return fits("KeyRequest", {name: int(value) for name, (value,) in given.items()})


def check(request: ApiRequest, answer: ApiResponse, supply: MemorySupply) -> None:
    """Look at one answer of a site that is well."""
    assert answer.status in HEALTHY
    if request.caller is None:
        assert (answer.status, answer.body) == (401, b"")
    if answer.status == 200 and not request.path.endswith("status"):
        validator("KeyContainer").validate(json.loads(answer.body))
        assert is_valid(request)
    else:
        assert supply.handed_out == []
    if answer.status in (400, 413):
        validator("Error").validate(json.loads(answer.body))


def fuzz(number: int, seed: int) -> Counter[int]:
    """Ask ``number`` fuzzed requests and return how often each status came."""
    fuzzer, statuses = Fuzzer(seed), Counter[int]()

    async def ask_all() -> None:
        for _ in range(number):
            request, supply = fuzzer.request(), supply_of_cases()
            api = Api014(supply, UNLIMITED)
            started_s = time.thread_time()
            answer = await api.answer(request)
            assert time.thread_time() - started_s < 1.0
            check(request, answer, supply)
            statuses[answer.status] += 1

    asyncio.run(ask_all())
    return statuses


def test_5000_fuzzed_requests_are_answered_by_the_standard() -> None:
    statuses = fuzz(5000, seed=14)
    # The fuzzer reaches the rules and not only the first check.
    assert statuses[400] > 1000
    assert all(statuses[status] > 50 for status in (200, 401, 404, 405))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_100000_fuzzed_requests_are_answered_by_the_standard() -> None:
    assert sum(fuzz(100_000, seed=20190201).values()) == 100_000


@given(
    verb=st.sampled_from(["GET", "POST", "PUT", "\x00", ""]) | st.text(max_size=8),
    path=st.from_regex(r"/api/v1/keys/(bob|alice|%[0-9a-f]{2}|.{0,9})/(status|enc_keys|dec_keys)/?", fullmatch=True)
    | st.text(max_size=80),
    query=st.from_regex(r"((number|size|key_ID|x)=[0-9a-f%+-]{0,36}&?){0,3}", fullmatch=True) | st.text(max_size=40),
    body=st.binary(max_size=200),
    content_type=st.sampled_from([None, "application/json"]) | st.text(max_size=20),
)
@settings(max_examples=60, deadline=None)
def test_no_bytes_make_it_raise(verb: str, path: str, query: str, body: bytes, content_type: str | None) -> None:
    supply = supply_of_cases()
    request = ApiRequest(verb, path, query, "bob", body, content_type)
    check(request, asyncio.run(Api014(supply, UNLIMITED).answer(request)), supply)


NAMES = st.sampled_from(
    ["number", "size", "key_IDs", "key_ID", "key_ID_extension", "extension_mandatory", "extension_optional"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | st.just(FOR_BOB),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | NAMES, inner, max_size=3),
    max_leaves=8,
)


@given(value=st.dictionaries(NAMES, JSON, max_size=3) | JSON, method=st.sampled_from(["enc_keys", "dec_keys"]))
@settings(max_examples=60, deadline=None)
def test_any_json_is_answered_by_what_the_openapi_file_says_of_it(value: object, method: str) -> None:
    supply = supply_of_cases()
    request = ApiRequest(
        "POST", f"/api/v1/keys/alice/{method}", "", "bob", json.dumps(value).encode(), "application/json"
    )
    answer = asyncio.run(Api014(supply, UNLIMITED).answer(request))
    check(request, answer, supply)
    if method == "enc_keys":
        # 1.0 is an integer to JSON Schema; a request is refused for it all the same.
        assert answer.status == 200 or not is_valid(request) or ".0" in json.dumps(value)


@given(st.text(max_size=100))
def test_any_message_can_be_told(message: str) -> None:
    assert json.loads(encode_error(message)) == {"message": message}
