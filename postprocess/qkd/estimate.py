"""Error rates with their confidence, from counts.

Sources: C. J. Clopper, E. S. Pearson, Biometrika 26, 404 (1934) (exact binomial interval).
"""

from dataclasses import dataclass

from scipy.stats import beta

from faintlink.core.records import ErrorCount


@dataclass(frozen=True, slots=True)
class RateEstimate:
    """An error rate and the interval that covers the true one."""

    rate: float
    """Observed rate; nan when nothing was compared."""
    low: float
    """Lower end of the interval."""
    high: float
    """Upper end of the interval."""
    confidence: float
    """Probability with which such intervals cover the truth."""


def error_rate(count: ErrorCount, confidence: float = 0.95) -> RateEstimate:
    """Return the Clopper-Pearson estimate of an error rate.

    Parameters
    ----------
    count
        Compared and differing bits.
    confidence
        Coverage, between 0 and 1.
    """
    alpha = 1.0 - confidence
    n, m = count.bits, count.errors
    low = float(beta.ppf(alpha / 2, m, n - m + 1)) if m else 0.0
    high = float(beta.ppf(1 - alpha / 2, m + 1, n - m)) if m < n else 1.0
    return RateEstimate(count.rate, low, high, confidence)
