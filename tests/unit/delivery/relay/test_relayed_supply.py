"""Applications at sites without a common link get equal keys through the usual seam."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from faintlink.core.config.loader import parse_yaml
from faintlink.core.errors import AccessDeniedError, AuditError, KeyExhaustedError, KeyUnknownError
from faintlink.delivery.keystore.model import KeyState, Pool
from faintlink.delivery.relay.routes import RelayMap
from faintlink.delivery.relay.supply import NetworkSite, RelayedSupply, units_per_hop
from faintlink.delivery.witness import Event, Fact
from tests.unit.delivery.relay.sites import EPSILON, Line, folder_of_stores, run

NETWORK = """
format: faintlink.network/1
name: line
sites:
  a: {applications: [app-a, app-a2]}
  b: {}
  c: {applications: [app-c]}
links:
  - between: [a, b]
  - between: [b, c]
"""


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    with folder_of_stores(tmp_path) as folder, Line(folder, ("a", "b", "c")) as sites:
        yield sites


def supply(line: Line, site: str, *, keep_days: float = 30.0) -> RelayedSupply:
    network = parse_yaml(NETWORK, RelayMap, "line.yaml")
    here = NetworkSite(network, site, lambda _block: EPSILON)
    return RelayedSupply(
        here,
        line.stores[site],
        line.services[site],
        line.witnesses[site],
        run=run,
        keep_waiting=timedelta(days=keep_days),
    )


def test_master_and_slave_get_the_same_keys_once(line: Line) -> None:
    ours = asyncio.run(supply(line, "a").new_keys(master="app-a", slave="app-c", number=3, bits=256))
    names = [key.key_id for key in ours]
    theirs = asyncio.run(supply(line, "c").keys_by_name(slave="app-c", master="app-a", key_ids=names))
    assert [key.material for key in ours] == [key.material for key in theirs]
    with pytest.raises(KeyUnknownError):
        asyncio.run(supply(line, "c").keys_by_name(slave="app-c", master="app-a", key_ids=names))


def test_a_key_is_not_given_under_another_masters_name(line: Line) -> None:
    (key,) = asyncio.run(supply(line, "a").new_keys(master="app-a", slave="app-c", number=1, bits=256))
    with pytest.raises(AccessDeniedError):
        asyncio.run(supply(line, "c").keys_by_name(slave="app-c", master="app-a2", key_ids=[key.key_id]))


def test_the_status_tells_what_the_first_hop_can_carry(line: Line) -> None:
    status = asyncio.run(supply(line, "a").status(caller="app-a", other="app-c"))
    assert (status.source_kme, status.target_kme) == ("a", "c")
    assert status.stored_keys == line.reserve("a", "b") // 4


def test_an_application_at_no_site_is_unknown(line: Line) -> None:
    with pytest.raises(KeyUnknownError, match="app-x"):
        asyncio.run(supply(line, "a").status(caller="app-a", other="app-x"))


@pytest.mark.parametrize(("number", "bits"), [(0, 256), (257, 256), (1, 0), (1, 12), (1, 8200), (256, 8192)])
def test_more_than_one_request_can_carry_is_refused_before_anything_is_taken(
    line: Line, number: int, bits: int
) -> None:
    before = dict(line.stores["a"].stock())
    with pytest.raises(KeyExhaustedError):
        asyncio.run(supply(line, "a").new_keys(master="app-a", slave="app-c", number=number, bits=bits))
    assert line.stores["a"].stock() == before


def test_delivery_is_told_before_it_happens_and_stops_when_it_cannot_be_told(line: Line) -> None:
    told: list[Fact] = []

    class Refusing:
        def note(self, fact: Fact) -> None:
            told.append(fact)
            if fact.event is Event.KEYS_DELIVERED:
                raise AuditError("the disk is full")

    sites = supply(line, "a")
    sites._witness = Refusing()
    with pytest.raises(AuditError):
        asyncio.run(sites.new_keys(master="app-a", slave="app-c", number=1, bits=256))
    names = told[-1].about["key_ids"]
    assert isinstance(names, list)
    (key_id,) = names
    assert asyncio.run(supply(line, "a").settle()) == 0
    assert {line.stores[site].record(key_id).state for site in ("a", "c")} == {KeyState.VOID}


def test_open_keys_of_all_sites_are_settled(line: Line) -> None:
    line.lost_requests.add(("a", "b"))
    with pytest.raises(Exception, match="nobody knows"):
        asyncio.run(supply(line, "a").new_keys(master="app-a", slave="app-c", number=1, bits=256))
    assert asyncio.run(supply(line, "a").settle()) == 1
    line.lost_requests.clear()
    assert asyncio.run(supply(line, "a").settle()) == 0


def test_copies_that_nobody_fetches_are_given_up_after_a_while_and_not_before(line: Line) -> None:
    (key,) = asyncio.run(supply(line, "a").new_keys(master="app-a", slave="app-c", number=1, bits=256))
    asyncio.run(supply(line, "c").settle())
    assert line.stores["c"].record(key.key_id).state is KeyState.READY
    asyncio.run(supply(line, "c", keep_days=0.0).settle())
    assert line.stores["c"].record(key.key_id).state is KeyState.VOID
    assert line.witnesses["c"].facts[-1].event is Event.KEYS_VOIDED


@pytest.mark.parametrize(("number", "bits"), [(1, 256), (1, 1024), (7, 128), (90, 256)])
def test_the_price_of_a_request_is_what_the_stock_loses(line: Line, number: int, bits: int) -> None:
    before = line.reserve("b", "c")
    asyncio.run(supply(line, "a").new_keys(master="app-a", slave="app-c", number=number, bits=bits))
    assert before - line.reserve("b", "c", Pool.RESERVE_OURS) == units_per_hop(number, bits)
