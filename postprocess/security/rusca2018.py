"""One-decoy BB84 with finite keys, general attacks: Rusca et al. 2018.

Key from Z (here ``n_key``), test in X (here ``n_test``), intensities mu1 > mu2, both used for key.

Notes
-----
With eps = eps_sec/19, tau_n = sum_k p_k e^-k k^n / n!, n^+-_k = (e^k/p_k)(n_k +- delta(n, eps)):

* (A16) s_Z0^u = 2[ tau_0 (e^k/p_k)(m_Z,k + delta(m_Z, eps)) + delta(n_Z, eps) ], the smaller of both k;
  (A14), looser: s_Z0^u = 2[ m_Z + delta(n_Z, eps) ]
* (A17) s_Z1^l = tau_1 mu1/(mu2(mu1-mu2)) [ n^-_mu2 - (mu2/mu1)^2 n^+_mu1 - (mu1^2-mu2^2)/mu1^2 s_Z0^u/tau_0 ]
* (A19) s_Z0^l = tau_0/(mu1-mu2) (mu1 n^-_mu2 - mu2 n^+_mu1)
* (A22) v_X1^u = tau_1/(mu1-mu2) (m^+_X,mu1 - m^-_X,mu2); s_X0^u and s_X1^l as (A16), (A17) from X
* (A23) phi_Z^u = v_X1^u/s_X1^l + gamma(eps_sec, v_X1^u/s_X1^l, s_Z1^l, s_X1^l)
* (A25) l = s_Z0^l + s_Z1^l (1 - h(phi_Z^u)) - leak_EC - 6 log2(19/eps_sec) - log2(2/eps_cor)
* (A24) eps_sec = 2[alpha1 + 2 alpha2 + alpha3] + nu + 6 eps1 + 4 eps2 = 19 eps

Traps: (A18) as printed omits e^k/p_k; (A21) as printed keeps the 21 of the two-decoy paper inside gamma, here 19
stands in both places. v_X1^u falls when errors move from the bright to the dim intensity, so a single dim error
more can lengthen the key; more errors at mu1 never do. At least one single-photon error is assumed in the test
basis, because gamma vanishes with the errors (see `held_errors`).

Sources
-------
D. Rusca, A. Boaron, F. Grünenfelder, A. Martin, H. Zbinden, Appl. Phys. Lett. 112, 171104 (2018),
arXiv:1801.03443, App. A.
"""

from functools import partial
from typing import Final

from faintlink.postprocess.security.bound import AcceptanceTerms, Bound, BoundKind, choice, flag, require
from faintlink.postprocess.security.estimation import (
    DecoyBlock,
    Sheet,
    finish,
    fixed_cost,
    held_errors,
    phase_error,
    total,
)
from faintlink.postprocess.security.inputs import BoundInput
from faintlink.postprocess.security.ledger import EpsilonKind, EpsilonPart
from faintlink.postprocess.security.refusal import decoy_refusal
from faintlink.postprocess.security.result import BoundResult, rounded_terms, whole_bits
from faintlink.postprocess.security.rounding import INTERVALS, T

SHARES: Final = 19
PAPER = "Rusca et al., Appl. Phys. Lett. 112, 171104 (2018), arXiv:1801.03443"
EQUATIONS = (
    "A16 vacuum events, upper (A14 on request)",
    "A17 single-photon events, lower",
    "A19 vacuum events, lower",
    "A22 single-photon errors in the test basis, upper",
    "A23 phase error rate, upper",
    "A25 key length",
    "A24 epsilon",
)
ASSUMPTIONS = (
    "phase-randomised pulses with exactly the stated intensities and probabilities, chosen independently",
    "the detection probability does not depend on the basis; a double click gives a random bit",
    "a vacuum pulse gives a wrong bit with probability 1/2 (A16, A14)",
    "sifting ends at a number of pulses fixed beforehand; bases and intensities are announced afterwards",
    "the proof treats a length agreed before the block; a length taken from its counts is outside the theorem",
)
OPTIONS = {"cap_v1": flag, "vacuum": choice("A16", "A14")}


def evaluate(given: BoundInput) -> BoundResult:
    """Return the key length of a block.

    Raises
    ------
    ConfigError
        The input is not one of two intensities with measured key-basis errors, or an option is wrong.
    """
    check(given)
    sheet = Sheet(INTERVALS, DecoyBlock.observed(given), shares=SHARES)
    length = whole_bits(
        secret_length(
            sheet,
            cap_v1=given.options.get("cap_v1", False) is True,
            vacuum=str(given.options.get("vacuum", "A16")),
        )
    )
    terms = rounded_terms(sheet.terms)
    counts = given.counts
    refusal = "" if length else decoy_refusal(terms, n_key=counts.key.bits, n_test=counts.test.bits)
    return BoundResult(BOUND.name, length, terms, refusal, PAPER, EQUATIONS, ASSUMPTIONS)


def check(given: BoundInput) -> None:
    """Refuse an input that the formula does not cover."""
    faults = [] if given.has_key_errors else ["it needs the errors of the key basis, m_key is missing"]
    if given.intensities and given.intensities[-1] == 0.0:
        faults.append("the dim intensity must be positive: with a true vacuum the single photons cannot be bounded")
    require(given, bound=BOUND.name, intensities=2, options=OPTIONS, faults=faults)


def secret_length(sheet: Sheet[T], *, cap_v1: bool = False, vacuum: str = "A16") -> T:
    """Record every term on ``sheet`` and return the length before rounding down."""
    block, (mu1, mu2) = sheet.block, sheet.mu
    vacuum_key, single_key = photons(sheet, "key", block.n_key, block.m_key, vacuum)
    _, single_test = photons(sheet, "test", block.n_test, block.m_test, vacuum)
    delta = sheet.deviation("m_test", block.m_test)
    bright = sheet.upper("m_test", block.m_test, 0, delta)
    dim = sheet.lower("m_test", block.m_test, 1, delta)
    errors = held_errors(sheet, sheet.tau_1 / (mu1 - mu2) * (bright - dim), cap=cap_v1)
    phase = phase_error(sheet, vacuum_free_errors=errors, single_key=single_key, single_test=single_test)
    return finish(sheet, vacuum=vacuum_key, single=single_key, phase=phase)


def photons(sheet: Sheet[T], basis: str, n: tuple[float, ...], m: tuple[float, ...], vacuum: str) -> tuple[T, T]:
    """Record and return the lower bounds of the vacuum and single-photon events of one basis."""
    a, (mu1, mu2) = sheet.a, sheet.mu
    delta = sheet.deviation(f"n_{basis}", n)
    bright = sheet.upper(f"n_{basis}", n, 0, delta)
    dim = sheet.lower(f"n_{basis}", n, 1, delta)
    most_vacuum = sheet.keep(f"s_{basis}0_upper", _vacuum_upper(sheet, basis, m, delta, vacuum))
    least_vacuum = sheet.within(sheet.tau_0 / (mu1 - mu2) * (mu1 * dim - mu2 * bright), n)
    sheet.keep(f"s_{basis}0_lower", least_vacuum)
    ratio = mu2 / mu1
    rest = dim - ratio * ratio * bright - (a.number(1) - ratio * ratio) * most_vacuum / sheet.tau_0
    single = sheet.within(sheet.tau_1 * mu1 / (mu2 * (mu1 - mu2)) * rest, n, least_vacuum)
    return least_vacuum, sheet.keep(f"s_{basis}1_lower", single)


def _vacuum_upper(sheet: Sheet[T], basis: str, m: tuple[float, ...], delta_n: T, vacuum: str) -> T:
    a = sheet.a
    if vacuum == "A14":
        return 2 * (total(sheet.zero, list(map(a.number, m))) + delta_n)
    delta_m = sheet.deviation(f"m_{basis}_vacuum", m)
    by_intensity = [sheet.tau_0 * w * (a.number(m_k) + delta_m) for w, m_k in zip(sheet.weights, m, strict=True)]
    return 2 * (a.least(*by_intensity) + delta_n)


def epsilon_parts(given: BoundInput) -> tuple[EpsilonPart, ...]:
    """Return how (A24) spends eps_sec = 19 eps, and eps_cor."""
    shares = (
        ("smooth entropy and its chain rules, 2 alpha_1", 2),
        ("smooth entropy and its chain rules, 4 alpha_2", 4),
        ("smooth entropy and its chain rules, 2 alpha_3", 2),
        ("privacy amplification, nu", 1),
        ("Hoeffding bounds of detections, 6 eps_1", 6),
        ("Hoeffding bounds of errors, 4 eps_2", 4),
    )
    secrecy = [
        EpsilonPart.share(name, whole=given.eps_sec, count=count, of=SHARES, source="Rusca 2018 (A24)")
        for name, count in shares
    ]
    hashing = EpsilonPart("verification hash", given.eps_cor, "Rusca 2018 (A25)", EpsilonKind.CORRECTNESS)
    return (*secrecy, hashing)


BOUND: Final = Bound(
    name="rusca2018",
    paper=PAPER,
    kind=BoundKind.FIXED,
    equations=EQUATIONS,
    assumptions=ASSUMPTIONS,
    key_basis="Z makes key in the paper (n_key here), X is the test basis (n_test here)",
    intensities=2,
    evaluate=evaluate,
    epsilon_parts=epsilon_parts,
    acceptance=AcceptanceTerms("s_key1_lower", "phi_key_upper", partial(fixed_cost, shares=SHARES)),
)
