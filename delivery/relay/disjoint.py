"""Routes between two sites that share no site between them: what the shares of a split key go over.

A key that is split over such routes is known to no single site on the way. Which links there are is configuration
(`faintlink.delivery.relay.routes`); nothing here knows keys.

Taking the shortest route, and then the shortest among the sites that are left, can miss a pair that exists. So routes
are found as a flow that passes each site once at most, each site being an entry and an exit, grown along shortest
augmenting ways: as many routes as there are, and the same ones at every site of the network.

Sources
-------
Menger, Fundamenta Mathematicae 10 (1927) 96 (as many routes as sites that part the ends); Edmonds and Karp, J. ACM 19
(1972) 248 (shortest augmenting ways).
"""

import itertools
from collections import deque
from collections.abc import Iterator, Mapping

_IN, _OUT = 0, 1
_Place = tuple[str, int]
"""Entry or exit of a site."""


def disjoint_routes(links: Mapping[str, frozenset[str]], source: str, target: str, count: int) -> list[tuple[str, ...]]:
    """Return ``count`` routes that have nothing but their ends in common, shorter ones first; none if there are fewer.

    Parameters
    ----------
    links
        Neighbours of each site.
    source, target
        Two sites. A link between them is no route here: it needs no relay.
    count
        Of routes, at least 1.
    """
    flow: set[tuple[_Place, _Place]] = set()
    for _ in range(count):
        way = _augmenting(links, flow, source, target)
        if way is None:
            return []
        for step in itertools.pairwise(way):
            if step[::-1] in flow:
                flow.remove(step[::-1])
            else:
                flow.add(step)
    return sorted(_routes(flow, source, target), key=lambda route: (len(route), route))


def _augmenting(
    links: Mapping[str, frozenset[str]], flow: set[tuple[_Place, _Place]], source: str, target: str
) -> list[_Place] | None:
    start, end = (source, _OUT), (target, _IN)
    came_from: dict[_Place, _Place] = {start: start}
    waiting = deque([start])
    while waiting and end not in came_from:
        place = waiting.popleft()
        for other in _steps(links, place, source, target):
            # A step that is taken cannot be taken again; its reverse gives it back.
            is_open = (place, other) not in flow and (_is_forward(place, other) or (other, place) in flow)
            if is_open and other not in came_from:
                came_from[other] = place
                waiting.append(other)
    if end not in came_from:
        return None
    way = [end]
    while way[-1] != start:
        way.append(came_from[way[-1]])
    return way[::-1]


def _steps(links: Mapping[str, frozenset[str]], place: _Place, source: str, target: str) -> Iterator[_Place]:
    site, side = place
    yield site, 1 - side
    for other in sorted(links[site]):
        if {site, other} != {source, target}:
            yield other, 1 - side


def _is_forward(place: _Place, other: _Place) -> bool:
    """Return whether a step goes through a site from entry to exit, or over a link from exit to entry."""
    return place[1] == (_IN if place[0] == other[0] else _OUT)


def _routes(flow: set[tuple[_Place, _Place]], source: str, target: str) -> Iterator[tuple[str, ...]]:
    over = {first[0]: second[0] for first, second in flow if first[0] != second[0] and first[0] != source}
    for (site, _), (other, _) in sorted(flow):
        if site != source or other == source:
            continue
        route = [source, other]
        while route[-1] != target:
            route.append(over[route[-1]])
        yield tuple(route)
