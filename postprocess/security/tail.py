"""The upper tail of a binomial distribution, never reported smaller than it is.

Used by the bounds that allow for a known small probability of a misbehaving detector. It works in exact integers
and in intervals; a tail taken from a library's floats could be off by more than the confidence asked for.

Sources
-------
H. Robbins, Am. Math. Mon. 62, 26 (1955) (bounds of the factorial); W. Hoeffding, J. Am. Stat. Assoc. 58, 13 (1963).
"""

import math
from fractions import Fraction

from faintlink.postprocess.security.rounding import INTERVALS, Arithmetic, Interval, T, upper_end

HOEFFDING_BELOW = Fraction(1, 10**16)
"""Failure probabilities below this are bounded by Hoeffding's inequality, as in the authors' own evaluation."""
_POINT_BITS = 256
"""Binary places of the sum, beyond those of its first term."""
_PROBABILITY_BITS = 96
"""Binary places to which the probability of one event is rounded up."""
_LEAST_LN = -4096
"""Logarithm below which a term is taken to be as large as there."""
_MOST_TERMS = 4096
"""Terms that are summed one by one; the rest is bounded by a geometric series."""


def excess(a: Arithmetic[T], n: T, delta: T, *, ln_inverse: T, is_exact: bool = True) -> T:
    """Return c such that P[Bin(n, delta) >= n (delta + c)] is at most p for this n and for every larger one.

    Parameters
    ----------
    a
        The arithmetic.
    n
        Number of events, or a lower bound of it; need not be whole.
    delta
        Probability of each.
    ln_inverse
        ln(1/p).
    is_exact
        False takes Hoeffding's inequality whatever p is, for optimisers.

    Notes
    -----
    Hoeffding: c = sqrt(ln(1/p) / (2 n)). Otherwise c = (k + 1)/floor(n) - delta, k being the least whole number
    with P[Bin(floor(n), delta) >= k] <= p by the sum of the tail, bounded from above; the one more covers the steps
    that the least k makes as n grows. The smaller of both counts. Without any such probability c is 0.
    """
    most = a.at_most(delta)
    if most <= 0:
        return a.number(0)
    hoeffding = a.sqrt(ln_inverse / (2 * n))
    failure = _below_exp(a.at_most(ln_inverse))
    whole = math.floor(a.at_least(n))
    if not is_exact or failure < HOEFFDING_BELOW or whole < 1 or most >= 1:
        return hoeffding
    k = least_count(whole, most, failure)
    return a.least(hoeffding, a.number(Fraction(k + 1, whole)) - delta)


def _below_exp(ln_inverse: Fraction) -> Fraction:
    """Return a number of at most 60 digits that does not exceed exp(-ln_inverse)."""
    a = INTERVALS
    low = a.at_least(a.exp(a.number(-ln_inverse)))
    return Fraction(math.floor(low * 10**60), 10**60)


def least_count(n: int, delta: Fraction, failure: Fraction) -> int:
    """Return the least k for which the tail P[Bin(n, delta) >= k] is proven to be at most ``failure``.

    Raised by bisection between the mean, where the tail is about a half, and n + 1, where it is nothing.
    """
    low, high = min(n, math.ceil(n * delta)), n + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _is_within(n, middle, delta, failure) else (middle, high)
    return high


def tail_at_most(n: int, k: int, delta: Fraction) -> Fraction:
    """Return an upper bound of P[Bin(n, delta) >= k], close to it for k above the mean; 1 where none is known."""
    if k > n:
        return Fraction(0)
    p = _rounded_up(delta)
    if k <= n * p:
        return Fraction(1)
    ratios = _sum_of_ratios(n, k, p)
    return Fraction(1) if ratios is None else min(Fraction(1), _first_term(n, k, p) * ratios)


def _is_within(n: int, k: int, delta: Fraction, failure: Fraction) -> bool:
    """Return whether the tail is proven to be at most ``failure``; long sums are left once they exceed it."""
    p = _rounded_up(delta)
    if k > n or k <= n * p:
        return k > n
    first = _first_term(n, k, p)
    ratios = _sum_of_ratios(n, k, p, most=failure / first)
    return ratios is not None and first * ratios <= failure


def _rounded_up(delta: Fraction) -> Fraction:
    return Fraction(math.ceil(delta * 2**_PROBABILITY_BITS), 2**_PROBABILITY_BITS)


def _first_term(n: int, k: int, p: Fraction) -> Fraction:
    """Return an upper bound of P[Bin(n, p) = k]."""
    a = INTERVALS
    # An exact fraction near e**-1000000000 would have as many digits; no failure probability is asked for that far out.
    return upper_end(a.exp(a.greatest(_ln_term(n, k, p), a.number(_LEAST_LN))))


def _sum_of_ratios(n: int, k: int, p: Fraction, *, most: Fraction | None = None) -> Fraction | None:
    """Return an upper bound of the tail over its first term, None beyond ``most``; every rounding is upwards."""
    up, down = p.numerator, p.denominator - p.numerator
    unit = 1 << _POINT_BITS
    term = total = unit
    limit = math.inf if most is None else math.floor(most * unit)
    for j in range(k, min(n, k + _MOST_TERMS)):
        term = -(-term * (n - j) * up // ((j + 1) * down))
        total += term
        if total > limit:
            return None
        if term <= total >> 48:
            break
    else:
        j = min(n, k + _MOST_TERMS) - 1
    # Ratios fall with j, so that the last one bounds all that follow.
    ratio = Fraction(max(n - j - 1, 0) * up, (j + 2) * down)
    rest = term * ratio / (1 - ratio)
    return (total + rest) / unit


def _ln_term(n: int, k: int, p: Fraction) -> Interval:
    """Return an interval around ln[ C(n, k) p^k (1-p)^(n-k) ]."""
    a = INTERVALS
    chosen = _ln_factorial(n) - _ln_factorial(k) - _ln_factorial(n - k)
    certain = a.number(k) * a.ln(a.number(p))
    return chosen + certain + (a.number(n - k) * a.ln(a.number(1 - p)) if n > k else a.number(0))


def _ln_factorial(n: int) -> Interval:
    """Return an interval around ln n!, Robbins: Stirling's formula with a rest between 1/(12n+1) and 1/(12n)."""
    a = INTERVALS
    if n < 128:
        return a.ln(a.number(math.factorial(n)))
    x = a.number(n)
    stirling = x * a.ln(x) - x + a.ln(x * a.two_pi()) / a.number(2)
    return stirling + a.between(Fraction(1, 12 * n + 1), Fraction(1, 12 * n))
