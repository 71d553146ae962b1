"""BBM92 and single-photon BB84 with finite keys, general attacks: Tomamichel, Lim, Gisin, Renner 2012.

Key from one basis (here ``n_key``), test in the other (here ``n_test``), no intensities. In the entangled version
the source need not be trusted.

Notes
-----
With n key bits, k test bits and Q the error rate of the test bits:

* l = n (q - h(Q + mu)) - leak_EC - log2( 2/(eps_sec^2 eps_cor) )
* mu = sqrt[ (n+k)/(n k) (k+1)/k ln(4/eps_sec) ]
* eps_sec = 2 eps' + eps_sec/2: a smoothing of eps' = eps_sec/4, for exp(-2 mu^2 n k^2/((n+k)(k+1))) = eps'^2,
  and eps_sec/2 of the leftover hash lemma

q is the preparation quality -log2 max ||sqrt(M_x) sqrt(N_z)||^2, 1 for perfect bases. The theorem states the
tolerated rate Q_tol before the block and aborts above it. With the option ``q_tol`` that is done, Q being Q_tol;
without it Q is the observed rate.

Traps: some copies lose the square root, or the factor (k+1)/k.

Sources
-------
M. Tomamichel, C. C. W. Lim, N. Gisin, R. Renner, Nature Communications 3, 634 (2012), arXiv:1103.4130.
"""

from fractions import Fraction
from typing import Final

from faintlink.postprocess.security.bound import AcceptanceTerms, Bound, BoundKind, between, require
from faintlink.postprocess.security.inputs import BoundInput
from faintlink.postprocess.security.ledger import EpsilonKind, EpsilonPart
from faintlink.postprocess.security.result import BoundResult, rounded_terms, whole_bits
from faintlink.postprocess.security.rounding import INTERVALS, Arithmetic, Interval, T, log2

PAPER = "Tomamichel et al., Nature Communications 3, 634 (2012), arXiv:1103.4130"
EQUATIONS = (
    "mu, deviation of the error rate in the key basis",
    "key length, theorem on secrecy",
)
ASSUMPTIONS = (
    "one photon per pulse, or entangled pairs from a source that need not be trusted",
    "the detection probability does not depend on the basis; a double click gives a random bit",
    "sifting ends at a number of rounds fixed beforehand; bases are announced afterwards",
    "the theorem fixes q_tol before the block; without that option the observed rate stands in for it",
)
OPTIONS = {"q_tol": between(0.0, 0.5), "preparation_quality": between(0.0, 1.0)}


def evaluate(given: BoundInput) -> BoundResult:
    """Return the key length of a block.

    Raises
    ------
    ConfigError
        The counts have more than one entry, or an option is wrong.
    """
    require(given, bound=BOUND.name, intensities=1, options=OPTIONS, faults=[])
    n, k, errors = given.counts.n_key[0], given.counts.n_test[0], given.counts.m_test[0]
    if n == 0 or k == 0:
        basis = "key" if n == 0 else "test"
        return _result(
            0,
            {},
            f"There are no detections in the {basis} basis: check the source, the loss and the basis choice.",
        )
    observed = Fraction(errors, k)
    terms: dict[str, Interval] = {"n": INTERVALS.number(n), "k": INTERVALS.number(k)}
    terms["q_observed_upper"] = INTERVALS.number(observed)
    allowed = given.options.get("q_tol")
    # The decimal that was written, as everywhere: 0.03 is three hundredths, not the double beside it.
    tolerated = observed if allowed is None else Fraction(repr(allowed))
    terms["q_used_upper"] = INTERVALS.number(tolerated)
    if observed > tolerated:
        return _result(
            0,
            rounded_terms(terms),
            f"The test basis shows an error rate of {float(observed):.4g}, above q_tol = {float(tolerated):.4g} "
            "(q_observed_upper): find the cause of the errors; q_tol may only be changed before a block.",
        )
    quality = _number(given.options.get("preparation_quality", 1))
    costs = {"leak_ec": given.leak_ec, "eps_sec": given.eps_sec, "eps_cor": given.eps_cor}
    length = whole_bits(secret_length(INTERVALS, terms, quality=quality, **costs))
    rounded = rounded_terms(terms)
    return _result(length, rounded, "" if length else _refusal(rounded))


def secret_length(
    a: Arithmetic[T], terms: dict[str, T], *, quality: float, leak_ec: float, eps_sec: float, eps_cor: float
) -> T:
    """Add every term to ``n``, ``k`` and ``q_used_upper`` and return the length before rounding down."""
    n, k = terms["n"], terms["k"]
    one, half = a.number(1), a.number(Fraction(1, 2))
    confidence = a.ln(a.number(4) / a.number(eps_sec))
    terms["mu_upper"] = a.sqrt((n + k) / (n * k) * ((k + one) / k) * confidence)
    terms["phase_error_upper"] = a.least(terms["q_used_upper"] + terms["mu_upper"], half)
    terms["entropy_upper"] = a.entropy(terms["phase_error_upper"])
    terms["secret_before_costs"] = n * (a.number(quality) - terms["entropy_upper"])
    terms["leak_ec_upper"] = a.number(leak_ec)
    terms["hashing_cost_upper"] = _hashing_cost(a, eps_sec, eps_cor)
    costs = terms["leak_ec_upper"] + terms["hashing_cost_upper"]
    terms["length_unfloored"] = terms["secret_before_costs"] - costs
    return terms["length_unfloored"]


def hashing_cost(eps_sec: float, eps_cor: float) -> Interval:
    """Return log2(2/(eps_sec^2 eps_cor)), the bits that any key pays."""
    return _hashing_cost(INTERVALS, eps_sec, eps_cor)


def _hashing_cost(a: Arithmetic[T], eps_sec: float, eps_cor: float) -> T:
    secrecy = 2 * log2(a, a.number(1) / a.number(eps_sec))
    return secrecy + log2(a, a.number(2) / a.number(eps_cor))


def _number(value: object) -> float:
    return value if isinstance(value, int | float) else float("nan")


def _refusal(terms: dict[str, float]) -> str:
    if terms["phase_error_upper"] >= 0.5 or terms["secret_before_costs"] <= 0.0:
        rate, mu = terms["q_used_upper"], terms["mu_upper"]
        cure = "a lower QBER in the test basis" if rate >= mu else "a longer block or a larger share of test bits"
        return (
            f"The phase error bound of {terms['phase_error_upper']:.3g} (phase_error_upper), {rate:.3g} measured "
            f"and {mu:.3g} for the finite sample, leaves no secret bits: {cure} would help."
        )
    return (
        f"The {terms['secret_before_costs']:.0f} secret bits of the block do not cover the leak of "
        f"{terms['leak_ec_upper']:.0f} bits (leak_ec_upper) and the fixed cost of "
        f"{terms['hashing_cost_upper']:.0f}: a lower QBER, a more efficient code or a longer block would help."
    )


def _result(length: int, terms: dict[str, float], refusal: str) -> BoundResult:
    return BoundResult(BOUND.name, length, terms, refusal, PAPER, EQUATIONS, ASSUMPTIONS)


def epsilon_parts(given: BoundInput) -> tuple[EpsilonPart, ...]:
    """Return how the proof spends eps_sec and eps_cor."""
    source = "Tomamichel 2012, theorem on secrecy"
    return (
        EpsilonPart.share(
            "smoothing, 2 eps' for the unseen error rate", whole=given.eps_sec, count=2, of=4, source=source
        ),
        EpsilonPart.share("privacy amplification", whole=given.eps_sec, count=2, of=4, source=source),
        EpsilonPart("verification hash", given.eps_cor, source, EpsilonKind.CORRECTNESS),
    )


BOUND: Final = Bound(
    name="tomamichel2012",
    paper=PAPER,
    kind=BoundKind.FIXED,
    equations=EQUATIONS,
    assumptions=ASSUMPTIONS,
    key_basis="X makes key in the paper (n_key here), Z is the test basis (n_test here)",
    intensities=1,
    evaluate=evaluate,
    epsilon_parts=epsilon_parts,
    acceptance=AcceptanceTerms("n", "phase_error_upper", hashing_cost),
)
