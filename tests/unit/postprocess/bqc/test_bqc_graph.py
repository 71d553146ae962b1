"""Graphs, flow and colouring, and exact results of small computations."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faintlink.core.config.applications.bqc import BqcGraph
from faintlink.core.errors import ConfigError
from faintlink.postprocess.bqc.graph import (
    BUILT_IN,
    EXAMPLES,
    Graph,
    checked_graph,
    colouring,
    corrected_angles,
    graph_of,
    ideal_distribution,
    is_proper,
)

LINE = {"vertices": 3, "edges": ((0, 1), (1, 2)), "order": (0, 1, 2), "flow": {0: 1, 1: 2}, "outputs": (2,)}


def random_graph(edges: list[bool], n: int) -> Graph:
    """Return a graph all of whose vertices are outputs, so that any edges will do; each vertex has an edge."""
    pairs = [(a, b) for a in range(n) for b in range(a + 1, n)]
    chosen = [pair for pair, is_in in zip(pairs, edges, strict=False) if is_in]
    lonely = [v for v in range(n) if not any(v in pair for pair in chosen)]
    chosen += [(v, (v + 1) % n) for v in lonely if (v, (v + 1) % n) not in chosen and ((v + 1) % n, v) not in chosen]
    unique = tuple({tuple(sorted(pair)) for pair in chosen})
    vertices = tuple(range(n))
    given_graph = BqcGraph(vertices=n, edges=unique, order=vertices, flow={}, outputs=vertices)  # type: ignore[arg-type]
    return checked_graph(given_graph)


@pytest.mark.parametrize("name", list(BUILT_IN))
def test_a_built_in_graph_has_a_flow_and_a_proper_colouring(name: str) -> None:
    graph = graph_of(name)
    assert is_proper(graph, colouring(graph))
    assert set(graph.flow) == set(range(graph.size)) - set(graph.outputs)


@given(st.lists(st.booleans(), min_size=15, max_size=15), st.integers(2, 6))
def test_the_colouring_of_any_graph_is_proper(edges: list[bool], n: int) -> None:
    graph = random_graph(edges, n)
    assert is_proper(graph, colouring(graph))


def test_one_colour_for_two_neighbours_is_not_proper() -> None:
    assert not is_proper(graph_of("rotation"), (0, 0, 1))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"order": (0, 1)}, "order must name each"),
        ({"order": (1, 0, 2)}, "vertex 0 is corrected on \\[1\\]"),
        ({"order": (0, 2, 1)}, "vertex 1 is corrected on \\[2\\]"),
        ({"flow": {0: 1}}, "flow must name each vertex but the outputs"),
        ({"flow": {0: 1, 1: 1}}, "two vertices flow into one"),
        ({"flow": {0: 2, 1: 0}}, "no neighbour"),
        ({"flow": {0: 1, 1: 7}}, "a vertex that the graph lacks"),
        ({"edges": ((0, 1), (1, 0), (1, 2))}, "appears twice"),
        ({"edges": ((0, 0), (0, 1), (1, 2))}, "joins two vertices"),
        ({"edges": ((0, 1), (1, 3))}, "joins two vertices"),
        ({"edges": ((0, 1),), "flow": {0: 1}, "outputs": (1, 2)}, "without an edge"),
        ({"outputs": (2, 2)}, "outputs"),
        ({"outputs": ()}, "outputs"),
    ],
)
def test_a_graph_that_cannot_be_played_is_refused_with_its_fault(change: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        checked_graph(BqcGraph(**{**LINE, **change}))


@pytest.mark.parametrize("phi", [(1, 0, 0), (1, 2, 3), (5, 1, 6), (0, 3, 7)])
def test_two_rotations_give_the_probability_of_the_bloch_sphere(phi: tuple[int, int, int]) -> None:
    # |+> turned about Z by -phi_0 and about X by -phi_1, measured at phi_2 in the XY-plane.
    a, b, c = (math.pi / 4 * angle for angle in phi)
    expected = 0.5 * (1.0 + math.cos(a) * math.cos(c) - math.sin(a) * math.cos(b) * math.sin(c))
    found = ideal_distribution(graph_of("rotation"), np.array(phi, np.uint8))
    assert found.get("0", 0.0) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("example", "item"), [(0, "11"), (1, "01"), (2, "10"), (3, "00")])
def test_a_search_among_four_items_shows_the_marked_one_with_certainty(example: int, item: str) -> None:
    # The angles give item ab the sign (-1)^(ab + a phi_0 + b phi_1), in units of pi: one item differs from the others.
    found = ideal_distribution(graph_of("grover"), np.array(EXAMPLES["grover"][example], np.uint8))
    assert found == {item: pytest.approx(1.0)}


@pytest.mark.parametrize(("function", "is_balanced"), [(0, False), (1, False), (2, True), (3, True)])
def test_deutschs_algorithm_tells_constant_from_balanced_with_one_query(function: int, *, is_balanced: bool) -> None:
    found = ideal_distribution(graph_of("deutsch"), np.array(EXAMPLES["deutsch"][function], np.uint8))
    assert found == {f"{int(is_balanced)}1": pytest.approx(1.0)}


def test_a_vertex_is_turned_by_the_outcomes_that_flow_into_it() -> None:
    graph, phi = graph_of("rotation"), np.array([1, 3, 5], np.uint8)
    outcomes = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], np.uint8)
    assert corrected_angles(graph, 1, phi, outcomes).tolist() == [3, 5, 3, 5]
    assert corrected_angles(graph, 2, phi, outcomes).tolist() == [5, 1, 3, 7]
