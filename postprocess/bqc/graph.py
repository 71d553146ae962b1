"""Graphs of computations: checks, causal flow, colouring, and the exact outcomes of small ones.

Used by clients, tests and reports. Angles are counted in steps of pi/4. Vertices are measured at angles of the
XY-plane; a measurement at angle a has outcome 0 for (|0> + e^(ia)|1>)/sqrt 2.

Notes
-----
Every vertex starts as |+> and is measured, so that inputs and outputs are classical. With a causal flow f and outcomes
s, vertex v is measured at (-1)^(s_X) phi + s_Z pi, where s_X is the outcome of the u with f(u) = v, and s_Z the parity
of those u for which v is another neighbour of f(u).

Sources: V. Danos, E. Kashefi, Phys. Rev. A 74, 052310 (2006) (causal flow); A. Broadbent, J. Fitzsimons, E. Kashefi,
FOCS 2009 (XY-plane, steps of pi/4); P. Walther et al., Nature 434, 169 (2005) (search on the box cluster).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from faintlink.core.config.applications.bqc import BqcGraph
from faintlink.core.errors import ConfigError
from faintlink.core.units import Bits

STEPS = 8
"""Angles of a full turn."""
Angles: TypeAlias = npt.NDArray[np.uint8]
"""Angles in steps of pi/4, 0..7."""


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """A checked graph; make one by `checked_graph`."""

    adjacency: Bits
    """(n, n) uint8."""
    order: tuple[int, ...]
    """Vertices in the order of measurement."""
    flow: dict[int, int]
    """Neighbour to which each vertex' correction goes."""
    outputs: tuple[int, ...]
    """Vertices that hold the result."""
    x_from: Bits
    """(n, n) uint8: row v marks the outcomes whose parity is s_X of v."""
    z_from: Bits
    """(n, n) uint8: row v marks the outcomes whose parity is s_Z of v."""

    @property
    def size(self) -> int:
        """Number of vertices."""
        return int(self.adjacency.shape[0])

    @property
    def edges(self) -> list[tuple[int, int]]:
        """Edges, smaller vertex first."""
        return [(int(a), int(b)) for a, b in np.argwhere(np.triu(self.adjacency))]


BUILT_IN = {
    # Two rotations of one qubit, about Z and about X, and its measurement.
    "rotation": BqcGraph(vertices=3, edges=((0, 1), (1, 2)), order=(0, 1, 2), flow={0: 1, 1: 2}, outputs=(2,)),
    # Search among four items: 0 and 1 mark the item, 2 and 3 show it.
    "grover": BqcGraph(
        vertices=4, edges=((0, 1), (0, 2), (1, 3), (2, 3)), order=(0, 1, 2, 3), flow={0: 2, 1: 3}, outputs=(2, 3)
    ),
    # Query 0-1-2 and ancilla 3-4-5, joined before and after its turn; 2 shows whether f is balanced, 5 the ancilla.
    "deutsch": BqcGraph(
        vertices=6,
        edges=((0, 1), (1, 2), (3, 4), (4, 5), (0, 3), (2, 5)),
        order=(0, 3, 1, 4, 2, 5),
        flow={0: 1, 1: 2, 3: 4, 4: 5},
        outputs=(2, 5),
    ),
}
EXAMPLES: dict[str, tuple[tuple[int, ...], ...]] = {
    "rotation": ((1, 4, 5), (3, 0, 1), (1, 4, 1), (2, 0, 6)),
    "grover": tuple((4 * a, 4 * b, 4, 4) for a in (0, 1) for b in (0, 1)),
    "deutsch": ((0, 0, 0, 4, 0, 0), (4, 0, 0, 4, 4, 0), (6, 0, 0, 4, 2, 0), (2, 0, 0, 4, 6, 0)),
}
"""Computations with certain results, as angles of the vertices: of deutsch the constants 0 and 1, x and not x."""


def graph_of(chosen: str | BqcGraph) -> Graph:
    """Return the graph that a policy names or holds; the same object for the same graph."""
    return _parsed((BUILT_IN[chosen] if isinstance(chosen, str) else chosen).model_dump_json())


@lru_cache(maxsize=64)
def _parsed(text: str) -> Graph:
    return checked_graph(BqcGraph.model_validate_json(text))


def checked_graph(given: BqcGraph) -> Graph:
    """Return a graph after every check.

    Raises
    ------
    ConfigError
        The edges, the order, the outputs or the flow are wrong; says how.
    """
    n = given.vertices
    _require(sorted(given.order) == list(range(n)), f"order must name each of the {n} vertices once")
    _require(all(a != b and max(a, b) < n for a, b in given.edges), "an edge joins two vertices of the graph")
    _require(len({frozenset(edge) for edge in given.edges}) == len(given.edges), "an edge appears twice")
    outputs = set(given.outputs)
    _require(len(outputs) == len(given.outputs) and len(outputs) > 0 and max(outputs) < n, "outputs are vertices")
    adjacency = np.zeros((n, n), np.uint8)
    for a, b in given.edges:
        adjacency[a, b] = adjacency[b, a] = 1
    _require(bool(adjacency.any(axis=1).all()), "a vertex without an edge belongs to no graph state worth testing")
    flow = dict(given.flow)
    _require_flow(adjacency, given.order, flow, outputs)
    return Graph(adjacency, given.order, flow, given.outputs, *_dependencies(adjacency, flow))


def _require(condition: bool, text: str) -> None:
    if not condition:
        raise ConfigError(f"graph: {text}", hint="correct bqc.graph of the link file")


def _require_flow(adjacency: Bits, order: tuple[int, ...], flow: dict[int, int], outputs: set[int]) -> None:
    """Check that f is a causal flow: v ~ f(v), and f(v) and its other neighbours are measured after v."""
    n, place = len(order), {vertex: at for at, vertex in enumerate(order)}
    _require(set(flow) == set(range(n)) - outputs, "flow must name each vertex but the outputs")
    _require(all(to < n for to in flow.values()), "flow leads to a vertex that the graph lacks")
    _require(len(set(flow.values())) == len(flow), "two vertices flow into one")
    for vertex, to in flow.items():
        _require(bool(adjacency[vertex, to]), f"flow leads from {vertex} to {to}, which is no neighbour")
        late = {to, *np.flatnonzero(adjacency[to]).tolist()} - {vertex}
        early = sorted(other for other in late if place[other] < place[vertex])
        _require(not early, f"vertex {vertex} is corrected on {early}, measured before it")


def _dependencies(adjacency: Bits, flow: dict[int, int]) -> tuple[Bits, Bits]:
    x_from, z_from = np.zeros_like(adjacency), np.zeros_like(adjacency)
    for vertex, to in flow.items():
        x_from[to, vertex] = 1
        for other in np.flatnonzero(adjacency[to]).tolist():
            if other != vertex:
                z_from[other, vertex] = 1
    return x_from, z_from


def colouring(graph: Graph) -> tuple[int, ...]:
    """Return a proper colouring, colour of each vertex from 0, greedily by falling degree."""
    colours = [-1] * graph.size
    for vertex in np.argsort(-graph.adjacency.sum(axis=1, dtype=np.int64), kind="stable").tolist():
        taken = {colours[other] for other in np.flatnonzero(graph.adjacency[vertex]).tolist()}
        colours[vertex] = next(colour for colour in range(graph.size) if colour not in taken)
    return tuple(colours)


def is_proper(graph: Graph, colours: tuple[int, ...]) -> bool:
    """Return whether no edge joins two vertices of one colour."""
    return all(colours[a] != colours[b] for a, b in graph.edges)


def corrected_angles(graph: Graph, vertex: int, phi: Angles, outcomes: Bits) -> Angles:
    """Return the angle of one vertex in each round, given phi (n,) and the outcomes so far (m, n); (m,) uint8."""
    sign = outcomes @ graph.x_from[vertex] & 1
    half_turn = outcomes @ graph.z_from[vertex] & 1
    turned = np.where(sign, -int(phi[vertex]), int(phi[vertex])) + 4 * half_turn.astype(np.int64)
    angles: Angles = (turned % STEPS).astype(np.uint8)
    return angles


def ideal_distribution(graph: Graph, phi: Angles) -> dict[str, float]:
    """Return the probability of each result of a perfect computation, outputs as a text of bits."""
    amplitudes = _graph_state(graph)
    found: dict[str, float] = {}
    _branch(graph, phi, amplitudes, np.zeros((1, graph.size), np.uint8), 0, found)
    return dict(sorted(found.items()))


def _graph_state(graph: Graph) -> npt.NDArray[np.complex128]:
    """Return the graph state as an array of n axes, one a vertex in order of measurement."""
    n = graph.size
    place = {vertex: at for at, vertex in enumerate(graph.order)}
    bits = np.indices((2,) * n)
    parity = sum((bits[place[a]] & bits[place[b]] for a, b in graph.edges), np.zeros((2,) * n, np.int64))
    state: npt.NDArray[np.complex128] = ((1 - 2 * (parity & 1)) / np.sqrt(2.0**n)).astype(np.complex128)
    return state


def _branch(
    graph: Graph,
    phi: Angles,
    state: npt.NDArray[np.complex128],
    outcomes: Bits,
    step: int,
    found: dict[str, float],
) -> None:
    weight = float(np.vdot(state, state).real)
    if weight < 1e-15:
        return
    if step == graph.size:
        name = "".join(str(outcomes[0, vertex]) for vertex in graph.outputs)
        found[name] = found.get(name, 0.0) + weight
        return
    vertex = graph.order[step]
    turn = np.exp(-0.25j * np.pi * float(corrected_angles(graph, vertex, phi, outcomes)[0]))
    for outcome in (0, 1):
        left = (state[0] + (1 - 2 * outcome) * turn * state[1]) / np.sqrt(2.0)
        seen = outcomes.copy()
        seen[0, vertex] = outcome
        _branch(graph, phi, left, seen, step + 1, found)
