"""The fewest pulses and positions of a token that meet both epsilons over a given line.

Called by ``faintlink token plan``. The search is in floats; what it returns was confirmed by exact tails.

Sources: `faintlink.postprocess.tokens.security` (what has to hold).
"""

import math
from dataclasses import dataclass, field
from fractions import Fraction

from scipy.stats import binom, norm

from faintlink.core.errors import NotEnoughSignalsError
from faintlink.core.units import db_to_ratio
from faintlink.postprocess.conjugate.guessing import (
    Preparation,
    Pulses,
    allowed_errors,
    forging_bound,
    guessing_error,
)
from faintlink.postprocess.conjugate.tails import lower_tail, upper_tail

MAX_POSITIONS = 2**21
_MEANS = tuple(round(2e-4 * 1.25**step, 9) for step in range(36))
"""Mean photon numbers that are tried, from 2e-4 to about 0.5."""


@dataclass(frozen=True, slots=True)
class Link:
    """What there is."""

    loss_db: float
    """From the sender's output to a click: line, optics and detectors."""
    qber: float
    """Error rate of an honest user."""
    preparation: Preparation = field(default_factory=Preparation)
    """Quality of the states."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is wanted."""

    eps_unforgeable: float = 1e-9
    eps_honest: float = 1e-3
    """eps_rob + eps_cor."""
    point_bits: int = 1
    """M."""


@dataclass(frozen=True, slots=True)
class TokenPlan:
    """Parameters for a token policy."""

    pulses: int
    """All copies together."""
    positions: int
    """Of each copy."""
    max_error_rate: float
    """gamma_err."""
    mean_photons: float
    """Of a pulse; the plan adds no uncertainty."""
    gamma_det: float
    """Share of pulses that is reported."""
    eps_unforgeable: float
    eps_robust: float
    eps_correct: float


def plan_token(link: Link, target: Target, mean_photons: float | None = None) -> TokenPlan:
    """Return the plan with the fewest pulses.

    Raises
    ------
    NotEnoughSignalsError
        No number of positions is enough.
    """
    plans = []
    for mean in (mean_photons,) if mean_photons is not None else _MEANS:
        found = _fewest(link, target, mean)
        if found is not None:
            plans.append(found)
    if not plans:
        least = float(guessing_error(link.preparation.angle_deg, link.preparation.basis_bias))
        raise NotEnoughSignalsError(
            f"no token of up to {MAX_POSITIONS} positions is secure: a forger errs in {100 * least:.2f} % of single "
            f"photons, an honest user in {100 * link.qber:.2f} %, and pulses of several photons are conceded",
            hint="lower the error rate, the loss or the mean photon number",
        )
    return min(plans, key=lambda plan: plan.pulses)


def _fewest(link: Link, target: Target, mean: float) -> TokenPlan | None:
    """Return the plan with the fewest positions at one mean photon number, by bisection."""
    low, high = 8, 16
    while high <= MAX_POSITIONS and _tried(link, target, mean, high) is None:
        low, high = high, 2 * high
    if high > MAX_POSITIONS:
        return None
    while high - low > max(2, high // 64):
        middle = (low + high) // 4 * 2
        low, high = (low, middle) if _tried(link, target, mean, middle) else (middle, high)
    return _tried(link, target, mean, high)


def _tried(link: Link, target: Target, mean: float, positions: int) -> TokenPlan | None:
    """Return the plan with so many positions, or None when it misses a target."""
    copies = target.point_bits
    share = target.eps_honest / (4 * copies)
    chance = -math.expm1(-mean * db_to_ratio(link.loss_db))
    pulses = _pulses(positions, chance / 2, share)
    least = int(binom.ppf(share, positions, 0.5 - link.preparation.basis_bias)) - 1
    if least < 1:
        return None
    wrong = int(binom.isf(share / 2, least, link.qber)) + 1
    rate = math.ceil(1e6 * (wrong + 1) / least) / 1e6
    if rate >= 0.5:
        return None
    forging = forging_bound(
        positions=positions,
        errors=allowed_errors(rate, positions),
        pulses=Pulses(pulses, mean),
        preparation=link.preparation,
        failure=Fraction(target.eps_unforgeable) / (1000 * copies),
    )
    robust = 2 * lower_tail(pulses, positions // 2 - 1, chance / 2)
    few = lower_tail(positions, least - 1, Fraction(1, 2) - Fraction(link.preparation.basis_bias))
    correct = few + upper_tail(least, int(rate * least) + 1, link.qber)
    if copies * forging.epsilon > target.eps_unforgeable or copies * (robust + correct) > target.eps_honest:
        return None
    return TokenPlan(
        pulses=copies * pulses,
        positions=positions,
        max_error_rate=rate,
        mean_photons=mean,
        gamma_det=positions / pulses,
        eps_unforgeable=float(copies * forging.epsilon),
        eps_robust=float(copies * robust),
        eps_correct=float(copies * correct),
    )


def _pulses(positions: int, chance: float, failure: float) -> int:
    """Return how many pulses give half the positions in each basis but for about ``failure``, and a little more."""
    half, sigmas = positions / 2, float(norm.isf(failure / 4))
    root = (sigmas + math.sqrt(sigmas * sigmas + 4 * half)) / 2
    return math.ceil(root * root / chance * 1.001) + 1
