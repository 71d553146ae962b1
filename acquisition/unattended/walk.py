"""The random walk of polarization behind an error rate, and the chance that the next run meets its alarm.

Pure; used by `planner`. A fibre turns the polarization of a basis about two axes at random, so that its angle on the
Poincaré sphere has no slope to be followed: of n steps only the spread grows, as the root of n. An error rate grows
with the square of that angle, e = e0 + (1 - 2 e0) (1 - cos angle) / 2, so that equal steps weigh the more the further
off it is, and a line through error rates comes too late. Here the rate of the walk is learned from all steps between
runs, as a distribution, and the next step is foretold from it.

Sources: F. Perrin, Ann. Sci. École Norm. Sup. 45 (1928) 1 (rotational diffusion); the squared distance after a normal
step in a plane has a noncentral chi-squared distribution, N. Johnson, S. Kotz, N. Balakrishnan, "Continuous Univariate
Distributions" vol. 2, 2nd ed., chapter 29; R. Wedderburn, Biometrika 61 (1974) 439 (quasi-likelihood).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faintlink.acquisition.unattended.drift import Point

Floats = npt.NDArray[np.float64]
LEAST_STEPS = 4
"""Fewer steps say nothing of the walk's rate."""
AXES = 2
"""A turn about the state's own axis leaves it alone."""
_EVIDENCE = 2.0
"""Gain in log-likelihood from which steps are a walk and no noise: two standard deviations."""
_SHARES = np.geomspace(1e-6, 10.0, 200)
"""Looked at: variance of a step about one axis, as a share of the squared angle of the alarm."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the next run may bring."""

    chance: float
    """That its error rate is beyond the alarm."""
    rad2_per_h: float
    """Mean square of the angle by which the polarization of the basis turns in an hour."""


def outlook(
    steps: Sequence[tuple[Point, Point]], last: Point, *, aligned: float, alarm: float, ahead_s: float
) -> Outlook | None:
    """Return what the next run may bring; None where no walk stands out of the counting noise.

    Parameters
    ----------
    steps
        Error rates of neighbouring runs between which nothing was calibrated.
    last
        The newest.
    aligned
        Error rate without any angle.
    alarm
        Error rate of the alarm, above that.
    ahead_s
        When the next one comes.
    """
    if len(steps) < LEAST_STEPS:
        return None
    per_error = 4.0 / (1.0 - 2.0 * aligned)
    limit = per_error * (alarm - aligned)
    variance = _SHARES * limit / ahead_s
    fit = _log_likelihood(steps, variance, aligned, per_error)
    if float(fit.max() - fit[0]) < _EVIDENCE:
        return None
    weight = np.exp(fit - fit.max())
    weight /= weight.sum()
    square = max(per_error * (last.value - aligned), 0.0)
    chance = float(weight @ _beyond(limit, square, variance * ahead_s))
    return Outlook(chance, AXES * 3600.0 * float(weight @ variance))


def _log_likelihood(steps: Sequence[tuple[Point, Point]], variance: Floats, aligned: float, per_error: float) -> Floats:
    """Return the quasi-likelihood (m,) of variances (m,) per second, from mean and variance of each step's square.

    The squared angle s becomes s + 2 sqrt(s) d + d^2 + d'^2 by a step (d, d').
    """
    early = np.array([[one.value, one.sigma, one.time_s] for one, _ in steps])
    late = np.array([[one.value, one.sigma, one.time_s] for _, one in steps])
    square = np.maximum(per_error * (early[:, 0] - aligned), 0.0)
    grown = per_error * (late[:, 0] - early[:, 0])
    noise = per_error**2 * (late[:, 1] ** 2 + early[:, 1] ** 2)
    moved = variance[:, None] * (late[:, 2] - early[:, 2])
    spread = 4.0 * square * moved + 2.0 * AXES * moved**2 + noise
    total: Floats = -0.5 * np.sum((grown - AXES * moved) ** 2 / spread + np.log(spread), axis=1)
    return total


def _beyond(limit: float, square: float, moved: Floats) -> Floats:
    """Return the chances (m,) that a squared angle is beyond a limit after a step of variances (m,) on each axis."""
    from scipy.stats import ncx2

    chances: Floats = np.asarray(ncx2.sf(limit / moved, AXES, square / moved))
    return chances
