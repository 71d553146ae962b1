"""Pairs of pulses of a card as density matrices, and what a cheater's answers to two verifiers are worth on them.

Used by `sdp` and `cloning`. Linear algebra only; it knows neither a policy nor a run.

Notes
-----
A card's pair is one pulse in basis Z and one in X, in either order, with random bits: the eight states |0,+> |0,->
|1,+> |1,-> |+,0> |-,0> |+,1> |-,1>. A verifier asks for both pulses in one basis and checks the pulse that was sent in
it. Two verifiers that ask the same check the same pulse; where they ask differently, each checks another one.

A phase-randomised pulse of Poissonian photon number is a mixture of n copies of the qubit, so that a pair is a block
(n_1, n_2). n copies live in the symmetric space of n + 1 dimensions; all matrices are real here.

An answer of a cheater who knows both questions, for a pair that is asked differently: Z bits of both pulses for the one
verifier, X bits for the other one, each 0, 1 or lost: 81 possibilities.

Sources: M. Bozzio et al., npj Quantum Inf. 4, 5 (2018) (arXiv 1705.01428) (states and questions).
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Matrices = npt.NDArray[np.float64]
LOST = 2
"""An answer that is none."""
MOST_PHOTONS = 2
"""Pulses of more photons are conceded."""


@dataclass(frozen=True, slots=True)
class Worth:
    """What the answer about a checked pulse counts, by what became of it."""

    right: float
    wrong: float
    lost: float
    is_product: bool = True
    """Whether the worths of both verifiers are multiplied, or added."""

    def of(self, answer: int, bit: int) -> float:
        """Return what an answer counts."""
        return self.lost if answer == LOST else self.right if answer == bit else self.wrong

    def both(self, first: float, second: float) -> float:
        """Return what two checked pulses count together."""
        return first * second if self.is_product else first + second

    @property
    def most(self) -> float:
        """The greatest worth of a pair that is asked differently."""
        best = max(self.right, self.wrong, self.lost)
        return self.both(best, best)


BOTH_RIGHT = Worth(1.0, 0.0, 0.0)
"""1 when both verifiers get what was sent: its optimum is the probability of a perfect copy of one pair."""
NUMBER_RIGHT = Worth(1.0, 0.0, 0.0, is_product=False)
"""How many of both verifiers get what was sent."""


def exponential(t: float, weight: float) -> Worth:
    """Return e**(t s) of the score s: 1 for each right answer, 1 - ``weight`` for each wrong one, 0 for a loss."""
    return Worth(math.exp(t), math.exp(t * (1.0 - weight)), 1.0)


def qubit(basis: int, bit: int) -> Floats:
    """Return a sender's state as a vector (2,)."""
    if basis == 0:
        return np.array([1.0, 0.0]) if bit == 0 else np.array([0.0, 1.0])
    return np.array([1.0, 1.0 - 2.0 * bit]) / math.sqrt(2.0)


def copies(vector: Floats, photons: int) -> Matrices:
    """Return the density matrix (n + 1, n + 1) of n copies of a real qubit, in the symmetric space."""
    a, b = vector
    amplitude = np.array(
        [math.sqrt(math.comb(photons, k)) * a ** (photons - k) * b**k for k in range(photons + 1)], np.float64
    )
    return np.outer(amplitude, amplitude)


STATES = tuple(itertools.product((0, 1), (0, 1), (0, 1)))
"""(order, Z bit, X bit) of the eight states; order 0 has the Z pulse first."""
ANSWERS = tuple(itertools.product(range(3), repeat=4))
"""(z1, z2, x1, x2) of the 81 answers."""


def pair_states(photons: tuple[int, int]) -> Matrices:
    """Return the eight states (8, d, d) of a block, each of unit trace."""
    found = []
    for order, z, x in STATES:
        z_pulse, x_pulse = qubit(0, z), qubit(1, x)
        first, second = (z_pulse, x_pulse) if order == 0 else (x_pulse, z_pulse)
        found.append(np.kron(copies(first, photons[0]), copies(second, photons[1])))
    return np.array(found)


def answer_worths(worth: Worth) -> Floats:
    """Return what each answer is worth on each state, (81, 8)."""
    table = np.empty((len(ANSWERS), len(STATES)))
    for row, (z1, z2, x1, x2) in enumerate(ANSWERS):
        for column, (order, z, x) in enumerate(STATES):
            shown_z, shown_x = (z1, x2) if order == 0 else (z2, x1)
            table[row, column] = worth.both(worth.of(shown_z, z), worth.of(shown_x, x))
    return table


def operators(photons: tuple[int, int], worth: Worth) -> Matrices:
    """Return W_x (81, d, d): with a measurement M_x the mean worth of a block is the sum of Tr[M_x W_x]."""
    states = pair_states(photons)
    weighted: Matrices = np.einsum("xs,sij->xij", answer_worths(worth) / len(STATES), states)
    return weighted


UNFLIPPED = tuple(row for row, answer in enumerate(ANSWERS) if 1 not in answer)
"""Rows of `ANSWERS` without a 1: flipping bits of a pulse, with its state, gives all others."""


def invariant_shapes(photons: tuple[int, int]) -> Matrices:
    """Return what a matrix is composed of that no flip of a bit changes, (m, d, d).

    Flips are the Pauli matrices on all copies of a pulse. On one qubit they leave multiples of the identity; on two
    copies they tell the three Bell states of the symmetric space apart, and leave what is diagonal in these.
    """
    half = 0.5
    bell = np.array([[[half, 0, half], [0, 0, 0], [half, 0, half]], [[half, 0, -half], [0, 0, 0], [-half, 0, half]]])
    each = {0: [np.eye(1)], 1: [np.eye(2)], 2: [*bell, np.diag([0.0, 1.0, 0.0])]}
    return np.array([np.kron(a, b) for a in each[photons[0]] for b in each[photons[1]]])
