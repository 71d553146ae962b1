"""Test rounds: their parities are certain, and they notice what could harm."""

from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faintlink.core.config.applications.bqc import BqcGraph
from faintlink.core.errors import ConfigError
from faintlink.postprocess.bqc.graph import BUILT_IN, Graph, _graph_state, checked_graph, graph_of
from faintlink.postprocess.bqc.traps import (
    TestKind,
    catch_probability,
    colour_tests,
    failure_probability,
    harmful_flips,
    harmless_flips,
    kernel,
    noticing,
    stabiliser_tests,
)
from tests.unit.postprocess.bqc.test_bqc_graph import random_graph

EDGES = st.lists(st.booleans(), min_size=15, max_size=15)


def outcome_distribution(graph: Graph, angles: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the probabilities of all outcomes, an axis a vertex, of measuring at angles (n,) in radians."""
    state = np.transpose(_graph_state(graph), [graph.order.index(v) for v in range(graph.size)])
    for vertex, angle in enumerate(angles):
        turn = np.exp(-1j * angle)
        basis = np.array([[1.0, turn], [1.0, -turn]]) / np.sqrt(2.0)
        state = np.moveaxis(np.tensordot(basis, state, ([1], [vertex])), 0, vertex)
    return np.abs(state) ** 2


def parity_is_certain(graph: Graph, kind: TestKind) -> bool:
    """Return whether every parity of a kind has its sign with certainty, by the exact state."""
    chance = outcome_distribution(graph, kind.angles * np.pi / 4)
    bits = np.indices(chance.shape)
    for members, sign in zip(kind.parities, kind.signs, strict=True):
        parity = np.tensordot(members.astype(np.int64), bits, 1) & 1
        if abs(chance[parity == sign].sum() - 1.0) > 1e-9:
            return False
    return True


@pytest.mark.parametrize("name", list(BUILT_IN))
def test_the_parities_of_a_built_in_graph_are_certain(name: str) -> None:
    graph = graph_of(name)
    assert all(parity_is_certain(graph, kind) for kind in stabiliser_tests(graph))


@settings(deadline=None, max_examples=40)
@given(EDGES, st.integers(2, 6))
def test_the_parities_of_any_graph_are_certain(edges: list[bool], n: int) -> None:
    graph = random_graph(edges, n)
    assert all(parity_is_certain(graph, kind) for kind in stabiliser_tests(graph))


@settings(deadline=None, max_examples=40)
@given(EDGES, st.integers(2, 6), st.lists(st.floats(0.0, 6.28), min_size=6, max_size=6))
def test_flipping_all_outcomes_of_odd_degree_changes_no_distribution(
    edges: list[bool], n: int, angles: list[float]
) -> None:
    graph = random_graph(edges, n)
    chance = outcome_distribution(graph, np.array(angles[:n]))
    for members in harmless_flips(graph):
        flipped = np.flip(chance, axis=tuple(np.flatnonzero(members).tolist()))
        assert np.allclose(chance, flipped, atol=1e-12)


@settings(deadline=None, max_examples=40)
@given(EDGES, st.integers(2, 6), st.lists(st.floats(0.1, 1.4), min_size=6, max_size=6))
def test_flips_that_are_called_harmful_change_some_distribution(edges: list[bool], n: int, angles: list[float]) -> None:
    graph = random_graph(edges, n)
    distributions = [
        outcome_distribution(graph, np.array(angles[:n]) * np.array([k + 1, 2, 3, 5, 7, 11][:n]) ** 0.5)
        for k in range(4)
    ] + [outcome_distribution(graph, kind.angles * np.pi / 4) for kind in stabiliser_tests(graph)]
    for members in harmful_flips(graph):
        axes = tuple(np.flatnonzero(members).tolist())
        assert any(not np.allclose(chance, np.flip(chance, axis=axes), atol=1e-9) for chance in distributions)


def test_two_parts_of_a_graph_have_harmless_flips_of_their_own() -> None:
    graph = checked_graph(
        BqcGraph(vertices=4, edges=((0, 1), (2, 3)), order=(0, 1, 2, 3), flow={0: 1, 2: 3}, outputs=(1, 3))
    )
    assert sorted(map(tuple, harmless_flips(graph).tolist())) == [
        (0, 0, 0, 0),
        (0, 0, 1, 1),
        (1, 1, 0, 0),
        (1, 1, 1, 1),
    ]


@settings(deadline=None, max_examples=40)
@given(EDGES, st.integers(2, 6))
def test_every_harmful_deviation_is_noticed_by_some_kind(edges: list[bool], n: int) -> None:
    graph = random_graph(edges, n)
    kinds = stabiliser_tests(graph)
    assert noticing(kinds, harmful_flips(graph)).min() > 0
    assert not noticing(kinds, harmless_flips(graph)).any()


@pytest.mark.parametrize("name", list(BUILT_IN))
def test_half_of_the_kinds_notice_any_deviation_of_a_built_in_graph(name: str) -> None:
    graph = graph_of(name)
    assert catch_probability(graph, stabiliser_tests(graph)) == Fraction(1, 2)
    assert catch_probability(graph, colour_tests(graph)) == Fraction(1, 2)


def test_an_edge_needs_one_kind_the_parity_of_both_in_y() -> None:
    graph = checked_graph(BqcGraph(vertices=2, edges=((0, 1),), order=(0, 1), flow={0: 1}, outputs=(1,)))
    (kind,) = stabiliser_tests(graph)
    assert kind.angles.tolist() == [2, 2]
    assert kind.parities.tolist() == [[1, 1]]
    assert kind.signs.tolist() == [0]
    assert catch_probability(graph, (kind,)) == 1


def test_kinds_that_leave_a_deviation_unnoticed_have_no_catch() -> None:
    graph = graph_of("rotation")
    assert catch_probability(graph, stabiliser_tests(graph)[:1]) == 0


def test_colour_tests_have_single_traps_among_dummies() -> None:
    kinds = colour_tests(graph_of("rotation"))
    assert [kind.dummies.tolist() for kind in kinds] == [[1, 0, 1], [0, 1, 0]]
    assert [kind.parities.tolist() for kind in kinds] == [[[0, 1, 0]], [[1, 0, 0], [0, 0, 1]]]


def test_a_trap_next_to_a_dummy_in_one_is_expected_to_be_flipped() -> None:
    graph = graph_of("rotation")
    kind = colour_tests(graph)[0]
    outcomes = np.array([[0, 1, 0], [0, 1, 0], [0, 0, 0]], np.uint8)
    dummies = np.array([[1, 0, 0], [1, 0, 1], [1, 0, 1]], np.uint8)
    assert kind.failed(outcomes, dummies, graph.adjacency).ravel().tolist() == [0, 1, 0]


def test_a_test_fails_as_often_as_its_parities_flip() -> None:
    kinds = stabiliser_tests(graph_of("rotation"))
    e = 0.1
    # Parities over two and over three outcomes.
    expected = 0.5 * (0.5 * (1 - (1 - 2 * e) ** 2) + 0.5 * (1 - (1 - 2 * e) ** 3))
    assert failure_probability(kinds, np.full(3, e)) == pytest.approx(expected, abs=1e-12)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**36 - 1))
def test_a_kernel_solves_its_equations_and_has_the_dimension_of_the_brute_force(n: int, m: int, bits: int) -> None:
    matrix = np.array([[bits >> (row * n + column) & 1 for column in range(n)] for row in range(m)], np.uint8)
    basis = kernel(matrix)
    assert not (matrix @ basis.T & 1).any()
    vectors = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    assert 2 ** len(basis) == int((~(vectors @ matrix.T & 1).any(axis=1)).sum())


def test_a_graph_without_tests_of_the_plane_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faintlink.postprocess.bqc.traps._MOST_KINDS", 1)
    with pytest.raises(ConfigError, match="unnoticed"):
        stabiliser_tests(graph_of("rotation"))
