"""Decoy BB84 or BBM92 as if a block were infinitely long; for planning only, never for keys.

The estimates are those of the finite bounds with every deviation set to zero: of Lim 2014 for three intensities, of
Rusca 2018 for two, and the error rate itself for a source without intensities. It shows what better statistics
could gain at most. A pipeline refuses to make key with it.

Notes
-----
l = s_0 + s_1 (1 - h(v_1/s_1,test)) - leak_EC for intensities, l = n (1 - h(Q)) - leak_EC without.

Sources
-------
D. Gottesman, H.-K. Lo, N. Lütkenhaus, J. Preskill, Quantum Inf. Comput. 4, 325 (2004), arXiv:quant-ph/0212066;
H.-K. Lo, X. Ma, K. Chen, Phys. Rev. Lett. 94, 230504 (2005), arXiv:quant-ph/0411004.
"""

from typing import Final

from faintlink.postprocess.security import lim2014, rusca2018
from faintlink.postprocess.security.bound import Bound, BoundKind, require
from faintlink.postprocess.security.estimation import DecoyBlock, Sheet, total
from faintlink.postprocess.security.inputs import BoundInput
from faintlink.postprocess.security.ledger import EpsilonPart
from faintlink.postprocess.security.result import BoundResult, rounded_terms, whole_bits
from faintlink.postprocess.security.rounding import INTERVALS, Arithmetic, T

PAPER = "Gottesman et al., arXiv:quant-ph/0212066; Lo, Ma, Chen, Phys. Rev. Lett. 94, 230504, arXiv:quant-ph/0411004"
EQUATIONS = (
    "Lim 2014 (2)-(4), Rusca 2018 (A16)-(A22) without deviations",
    "GLLP rate with the single photons' error rate",
)
ASSUMPTIONS = (
    "NOT SECURE FOR FINITE BLOCKS: no statistical deviation is allowed for and no epsilon is reached",
    "phase-randomised pulses with exactly the stated intensities, or entangled pairs",
    "the detection probability does not depend on the basis; a double click gives a random bit",
)


def evaluate(given: BoundInput) -> BoundResult:
    """Return the length that infinitely many blocks like this one would give each.

    Raises
    ------
    ConfigError
        There are more than three intensities, or an option is given.
    """
    entries = len(given.counts.n_key)
    faults = [] if entries <= 3 else [f"it knows one to three intensities, the counts have {entries}"]
    if entries == 2 and not given.has_key_errors:
        faults.append("it needs the errors of the key basis, m_key is missing")
    if entries == 2 and given.intensities and given.intensities[-1] == 0.0:
        faults.append("the dim intensity must be positive")
    require(given, bound=BOUND.name, intensities=BOUND.intensities, options={}, faults=faults)
    sheet = new_sheet(INTERVALS, DecoyBlock.observed(given))
    length = whole_bits(secret_length(sheet))
    terms = rounded_terms(sheet.terms)
    refusal = "" if length else "Even without any statistical deviation there is no key: less loss or a lower QBER."
    return BoundResult(BOUND.name, length, terms, refusal, PAPER, EQUATIONS, ASSUMPTIONS)


def new_sheet(a: Arithmetic[T], block: DecoyBlock) -> Sheet[T]:
    """Return a sheet on which nothing deviates."""
    return Sheet(a, block, shares=1, ln_confidence=a.number(0))


def secret_length(sheet: Sheet[T]) -> T:
    """Record every term on ``sheet`` and return the length before rounding down."""
    a, block = sheet.a, sheet.block
    (vacuum, single), rate = _single_photons(sheet)
    phase = sheet.keep("phi_key_upper", a.least(rate, a.number(1) / a.number(2)))
    entropy = sheet.keep("entropy_upper", a.entropy(phase))
    secret = sheet.keep("secret_before_costs", vacuum + single * (1 - entropy))
    leak = sheet.keep("leak_ec_upper", a.number(block.leak_ec))
    return sheet.keep("length_unfloored", secret - leak)


def _single_photons(sheet: Sheet[T]) -> tuple[tuple[T, T], T]:
    """Return vacuum and single-photon events of the key basis, and the error rate of the latter in the test basis."""
    a, block = sheet.a, sheet.block
    if len(block.n_key) == 1:
        n, k, wrong = (total(sheet.zero, [a.number(x[0])]) for x in (block.n_key, block.n_test, block.m_test))
        sheet.keep("s_key0_lower", sheet.zero)
        return (sheet.zero, sheet.keep("s_key1_lower", n)), wrong / k if a.is_positive(k) else a.number(1)
    delta = sheet.deviation("m_test", block.m_test)
    last = len(block.n_key) - 1
    more = sheet.upper("m_test", block.m_test, last - 1, delta)
    fewer = sheet.lower("m_test", block.m_test, last, delta)
    errors = a.greatest(sheet.tau_1 * (more - fewer) / (sheet.mu[last - 1] - sheet.mu[last]), sheet.zero)
    if last == 1:
        key = rusca2018.photons(sheet, "key", block.n_key, block.m_key, "A16")
        test = rusca2018.photons(sheet, "test", block.n_test, block.m_test, "A16")
    else:
        key, test = lim2014.photons(sheet, "key", block.n_key), lim2014.photons(sheet, "test", block.n_test)
    return key, sheet.keep("v_test1_upper", errors) / test[1] if a.is_positive(test[1]) else a.number(1)


def epsilon_parts(given: BoundInput) -> tuple[EpsilonPart, ...]:
    """Return one part of probability 1: nothing is promised of a finite block."""
    del given
    return (EpsilonPart("no proof for finite blocks", 1.0, "none"),)


BOUND: Final = Bound(
    name="asymptotic",
    paper=PAPER,
    kind=BoundKind.PLANNING,
    equations=EQUATIONS,
    assumptions=ASSUMPTIONS,
    key_basis="n_key makes key, n_test is the test basis",
    intensities=0,
    evaluate=evaluate,
    epsilon_parts=epsilon_parts,
)
