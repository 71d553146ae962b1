"""The formulas that the decoy-state bounds share, over any arithmetic.

Used by the bound modules and, in plain floats, by the optimisers; never called by a pipeline directly.

Sources
-------
C. C. W. Lim et al., Phys. Rev. A 89, 022307 (2014), arXiv:1311.7129, Eqs. (1)-(5);
D. Rusca et al., Appl. Phys. Lett. 112, 171104 (2018), arXiv:1801.03443, App. A.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Generic

from faintlink.postprocess.security.inputs import BoundInput
from faintlink.postprocess.security.rounding import INTERVALS, Arithmetic, Interval, T, clip, log2


@dataclass(frozen=True, slots=True)
class DecoyBlock:
    """Counts of one block, whole when observed, fractional when expected."""

    n_key: tuple[float, ...]
    """Detections in the key basis by intensity, brightest first."""
    n_test: tuple[float, ...]
    """Detections in the test basis."""
    m_key: tuple[float, ...]
    """Errors in the key basis."""
    m_test: tuple[float, ...]
    """Errors in the test basis."""
    intensities: tuple[float, ...]
    """Mean photon numbers per pulse."""
    probabilities: tuple[float, ...]
    """Probability of each intensity."""
    leak_ec: float
    """Bits made public by reconciliation."""
    eps_sec: float
    """Secrecy parameter."""
    eps_cor: float
    """Correctness parameter."""

    @classmethod
    def observed(cls, given: BoundInput) -> "DecoyBlock":
        """Return the block of observed counts."""
        counts = given.counts
        return cls(
            counts.n_key,
            counts.n_test,
            counts.m_key,
            counts.m_test,
            given.intensities,
            given.probabilities,
            given.leak_ec,
            given.eps_sec,
            given.eps_cor,
        )


class Sheet(Generic[T]):
    """A calculation in progress: the arithmetic, the block, what holds for all of it, and the terms so far."""

    def __init__(self, a: Arithmetic[T], block: DecoyBlock, *, shares: int, ln_confidence: T | None = None) -> None:
        self.a = a
        self.block = block
        self.shares = shares
        """Number of equal parts of eps_sec (19, 21 or 8)."""
        self.terms: dict[str, T] = {}
        self.zero = a.number(0)
        self.mu = tuple(map(a.number, block.intensities))
        p = tuple(map(a.number, block.probabilities))
        poisson = tuple(a.exp(self.zero - mu) for mu in self.mu)
        self.weights = tuple(a.number(1) / (p_k * e_k) for p_k, e_k in zip(p, poisson, strict=True))
        """e^mu / p of each intensity."""
        self.ln_shares = a.ln(a.number(shares) / a.number(block.eps_sec))
        """ln(1/eps) of each equal part."""
        self.ln_confidence = self.ln_shares if ln_confidence is None else ln_confidence
        """ln(1/p) of the failure probability p of each deviation; 0 for infinite statistics."""
        sent = tuple(p_k * e_k for p_k, e_k in zip(p, poisson, strict=True))
        self.tau_0 = self.keep("tau_0", total(self.zero, sent))
        self.tau_1 = self.keep("tau_1", total(self.zero, [x * mu for x, mu in zip(sent, self.mu, strict=True)]))

    def keep(self, name: str, value: T) -> T:
        """Record a term and return it."""
        self.terms[name] = value
        return value

    def deviation(self, label: str, counts: Sequence[float]) -> T:
        """Record and return Hoeffding's delta = sqrt(n/2 ln(1/p)) of the sum n of ``counts``."""
        n = total(self.zero, list(map(self.a.number, counts)))
        return self.keep(f"delta_{label}_upper", self.a.sqrt(n * self.ln_confidence / self.a.number(2)))

    def upper(self, label: str, counts: Sequence[float], k: int, delta: T) -> T:
        """Record and return (e^mu/p)(n + delta) of intensity ``k`` (0 = brightest)."""
        value = self.weights[k] * (self.a.number(counts[k]) + delta)
        return self.keep(f"{label}_mu{k + 1}_upper", value)

    def lower(self, label: str, counts: Sequence[float], k: int, delta: T) -> T:
        """Record and return (e^mu/p)(n - delta) of intensity ``k`` (0 = brightest)."""
        value = self.weights[k] * (self.a.number(counts[k]) - delta)
        return self.keep(f"{label}_mu{k + 1}_lower", value)

    def within(self, value: T, counts: Sequence[float], taken: T | None = None) -> T:
        """Return a lower bound held between 0 and the detections that there are, less those ``taken``."""
        most = total(self.zero, list(map(self.a.number, counts)))
        room = most if taken is None else self.a.greatest(most - taken, self.zero)
        return clip(self.a, value, self.zero, room)


def total(zero: T, values: Sequence[T]) -> T:
    """Return the sum of the values."""
    result = zero
    for value in values:
        result = result + value
    return result


def sampling_deviation(sheet: Sheet[T], *, ratio: T, single_key: T, single_test: T) -> T:
    """Return gamma, by how much the error rate of the unseen sample may exceed that of the seen one.

    Notes
    -----
    gamma(a, b, c, d) = sqrt[ (c+d)(1-b)b / (c d ln 2) log2( (c+d)/(c d (1-b) b) K^2/a^2 ) ] with a = eps_sec,
    b = ``ratio``, c, d = single photons of both bases, K = 19 (Rusca) or 21 (Lim). The print shows "log 2",
    which is ln 2, and in some copies "21 2", which is 21 squared. In x = b(1-b) the root has a maximum beyond
    which it falls; there the maximum is held. It is reached only for an eps_sec too large to be of use.
    """
    a = sheet.a
    ln_2 = a.ln(a.number(2))
    harmonic = a.number(1) / single_key + a.number(1) / single_test
    half = clip(a, ratio, sheet.zero, a.number(Fraction(1, 2)))
    nats = a.x_ln(half * (1 - half), a.ln(harmonic) + 2 * sheet.ln_shares)
    return a.sqrt(harmonic * nats) / ln_2


def phase_error(sheet: Sheet[T], *, vacuum_free_errors: T, single_key: T, single_test: T) -> T:
    """Record and return the upper bound of the phase error rate of the single photons in the key basis.

    It is held in [0, 1/2]; without single photons in either basis it is 1/2.
    """
    a, half = sheet.a, sheet.a.number(Fraction(1, 2))
    if not (a.is_positive(single_test) and a.is_positive(single_key)):
        return sheet.keep("phi_key_upper", half)
    ratio = sheet.keep("error_ratio_upper", clip(a, vacuum_free_errors / single_test, sheet.zero, half))
    gamma = sampling_deviation(sheet, ratio=ratio, single_key=single_key, single_test=single_test)
    sheet.keep("gamma_upper", gamma)
    return sheet.keep("phi_key_upper", a.least(ratio + gamma, half))


def finish(sheet: Sheet[T], *, vacuum: T, single: T, phase: T) -> T:
    """Record the costs and return the length before rounding down.

    Notes
    -----
    l = s_0 + s_1 - s_1 h(phi) - leak_EC - 6 log2(K/eps_sec) - log2(2/eps_cor): Lim (1), Rusca (A25).
    """
    a, block = sheet.a, sheet.block
    entropy = sheet.keep("entropy_upper", a.entropy(phase))
    secret = sheet.keep("secret_before_costs", vacuum + single * (1 - entropy))
    leak = sheet.keep("leak_ec_upper", a.number(block.leak_ec))
    secrecy = sheet.keep("secrecy_cost_upper", 6 * sheet.ln_shares / a.ln(a.number(2)))
    correctness = sheet.keep("correctness_cost_upper", log2(a, a.number(2) / a.number(block.eps_cor)))
    return sheet.keep("length_unfloored", secret - leak - secrecy - correctness)


def fixed_cost(eps_sec: float, eps_cor: float, *, shares: int) -> Interval:
    """Return the 6 log2(K/eps_sec) + log2(2/eps_cor) bits that any key pays, K = ``shares``."""
    a = INTERVALS
    secrecy = 6 * log2(a, a.number(shares) / a.number(eps_sec))
    return secrecy + log2(a, a.number(2) / a.number(eps_cor))


def held_errors(sheet: Sheet[T], value: T, *, cap: bool) -> T:
    """Record and return the single-photon errors of the test basis, at least 1.

    With ``cap`` at most the errors that were observed, whatever photon number they came from: always true, but
    not in the papers. Nor is the least of one error: gamma approximates a sampling tail and vanishes with the
    errors, so that a handful of error-free detections would prove a perfect channel.
    """
    a = sheet.a
    if cap:
        value = a.least(value, total(sheet.zero, list(map(a.number, sheet.block.m_test))))
    return sheet.keep("v_test1_upper", a.greatest(value, a.number(1)))
