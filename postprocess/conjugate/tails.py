"""Binomial tails for verdicts and certificates, never reported smaller than they are, in the log domain where tiny.

Sources: `faintlink.postprocess.security.tail` (how the tails are bounded).
"""

from fractions import Fraction

from faintlink.postprocess.security.rounding import float_above
from faintlink.postprocess.security.tail import tail_at_most


def upper_tail(n: int, k: int, p: Fraction | float) -> Fraction:
    """Return an upper bound of P[Bin(n, p) >= k]."""
    return tail_at_most(n, k, Fraction(p)) if k > 0 else Fraction(1)


def lower_tail(n: int, k: int, p: Fraction | float) -> Fraction:
    """Return an upper bound of P[Bin(n, p) <= k]."""
    return upper_tail(n, n - k, 1 - Fraction(p)) if k >= 0 else Fraction(0)


def as_epsilon(tail: Fraction) -> float:
    """Return a tail as a float that does not lie below it."""
    return float_above(tail)
