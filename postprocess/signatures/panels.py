"""Panels of the report of a signature: what the two epsilons become with more wrong signatures, and with wider hashes.

Sources: `faintlink.postprocess.signatures.parameters`.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from faintlink.postprocess.conjugate.tails import as_epsilon
from faintlink.postprocess.signatures.parameters import MOST_HASH_BITS, Parameters, Variant

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from faintlink.postprocess.report.outcome import Draw
    from faintlink.postprocess.report.style import Theme


def panels(parameters: Parameters) -> "dict[str, Draw]":
    """Return the panels of a signature, by caption."""

    def epsilons(axes: "Axes", theme: "Theme") -> None:
        draw_epsilons(axes, theme, parameters)

    return {"Epsilon budget: forging and repudiation around the chosen parameters": epsilons}


def draw_epsilons(axes: "Axes", theme: "Theme", parameters: Parameters) -> None:
    """Draw both epsilons over the errors allowed (block scheme) or the bits of the hash (sequence scheme)."""
    if parameters.variant is Variant.BLOCK:
        x, chosen = list(range(1, parameters.blocks // 2)), parameters.max_errors
        points = [replace(parameters, max_errors=value) for value in x]
        axes.set_xlabel("wrong signatures that are put up with, e_max")
    else:
        x, chosen = list(range(8, MOST_HASH_BITS + 1)), parameters.hash_bits
        points = [replace(parameters, hash_bits=value) for value in x]
        axes.set_xlabel("bits of the hash, b_H")
    axes.semilogy(x, [as_epsilon(p.eps_forge) for p in points], "-", color=theme.z, label="forging")
    axes.semilogy(x, [as_epsilon(p.eps_repudiate) for p in points], "--", color=theme.x, label="repudiation")
    axes.axvline(chosen, color=theme.faint, linestyle=":", label="chosen")
    axes.set_ylabel("bound of the probability")
    axes.legend()
