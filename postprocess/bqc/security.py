"""What a verdict is worth: limits of the threshold, soundness, rejection, and rates at which deviations are refused.

Used before a session to choose its threshold and after it for the certificate.

Notes
-----
Given (Leichtle et al. 2021): n = d + t rounds in random order, a test round fails if any of its traps does, the result
is the majority of the d computation rounds, accepted if at most w tests fail. The error falls exponentially in n for
w/t < (1/k)(2p - 1)/(2p - 2), with k kinds of tests and the inherent error p.

Own derivation of the number, with the same limit. Let a deviating server touch m of the n rounds, in any way that its
part of the secrets allows. The order is uniform and hidden, so that the number x of tests among them is hypergeometric.
Each of these is noticed with a probability of at least c (`faintlink.postprocess.bqc.traps`: the kind of each test
round is drawn independently and hidden), the other tests are taken never to fail; each of the m - x touched
computations is taken to be wrong, the others are wrong with at most p independently. Wrong accepted results then have
at most the probability

    eps = max_m sum_x Hyp(x; n, t, m) P[Bin(x, c) <= w] P[(m - x) + Bin(d - m + x, p) >= d/2],

which holds for mixtures of such deviations too, thus for every one left by the twirl. With c = 1/k it is the figure of
the built-in tables. A result is the outcome that more than half of the computation rounds show; with none the session
is refused.

Rounding: every factor is made of sums and products of non-negative floats only, by fewer than 10**6 operations, each
off by at most 2**-53 of its value, so that no factor is off by more than 2e-10 of itself; what underflows is below
1e-300. The sum is enlarged by one part in 10**8 and by 1e-290.

Sources: D. Leichtle, L. Music, E. Kashefi, H. Ollivier, "Verifying BQP computations on noisy devices with minimal
overhead", PRX Quantum 2, 040302 (2021), theorem 1 and its condition on w/t.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from faintlink.postprocess.conjugate.tails import as_epsilon, upper_tail

_UP, _UNDERFLOW = 1.0 + 1e-8, 1e-290
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Certificate:
    """What the verdict of one session is worth."""

    eps_sound: float
    """Probability that a wrong result is accepted, whatever the server does."""
    eps_reject: float
    """Probability that the expected honest server is refused."""
    catch: Fraction
    """Least probability that a test round notices a deviation."""
    limit: Fraction
    """Limit of w/t."""
    failure_low: float
    """Lower end of the 95 % interval of the probability that a test round fails."""
    failure_high: float
    """Its upper end."""


def threshold_limit(catch: Fraction, inherent_error: Fraction) -> Fraction:
    """Return the limit of w/t, c (2p - 1)/(2p - 2), for p below 1/2."""
    return catch * (2 * inherent_error - 1) / (2 * inherent_error - 2)


def greatest_threshold(tests: int, catch: Fraction, inherent_error: Fraction) -> int:
    """Return the greatest w with w/t below the limit; 0 is always possible."""
    return max(0, math.ceil(tests * threshold_limit(catch, inherent_error)) - 1)


@lru_cache(maxsize=256)
def soundness(d: int, t: int, catch: Fraction, inherent_error: Fraction, w: int) -> float:
    """Return an upper bound of the probability that a wrong result is accepted.

    Parameters
    ----------
    d, t, w
        Computation rounds, test rounds, most failed tests.
    catch
        Least probability that a touched test round fails, 1/k for k kinds.
    inherent_error
        Probability that an untouched computation round is wrong, p.

    Notes
    -----
    O((d + t) t) operations.
    """
    passed, wrong = _passed(t, float(catch), w), _wrong(d, float(inherent_error))
    worst = max(_at(m, d, t, passed, wrong) for m in range(d + t + 1))
    return min(1.0, worst * _UP + _UNDERFLOW)


def _at(m: int, d: int, t: int, passed: Floats, wrong: Floats) -> float:
    low, high = max(0, m - d), min(t, m)
    x = np.arange(low, high + 1)
    return float(np.sum(_hypergeometric(x, d, t, m) * passed[x] * wrong[m - x]))


def _hypergeometric(x: npt.NDArray[np.int64], d: int, t: int, m: int) -> Floats:
    """Return P[x tests among m rounds] for the whole range of x, from ratios away from the mode."""
    ratio = (t - x[:-1]) * (m - x[:-1]) / ((x[:-1] + 1.0) * (d - m + x[:-1] + 1.0))
    mode = int(np.count_nonzero(ratio >= 1.0))
    up, down = np.cumprod(ratio[mode:]), np.cumprod(1.0 / ratio[:mode][::-1])[::-1]
    weight = np.concatenate([down, [1.0], up])
    chance: Floats = weight / weight.sum()
    return chance


def _passed(t: int, catch: float, w: int) -> Floats:
    """Return P[Bin(x, catch) <= w] for x = 0..t."""
    row = np.zeros(w + 1)
    row[0] = 1.0
    out = np.ones(t + 1)
    for x in range(1, t + 1):
        row[1:] = row[1:] * (1.0 - catch) + row[:-1] * catch
        row[0] *= 1.0 - catch
        out[x] = row.sum()
    return out


def _wrong(d: int, p: float) -> Floats:
    """Return P[y + Bin(d - y, p) >= d/2] for y = 0..d touched computation rounds."""
    need = -(-d // 2)
    row = np.zeros(d + 1)
    row[0] = 1.0
    out = np.ones(d + 1)
    for rest in range(d + 1):
        y = d - rest
        out[y] = row[max(0, need - y) : rest + 1].sum()
        row[1:] = row[1:] * (1.0 - p) + row[:-1] * p
        row[0] *= 1.0 - p
    return out


def rejection(t: int, failure: Fraction, w: int) -> float:
    """Return an upper bound of P[Bin(t, q) > w]: how often a server whose tests fail with q is refused for them."""
    return as_epsilon(upper_tail(t, w + 1, failure))


def rejection_rate(t: int, failure: float, w: int) -> float:
    """Return P[Bin(t, q) > w] itself, in plain floats, for predictions."""
    from scipy.special import bdtrc

    return float(bdtrc(w, t, failure))


def clopper_pearson(failed: int, total: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Return the two-sided interval of a probability, from the quantiles of the beta distribution."""
    from scipy.special import betaincinv

    side = 0.5 * (1.0 - confidence)
    low = float(betaincinv(failed, total - failed + 1, side)) if failed else 0.0
    high = float(betaincinv(failed + 1, total - failed, 1.0 - side)) if failed < total else 1.0
    return low, high


def plan_threshold(t: int, failure: float, most: int, *, eps_reject: float = 1e-3) -> int:
    """Return the least w at which the expected server is refused with at most ``eps_reject``, or ``most``."""
    return next((w for w in range(most) if rejection_rate(t, failure, w) <= eps_reject), most)


def certify(d: int, t: int, w: int, *, catch: Fraction, inherent: float, expected: float, failed: int) -> Certificate:
    """Return the certificate of a session in which ``failed`` of ``t`` tests failed."""
    p = Fraction(repr(inherent))
    low, high = clopper_pearson(failed, t)
    return Certificate(
        eps_sound=soundness(d, t, catch, p, w),
        eps_reject=rejection(t, Fraction(repr(expected)), w),
        catch=catch,
        limit=threshold_limit(catch, p),
        failure_low=low,
        failure_high=high,
    )
