"""Two-decoy BB84 with finite keys and imperfect detectors, length from the counts: Tupkary et al. 2024.

Key from one basis (here ``n_key``), test in the other (here ``n_test``), intensities mu1 > mu2 + mu3, mu2 > mu3 >= 0,
all used for key. The proof is of variable length: the counts of a block may decide the length of its key.

Notes
-----
With eps = eps_sec/8 for every part, eps_EV = eps_cor, and delta(n) = sqrt(n/2 ln(2/eps^2)):

* s_K1, s_X1, v_X1 as (3), (4) of Lim 2014 with this delta; e_X1 = v_X1/s_X1
* gamma_serf = sqrt(ln(1/eps)/f), f = s_K1 s_X1^2 / ((s_K1 + s_X1)(s_X1 + 1))
* gamma_bin(n, d): P[Bin(n, d) >= n (d + gamma_bin)] <= eps^2
* phi = [e_X1 + gamma_serf + delta_1 + gamma_bin(s_K1, delta_1)] / [1 - delta_2 - gamma_bin(s_K1, delta_2)]
* l = s_K1 (1 - h(phi)) - leak_EC - 2 log2(1/(2 eps_PA)) - log2(2/eps_EV)
* r = (1 - D_eta)/(1 + D_eta), d- = d (1 - D_dc), d+ = d (1 + D_dc), A = 1 - (1-d-)^2, B = 1 - (1-d+)^2;
  delta_1 = max{ (1 - A/B) d+ (2 - d-)/A, 4 (1 - sqrt(1 - (1-d-)^2 (1-r))) },
  delta_2 = max{ 1 - A/B, (1-d-)^2 (1-r) }; with detectors swapped at random
  delta_1 = 4 (1 - sqrt(1 - (1-d-)^2 (1-r)^2/2)), delta_2 = (1-d-)^2 (1-r)^2/2

Composition: each of the nine counts of a block deviates with eps^2 at most, gamma_serf and both gamma_bin fail with
eps^2 each, so that the phase error exceeds phi with eps_AT^2 = 12 eps^2; secrecy is 2 eps_AT + eps_PA, and 2 sqrt(12)
is taken as 7, which makes 8 shares. This sum follows from the failure probabilities of the terms above; it has been
derived here and was not compared with the wording of the paper's theorem, which lets the shares differ.

Vacuum events make no key in this bound. A block whose denominator is not positive gives none.

Sources
-------
D. Tupkary, S. Nahar, P. Sinha, N. Lütkenhaus, Quantum 9, 1937 (2025), arXiv:2408.17349v3;
C. C. W. Lim et al., Phys. Rev. A 89, 022307 (2014), arXiv:1311.7129, Eqs. (3), (4).
"""

from collections.abc import Mapping
from typing import Final

from faintlink.postprocess.security import lim2014
from faintlink.postprocess.security.bound import AcceptanceTerms, Bound, BoundKind, between, flag, require
from faintlink.postprocess.security.detectors import Mismatch
from faintlink.postprocess.security.estimation import DecoyBlock, Sheet
from faintlink.postprocess.security.inputs import BoundInput
from faintlink.postprocess.security.ledger import EpsilonKind, EpsilonPart
from faintlink.postprocess.security.refusal import decoy_refusal
from faintlink.postprocess.security.result import BoundResult, rounded_terms, whole_bits
from faintlink.postprocess.security.rounding import INTERVALS, Arithmetic, Interval, T, clip, log2
from faintlink.postprocess.security.tail import excess

SHARES: Final = 8
_SMOOTHING: Final = 7
PAPER = "Tupkary et al., Quantum 9, 1937 (2025), arXiv:2408.17349v3"
SOURCE = "Tupkary 2024, composed from its terms"
EQUATIONS = (
    "Lim 2014 (3), (4) with delta = sqrt(n/2 ln(2/eps^2)): single photons and their errors",
    "gamma_serf, sampling without replacement",
    "delta_1, delta_2, imperfect detectors",
    "gamma_bin, rounds in which they misbehave",
    "phase error rate, upper",
    "key length of the variable-length theorem",
)
ASSUMPTIONS = (
    "phase-randomised pulses with exactly the stated intensities and probabilities, chosen independently",
    "detection efficiencies differ by at most delta_eta, dark count rates by at most delta_dc around dark_count, "
    "whatever Eve chooses; each is 0 unless an option gives it",
    "random_swap, where set, was really done: the roles of the two detectors were swapped at random in every round",
    "a double click gives a random bit",
    "sifting ends at a number of pulses fixed beforehand; bases and intensities are announced afterwards",
    "all eight epsilon shares are equal; their sum was derived here, not read from the theorem",
)
_MOST_MISMATCH = 0.5
OPTIONS = {
    "delta_eta": between(0.0, _MOST_MISMATCH),
    "delta_dc": between(0.0, _MOST_MISMATCH),
    "dark_count": between(0.0, 0.1),
    "random_swap": flag,
}


def evaluate(given: BoundInput) -> BoundResult:
    """Return the key length of a block.

    Raises
    ------
    ConfigError
        The input is not one of three intensities with mu1 > mu2 + mu3, or an option is wrong.
    """
    mismatch = check(given)
    length = whole_bits(secret_length(sheet := new_sheet(INTERVALS, DecoyBlock.observed(given)), mismatch))
    terms, counts = rounded_terms(sheet.terms), given.counts
    refusal = "" if length else _refusal(terms) or decoy_refusal(terms, n_key=counts.key.bits, n_test=counts.test.bits)
    return BoundResult(BOUND.name, length, terms, refusal, PAPER, EQUATIONS, ASSUMPTIONS)


def _refusal(terms: Mapping[str, float]) -> str:
    """Return a sentence where the detectors are to blame, else nothing."""
    sample = terms.get("error_ratio_upper", 1.0) + terms.get("gamma_upper", 0.0)
    spoilt = terms.get("delta_1_upper", 0.0) + terms.get("gamma_bin_1_upper", 0.0)
    if spoilt <= sample or terms["phi_key_upper"] < 0.11:
        return ""
    return (
        f"The mismatch of the detectors adds {spoilt:.3g} to the phase error rate (delta_1_upper, gamma_bin_1_upper), "
        f"the sample {sample:.3g}: better matched detectors, a closer calibration or random_swap would help."
    )


def check(given: BoundInput) -> Mismatch:
    """Refuse an input that the formula does not cover, and return what is known of the detectors."""
    mu, faults = given.intensities, []
    if len(mu) == BOUND.intensities and not mu[0] > mu[1] + mu[2]:
        faults.append(f"it needs mu1 > mu2 + mu3, got {mu[0]:g} and {mu[1]:g} + {mu[2]:g}")
    if given.options.get("delta_dc", 0) and not given.options.get("dark_count", 0) and not _swaps(given):
        faults.append("option delta_dc needs dark_count, the dark count probability per gate, above 0")
    require(given, bound=BOUND.name, intensities=BOUND.intensities, options=OPTIONS, faults=faults)
    return Mismatch.of(given.options)


def _swaps(given: BoundInput) -> bool:
    return given.options.get("random_swap", False) is True


def new_sheet(a: Arithmetic[T], block: DecoyBlock) -> Sheet[T]:
    """Return a sheet whose deviations fail with eps^2, both sides together."""
    ln_share = a.ln(a.number(SHARES) / a.number(block.eps_sec))
    return Sheet(a, block, shares=SHARES, ln_confidence=a.ln(a.number(2)) + 2 * ln_share)


def secret_length(sheet: Sheet[T], mismatch: Mismatch, *, is_exact: bool = True) -> T:
    """Record every term on ``sheet`` and return the length before rounding down.

    Parameters
    ----------
    sheet
        Of `new_sheet`.
    mismatch
        How far the detectors may differ.
    is_exact
        False replaces the exact binomial tail by Hoeffding's bound, for optimisers.
    """
    a, block = sheet.a, sheet.block
    _, single_key = lim2014.photons(sheet, "key", block.n_key)
    _, single_test = lim2014.photons(sheet, "test", block.n_test)
    delta = sheet.deviation("m_test", block.m_test)
    middle, weakest = (
        sheet.upper("m_test", block.m_test, 1, delta),
        sheet.lower("m_test", block.m_test, 2, delta),
    )
    errors = a.greatest(sheet.tau_1 * (middle - weakest) / (sheet.mu[1] - sheet.mu[2]), sheet.zero)
    sheet.keep("v_test1_upper", errors)
    phase = _phase_error(sheet, errors, single_key, single_test, mismatch, is_exact=is_exact)
    entropy = sheet.keep("entropy_upper", a.entropy(phase))
    secret = sheet.keep("secret_before_costs", single_key * (1 - entropy))
    leak = sheet.keep("leak_ec_upper", a.number(block.leak_ec))
    secrecy = sheet.keep("secrecy_cost_upper", 2 * log2(a, a.number(SHARES) / a.number(block.eps_sec)) - a.number(2))
    correctness = sheet.keep("correctness_cost_upper", log2(a, a.number(2) / a.number(block.eps_cor)))
    return sheet.keep("length_unfloored", secret - leak - secrecy - correctness)


def _phase_error(sheet: Sheet[T], errors: T, single_key: T, single_test: T, mismatch: Mismatch, *, is_exact: bool) -> T:
    a, half, one = sheet.a, sheet.a.number(1) / sheet.a.number(2), sheet.a.number(1)
    if not (a.is_positive(single_test) and a.is_positive(single_key)):
        return sheet.keep("phi_key_upper", half)
    ratio = sheet.keep("error_ratio_upper", clip(a, errors / single_test, sheet.zero, one))
    sample = single_key * single_test * single_test / ((single_key + single_test) * (single_test + one))
    gamma = sheet.keep("gamma_upper", a.sqrt(sheet.ln_shares / sample))
    delta_1, delta_2 = (sheet.keep(f"delta_{i}_upper", d) for i, d in enumerate(mismatch.deltas(a), start=1))
    wrong, lost = (
        sheet.keep(f"gamma_bin_{i}_upper", excess(a, single_key, d, ln_inverse=2 * sheet.ln_shares, is_exact=is_exact))
        for i, d in enumerate((delta_1, delta_2), start=1)
    )
    seen = one - delta_2 - lost
    if not a.is_positive(seen):
        return sheet.keep("phi_key_upper", half)
    return sheet.keep("phi_key_upper", a.least((ratio + gamma + delta_1 + wrong) / seen, half))


def fixed_cost(eps_sec: float, eps_cor: float) -> Interval:
    """Return the 2 log2(1/(2 eps_PA)) + log2(2/eps_EV) bits that any key pays."""
    a = INTERVALS
    secrecy = 2 * log2(a, a.number(SHARES) / a.number(eps_sec)) - a.number(2)
    return secrecy + log2(a, a.number(2) / a.number(eps_cor))


def epsilon_parts(given: BoundInput) -> tuple[EpsilonPart, ...]:
    """Return how eps_sec = 8 eps is spent, and eps_cor."""
    return (
        EpsilonPart.share(
            "phase error beyond its bound, 2 eps_AT < 7 eps (nine counts, sampling, two detector terms)",
            whole=given.eps_sec,
            count=_SMOOTHING,
            of=SHARES,
            source=SOURCE,
        ),
        EpsilonPart.share(
            "privacy amplification, eps_PA", whole=given.eps_sec, count=SHARES - _SMOOTHING, of=SHARES, source=SOURCE
        ),
        EpsilonPart("verification hash, eps_EV", given.eps_cor, SOURCE, EpsilonKind.CORRECTNESS),
    )


BOUND: Final = Bound(
    name="tupkary2024",
    paper=PAPER,
    kind=BoundKind.VARIABLE,
    equations=EQUATIONS,
    assumptions=ASSUMPTIONS,
    key_basis="Z makes key in the paper (n_key here), X is the test basis (n_test here)",
    intensities=3,
    evaluate=evaluate,
    epsilon_parts=epsilon_parts,
    acceptance=AcceptanceTerms("s_key1_lower", "phi_key_upper", fixed_cost),
)
