"""Where a card is secure: the greatest error rate that may be accepted, over the loss.

Used by `panels` and by whoever fixes a policy. Every pair (t, weight) proves a half-plane of (answers, errors), so that
their union over a grid is proven, too: a coarse grid costs some of the region and never its validity.

Sources: `faintlink.postprocess.money.security`.
"""

import math
from dataclasses import dataclass

import numpy as np

from faintlink.core.config.applications.money import MoneyPolicy
from faintlink.postprocess.money.cloning import growth
from faintlink.postprocess.money.states import Floats

EXPONENTS = (1e-4, 3e-3, 0.01, 0.02, 0.04, 0.1)
WEIGHTS = (3.0, 3.5, 5.0, 8.0, 13.0, 25.0, 60.0)
ASYMPTOTIC = math.inf
"""Number of pairs of a card without end."""


@dataclass(frozen=True, slots=True, eq=False)
class Rates:
    """ln G on the grid."""

    ln_growth: Floats
    """(exponents, weights)."""
    mean_photons: float
    """Of the sender, as declared."""

    def greatest_error(self, answered: Floats, pairs: float, ln_epsilon: float) -> Floats:
        """Return the greatest error rate that is proven, (k,), where a share ``answered`` (k,) must be answered.

        Negative where nothing is.
        """
        t = np.array(EXPONENTS)[:, None]
        weight = np.array(WEIGHTS)[None, :]
        needed = self.ln_growth + (0.0 if math.isinf(pairs) else -ln_epsilon / pairs)
        lines = (1.0 - needed / (2.0 * t) / answered[:, None, None]) / weight
        return np.asarray(lines.max(axis=(1, 2)), np.float64)


def rates(policy: MoneyPolicy, mean_photons: float, *, optimise: bool) -> Rates:
    """Return ln G on the grid for a policy's bounds of the source."""
    most = mean_photons * (1.0 + policy.mean_photon_uncertainty)
    grid = [
        [math.log(growth(most, t, weight, bit_bias=policy.bit_bias, optimise=optimise)) for weight in WEIGHTS]
        for t in EXPONENTS
    ]
    return Rates(np.array(grid), mean_photons)


def answered_at(loss: Floats, mean_photons: float) -> Floats:
    """Return the share of pulses that are answered behind a loss (k,), dark counts apart."""
    return -np.expm1(-mean_photons * (1.0 - loss))


def loss_at(answered: float, mean_photons: float) -> float:
    """Return the loss at which a share of the pulses is answered."""
    return 1.0 + math.log1p(-answered) / mean_photons
