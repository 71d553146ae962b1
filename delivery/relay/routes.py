"""Which sites there are, which links join them, and which way keys go between two that have no link: configuration.

Every site of a network reads the same file. A route is one that the file lists, in either direction, or else the one
of fewest hops; of several, the one whose sites come first by name. Next come routes that share no link with those
before, for when a link fails.

Where the file says ``split``, keys go in shares over routes that have no site between in common, and then over these
routes only: a listed route, or another one when a link fails, might pass a site that has another share.
"""

import itertools
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from faintlink.core.config.loader import parse_yaml
from faintlink.core.config.models import Name, OpenProbability, StrictModel
from faintlink.core.errors import ConfigError, KeyUnknownError
from faintlink.delivery.ledger.messages import SaeName, SiteName
from faintlink.delivery.relay.disjoint import disjoint_routes
from faintlink.delivery.relay.packet import MAX_SITES

Route = tuple[str, ...]
"""Sites, from end to end."""
MOST_SHARES = 4
"""Routes that one key is split over at most."""
MOST_ROUTES = 3
"""Routes that are tried for one request."""


class SiteEntry(StrictModel):
    """One site."""

    applications: tuple[SaeName, ...] = ()
    """Names (SAE) of the applications there."""
    at_km: tuple[float, float] = (0.0, 0.0)
    """Where it lies on the map."""


class LinkEntry(StrictModel):
    """A link between two sites."""

    between: tuple[SiteName, SiteName]


class NetworkMap(StrictModel):
    """Sites, links and routes."""

    described_in: ClassVar[str] = "docs/howto/relay-network.md"

    format: Literal["faintlink.network/1"]
    name: Name
    sites: Annotated[dict[SiteName, SiteEntry], Field(min_length=2)]
    links: tuple[LinkEntry, ...]
    routes: tuple[Annotated[tuple[SiteName, ...], Field(min_length=2, max_length=MAX_SITES)], ...] = ()
    """Routes that are to be taken, each for its two ends; the shortest where none is named."""
    max_epsilon: OpenProbability = 1e-6
    """What the epsilon of a relayed key may sum up to on its way."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        faults = [*self._link_faults(), *self._route_faults(), *self._application_faults()]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _link_faults(self) -> Iterator[str]:
        seen: set[frozenset[str]] = set()
        for first, second in (link.between for link in self.links):
            label = f"link {first} - {second}"
            yield from (f"{label}: unknown site {name}" for name in (first, second) if name not in self.sites)
            if first == second:
                yield f"{label}: joins a site to itself"
            if frozenset((first, second)) in seen:
                yield f"{label}: is there twice"
            seen.add(frozenset((first, second)))

    def _route_faults(self) -> Iterator[str]:
        links = {frozenset(link.between) for link in self.links}
        ends: set[frozenset[str]] = set()
        for route in self.routes:
            label = f"route {' - '.join(route)}"
            yield from (f"{label}: unknown site {name}" for name in dict.fromkeys(route) if name not in self.sites)
            if len(set(route)) != len(route):
                yield f"{label}: passes a site twice"
            for hop in itertools.pairwise(route):
                if frozenset(hop) not in links and all(name in self.sites for name in hop):
                    yield f"{label}: no link {hop[0]} - {hop[1]}"
            if frozenset((route[0], route[-1])) in ends:
                yield f"{label}: a second route between its ends"
            ends.add(frozenset((route[0], route[-1])))

    def _application_faults(self) -> Iterator[str]:
        homes: dict[str, str] = {}
        for name, site in self.sites.items():
            for application in site.applications:
                if application in homes:
                    yield f"application {application}: is at {homes[application]} and at {name}"
                homes[application] = name


class RelayMap(NetworkMap):
    """The file of a network of real sites."""

    split: Annotated[int, Field(ge=1, le=MOST_SHARES)] = 1
    """Shares of each relayed key, each over a route that has no site between in common with the others'."""

    @model_validator(mode="after")
    def _can_split(self) -> Self:
        if self.split == 1:
            return self
        links = RouteTable.of(self).links
        asking = [name for name, site in self.sites.items() if site.applications]
        faults = [
            f"split: {self.split} routes between {first} and {second} that share no site are asked for, and not there"
            for first, second in itertools.combinations(asking, 2)
            if second not in links[first] and not self.split_routes(first, second)
        ]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def split_routes(self, source: str, target: str) -> list[Route]:
        """Return the routes of the shares of a key, one for each; none where there are fewer."""
        found = disjoint_routes(RouteTable.of(self).links, source, target, self.split)
        return found if all(len(route) <= MAX_SITES for route in found) else []


def load_map(path: Path) -> RelayMap:
    """Return the network of a YAML file.

    Raises
    ------
    ConfigError
        With every fault in ``faults``.
    """
    return parse_yaml(read_text(path), RelayMap, str(path))


def read_text(path: Path) -> str:
    """Return the text of a network file."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} cannot be read: {error}", hint="name a YAML file such as lab_configs/metro.network.yaml"
        ) from error


@dataclass(frozen=True, slots=True)
class RouteTable:
    """Routes over the links of a network."""

    links: Mapping[str, frozenset[str]]
    """Neighbours of each site."""
    listed: tuple[Route, ...] = ()
    """Routes that come first between their ends."""

    @classmethod
    def of(cls, network: NetworkMap) -> Self:
        """Return the routes of a network file."""
        links: dict[str, set[str]] = {name: set() for name in network.sites}
        for first, second in (link.between for link in network.links):
            links[first].add(second)
            links[second].add(first)
        return cls({name: frozenset(others) for name, others in links.items()}, network.routes)

    def routes(self, source: str, target: str, *, without: Collection[frozenset[str]] = ()) -> list[Route]:
        """Return at most `MOST_ROUTES` routes, the one to take first.

        Parameters
        ----------
        source, target
            The sites at the ends.
        without
            Links that must not be used, each as the set of its two sites.

        Raises
        ------
        KeyUnknownError
            No such site.
        """
        for site in (source, target):
            if site not in self.links:
                raise KeyUnknownError(f"no site {site} is in the network", hint="name it in the network file")
        unused = {frozenset((site, other)) for site, others in self.links.items() for other in others}
        unused -= set(without)
        found: list[Route] = []
        for candidate in self._candidates(source, target, unused):
            found.append(candidate)
            unused -= set(hops(candidate))
            if len(found) == MOST_ROUTES or len(candidate) < 2:
                break
        return found

    def _candidates(self, source: str, target: str, unused: set[frozenset[str]]) -> Iterator[Route]:
        for route in self.listed:
            way = route if route[0] == source else route[::-1]
            if (way[0], way[-1]) == (source, target) and unused.issuperset(hops(way)):
                yield way
        # The caller takes the links of each route away before it asks for the next.
        while (shortest := self._shortest(source, target, unused)) is not None:
            yield shortest

    def _shortest(self, source: str, target: str, unused: set[frozenset[str]]) -> Route | None:
        if source == target:
            return None
        waiting, came_from = deque([source]), {source: source}
        while waiting:
            site = waiting.popleft()
            for other in sorted(self.links[site] - came_from.keys()):
                if frozenset((site, other)) in unused:
                    came_from[other] = site
                    waiting.append(other)
        if target not in came_from:
            return None
        way = [target]
        while way[-1] != source:
            way.append(came_from[way[-1]])
        return tuple(reversed(way)) if len(way) <= MAX_SITES else None


def hops(route: Iterable[str]) -> list[frozenset[str]]:
    """Return the links that a route goes over."""
    return [frozenset(hop) for hop in itertools.pairwise(route)]
