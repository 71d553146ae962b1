"""Confidence bounds of measured rates, and quantiles, for the certificates of tokens, money and payments.

A bound is found in floats, then widened until the exact tail confirms it.

Sources: C. J. Clopper, E. S. Pearson, Biometrika 26, 404 (1934).
"""

from fractions import Fraction

from scipy.stats import beta, binom

from faintlink.postprocess.conjugate.tails import lower_tail, upper_tail
from faintlink.postprocess.security.tail import least_count

_WIDER = Fraction(1, 10**7)


def rate_at_most(events: int, trials: int, failure: float) -> Fraction:
    """Return an upper bound of a probability that gave ``events`` in ``trials``; wrong with at most ``failure``."""
    if not 0 <= events <= trials:
        raise ValueError(f"events must lie in 0..trials, got {events} of {trials}")
    if events == trials:
        return Fraction(1)
    rate, limit = Fraction(float(beta.ppf(1.0 - failure, events + 1, trials - events))), Fraction(failure)
    if not 0 < rate < 1:
        rate = Fraction(events + 1, trials + 1)
    while rate < 1 and lower_tail(trials, events, rate) > limit:
        rate += (1 - rate) * _WIDER
    return min(rate, Fraction(1))


def rate_at_least(events: int, trials: int, failure: float) -> Fraction:
    """Return a lower bound of a probability that gave ``events`` in ``trials``; wrong with at most ``failure``."""
    return 1 - rate_at_most(trials - events, trials, failure)


def most_events(trials: int, rate: Fraction, failure: Fraction) -> int:
    """Return a number that ``trials`` events of probability ``rate`` exceed with at most ``failure``."""
    if rate <= 0:
        return 0
    guess = int(binom.isf(float(failure), trials, min(float(rate), 1.0)))
    # The quantile of floats is off by one at most; the exact bisection is slow for millions of trials.
    for most in range(max(guess - 1, 0), guess + 3):
        if upper_tail(trials, most + 1, rate) <= failure:
            return most
    return least_count(trials, rate, failure) - 1


def excludes_bias(ones: int, trials: int, bias: float, failure: float) -> bool:
    """Return whether a coin with |P(1) - 1/2| <= ``bias`` gives so uneven a count with less than ``failure``."""
    fewer = min(ones, trials - ones)
    return lower_tail(trials, fewer, Fraction(1, 2) - Fraction(bias)) < Fraction(failure) / 2
