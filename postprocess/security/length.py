"""Who decides on the length of a key: a proof for variable length, thresholds agreed before, or nobody.

Stands between a bound, which is a calculator, and a pipeline, which makes keys. A bound that is proven for a fixed
length is never fed the counts of a block in order to choose the length, unless the policy says ``legacy``.

Sources
-------
C. C. W. Lim et al., Phys. Rev. A 89, 022307 (2014) and D. Rusca et al., Appl. Phys. Lett. 112, 171104 (2018): lengths
fixed before the block; D. Tupkary, E. Y.-Z. Tan, N. Lütkenhaus, Phys. Rev. Research 6, 023002 (2024): lengths taken
from the counts.
"""

from dataclasses import replace
from fractions import Fraction
from typing import Final

from faintlink.core.config.link import Acceptance, SecurityPolicy
from faintlink.core.errors import ConfigError
from faintlink.postprocess.security.bound import AcceptanceTerms, Bound, BoundKind
from faintlink.postprocess.security.inputs import BoundInput
from faintlink.postprocess.security.result import BoundResult, whole_bits
from faintlink.postprocess.security.rounding import INTERVALS

LABELS: Final = {
    "variable": "variable length: the proof lets the block's counts decide",
    "fixed": "fixed length: agreed with its conditions before the block",
    "legacy": "legacy: length from the block's counts, by a proof for lengths fixed before the block; "
    "this is outside the theorem",
}
"""What a report says of a length, by ``SecurityPolicy.length``."""


def check_length(chosen: Bound, policy: SecurityPolicy) -> None:
    """Refuse a policy whose way to a length the bound is not proven for.

    Raises
    ------
    ConfigError
        A planning formula, or a fixed-length bound with a length from the counts that is not labelled legacy, or a
        label that does not fit.
    """
    name, kind = chosen.name, chosen.kind
    if kind is BoundKind.PLANNING:
        raise ConfigError(
            f"bound {name} serves planning only and is not secure for finite blocks: it makes no key",
            hint="choose another bound; `faintlink bound --list` shows the kind of each",
        )
    if policy.length == "variable" and kind is not BoundKind.VARIABLE:
        raise ConfigError(
            f"bound {name} is proven for a length fixed before the block, the policy asks for a length from the "
            "block's counts",
            hint="use a bound of kind variable, or length: fixed with acceptance thresholds; length: legacy goes on "
            "outside the theorem and says so",
            expected="variable",
            seen=str(kind),
        )
    if policy.length == "legacy" and kind is BoundKind.VARIABLE:
        raise ConfigError(
            f"bound {name} is proven for variable lengths: the label legacy would be wrong",
            hint="leave length out, or set length: variable",
        )
    if policy.length == "fixed":
        _terms(chosen)


def decide(chosen: Bound, given: BoundInput, policy: SecurityPolicy) -> BoundResult:
    """Return the length of a block's key with the label of how it came about.

    Parameters
    ----------
    chosen
        The bound.
    given
        Counts of the block and its costs.
    policy
        Fixed before the block; with length ``fixed`` the block only decides between that length and none.

    Raises
    ------
    ConfigError
        As `check_length`.
    """
    check_length(chosen, policy)
    result = replace(chosen.evaluate(given), label=LABELS[policy.length])
    if policy.acceptance is None:
        return result
    quality = Fraction(repr(given.options.get("preparation_quality", 1)))
    length = fixed_length(
        chosen, policy.acceptance, eps_sec=given.eps_sec, eps_cor=given.eps_cor, preparation_quality=quality
    )
    missed = _missed(_terms(chosen), result, given, policy.acceptance)
    if length and not missed:
        return replace(result, length=length, refusal="")
    cause = "; ".join(missed) or "the agreed thresholds themselves leave no secret bit"
    return replace(result, length=0, refusal=f"Agreed before the block, and missed: {cause}.")


def fixed_length(
    chosen: Bound,
    acceptance: Acceptance,
    *,
    eps_sec: float,
    eps_cor: float,
    preparation_quality: Fraction = Fraction(1),
) -> int:
    """Return the length that any accepted block gives: floor[ s1_min (q - h(phi_max)) - leak_max - cost ], at least 0.

    q is the preparation quality, 1 unless the bound has an option for it.

    Raises
    ------
    ConfigError
        The bound offers no fixed length.
    """
    a = INTERVALS
    secret = a.number(acceptance.s1_min) * (a.number(preparation_quality) - a.entropy(a.number(acceptance.phi_max)))
    return whole_bits(secret - a.number(acceptance.leak_max) - _terms(chosen).cost(eps_sec, eps_cor))


def _terms(chosen: Bound) -> AcceptanceTerms:
    if chosen.acceptance is None or chosen.kind is BoundKind.PLANNING:
        raise ConfigError(f"bound {chosen.name} offers no fixed length", hint="choose another bound")
    return chosen.acceptance


def _missed(terms: AcceptanceTerms, result: BoundResult, given: BoundInput, acceptance: Acceptance) -> list[str]:
    """Return which thresholds the block misses. A term that was not reached misses its threshold."""
    n_key = given.counts.key.bits
    single, phase = result.terms.get(terms.single, 0.0), result.terms.get(terms.phase, 0.5)
    missed = []
    if n_key < acceptance.n_min:
        missed.append(f"{n_key} detections in the key basis, n_min is {acceptance.n_min}")
    if single < acceptance.s1_min:
        missed.append(f"{terms.single} is {single:.0f}, s1_min is {acceptance.s1_min}")
    if phase > acceptance.phi_max:
        missed.append(f"{terms.phase} is {phase:.4g}, phi_max is {acceptance.phi_max:g}")
    if given.leak_ec > acceptance.leak_max:
        missed.append(f"{given.leak_ec} bits disclosed, leak_max is {acceptance.leak_max}")
    return missed
