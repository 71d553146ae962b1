"""How well a cheater can serve two verifiers with one card: the growth of its score, pair by pair.

Used by `security` and `panels`. The score S counts 1 for each checked pulse that was answered, for both verifiers, and
takes ``weight`` off for each wrong one.

Notes
-----
Own derivation. Let c be both verifiers' questions, which the cheater may know, x all its answers, and s_j their score
on pair j. Any measurement M of all pairs together, memories and losses included, has

    E[e**(t S)] = E_c sum_x Tr[M_x (x)_j W_j(c, x)]  <=  E_c prod_j Tr Y_j(c)   for Y_j >= W_j for all x,

with W_j the mean of e**(t s_j) rho over what may have been sent, since a tensor product keeps the order of positive
matrices. So joint attacks gain nothing over the bound, and it is one semidefinite program per pair:

    E[e**(t S)] <= G**pairs,   G = (G_same + G_differing) / 2.

The photon number of a pulse is known to the cheater (phase-randomised light): Tr Y is a mean over blocks (n_1, n_2).

- Both ask the same: both check the same pulse; with a photon it is answered without error, e**(2t); without one it may
  be guessed or called lost.
- They differ, blocks of at most one photon a pulse: Y = c 1 is exact, the states being symmetric.
- A pulse of two photons answers both questions. Then the other one gives e**t if it has two photons as well, and what
  a guess or a loss gives if it has none. If it has one photon, the two photons tell about its basis: a semidefinite
  program in 2 x 3 dimensions. The conservative bound, without a solver, takes its basis for told.
- Three photons or more: the whole pair is conceded.

A greater mean photon number never hurts a cheater, who can throw photons away: G at the upper bound of the mean holds
for all smaller ones. Bits of bias beta: every state has at most (1 + 2 beta)**2 of its weight.

Sources: own derivation; for one perfect pair without losses it reproduces the numbers of Bozzio et al. 2018 (3/4 for a
perfect copy) and of A. Molina, T. Vidick, J. Watrous, TQC 2012 (classical verification of one qubit, 3/4 + sqrt 2 / 8).
"""

import math
from functools import lru_cache

from faintlink.postprocess.money.sdp import dual_bound, isotropic_bound
from faintlink.postprocess.money.states import UNFLIPPED, exponential, invariant_shapes, operators

ROUNDING = 1e-12
"""Relative, far more than the error of the few sums and products here."""


def growth(mean_photons: float, t: float, weight: float, *, bit_bias: float = 0.0, optimise: bool = True) -> float:
    """Return an upper bound of G.

    Parameters
    ----------
    mean_photons
        Upper bound of the mean photon number of a pulse.
    t, weight
        Of the score; both positive, the weight greater than 1.
    bit_bias
        Largest |P(bit) - 1/2| of the sender's bits.
    optimise
        Whether `cvxpy` may be used; False gives the conservative bound.

    Raises
    ------
    FaintlinkError
        It is to be used and not there.
    """
    if not (mean_photons >= 0.0 and t > 0.0 and weight > 1.0):
        raise ValueError(f"need mu >= 0, t > 0 and weight > 1, got {mean_photons}, {t} and {weight}")
    value = (same(mean_photons, t, weight) + differing(mean_photons, t, weight, optimise=optimise)) / 2.0
    return value * (1.0 + 2.0 * bit_bias) ** 2 * (1.0 + ROUNDING)


def poisson(mean_photons: float) -> tuple[float, float, float]:
    """Return the probabilities of no, one and two photons."""
    none = math.exp(-mean_photons)
    return none, none * mean_photons, none * mean_photons**2 / 2.0


def same(mean_photons: float, t: float, weight: float) -> float:
    """Return the bound for a pair that both verifiers ask the same."""
    none = math.exp(-mean_photons)
    right, wrong = math.exp(t), math.exp(t * (1.0 - weight))
    blind = max(1.0, (right + wrong) / 2.0, (right**2 + wrong**2) / 2.0, right * wrong)
    return -math.expm1(-mean_photons) * right**2 + none * blind


def differing(mean_photons: float, t: float, weight: float, *, optimise: bool = True) -> float:
    """Return the bound for a pair that both verifiers ask differently."""
    none, one, two = poisson(mean_photons)
    best = math.exp(t)
    blind = max(1.0, (best + math.exp(t * (1.0 - weight))) / 2.0)
    guessed, kept, both = (_single(block, t, weight) for block in ((0, 0), (0, 1), (1, 1)))
    told = _mixed(t, weight) if optimise else best**2
    counted = none + one + two
    return (
        none**2 * guessed
        + 2.0 * none * one * kept
        + one**2 * both
        + 2.0 * none * two * best * blind
        + 2.0 * one * two * told
        + two**2 * best**2
        + max(0.0, 1.0 - counted**2) * best**2
    )


@lru_cache(maxsize=4096)
def _single(photons: tuple[int, int], t: float, weight: float) -> float:
    return isotropic_bound(operators(photons, exponential(t, weight))).value


@lru_cache(maxsize=4096)
def _mixed(t: float, weight: float) -> float:
    """Return the bound of a block of one and two photons; never more than when the basis is told."""
    ops = operators((1, 2), exponential(t, weight))
    found = dual_bound(ops, shapes=invariant_shapes((1, 2)), enough=UNFLIPPED)
    return min(found.value, math.exp(2.0 * t) * (1.0 + ROUNDING))
