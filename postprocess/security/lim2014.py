"""Two-decoy BB84 with finite keys, general attacks: Lim et al. 2014.

Key from X (here ``n_key``), test in Z (here ``n_test``), intensities mu1 > mu2 + mu3, mu2 > mu3 >= 0, all used
for key. The errors of the key basis do not enter.

Notes
-----
With eps = eps_sec/21, tau_n = sum_k p_k e^-k k^n / n!, n^+-_k = (e^k/p_k)(n_k +- delta(n, eps)):

* (2) s_X0 = tau_0 (mu2 n^-_mu3 - mu3 n^+_mu2)/(mu2 - mu3)
* (3) s_X1 = tau_1 mu1 [ n^-_mu2 - n^+_mu3 - (mu2^2-mu3^2)/mu1^2 (n^+_mu1 - s_X0/tau_0) ]
  / [ mu1(mu2-mu3) - mu2^2 + mu3^2 ]; s_Z0 and s_Z1 from the Z counts
* (4) v_Z1 = tau_1 (m^+_Z,mu2 - m^-_Z,mu3)/(mu2 - mu3)
* (5) phi_X = v_Z1/s_Z1 + gamma(eps_sec, v_Z1/s_Z1, s_Z1, s_X1)
* (1) l = s_X0 + s_X1 - s_X1 h(phi_X) - leak_EC - 6 log2(21/eps_sec) - log2(2/eps_cor)
* eps_sec = 2[2 alpha1 + alpha2 + alpha3] + nu + 10 eps1 + 2 eps2 = 21 eps, alpha4 = alpha5 = 0

Traps: the second term of (2) needs n^+, not n^-, or the bound is none for mu3 > 0; the logarithm of gamma is to
base 2 and its denominator has ln 2. v_Z1 falls when the weakest pulses err more, so errors at mu3 can lengthen
the key; errors at mu1 and mu2 never do. At least one single-photon error is assumed in the test basis, because
gamma vanishes with the errors (see `held_errors`).

Sources
-------
C. C. W. Lim, M. Curty, N. Walenta, F. Xu, H. Zbinden, Phys. Rev. A 89, 022307 (2014), arXiv:1311.7129.
"""

from functools import partial
from typing import Final

from faintlink.postprocess.security.bound import AcceptanceTerms, Bound, BoundKind, flag, require
from faintlink.postprocess.security.estimation import DecoyBlock, Sheet, finish, fixed_cost, held_errors, phase_error
from faintlink.postprocess.security.inputs import BoundInput
from faintlink.postprocess.security.ledger import EpsilonKind, EpsilonPart
from faintlink.postprocess.security.refusal import decoy_refusal
from faintlink.postprocess.security.result import BoundResult, rounded_terms, whole_bits
from faintlink.postprocess.security.rounding import INTERVALS, T

SHARES: Final = 21
PAPER = "Lim et al., Phys. Rev. A 89, 022307 (2014), arXiv:1311.7129"
EQUATIONS = (
    "2 vacuum events, lower",
    "3 single-photon events, lower",
    "4 single-photon errors in the test basis, upper",
    "5 phase error rate, upper",
    "1 key length",
    "App. B epsilon",
)
ASSUMPTIONS = (
    "phase-randomised pulses with exactly the stated intensities and probabilities, chosen independently",
    "the detection probability does not depend on the basis; a double click gives a random bit",
    "sifting ends at a number of pulses fixed beforehand; bases and intensities are announced afterwards",
    "the proof treats a length agreed before the block; a length taken from its counts is outside the theorem",
)
OPTIONS = {"cap_v1": flag}


def evaluate(given: BoundInput) -> BoundResult:
    """Return the key length of a block.

    Raises
    ------
    ConfigError
        The input is not one of three intensities with mu1 > mu2 + mu3, or an option is wrong.
    """
    check(given)
    sheet = Sheet(INTERVALS, DecoyBlock.observed(given), shares=SHARES)
    length = whole_bits(secret_length(sheet, cap_v1=given.options.get("cap_v1", False) is True))
    terms = rounded_terms(sheet.terms)
    counts = given.counts
    refusal = "" if length else decoy_refusal(terms, n_key=counts.key.bits, n_test=counts.test.bits)
    return BoundResult(BOUND.name, length, terms, refusal, PAPER, EQUATIONS, ASSUMPTIONS)


def check(given: BoundInput) -> None:
    """Refuse an input that the formula does not cover."""
    mu, faults = given.intensities, []
    if len(mu) == BOUND.intensities and not mu[0] > mu[1] + mu[2]:
        faults.append(f"it needs mu1 > mu2 + mu3, got {mu[0]:g} and {mu[1]:g} + {mu[2]:g}")
    require(given, bound=BOUND.name, intensities=BOUND.intensities, options=OPTIONS, faults=faults)


def secret_length(sheet: Sheet[T], *, cap_v1: bool = False) -> T:
    """Record every term on ``sheet`` and return the length before rounding down."""
    block, (_, mu2, mu3) = sheet.block, sheet.mu
    vacuum_key, single_key = photons(sheet, "key", block.n_key)
    _, single_test = photons(sheet, "test", block.n_test)
    delta = sheet.deviation("m_test", block.m_test)
    middle = sheet.upper("m_test", block.m_test, 1, delta)
    weakest = sheet.lower("m_test", block.m_test, 2, delta)
    errors = held_errors(sheet, sheet.tau_1 * (middle - weakest) / (mu2 - mu3), cap=cap_v1)
    phase = phase_error(sheet, vacuum_free_errors=errors, single_key=single_key, single_test=single_test)
    return finish(sheet, vacuum=vacuum_key, single=single_key, phase=phase)


def photons(sheet: Sheet[T], basis: str, n: tuple[float, ...]) -> tuple[T, T]:
    """Record and return the lower bounds of the vacuum and single-photon events of one basis."""
    mu1, mu2, mu3 = sheet.mu
    label = f"n_{basis}"
    delta = sheet.deviation(label, n)
    bright = sheet.upper(label, n, 0, delta)
    middle_up, middle_down = sheet.upper(label, n, 1, delta), sheet.lower(label, n, 1, delta)
    weakest_up, weakest_down = sheet.upper(label, n, 2, delta), sheet.lower(label, n, 2, delta)
    vacuum = sheet.within(sheet.tau_0 * (mu2 * weakest_down - mu3 * middle_up) / (mu2 - mu3), n)
    sheet.keep(f"s_{basis}0_lower", vacuum)
    curvature = mu2 * mu2 - mu3 * mu3
    multi = curvature / (mu1 * mu1) * (bright - vacuum / sheet.tau_0)
    rest = sheet.tau_1 * mu1 * (middle_down - weakest_up - multi)
    single = sheet.within(rest / (mu1 * (mu2 - mu3) - curvature), n, vacuum)
    return vacuum, sheet.keep(f"s_{basis}1_lower", single)


def epsilon_parts(given: BoundInput) -> tuple[EpsilonPart, ...]:
    """Return how the proof spends eps_sec = 21 eps, and eps_cor."""
    shares = (
        ("smooth entropy and its chain rules, 4 alpha_1", 4),
        ("smooth entropy and its chain rules, 2 alpha_2", 2),
        ("smooth entropy and its chain rules, 2 alpha_3", 2),
        ("privacy amplification, nu", 1),
        ("Hoeffding bounds of detections, 10 eps_1", 10),
        ("Hoeffding bounds of errors, 2 eps_2", 2),
    )
    secrecy = [
        EpsilonPart.share(name, whole=given.eps_sec, count=count, of=SHARES, source="Lim 2014 App. B")
        for name, count in shares
    ]
    hashing = EpsilonPart("verification hash", given.eps_cor, "Lim 2014 (1)", EpsilonKind.CORRECTNESS)
    return (*secrecy, hashing)


BOUND: Final = Bound(
    name="lim2014",
    paper=PAPER,
    kind=BoundKind.FIXED,
    equations=EQUATIONS,
    assumptions=ASSUMPTIONS,
    key_basis="X makes key in the paper (n_key here), Z is the test basis (n_test here)",
    intensities=3,
    evaluate=evaluate,
    epsilon_parts=epsilon_parts,
    acceptance=AcceptanceTerms("s_key1_lower", "phi_key_upper", partial(fixed_cost, shares=SHARES)),
)
