"""Expected counts of a one-decoy link, and the settings that give the most key.

Used to plan a link before it is built. The optimiser works in plain floats; the point that it finds is then
evaluated by the registered bound from whole counts, so that the length it reports is one the bound would grant.
It never touches observed counts.

Sources
-------
D. Rusca et al., Appl. Phys. Lett. 112, 171104 (2018), arXiv:1801.03443, App. B.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from faintlink.core.errors import ConfigError
from faintlink.core.records import DecoyCounts
from faintlink.core.units import PS_PER_S, db_to_ratio
from faintlink.postprocess.security import registry, rusca2018
from faintlink.postprocess.security.estimation import DecoyBlock, Sheet
from faintlink.postprocess.security.inputs import BoundInput
from faintlink.postprocess.security.result import BoundResult
from faintlink.postprocess.security.rounding import FLOATS

FINALISTS = 3
"""How many of the coarse grid's best points the simplex search starts from."""
HILLSIDE = 1e-18
"""Slope of the rate where the length is negative, far below any rate with key."""


@dataclass(frozen=True, slots=True)
class LinkModel:
    """A one-decoy link; the values are those of Rusca 2018 unless stated."""

    loss_db: float
    """Loss of the channel in dB, detector excluded."""
    detector_efficiency: float = 0.5
    """Probability that a photon at the detector is counted."""
    dark_count_probability: float = 1e-8
    """Probability of a dark count per pulse."""
    error_probability: float = 0.01
    """Probability that a photon goes to the wrong detector."""
    pulse_rate_hz: float = 1e9
    """Pulses per second."""
    dead_time_ps: float = 100_000.0
    """Dead time of the detectors."""
    f_ec: float = 1.16
    """Bits leaked by reconciliation over the Shannon limit."""

    def __post_init__(self) -> None:
        faults = [
            f"{name} must be at least 0, got {getattr(self, name)}"
            for name in ("loss_db", "dead_time_ps", "dark_count_probability")
            if not getattr(self, name) >= 0.0
        ]
        if not (0.0 < self.detector_efficiency <= 1.0 and 0.0 <= self.error_probability <= 0.5):
            faults.append("detector_efficiency must lie in (0, 1] and error_probability in 0..0.5")
        if not (self.pulse_rate_hz > 0.0 and self.f_ec >= 1.0):
            faults.append("pulse_rate_hz must be positive and f_ec at least 1")
        if faults:
            raise ConfigError("link model: " + "; ".join(faults), hint="correct each of these", faults=tuple(faults))

    @property
    def transmission(self) -> float:
        """Probability that a sent photon is counted."""
        return db_to_ratio(self.loss_db) * self.detector_efficiency


@dataclass(frozen=True, slots=True)
class DecoySettings:
    """What both ends of a one-decoy link choose."""

    p_z: float
    """Probability of the key basis, at both ends."""
    p_mu1: float
    """Probability of the bright intensity."""
    mu1: float
    """Mean photon number of the bright intensity."""
    mu2: float
    """Mean photon number of the dim intensity."""


@dataclass(frozen=True, slots=True)
class OptimisedPoint:
    """The settings that give the most key, with the bound evaluated there."""

    p_key_basis: float
    """Probability of the key basis, at both ends."""
    inputs: BoundInput
    """Expected counts, intensities and their probabilities, as the bound reads them."""
    result: BoundResult
    """What the registered bound says to them."""
    pulses: float
    """Pulses sent for the block."""
    pulse_rate_hz: float
    """Pulses per second."""

    @property
    def key_rate_per_pulse(self) -> float:
        """Secret bits per pulse sent."""
        return self.result.length / self.pulses

    @property
    def key_rate_bps(self) -> float:
        """Secret bits per second."""
        return self.key_rate_per_pulse * self.pulse_rate_hz

    @property
    def block_s(self) -> float:
        """Time to collect the block, in seconds."""
        return self.pulses / self.pulse_rate_hz


def expected_block(
    link: LinkModel, settings: DecoySettings, n_z: float, *, eps_sec: float, eps_cor: float
) -> tuple[DecoyBlock, float]:
    """Return the expected counts of a block of ``n_z`` key-basis detections, and the pulses that it takes.

    Notes
    -----
    P_det = c_DT P_basis P_mu (1 - e^(-mu eta) + P_DC), P_err = c_DT P_basis P_mu [(1 - e^(-mu eta)) P_Err +
    P_DC/2] and c_DT = 1/(1 + R P_det,tot t_DT). P_basis is p_Z^2 for the key basis and (1-p_Z)^2 for the test
    basis, both ends choosing alike. Each basis has detectors of its own: P_det,tot is that of the busier key
    basis, and its c_DT is taken for both.
    """
    mu, p = (settings.mu1, settings.mu2), (settings.p_mu1, 1.0 - settings.p_mu1)
    one = expected_per_pulse(link, p_key=settings.p_z, mu=mu, p=p, eps_sec=eps_sec, eps_cor=eps_cor)
    pulses = n_z / sum(one.n_key)
    return scaled(one, pulses), pulses


def expected_per_pulse(
    link: LinkModel, *, p_key: float, mu: tuple[float, ...], p: tuple[float, ...], eps_sec: float, eps_cor: float
) -> DecoyBlock:
    """Return the expected counts and leak per pulse sent, dead time included, as `expected_block` describes.

    Parameters
    ----------
    link
        The link.
    p_key
        Probability of the key basis, at both ends.
    mu, p
        Mean photon numbers, brightest first, and their probabilities.
    eps_sec, eps_cor
        Secrecy and correctness parameters, passed on.
    """
    photon = [-math.expm1(-x * link.transmission) for x in mu]
    clicks = [p_k * (q + link.dark_count_probability) for p_k, q in zip(p, photon, strict=True)]
    wrong = [
        p_k * (q * link.error_probability + link.dark_count_probability / 2) for p_k, q in zip(p, photon, strict=True)
    ]
    rate_hz = link.pulse_rate_hz * p_key**2 * sum(clicks)
    live = 1.0 / (1.0 + rate_hz * link.dead_time_ps / PS_PER_S)
    key, test = live * p_key**2, live * (1.0 - p_key) ** 2
    return DecoyBlock(
        n_key=_scaled(clicks, key),
        n_test=_scaled(clicks, test),
        m_key=_scaled(wrong, key),
        m_test=_scaled(wrong, test),
        intensities=mu,
        probabilities=p,
        leak_ec=link.f_ec * key * sum(clicks) * FLOATS.entropy(sum(wrong) / sum(clicks)),
        eps_sec=eps_sec,
        eps_cor=eps_cor,
    )


def scaled(block: DecoyBlock, factor: float) -> DecoyBlock:
    """Return a block with ``factor`` times the counts and the leak."""
    return replace(
        block,
        n_key=_scaled(block.n_key, factor),
        n_test=_scaled(block.n_test, factor),
        m_key=_scaled(block.m_key, factor),
        m_test=_scaled(block.m_test, factor),
        leak_ec=block.leak_ec * factor,
    )


def _scaled(values: Sequence[float], factor: float) -> tuple[float, ...]:
    return tuple(value * factor for value in values)


def whole_counts(block: DecoyBlock) -> BoundInput:
    """Return the block with counts rounded to the nearest integer and the leak rounded up."""

    def rounded(values: tuple[float, ...]) -> tuple[int, ...]:
        return tuple(round(value) for value in values)

    return BoundInput(
        DecoyCounts(rounded(block.n_key), rounded(block.n_test), rounded(block.m_key), rounded(block.m_test)),
        block.intensities,
        block.probabilities,
        math.ceil(block.leak_ec),
        block.eps_sec,
        block.eps_cor,
    )


def optimise_rusca(link: LinkModel, n_z: int, *, eps_sec: float = 1e-9, eps_cor: float = 1e-15) -> OptimisedPoint:
    """Return the settings of a one-decoy link that give the most key per second.

    Parameters
    ----------
    link
        The link.
    n_z
        Key-basis detections of a block.
    eps_sec, eps_cor
        Secrecy and correctness parameters.

    Returns
    -------
    OptimisedPoint
        Its result has length 0 and a refusal where no settings give key.
    """

    def block_at(x: Sequence[float]) -> tuple[DecoyBlock, float]:
        settings = DecoySettings(p_z=x[0], p_mu1=x[1], mu1=x[2], mu2=x[2] * x[3])
        return expected_block(link, settings, n_z, eps_sec=eps_sec, eps_cor=eps_cor)

    def rate(x: Sequence[float]) -> float:
        block, pulses = block_at(x)
        return climbable_rate(rusca2018.secret_length(Sheet(FLOATS, block, shares=rusca2018.SHARES)), pulses)

    grid = itertools.product((0.4, 0.6, 0.8, 0.95), (0.2, 0.5, 0.75, 0.9), (0.3, 0.5, 0.7), (0.15, 0.3, 0.45))
    limits = ((0.02, 0.999), (0.01, 0.99), (0.02, 2.0), (0.01, 0.95))
    best = maximise(rate, grid, limits)
    block, pulses = block_at(best)
    inputs = whole_counts(block)
    result = registry.get(rusca2018.BOUND.name).evaluate(inputs)
    return OptimisedPoint(best[0], inputs, result, pulses, link.pulse_rate_hz)


def climbable_rate(length: float, pulses: float) -> float:
    """Return the key rate per pulse; without key a number that rises towards it.

    A negative length over the pulses would draw the search to settings that waste pulses.
    """
    return length / pulses if length > 0.0 else length * HILLSIDE


def maximise(
    rate: Callable[[Sequence[float]], float],
    grid: Iterable[Sequence[float]],
    limits: Sequence[tuple[float, float]],
) -> tuple[float, ...]:
    """Return the point of the highest rate: the best of a coarse grid, refined by the simplex method.

    The rate has kinks where bounds are clipped, hence no gradients; it may have several hills, hence the grid.
    """
    starts = sorted(grid, key=rate, reverse=True)[:FINALISTS]
    scale = max(abs(rate(starts[0])), 1e-300)

    def cost(x: npt.NDArray[np.float64]) -> float:
        return -rate([float(v) for v in x]) / scale

    found = [
        minimize(
            cost,
            [float(v) for v in start],
            method="Nelder-Mead",
            bounds=list(limits),
            options={"xatol": 1e-5, "fatol": 1e-7, "maxiter": 2000},
        )
        for start in starts
    ]
    best = min(found, key=lambda answer: float(answer.fun))
    return tuple(float(v) for v in best.x)
