"""Expected counts of the two-decoy link of Lim et al. 2014, and the settings that give the most key.

Used to compare the two-decoy bound with the figures of its paper. It never touches observed counts.

Sources
-------
C. C. W. Lim et al., Phys. Rev. A 89, 022307 (2014), arXiv:1311.7129, Sec. IV.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from faintlink.core.units import db_to_ratio
from faintlink.postprocess.security import lim2014, registry
from faintlink.postprocess.security.decoy import OptimisedPoint, climbable_rate, maximise, whole_counts
from faintlink.postprocess.security.estimation import DecoyBlock, Sheet
from faintlink.postprocess.security.rounding import FLOATS

KAPPA = 1e-15
"""Secrecy parameter per bit of key, and the correctness parameter."""
WEAKEST = 2e-4
"""Mean photon number of the third intensity, as far down as a modulator goes."""
SELF_CONSISTENT_STEPS = 4
"""Steps to the length whose eps_sec is kappa times itself; each gains over five digits."""


@dataclass(frozen=True, slots=True)
class LimLink:
    """The link of Sec. IV."""

    distance_km: float
    """Length of the fibre."""
    loss_db_per_km: float = 0.2
    """Loss of the fibre."""
    detector_efficiency: float = 0.1
    """Probability that a photon at the detector is counted."""
    dark_count_probability: float = 6e-7
    """Probability of a dark count per gate and detector."""
    afterpulse_probability: float = 0.04
    """Probability that a click is followed by a false one."""
    misalignment: float = 5e-3
    """Probability that a photon goes to the wrong detector."""
    f_ec: float = 1.16
    """Bits leaked by reconciliation over the Shannon limit."""
    pulse_rate_hz: float = 1e9
    """Pulses per second; the paper counts per pulse."""

    def clicks_and_errors(self, mu: float) -> tuple[float, float]:
        """Return the probabilities of a click and of a wrong click, for a pulse of ``mu`` photons in equal bases.

        Notes
        -----
        D = 1 - (1 - 2 p_dc) e^(-eta mu), R = D (1 + p_ap) and e = p_dc + e_mis (1 - e^(-eta mu)) + p_ap D / 2
        with eta of channel and detector; the print has that of the channel alone in e.
        """
        eta = db_to_ratio(self.loss_db_per_km * self.distance_km) * self.detector_efficiency
        click = 1.0 - (1.0 - 2.0 * self.dark_count_probability) * math.exp(-eta * mu)
        wrong = self.dark_count_probability - self.misalignment * math.expm1(-eta * mu)
        return click * (1.0 + self.afterpulse_probability), wrong + self.afterpulse_probability * click / 2.0


def expected_block(
    link: LimLink, *, p_x: float, mu: Sequence[float], p: Sequence[float], n_x: float, eps_sec: float
) -> tuple[DecoyBlock, float]:
    """Return the expected counts of a block of ``n_x`` key-basis detections, and the pulses that it takes."""
    both = [link.clicks_and_errors(x) for x in mu]
    clicks = [p_k * click for p_k, (click, _) in zip(p, both, strict=True)]
    wrong = [p_k * error for p_k, (_, error) in zip(p, both, strict=True)]
    pulses = n_x / (p_x**2 * sum(clicks))
    key, test = pulses * p_x**2, pulses * (1.0 - p_x) ** 2
    qber = sum(wrong) / sum(clicks)
    block = DecoyBlock(
        n_key=tuple(key * x for x in clicks),
        n_test=tuple(test * x for x in clicks),
        m_key=tuple(key * x for x in wrong),
        m_test=tuple(test * x for x in wrong),
        intensities=tuple(mu),
        probabilities=tuple(p),
        leak_ec=link.f_ec * n_x * FLOATS.entropy(qber),
        eps_sec=eps_sec,
        eps_cor=KAPPA,
    )
    return block, pulses


def optimise_lim(link: LimLink, n_x: int) -> OptimisedPoint:
    """Return the settings of a two-decoy link that give the most key per pulse, with eps_sec = kappa length.

    Parameters
    ----------
    link
        The link.
    n_x
        Key-basis detections of a block.
    """

    def settled(x: Sequence[float]) -> tuple[DecoyBlock, float, float]:
        p_x, p1, rest, mu1, ratio = x
        p2 = (1.0 - p1) * rest
        mu, p = (mu1, WEAKEST + ratio * (mu1 - 2.0 * WEAKEST), WEAKEST), (p1, p2, 1.0 - p1 - p2)
        block, pulses = expected_block(link, p_x=p_x, mu=mu, p=p, n_x=n_x, eps_sec=KAPPA * n_x)
        length = float(n_x)
        for _ in range(SELF_CONSISTENT_STEPS):
            block = replace(block, eps_sec=KAPPA * max(length, 1.0))
            length = lim2014.secret_length(Sheet(FLOATS, block, shares=lim2014.SHARES))
        return block, pulses, length

    def rate(x: Sequence[float]) -> float:
        _, pulses, length = settled(x)
        return climbable_rate(length, pulses)

    grid = itertools.product((0.3, 0.5, 0.75, 0.93), (0.1, 0.4, 0.75), (0.4, 0.7), (0.4, 0.6), (0.15, 0.3, 0.5))
    limits = ((0.02, 0.999), (0.01, 0.98), (0.02, 0.98), (0.05, 1.5), (0.01, 0.95))
    best = maximise(rate, grid, limits)
    block, pulses, _ = settled(best)
    inputs = whole_counts(block)
    result = registry.get(lim2014.BOUND.name).evaluate(inputs)
    return OptimisedPoint(best[0], inputs, result, pulses, link.pulse_rate_hz)
