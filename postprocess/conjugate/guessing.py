"""How well anybody can answer in both bases of conjugate coding: the one bound behind tokens and payments.

A forger receives pulses in one of four states, bit t in basis u. For n positions of its choice, chosen after any
measurement of all pulses together, it must name a bit for the case u = 0 and a bit for the case u = 1, and only the
one that belongs to the true u is checked. It wins if at most e of n checked bits are wrong.

Notes
-----
Own derivation of the form with exact binomials, after the structure of theorem 1 of Kent et al. Let x be the forger's
outcome: the set of n positions and the two bits of each. Its probability to win is the sum over x of Tr[M_x D_x],
at most the largest norm of 2**s D_x over s single photons, since the M_x add to the identity of 2**s dimensions; it
holds for joint measurements and for any choice of positions. D_x is a sum over at most e wrong positions of a product.

- A reported single photon: with weights p_u = 1/2 +- beta_PB and bits of probability at most 1/2 + beta_PS, the factor
  for a right bit is at most (1 + 2 beta_PS) G / 2 with G = p_0 |a_0><a_0| + p_1 |a_1><a_1|, that for a wrong bit the
  same with 1 - G, the two states of each basis being orthogonal. G has the eigenvalues lambda' and 1 - lambda' with
  lambda' >= lambda(theta, beta_PB). Both factors commute, so the sum over wrong positions has the norm of a
  binomial distribution function: (1 + 2 beta_PS)**n BinCDF(e; n, lambda).
- A pulse without photons: the same with 1/2 in place of lambda, which is smaller.
- A pulse of several photons is conceded: the forger is told its bit and basis, so that what is left are single
  photons. Their number is bounded by a binomial tail.
- An unreported single photon: 2 rho has the norm 1 + 2 beta_PS h with h the length of p_0 n_0 + p_1 n_1 on the Bloch
  sphere, h**2 = 1/2 + 2 beta_PB**2 + (1/2 - 2 beta_PB**2) sin 2 theta.

lambda(theta, beta) = (1 - sqrt(1 - (1 - O**2)(1 - 4 beta**2)))/2 and O = (cos theta + sin theta)/sqrt 2 is the largest
overlap of states of different bases. For theta = beta = 0 a position is won with cos**2(pi/8).

Sources: A. Kent, D. Lowndes, D. Pitalúa-García, J. Rarity, npj Quantum Inf. 8, 28 (2022), theorem 1 and appendix D.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

from faintlink.postprocess.conjugate.estimates import most_events
from faintlink.postprocess.conjugate.tails import lower_tail
from faintlink.postprocess.security.rounding import INTERVALS

_SIN_ERROR = Fraction(1, 2**50)
"""More than the error of `math.sin`."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """How good the four states are."""

    angle_deg: float = 0.0
    """Largest misalignment of the two bases, theta."""
    basis_bias: float = 0.0
    """beta_PB."""
    bit_bias: float = 0.0
    """beta_PS."""


@dataclass(frozen=True, slots=True)
class Pulses:
    """What was sent: phase-randomised pulses of a Poissonian photon number."""

    count: int
    """N, detected or not."""
    mean_photons: float
    """Upper bound of the mean photon number."""

    @property
    def multi_photon(self) -> Fraction:
        """Upper bound of the probability of two photons or more, 1 - e**-mu (1 + mu) <= mu**2/2."""
        mu = Fraction(self.mean_photons)
        exact = Fraction(-math.expm1(-self.mean_photons)) - mu * Fraction(math.exp(-self.mean_photons))
        return min(mu * mu / 2, max(exact, Fraction(0)) + Fraction(1, 2**48))

    @property
    def single_photon(self) -> Fraction:
        """Upper bound of the probability of one photon."""
        return Fraction(min(self.mean_photons, 1.0))


@dataclass(frozen=True, slots=True)
class ForgingBound:
    """Probability that both answers pass, and what it is made of."""

    epsilon: Fraction
    """The sum of all terms."""
    guessing: Fraction
    """The binomial term, with the factors of biased bits."""
    excess: Fraction
    """Probability that more pulses have several photons than were conceded, and of the same for single photons."""
    conceded: int
    """Positions of several photons that were conceded."""
    error_per_position: Fraction
    """lambda: least probability to err at a single photon."""


def guessing_error(angle_deg: float, basis_bias: float) -> Fraction:
    """Return a lower bound of lambda(theta, beta_PB), the least error of whoever must answer in both bases."""
    if not (0.0 <= angle_deg <= 45.0 and 0.0 <= basis_bias <= 0.5):
        raise ValueError(f"need 0 <= theta <= 45 deg and 0 <= beta <= 1/2, got {angle_deg} and {basis_bias}")
    a = INTERVALS
    beta = Fraction(basis_bias)
    apart = max(Fraction(0), (1 - _sin_twice(angle_deg)) / 2) * (1 - 4 * beta * beta)
    return max(Fraction(0), a.at_least((1 - a.sqrt(a.number(1 - apart))) / a.number(2)))


def allowed_errors(max_error_rate: float, positions: int) -> int:
    """Return how many errors all checks over ``positions`` can let pass together, whatever its parts.

    The sum of whole parts is at most the whole part of the sum; the last digit of floats is allowed for.
    """
    return math.floor(Fraction(max_error_rate) * positions * (1 + Fraction(1, 2**50)))


def forging_bound(
    *, positions: int, errors: int, pulses: Pulses, preparation: Preparation, failure: Fraction, checked: int = 0
) -> ForgingBound:
    """Return the bound for a forger that reports ``positions`` and may err ``errors`` times.

    Parameters
    ----------
    positions
        Number that was fixed before.
    errors
        That all checks together let pass.
    pulses, preparation
        What was sent.
    failure
        Probability that may be spent on the number of pulses of several photons, and again on that of one photon.
    checked
        Of the positions, how many must be answered in both bases; 0 for all.
    """
    conceded = most_events(pulses.count, pulses.multi_photon, failure)
    least = guessing_error(preparation.angle_deg, preparation.basis_bias)
    left = max(0, (checked or positions) - conceded)
    tail = lower_tail(left, errors, least) if left > errors else Fraction(1)
    excess = failure
    if preparation.bit_bias > 0.0:
        singles = most_events(pulses.count, pulses.single_photon, failure)
        tail *= _bias_factor(preparation, positions, singles)
        excess += failure
    guessing = min(Fraction(1), tail)
    return ForgingBound(min(Fraction(1), guessing + excess), guessing, excess, conceded, least)


def _bias_factor(preparation: Preparation, positions: int, singles: int) -> Fraction:
    """Return an upper bound of (1 + 2 beta_PS)**positions (1 + 2 beta_PS h)**singles."""
    a = INTERVALS
    bias, beta = Fraction(preparation.bit_bias), Fraction(preparation.basis_bias)
    uneven = 2 * beta * beta
    half = Fraction(1, 2)
    length = a.sqrt(a.number(half + uneven + (half - uneven) * min(Fraction(1), _sin_twice(preparation.angle_deg))))
    one = a.number(1)
    exponent = positions * a.ln(a.number(1 + 2 * bias)) + singles * a.ln(one + a.number(2 * bias) * length)
    return a.at_most(a.exp(exponent))


def _sin_twice(angle_deg: float) -> Fraction:
    """Return an upper bound of sin(2 theta)."""
    return Fraction(math.sin(2.0 * math.radians(angle_deg))) + (_SIN_ERROR if angle_deg else Fraction(0))
