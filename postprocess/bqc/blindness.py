"""Whether what the server saw tells anything: a smoke test of the angles sent, and the leakage of imperfect states.

The smoke test finds bugs and broken random numbers, it proves nothing: blindness rests on the clients' secrets.

Notes
-----
Leakage, own derivation. For one qubit the server knows delta and holds the state of angle theta = delta - phi' - r pi,
with r hidden and uniform: for each phi' the mean of two opposite states, rho(phi'). With ideal states that is one half
of the identity whatever phi' is. With measured states the Holevo quantity of {rho(phi')}, phi' uniform over the eight
angles, averaged over delta, bounds the classical bits that one qubit can give away by these imperfections. Further
photons in the same state, and light that the modulators send back, are not in it.

Sources: A. Holevo, Probl. Peredachi Inf. 9, 3 (1973); A. Broadbent, J. Fitzsimons, E. Kashefi, FOCS 2009.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc

from faintlink.postprocess.bqc.graph import STEPS, Angles


def angle_counts(deltas: Angles) -> npt.NDArray[np.int64]:
    """Return how often each angle was sent for each vertex, (n, 8) int64, given angles (r, n)."""
    return np.stack([np.bincount(column, minlength=STEPS) for column in deltas.T]).astype(np.int64)


def uniformity(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the p-value of chi squared over the eight angles for each vertex, (n,)."""
    expected = counts.sum(axis=1, keepdims=True) / STEPS
    chi2 = ((counts - expected) ** 2 / np.maximum(expected, 1e-300)).sum(axis=1)
    values: npt.NDArray[np.float64] = chdtrc(STEPS - 1, chi2)
    return values


def leakage(states: Sequence[tuple[float, float, float]]) -> float:
    """Return the bits that one qubit can leak, given the Bloch vectors of the eight prepared states."""
    vectors = np.array(states, np.float64)
    means = 0.5 * (vectors + np.roll(vectors, STEPS // 2, axis=0))
    # For each delta the eight values of phi' run through all means once, so that delta drops out.
    spread = float(np.mean([_entropy(vector) for vector in means]))
    return max(0.0, _entropy(means.mean(axis=0)) - spread)


def _entropy(vector: npt.NDArray[np.float64]) -> float:
    """Return the von Neumann entropy in bits of a qubit with a Bloch vector (3,)."""
    length = min(1.0, float(np.linalg.norm(vector)))
    return -sum(p * float(np.log2(p)) for p in ((1.0 + length) / 2.0, (1.0 - length) / 2.0) if p > 0.0)
