"""How often an honest claim is refused, for the certificates of tokens and payments.

Sources: A. Kent, D. Lowndes, D. Pitalúa-García, J. Rarity, npj Quantum Inf. 8, 28 (2022) (the two terms).
"""

import math
from fractions import Fraction

from scipy.stats import binom

from faintlink.postprocess.conjugate.tails import lower_tail, upper_tail


def least_checked(positions: int, basis_bias: float, failure: float) -> int:
    """Return how many of ``positions`` are in the checked basis but for about ``failure``."""
    return max(1, int(binom.ppf(failure, positions, 0.5 - basis_bias)) - 1)


def refusal_bound(
    *, positions: int, least: int, basis_bias: float, max_error_rate: float, error_rate: Fraction | float
) -> Fraction:
    """Return an upper bound of the probability that an honest claim is refused.

    It is the probability that fewer than ``least`` positions are checked, and the largest one, over one period of the
    whole part from there on, that more than ``max_error_rate`` of these are wrong.
    """
    few = lower_tail(positions, least - 1, Fraction(1, 2) - Fraction(basis_bias))
    period = math.ceil(1.0 / max_error_rate)
    refused = max(
        upper_tail(checked, int(max_error_rate * checked) + 1, error_rate)
        for checked in range(least, min(positions, least + period) + 1)
    )
    return few + refused
