"""Schemathesis makes requests of the OpenAPI file, right and wrong ones, and judges the answers by it."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import load_all_checks
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from faintlink.delivery.etsi014.service import Api014
from faintlink.delivery.etsi014.settings import Api014Settings, RateSettings
from faintlink.delivery.keystore.model import DeliveredKey
from faintlink.delivery.supply import SupplyStatus
from tests.unit.delivery.etsi014.fakes import MemorySupply, material_of
from tests.unit.delivery.etsi014.loopback import Loopback
from tests.unit.delivery.etsi014.schema import document

OPERATIONS = 5
RATE = RateSettings(requests_per_s=1e9, request_burst=2**31 - 1, keys_per_s=1e9, key_burst=2**31 - 1)


class GenerousSupply(MemorySupply):
    """Knows every application and every key, so that each request that is right gets an answer."""

    async def status(self, *, caller: str, other: str) -> SupplyStatus:
        return SupplyStatus("kme-a", "kme-b", 1000, 1000)

    async def new_keys(self, *, master: str, slave: str, number: int, bits: int) -> list[DeliveredKey]:
        return [self._hand_out(self.promise(master, slave, bits), bits) for _ in range(number)]

    async def keys_by_name(self, *, slave: str, master: str, key_ids: Sequence[str]) -> list[DeliveredKey]:
        return [DeliveredKey(name, 256, bytearray(material_of(name, 256))) for name in key_ids]


def is_beyond_a_schema(body: object) -> bool:
    """Say whether a body that fits the schema may be refused: a key named twice, or a number written as 8.0."""
    if not isinstance(body, dict):
        return False
    entries = body.get("key_IDs")
    names = [
        str(entry.get("key_ID")).lower()
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, dict)
    ]
    return len(set(names)) < len(names) or any(isinstance(body.get(name), float) for name in ("number", "size"))


def attack(per_strategy: int) -> Counter[int]:
    """Send requests of every operation, as many right as wrong ones, and return how often each status came."""
    load_all_checks()
    schema = schemathesis.openapi.from_dict(document())
    operations = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    assert len(operations) == OPERATIONS
    api = Api014(GenerousSupply(), Api014Settings(rate=RATE))
    with Loopback(api, caller="alice") as server, requests.Session() as session:
        for operation in operations:
            for mode in schemathesis.GenerationMode:

                @given(case=operation.as_strategy(mode))
                @settings(
                    max_examples=per_strategy, deadline=None, database=None, suppress_health_check=list(HealthCheck)
                )
                def run(case: schemathesis.Case[Any]) -> None:
                    response = case.call(base_url=server.url, session=session)
                    passed_over: list[Any] = [positive_data_acceptance] if is_beyond_a_schema(case.body) else []
                    # Schemathesis does not count 413 among the ways to refuse.
                    passed_over += [negative_data_rejection] if response.status_code == 413 else []
                    case.validate_response(response, excluded_checks=passed_over)

                run()
        return Counter(server.statuses)


def judge(statuses: Counter[int], number: int) -> None:
    assert statuses.total() >= number
    assert not any(status >= 500 for status in statuses)
    assert statuses[200] > number // 4
    assert statuses[400] > number // 8


def test_300_requests_are_answered_as_described() -> None:
    judge(attack(per_strategy=32), 300)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_10000_requests_are_answered_as_described() -> None:
    judge(attack(per_strategy=1200), 10_000)
