"""The interval of a measured share.

Sources: C. J. Clopper, E. S. Pearson, Biometrika 26, 404 (1934).
"""

from scipy.stats import beta


def clopper_pearson(hits: int, trials: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Return the lower and upper end of the exact two-sided interval of a share."""
    tail = (1.0 - confidence) / 2.0
    low = float(beta.ppf(tail, hits, trials - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1.0 - tail, hits + 1, trials - hits)) if hits < trials else 1.0
    return low, high
