"""The same computations and tests on graphix, an independent simulator; skipped where it is not installed."""

import numpy as np
import numpy.typing as npt
import pytest

from faintlink.postprocess.bqc.graph import BUILT_IN, EXAMPLES, Angles, Graph, graph_of, ideal_distribution
from faintlink.postprocess.bqc.traps import stabiliser_tests

command = pytest.importorskip("graphix.command")
measurements = pytest.importorskip("graphix.measurements")
pattern = pytest.importorskip("graphix.pattern")
simulator = pytest.importorskip("graphix.simulator")
pytestmark = pytest.mark.filterwarnings("ignore")
SHOTS = 10


def outcomes(graph: Graph, phi: Angles, shots: int, *, is_adaptive: bool) -> npt.NDArray[np.uint8]:
    """Return what graphix measures, (shots, n): our corrections as its signal domains."""
    none = np.zeros(graph.size, np.uint8)
    commands = [*(command.N(vertex) for vertex in range(graph.size)), *(command.E(edge) for edge in graph.edges)]
    for vertex in graph.order:
        x, z = (graph.x_from[vertex], graph.z_from[vertex]) if is_adaptive else (none, none)
        # Its angles count in pi.
        plane = measurements.Measurement.XY(0.25 * int(phi[vertex]))
        commands.append(command.M(vertex, plane, set(np.flatnonzero(x).tolist()), set(np.flatnonzero(z).tolist())))
    rng, seen = np.random.default_rng(1), np.zeros((shots, graph.size), np.uint8)
    for shot in range(shots):
        method = simulator.DefaultMeasureMethod()
        simulator.PatternSimulator(pattern.Pattern(cmds=commands), measure_method=method).run(rng=rng)
        seen[shot] = [int(method.results[vertex]) for vertex in range(graph.size)]
    return seen


@pytest.mark.parametrize("name", list(BUILT_IN))
def test_graphix_computes_the_same_results(name: str) -> None:
    graph = graph_of(name)
    for example in EXAMPLES[name]:
        phi = np.array(example, np.uint8)
        (expected,) = (result for result, chance in ideal_distribution(graph, phi).items() if chance > 0.5)
        found = outcomes(graph, phi, SHOTS, is_adaptive=True)[:, list(graph.outputs)]
        assert {"".join(map(str, row)) for row in found} == {expected}


@pytest.mark.parametrize("name", list(BUILT_IN))
def test_graphix_measures_the_same_parities(name: str) -> None:
    graph = graph_of(name)
    for kind in stabiliser_tests(graph):
        found = outcomes(graph, kind.angles, SHOTS, is_adaptive=False)
        assert np.array_equal(found @ kind.parities.T & 1, np.tile(kind.signs, (SHOTS, 1)))
