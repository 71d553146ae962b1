"""Keys in shares over routes that have no site in common: no site between has what it takes to know one."""

import asyncio
import itertools
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faintlink.core.config.loader import parse_yaml
from faintlink.core.errors import (
    AccessDeniedError,
    ConfigError,
    FaintlinkError,
    KeyUnknownError,
    PeerUnavailableError,
)
from faintlink.delivery.keystore.model import DeliveredKey, KeyState
from faintlink.delivery.relay import node
from faintlink.delivery.relay.disjoint import disjoint_routes
from faintlink.delivery.relay.hop import OpenedRequest, open_request
from faintlink.delivery.relay.routes import RelayMap
from faintlink.delivery.relay.shares import joined, share_name, share_names
from faintlink.delivery.relay.supply import NetworkSite, RelayedSupply
from faintlink.delivery.witness import Event
from tests.unit.delivery.relay.sites import EPSILON, Line, folder_of_stores, run

LINKS = (("a", "b"), ("b", "c"), ("a", "d"), ("d", "c"))
NETWORK = """
format: faintlink.network/1
name: diamond
sites:
  a: {applications: [app-a, app-a2]}
  b: {}
  c: {applications: [app-c]}
  d: {}
links:
  - between: [a, b]
  - between: [b, c]
  - between: [a, d]
  - between: [d, c]
split: 2
"""
# a - b - c - z is as short as any route, and takes a site from each of the two that share none.
TRAP = {"a": "bd", "b": "ace", "c": "bdz", "d": "ac", "e": "bz", "z": "ce"}


class Diamond(Line):
    """Two sites, and two sites between them."""

    @property
    def links(self) -> Sequence[tuple[str, str]]:
        return LINKS


@pytest.fixture
def diamond(tmp_path: Path) -> Iterator[Diamond]:
    with folder_of_stores(tmp_path) as folder, Diamond(folder, ("a", "b", "c", "d")) as sites:
        yield sites


def network(text: str = NETWORK) -> RelayMap:
    return parse_yaml(text, RelayMap, "diamond.yaml")


def supply(sites: Diamond, site: str, text: str = NETWORK) -> RelayedSupply:
    here = NetworkSite(network(text), site, lambda _block: EPSILON)
    return RelayedSupply(here, sites.stores[site], sites.services[site], sites.witnesses[site], run=run)


def new_keys(sites: Diamond, number: int = 3) -> list[DeliveredKey]:
    return asyncio.run(supply(sites, "a").new_keys(master="app-a", slave="app-c", number=number, bits=256))


def fetch(sites: Diamond, names: list[str], master: str = "app-a") -> list[DeliveredKey]:
    return asyncio.run(supply(sites, "c").keys_by_name(slave="app-c", master=master, key_ids=names))


def test_both_ends_get_the_same_keys_once(diamond: Diamond) -> None:
    ours = new_keys(diamond)
    names = [key.key_id for key in ours]
    theirs = fetch(diamond, names)
    assert [key.material for key in ours] == [key.material for key in theirs]
    assert [(key.key_id, key.bits) for key in theirs] == [(name, 256) for name in names]
    assert len({bytes(key.material) for key in ours}) == 3
    with pytest.raises(KeyUnknownError):
        fetch(diamond, names)


def test_no_site_between_sees_the_key_or_both_shares(diamond: Diamond, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, list[bytes]] = {"b": [], "d": []}

    def spying(keys: object, peer: str, request: object, frame: bytes) -> OpenedRequest:
        opened = open_request(keys, peer, request, frame)  # type: ignore[arg-type]
        if opened.request.receiver in seen:
            seen[opened.request.receiver].append(bytes(opened.payload[:32]))
        return opened

    monkeypatch.setattr(node, "open_request", spying)
    (key,) = new_keys(diamond, 1)
    assert [len(shares) for shares in seen.values()] == [1, 1]
    (first,), (second,) = seen.values()
    assert bytes(one ^ other for one, other in zip(first, second, strict=True)) == key.material
    assert key.material not in (first, second)


def test_each_share_goes_over_sites_of_its_own(diamond: Diamond) -> None:
    new_keys(diamond)
    assert [(sender, receiver) for sender, receiver, _ in diamond.frames] == [*LINKS[:2], *LINKS[2:]]


def test_a_share_is_never_handed_out_by_itself(diamond: Diamond) -> None:
    (key,) = new_keys(diamond, 1)
    for share in range(2):
        with pytest.raises(KeyUnknownError):
            fetch(diamond, [share_name(key.key_id, share)])
    assert fetch(diamond, [key.key_id])[0].material == key.material


def test_a_split_key_is_not_given_under_another_masters_name(diamond: Diamond) -> None:
    (key,) = new_keys(diamond, 1)
    with pytest.raises(AccessDeniedError):
        fetch(diamond, [key.key_id], "app-a2")


@pytest.mark.parametrize("hop", LINKS)
@pytest.mark.parametrize("what", ["lost_requests", "lost_answers"])
def test_a_share_that_does_not_arrive_gives_up_the_other_too(diamond: Diamond, hop: tuple[str, str], what: str) -> None:
    getattr(diamond, what).add(hop)
    with pytest.raises(PeerUnavailableError):
        new_keys(diamond)
    getattr(diamond, what).clear()
    assert asyncio.run(supply(diamond, "a").settle()) == 0
    for site, other in (("a", "c"), ("c", "a")):
        assert diamond.stores[site].waiting(other) == []
        assert diamond.stores[site].unsettled(other) == []


def test_no_share_takes_another_route_when_its_own_fails(diamond: Diamond) -> None:
    diamond.lost_requests.add(("a", "b"))
    with pytest.raises(PeerUnavailableError):
        new_keys(diamond)
    assert {(sender, receiver) for sender, receiver, _ in diamond.frames} == {("a", "b")}


def test_the_epsilons_of_the_shares_together_keep_the_limit(diamond: Diamond) -> None:
    limit = 5 * EPSILON  # four hops of one block each: two for each share, and half of the limit for both
    asyncio.run(
        supply(diamond, "a", NETWORK + f"max_epsilon: {limit}\n").new_keys(
            master="app-a", slave="app-c", number=1, bits=256
        )
    )
    with pytest.raises(PeerUnavailableError, match="limit"):
        asyncio.run(
            supply(diamond, "a", NETWORK + f"max_epsilon: {0.6 * limit}\n").new_keys(
                master="app-a", slave="app-c", number=1, bits=256
            )
        )


def test_the_delivery_names_the_shares_that_are_stored_and_the_keys_that_are_known(diamond: Diamond) -> None:
    names = [key.key_id for key in new_keys(diamond, 2)]
    (fact,) = (fact for fact in diamond.witnesses["a"].facts if fact.event is Event.KEYS_DELIVERED)
    assert fact.about["split_keys"] == names
    assert fact.about["key_ids"] == share_names(names, 2)
    for share in share_names(names, 2):
        assert diamond.stores["a"].record(share).state is KeyState.DELIVERED


def test_the_status_tells_what_the_poorest_first_hop_can_carry(diamond: Diamond) -> None:
    diamond.fill("a", "d", 1)
    status = asyncio.run(supply(diamond, "a").status(caller="app-a", other="app-c"))
    assert diamond.reserve("a", "b") < diamond.reserve("a", "d")
    assert status.stored_keys == diamond.reserve("a", "b") // 4


def test_a_network_without_such_routes_is_refused_with_the_pair_of_sites() -> None:
    with pytest.raises(ConfigError, match="split: 2 routes between a and c that share no site"):
        network(NETWORK.replace("  - between: [d, c]\n", ""))


def test_more_shares_than_there_are_routes_are_refused() -> None:
    with pytest.raises(ConfigError, match="split: 3 routes"):
        network(NETWORK.replace("split: 2", "split: 3"))


def test_neighbours_need_no_routes() -> None:
    text = NETWORK.replace("  - between: [d, c]\n", "  - between: [a, c]\n")
    assert network(text).split == 2


def test_two_routes_are_found_where_the_shortest_one_is_in_the_way() -> None:
    links = {site: frozenset(others) for site, others in TRAP.items()}
    assert disjoint_routes(links, "a", "z", 2) == [("a", "b", "e", "z"), ("a", "d", "c", "z")]
    assert disjoint_routes(links, "a", "z", 3) == []


@given(st.data())
def test_routes_are_there_exactly_where_no_single_site_parts_the_ends(data: st.DataObject) -> None:
    pairs = list(itertools.combinations("abcdefg", 2))
    chosen = data.draw(st.sets(st.sampled_from(pairs[:5] + pairs[6:])))  # no link a - g
    links = {site: frozenset(x for pair in chosen if site in pair for x in pair if x != site) for site in "abcdefg"}
    routes = disjoint_routes(links, "a", "g", 2)
    between = [set(route[1:-1]) for route in routes]
    for route in routes:
        assert (route[0], route[-1]) == ("a", "g")
        assert all(other in links[site] for site, other in itertools.pairwise(route))
        assert len(set(route)) == len(route)
    # Menger: two routes that share no site, or one site (or none) whose loss parts the ends.
    is_joined = reaches(links, set()) and all(reaches(links, {site}) for site in "bcdef")
    assert len(routes) == (2 if is_joined else 0)
    assert not routes or not between[0] & between[1]


def reaches(links: dict[str, frozenset[str]], without: set[str]) -> bool:
    seen, waiting = {"a"}, ["a"]
    while waiting:
        for other in links[waiting.pop()] - seen - without:
            seen.add(other)
            waiting.append(other)
    return "g" in seen


@given(st.lists(st.lists(st.binary(min_size=8, max_size=8), min_size=3, max_size=3), min_size=1, max_size=4))
def test_keys_are_the_exclusive_or_of_their_shares_which_are_overwritten(shares: list[list[bytes]]) -> None:
    names = [str(uuid.uuid4()) for _ in range(3)]
    stored = [
        DeliveredKey(name, 64, bytearray(bits))
        for name, bits in zip(share_names(names, len(shares)), itertools.chain(*shares), strict=True)
    ]
    keys = joined(names, stored)
    for at, key in enumerate(keys):
        expected = 0
        for share in shares:
            expected ^= int.from_bytes(share[at], "big")
        assert int.from_bytes(key.material, "big") == expected
    assert all(share.material == bytes(8) for share in stored)


def test_names_of_shares_differ_from_each_other_and_from_the_keys() -> None:
    names = [str(uuid.uuid4()) for _ in range(4)]
    assert len({*names, *share_names(names, 3)}) == 4 + 12


def test_a_site_that_does_not_split_does_not_know_the_key(diamond: Diamond) -> None:
    (key,) = new_keys(diamond, 1)
    whole = supply(diamond, "c", NETWORK.replace("split: 2", "split: 1"))
    with pytest.raises(FaintlinkError, match="ever here"):
        asyncio.run(whole.keys_by_name(slave="app-c", master="app-a", key_ids=[key.key_id]))
