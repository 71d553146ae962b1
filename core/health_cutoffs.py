"""Cutoffs of the continuous health tests of noise sources, for drivers and key servers alike.

Who feeds which samples, and what an alarm does, is theirs; so is the least entropy that makes sense for their samples.

Sources: NIST SP 800-90B (January 2018), 4.4.1 (repetition count), 4.4.2 (adaptive proportion).
"""

import math


def repetition_cutoff(min_entropy: float, false_alarm: float) -> int:
    """Return how many equal samples in a row are too many: 1 + ceil(-log2(false_alarm) / min_entropy).

    Parameters
    ----------
    min_entropy
        Claimed entropy of a sample in bits, above 0.
    false_alarm
        Chance per sample that a source as good as it claims is refused.
    """
    return 1 + math.ceil(-math.log2(false_alarm) / min_entropy)


def proportion_cutoff(min_entropy: float, false_alarm: float, window: int) -> int:
    """Return how many samples of a window that equal its first are too many.

    Parameters
    ----------
    min_entropy, false_alarm
        As for `repetition_cutoff`.
    window
        Samples in a window: 1024 of bits, 512 of anything else.

    Notes
    -----
    1 + critbinom(W, 2**-H, 1 - alpha): one more than the least k for which Binomial(W, 2**-H) exceeds k with at most
    alpha.
    """
    chance = 2.0**-min_entropy
    tail, k = 0.0, window
    while k > 0:
        log_term = math.lgamma(window + 1) - math.lgamma(k + 1) - math.lgamma(window - k + 1)
        log_term += k * math.log(chance) + (window - k) * math.log1p(-chance)
        tail += math.exp(log_term)
        if tail > false_alarm:
            break
        k -= 1
    return min(window, k + 1)
