"""How a key length comes about: from the sifted bits of the key basis, step by step, down to the key.

Each bound has its own names for its terms; a *maker* turns the terms of one bound into steps. A bound without a
maker is still shown, as a plain list of its terms. Nothing here evaluates a bound.

Sources: the bounds' modules under `faintlink.postprocess.security` name paper and equation of each term.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from faintlink.postprocess.security.result import BoundResult


_WHOLE_BIT: Final = 1.001
"""A remainder larger than what rounding down takes."""


@dataclass(frozen=True, slots=True)
class Step:
    """One bar of a waterfall."""

    label: str
    """What it is, in words."""
    bits: float
    """Height of a total, or (negative) change of a cost, in bits."""
    is_total: bool
    """Whether the bar stands on zero."""


Maker: TypeAlias = Callable[[Mapping[str, float], int], tuple[Step, ...]]
"""From the terms and the number of sifted key-basis bits to all steps but the last."""


def waterfall(bound: "BoundResult", key_basis_bits: int) -> tuple[Step, ...]:
    """Return the steps from the sifted key basis to the key; none if the bound or its terms are unknown.

    Parameters
    ----------
    bound
        The evaluated bound.
    key_basis_bits
        Sifted bits of the key basis.
    """
    maker = MAKERS.get(bound.bound)
    if maker is None:
        return ()
    try:
        steps, left = maker(bound.terms, key_basis_bits), bound.terms["length_unfloored"]
    except KeyError:
        # The evaluation ended before all terms were known: there is nothing to step down to.
        return ()
    if left < 0.0:
        return (*steps, Step("remainder: no key", left, True))
    unused = bound.length - left
    if unused <= -_WHOLE_BIT:
        steps = (*steps, Step("beyond the agreed length", unused, False))
    return (*steps, Step("key", float(bound.length), True))


def decoy(terms: Mapping[str, float], key_basis_bits: int) -> tuple[Step, ...]:
    """Return the steps of the decoy-state bounds of Lim et al. and Rusca et al."""
    sure = terms["s_key0_lower"] + terms["s_key1_lower"]
    return (
        Step("sifted, key basis", float(key_basis_bits), True),
        Step("multi-photon or uncertain", sure - key_basis_bits, False),
        Step("vacuum and single photons", sure, True),
        Step("privacy lost to phase errors", terms["secret_before_costs"] - sure, False),
        Step("leaked by reconciliation and its check", -terms["leak_ec_upper"], False),
        Step("fixed cost of the proof", -terms["secrecy_cost_upper"] - terms["correctness_cost_upper"], False),
    )


def single_photons_only(terms: Mapping[str, float], key_basis_bits: int) -> tuple[Step, ...]:
    """Return the steps of the bound of Tupkary et al., which makes no key from vacuum events."""
    sure = terms["s_key1_lower"]
    return (
        Step("sifted, key basis", float(key_basis_bits), True),
        Step("vacuum, multi-photon or uncertain", sure - key_basis_bits, False),
        Step("single photons", sure, True),
        Step("privacy lost to phase errors", terms["secret_before_costs"] - sure, False),
        Step("leaked by reconciliation and its check", -terms["leak_ec_upper"], False),
        Step("fixed cost of the proof", -terms["secrecy_cost_upper"] - terms["correctness_cost_upper"], False),
    )


def infinite(terms: Mapping[str, float], key_basis_bits: int) -> tuple[Step, ...]:
    """Return the steps of the asymptotic rate, which has no fixed cost."""
    return decoy({**terms, "secrecy_cost_upper": 0.0, "correctness_cost_upper": 0.0}, key_basis_bits)[:-1]


def single_photon(terms: Mapping[str, float], key_basis_bits: int) -> tuple[Step, ...]:
    """Return the steps of the bound of Tomamichel et al. for pairs and single photons."""
    return (
        Step("sifted, key basis", float(key_basis_bits), True),
        Step("privacy lost to phase errors", terms["secret_before_costs"] - key_basis_bits, False),
        Step("leaked by reconciliation and its check", -terms["leak_ec_upper"], False),
        Step("fixed cost of the proof", -terms["hashing_cost_upper"], False),
    )


MAKERS: Final[dict[str, Maker]] = {
    "asymptotic": infinite,
    "lim2014": decoy,
    "rusca2018": decoy,
    "tomamichel2012": single_photon,
    "tupkary2024": single_photons_only,
}
"""Maker of each bound by its name; a site adds its own beside its bound."""
