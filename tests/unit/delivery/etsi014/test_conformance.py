"""What ETSI GS QKD 014 says, to the byte."""

import asyncio

import pytest

from faintlink.core.errors import (
    AuditError,
    FaintlinkError,
    KeyExhaustedError,
    PeerUnavailableError,
    SelfTestError,
    StoreError,
)
from faintlink.delivery.etsi014.service import Api014, ApiRequest, ApiResponse
from faintlink.delivery.etsi014.settings import Api014Settings, RateSettings
from tests.unit.delivery.etsi014.case import ALICE, BOB, DELIVERED, FOR_BOB, Case, error, supply_of_cases
from tests.unit.delivery.etsi014.cases import CASES
from tests.unit.delivery.etsi014.fakes import MemorySupply


def ask(api: Api014, request: ApiRequest) -> ApiResponse:
    return asyncio.run(api.answer(request))


def test_there_are_more_cases_than_were_promised_and_none_twice() -> None:
    assert len(CASES) >= 60
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_answer_is_that_of_the_standard(case: Case) -> None:
    answer = ask(Api014(supply_of_cases()), case.request)
    assert (answer.status, bytes(answer.body)) == (case.status, case.body)


def test_an_answer_is_never_kept_and_says_what_it_is() -> None:
    for case in CASES:
        answer = ask(Api014(supply_of_cases()), case.request)
        assert answer.headers["Cache-Control"] == "no-store", case.name
        assert answer.content_type == ("application/json" if case.body else None), case.name


def test_a_refusal_costs_no_key() -> None:
    for case in CASES:
        supply = supply_of_cases()
        before = dict(supply.promised), supply.stored
        if case.status != 200:
            ask(Api014(supply), case.request)
            assert (supply.promised, supply.stored, supply.handed_out) == (*before, []), case.name


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (KeyExhaustedError("0 of 256 bits are left"), "insufficient key material"),
        (PeerUnavailableError("no answer"), "the peer KME is not available"),
        (AuditError("disk full"), "key data access error"),
        (SelfTestError("vector 3"), "key data access error"),
        (StoreError("locked by process 7"), "key data access error"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
@pytest.mark.parametrize("target", [f"{BOB}/status", f"{BOB}/enc_keys", f"{ALICE}/dec_keys"])
def test_a_site_that_cannot_deliver_says_503_and_not_why(target: str, fault: FaintlinkError, message: str) -> None:
    supply = supply_of_cases()
    supply.fault = fault
    query = f"key_ID={FOR_BOB}" if target.endswith("dec_keys") else ""
    answer = ask(Api014(supply), ApiRequest("GET", target, query, "bob"))
    assert (answer.status, answer.body) == (503, error(message))


def test_keys_run_out_all_or_none() -> None:
    supply = MemorySupply(stored=2)
    answer = ask(Api014(supply), ApiRequest("GET", f"{BOB}/enc_keys", "number=3", "alice"))
    assert (answer.status, answer.body) == (503, error("insufficient key material"))
    assert supply.stored == 2


def test_a_key_is_fetched_once() -> None:
    api = Api014(supply_of_cases())
    request = ApiRequest("GET", f"{ALICE}/dec_keys", f"key_ID={FOR_BOB}", "bob")
    assert [ask(api, request).status for _ in range(3)] == [200, 400, 400]


def test_an_unknown_and_a_delivered_key_look_the_same() -> None:
    api = Api014(supply_of_cases())
    answers = [
        ask(api, ApiRequest("GET", f"{ALICE}/dec_keys", f"key_ID={name}", "bob"))
        for name in (DELIVERED, DELIVERED.replace("0", "e"))
    ]
    assert answers[0] == answers[1]


def test_a_method_that_is_not_allowed_names_those_that_are() -> None:
    api = Api014(MemorySupply())
    allowed = [
        ask(api, ApiRequest("PUT", f"{BOB}/{method}", "", "alice")).headers["Allow"]
        for method in ("status", "enc_keys", "dec_keys")
    ]
    assert allowed == ["GET", "GET, POST", "GET, POST"]


def test_an_encoded_body_is_refused_before_it_is_unpacked() -> None:
    request = ApiRequest(
        "POST", f"{BOB}/enc_keys", "", "alice", b"{}", content_type="application/json", content_encoding="gzip"
    )
    answer = ask(Api014(MemorySupply()), request)
    assert (answer.status, answer.body) == (400, error("an encoded body is not supported"))


def test_the_status_never_tells_more_keys_than_its_most() -> None:
    api = Api014(MemorySupply(stored=10**12), Api014Settings(max_key_count=7))
    assert b'"stored_key_count":7,"max_key_count":7,' in ask(api, ApiRequest("GET", f"{BOB}/status", "", "a")).body


def test_keys_are_overwritten_when_they_are_encoded_and_the_answer_when_it_is_sent() -> None:
    supply = MemorySupply()
    answer = ask(Api014(supply), ApiRequest("GET", f"{BOB}/enc_keys", "number=5", "alice"))
    assert [set(key.material) for key in supply.handed_out] == [{0}] * 5
    answer.wipe()
    assert set(answer.body) == {0}


def test_no_key_stands_in_the_repr_of_request_or_answer() -> None:
    answer = ask(Api014(MemorySupply()), ApiRequest("GET", f"{BOB}/enc_keys", "", "alice"))
    key = bytes(answer.body).split(b'"')[-2].decode()
    assert len(key) == 44
    assert key not in repr(answer)
    assert "secret" not in repr(ApiRequest("POST", "/", "", "alice", b"secret"))


def test_requests_beyond_the_rate_wait_and_those_of_others_do_not() -> None:
    now_s = [0.0]
    settings = Api014Settings(rate=RateSettings(requests_per_s=2.0, request_burst=3))
    api = Api014(MemorySupply(), settings, clock=lambda: now_s[0])

    def status(caller: str) -> int:
        return ask(api, ApiRequest("GET", f"{BOB}/status", "", caller)).status

    assert [status("alice") for _ in range(4)] == [200, 200, 200, 503]
    assert status("carol") == 200
    now_s[0] = 0.5
    assert [status("alice"), status("alice")] == [200, 503]


def test_new_keys_beyond_the_rate_are_not_made() -> None:
    supply = MemorySupply()
    settings = Api014Settings(rate=RateSettings(keys_per_s=10.0, key_burst=128))
    api = Api014(supply, settings, clock=lambda: 0.0)

    def enc_keys(number: int) -> ApiResponse:
        return ask(api, ApiRequest("GET", f"{BOB}/enc_keys", f"number={number}", "alice"))

    assert enc_keys(128).status == 200
    refused = enc_keys(25)
    assert (refused.status, refused.body, refused.headers["Retry-After"]) == (503, error("too many requests"), "3")
    assert supply.asked == [(128, 256)]
