"""Routes come from configuration, whose faults are told all at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faintlink.core.config.loader import parse_yaml
from faintlink.core.errors import ConfigError, KeyUnknownError
from faintlink.delivery.relay.routes import MOST_ROUTES, NetworkMap, RouteTable, hops

SQUARE = """
format: faintlink.network/1
name: square
sites:
  a: {applications: [app-a]}
  b: {}
  c: {applications: [app-c]}
  d: {}
links:
  - between: [a, b]
  - between: [b, c]
  - between: [c, d]
  - between: [d, a]
"""


def network(text: str) -> NetworkMap:
    return parse_yaml(text, NetworkMap, "net.yaml")


def test_a_direct_link_comes_before_a_detour() -> None:
    table = RouteTable.of(network(SQUARE))
    assert table.routes("a", "b") == [("a", "b"), ("a", "d", "c", "b")]


def test_of_equally_short_routes_the_first_by_name_comes_first_and_others_share_no_link_with_it() -> None:
    assert RouteTable.of(network(SQUARE)).routes("a", "c") == [("a", "b", "c"), ("a", "d", "c")]


@pytest.mark.parametrize(("source", "target", "way"), [("a", "c", ("a", "d", "c")), ("c", "a", ("c", "d", "a"))])
def test_a_listed_route_comes_first_in_either_direction(source: str, target: str, way: tuple[str, ...]) -> None:
    table = RouteTable.of(network(SQUARE + "routes:\n  - [a, d, c]\n"))
    assert table.routes(source, target)[0] == way
    assert len(table.routes(source, target)) == 2


def test_a_link_that_must_not_be_used_is_gone_around() -> None:
    table = RouteTable.of(network(SQUARE + "routes:\n  - [a, d, c]\n"))
    assert table.routes("a", "c", without=[frozenset("ad")]) == [("a", "b", "c")]
    assert table.routes("a", "c", without=[frozenset("ad"), frozenset("ab")]) == []


def test_a_site_that_is_not_there_is_unknown() -> None:
    with pytest.raises(KeyUnknownError, match="no site x"):
        RouteTable.of(network(SQUARE)).routes("a", "x")


def test_every_fault_of_a_network_file_is_told() -> None:
    text = SQUARE.replace("[app-c]", "[app-a]") + (
        "  - between: [a, x]\n  - between: [b, a]\n  - between: [c, c]\n"
        "routes:\n  - [a, b, a]\n  - [a, c]\n  - [a, y, c]\n  - [c, b, a]\n"
    )
    with pytest.raises(ConfigError) as refusal:
        network(text)
    for words in (
        "link a - x: unknown site x",
        "link b - a: is there twice",
        "link c - c: joins a site to itself",
        "route a - b - a: passes a site twice",
        "route a - c: no link a - c",
        "route a - y - c: unknown site y",
        "route c - b - a: a second route between its ends",
        "application app-a: is at a and at c",
    ):
        assert words in str(refusal.value)


@given(st.sets(st.tuples(st.integers(0, 7), st.integers(0, 7)).filter(lambda link: link[0] < link[1])))
def test_routes_of_any_network_go_over_its_links_without_loops_and_share_none(links: set[tuple[int, int]]) -> None:
    names = {site: frozenset(str(b) if a == site else str(a) for a, b in links if site in (a, b)) for site in range(8)}
    table = RouteTable({str(site): others for site, others in names.items()})
    routes = table.routes("0", "7")
    used = [hop for route in routes for hop in hops(route)]
    assert len(used) == len(set(used))
    assert all({int(site) for site in hop} in [set(link) for link in links] for hop in used)
    assert all(len(set(route)) == len(route) and (route[0], route[-1]) == ("0", "7") for route in routes)
    assert [len(route) for route in routes] == sorted(len(route) for route in routes)
    assert len(routes) <= MOST_ROUTES
    reached = {"0"}
    while more := {other for site in reached for other in table.links[site]} - reached:
        reached |= more
    assert bool(routes) == ("7" in reached)
