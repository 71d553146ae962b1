"""Test rounds: which angles they measure, which parities of outcomes are known beforehand, and what they catch.

Two designs. ``stabiliser_tests`` need states of the XY-plane only: each vertex is measured in X or Y, and the parity of
the outcomes over a set S is certain wherever the product of the graph's stabilisers over S holds no Z and agrees with
these bases. ``colour_tests`` need dummies |0> and |1>: all vertices but those of one colour are dummies, so that the
others are single traps.

Notes
-----
Known (Kapourniotis et al. 2023): parities without Z suffice, up to one reflection that harms nothing. Derived here
anew, for any graph and with several parities a round. A deviation of the server reaches the outcomes, by the twirl over
the clients' secrets, as a random choice of sets F of flipped outcomes, independent of all secrets (the proof of
Leichtle et al. 2021). A test with a parity over S notices F if |S and F| is odd.

- The product over S acts as X or Y on S and as Z on each outside vertex with an odd number of neighbours in S. With
  bases a (1 for Y), S qualifies if for each vertex v the number of its neighbours in S is a_v [v in S] modulo 2:
  (A + diag a) S = 0. One test round with bases a therefore checks the whole kernel of A + diag a.
- Its sign: prod K_v = (-1)^e(S) prod X prod Z with e(S) edges inside S; each XZ = -iY, with an even number y of Y, so
  that the parity is e(S) + y/2 modulo 2.
- The graph state has real amplitudes, so outcomes at angles alpha and -alpha are equally distributed. Measuring at
  -alpha is applying X to every vertex first, which the stabilisers turn into Z on each vertex of odd degree. So
  flipping the outcomes O of all vertices of odd degree changes no distribution whatever the angles, adaptive or not:
  F = O harms nothing. No S finds it either, for |S and O| is even. The same holds for each connected part by itself.
- `catch_probability` enumerates all other F, and takes the least share of test kinds that notice one: that share takes
  the place of 1/k. A graph with an F that no kind notices is refused.

Sources: D. Leichtle, L. Music, E. Kashefi, H. Ollivier, PRX Quantum 2, 040302 (2021) (rounds of traps); T.
Kapourniotis, E. Kashefi, D. Leichtle, L. Music, H. Ollivier, arXiv:2303.08865 (tests without dummies, and the
reflection); J. Fitzsimons, E. Kashefi, Phys. Rev. A 96, 012303 (2017) (traps and dummies).
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from faintlink.core.errors import ConfigError
from faintlink.core.units import Bits
from faintlink.postprocess.bqc.graph import Angles, Graph, colouring

_MOST_KINDS = 32
_MOST_STARTS = 64


@dataclass(frozen=True, slots=True, eq=False)
class TestKind:
    """One kind of test round."""

    __test__ = False
    """Not a class of tests for pytest."""
    angles: Angles
    """(n,) uint8: angle of each vertex before it is hidden."""
    dummies: Bits
    """(n,) uint8: 1 where a dummy is prepared."""
    parities: Bits
    """(m, n) uint8: the sets whose parity is known."""
    signs: Bits
    """(m,) uint8: the parity, without dummies' bits."""

    def failed(self, outcomes: Bits, dummy_bits: Bits, adjacency: Bits) -> Bits:
        """Return which traps fail, (r, m) uint8, given outcomes and dummies' bits of r rounds, (r, n) each."""
        flipped = outcomes ^ (dummy_bits @ adjacency & 1)
        failed: Bits = ((flipped @ self.parities.T & 1) ^ self.signs).astype(np.uint8)
        return failed


@lru_cache(maxsize=64)
def kinds_of(graph: Graph, design: str) -> tuple[TestKind, ...]:
    """Return the kinds of test rounds of a policy's design; all clients know them."""
    return stabiliser_tests(graph) if design == "stabilisers" else colour_tests(graph)


def colour_tests(graph: Graph) -> tuple[TestKind, ...]:
    """Return one kind for each colour, with traps on its vertices and dummies elsewhere."""
    colours = np.array(colouring(graph))
    kinds = []
    for colour in range(int(colours.max()) + 1):
        traps = colours == colour
        parities = np.eye(graph.size, dtype=np.uint8)[traps]
        none = np.zeros(graph.size, np.uint8)
        kinds.append(TestKind(none, (~traps).astype(np.uint8), parities, np.zeros(len(parities), np.uint8)))
    return tuple(kinds)


def stabiliser_tests(graph: Graph) -> tuple[TestKind, ...]:
    """Return kinds that together notice everything harmful, each deviation by as great a share of them as was found.

    Raises
    ------
    ConfigError
        The graph has no such tests: some harmful deviation would go unnoticed.

    Notes
    -----
    From each of the first choices a greedy search adds the kind that notices most, deviations counting half for every
    kind that notices them already (the multiplicative weights of covering games). The best share wins, then the
    fewest kinds.
    """
    offers = [(bases, kernel(graph.adjacency ^ np.diag(bases))) for bases in _all_bits(graph.size)]
    offers = [offer for offer in offers if len(offer[1])]
    flips = harmful_flips(graph)
    notices = np.array([(flips @ parities.T & 1).any(axis=1) for _, parities in offers], np.float64)
    covers = (_cover(notices, first) for first in range(min(len(offers), _MOST_STARTS)))
    share, chosen = max(covers, key=lambda found: (found[0], -len(found[1])), default=(Fraction(0), []))
    if not share:
        raise ConfigError(
            "the graph's tests without dummies leave a harmful deviation unnoticed",
            hint="use bqc.tests: traps, or another graph",
        )
    return tuple(_stabiliser_kind(graph, *offers[at]) for at in chosen)


def _cover(notices: npt.NDArray[np.float64], first: int) -> tuple[Fraction, list[int]]:
    """Return the best least share that greedily chosen kinds reach, and the kinds."""
    chosen, best = [first], (Fraction(0), [first])
    count = notices[first].copy()
    for size in range(1, _MOST_KINDS + 1):
        share = Fraction(int(count.min()), size)
        if share > best[0]:
            best = share, list(chosen)
        following = int(np.argmax(np.round(notices @ np.exp2(-count), 9)))
        chosen.append(following)
        count += notices[following]
    return best


def _stabiliser_kind(graph: Graph, bases: Bits, parities: Bits) -> TestKind:
    signs = np.array([_sign(graph, bases, row) for row in parities], np.uint8)
    return TestKind((2 * bases).astype(np.uint8), np.zeros(graph.size, np.uint8), parities, signs)


def harmful_flips(graph: Graph) -> Bits:
    """Return all sets of outcomes (f, n) uint8 whose flipping can change a result."""
    flips = _all_bits(graph.size)
    harmless = {row.tobytes() for row in harmless_flips(graph)}
    return flips[[row.tobytes() not in harmless for row in flips]]


def harmless_flips(graph: Graph) -> Bits:
    """Return the sets (h, n) uint8 whose flipping changes no distribution, the empty one among them."""
    odd = (graph.adjacency.sum(axis=1) & 1).astype(np.uint8)
    parts = [odd * part for part in _components(graph) if (odd * part).any()]
    choices = _all_bits(len(parts))
    sets: Bits = choices @ np.array(parts, np.uint8).reshape(len(parts), graph.size)
    return sets


def _components(graph: Graph) -> list[Bits]:
    """Return the connected parts as sets (n,) uint8."""
    reach = np.eye(graph.size, dtype=np.uint8) | graph.adjacency
    for _ in range(graph.size):
        reach = ((reach @ reach) > 0).astype(np.uint8)
    return [np.frombuffer(row, np.uint8) for row in sorted({row.tobytes() for row in reach})]


def catch_probability(graph: Graph, kinds: tuple[TestKind, ...]) -> Fraction:
    """Return the least share of the kinds that notices any one harmful set of flipped outcomes."""
    return Fraction(int(noticing(kinds, harmful_flips(graph)).min()), len(kinds))


def noticing(kinds: tuple[TestKind, ...], flips: Bits) -> npt.NDArray[np.int64]:
    """Return how many kinds notice each of the sets (f, n) uint8; (f,) int64."""
    count = np.zeros(len(flips), np.int64)
    for kind in kinds:
        count += (flips @ kind.parities.T & 1).any(axis=1)
    return count


def failure_probability(kinds: tuple[TestKind, ...], flip: npt.NDArray[np.float64]) -> float:
    """Return how often a test round fails whose outcomes flip independently with probabilities (n,)."""
    sets = _all_bits(flip.size)
    weight = np.prod(np.where(sets == 1, flip, 1.0 - flip), axis=1)
    return float(weight @ noticing(kinds, sets)) / len(kinds)


def kernel(matrix: npt.NDArray[np.integer[Any]]) -> Bits:
    """Return a basis (m, n) uint8 of the solutions of matrix x = 0 over two elements."""
    n = matrix.shape[1]
    # Columns below the identity record which combination of unit vectors became zero.
    work = np.hstack([matrix.T.astype(np.uint8) & 1, np.eye(n, dtype=np.uint8)])
    at = _eliminate(work, matrix.shape[0])
    return work[at:, matrix.shape[0] :]


def _eliminate(work: Bits, columns: int) -> int:
    at = 0
    for column in range(columns):
        hits = np.flatnonzero(work[at:, column])
        if not hits.size:
            continue
        pivot = at + int(hits[0])
        work[[at, pivot]] = work[[pivot, at]]
        others = np.flatnonzero(work[:, column])
        others = others[others != at]
        work[others] ^= work[at]
        at += 1
        if at == len(work):
            break
    return at


def _sign(graph: Graph, bases: Bits, members: Bits) -> int:
    edges = int(members @ graph.adjacency.astype(np.int64) @ members) // 2
    return (edges + int(bases @ members.astype(np.int64)) // 2) & 1


def _all_bits(n: int) -> Bits:
    """Return all rows (2**n, n) uint8 of n bits, zero first."""
    bits: Bits = (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(np.uint8)
    return bits
