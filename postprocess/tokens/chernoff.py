"""The Chernoff form of a token's epsilons, as an aside to the certificate's exact tails.

UNVERIFIED against the printed theorem 1 of Kent et al.: transcribed from notes on it, kept for comparison, and never
used for a decision.

Sources: A. Kent, D. Lowndes, D. Pitalúa-García, J. Rarity, npj Quantum Inf. 8, 28 (2022), theorem 1 (form unverified).
"""

import math
from dataclasses import dataclass, field

from faintlink.postprocess.conjugate.guessing import Preparation, guessing_error


@dataclass(frozen=True, slots=True)
class Inputs:
    """The symbols of the theorem."""

    pulses: int
    """N."""
    detection: float
    """P_det."""
    error_rate: float
    """E."""
    multi_photon: float
    """P_noqub."""
    gamma_det: float
    """Least share of pulses that is reported."""
    gamma_err: float
    """Largest share of errors."""
    nu_cor: float
    """Least share of pulses that is checked."""
    nu_unf: float
    """Share of pulses that is conceded."""
    preparation: Preparation = field(default_factory=Preparation)
    """theta, beta_PB and beta_PS."""


@dataclass(frozen=True, slots=True)
class Exponents:
    """-log10 of each term; 0 where its condition is not met."""

    robust: float
    correct: float
    unforgeable: float


def chernoff(given: Inputs) -> Exponents:
    """Return the exponents of eps_rob, eps_cor and eps_unf of one copy."""
    n, p, e = given.pulses, given.detection, given.error_rate
    checked = p * (1.0 - 2.0 * given.preparation.basis_bias)
    robust = p * n / 2 * _square(1.0 - given.gamma_det / p)
    few = checked * n / 4 * _square(1.0 - 2.0 * given.nu_cor / checked)
    wrong = e * given.nu_cor * n / 3 * _square(given.gamma_err / e - 1.0)
    multi = given.multi_photon * n / 3 * _square(given.nu_unf / given.multi_photon - 1.0)
    return Exponents(_log10(robust), _log10(few, wrong), _log10(multi, n * _rate(given)))


def _rate(given: Inputs) -> float:
    """Return f of the theorem."""
    part = given.preparation
    least = float(guessing_error(part.angle_deg, part.basis_bias))
    share = given.gamma_det - given.nu_unf
    if share <= 0.0:
        return 0.0
    delta = given.gamma_det * given.gamma_err / share
    uneven = 2.0 * part.basis_bias**2
    length = math.sqrt(0.5 + uneven + (0.5 - uneven) * math.sin(2.0 * math.radians(part.angle_deg)))
    guessing = least / 2.0 * _square(1.0 - delta / least) - math.log1p(2.0 * part.bit_bias)
    return share * guessing - (1.0 - share) * math.log1p(2.0 * part.bit_bias * length)


def _square(x: float) -> float:
    return x * x if x > 0.0 else 0.0


def _log10(*exponents: float) -> float:
    """Return -log10 of the sum of e**-x."""
    low = min(exponents)
    if low <= 0.0:
        return 0.0
    return max(0.0, (low - math.log(sum(math.exp(low - x) for x in exponents))) / math.log(10.0))
