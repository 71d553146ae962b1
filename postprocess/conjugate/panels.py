"""Panels that reports of tokens, payments and money share: where they are safe, and what was counted."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from faintlink.core.records import ErrorCount
from faintlink.postprocess.report.style import legend_above

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from faintlink.postprocess.report.style import Theme

Floats: TypeAlias = npt.NDArray[np.float64]
Judged: TypeAlias = tuple[str, ErrorCount, bool]
"""Name, count, and whether it was accepted."""


def draw_tails(
    axes: "Axes", theme: "Theme", curves: tuple[Floats, Floats, Floats], *, cheated: str, refused: str, agreed: float
) -> None:
    """Draw what cheaters and honest ones risk over the largest error rate that is accepted.

    Parameters
    ----------
    axes, theme
        Where, and how.
    curves
        Error rates (k,), and both probabilities there (k,).
    cheated, refused
        What the two say.
    agreed
        The error rate that was agreed on.
    """
    rates, forged, failed = curves
    axes.semilogy(100 * rates, forged, color=theme.alarm, label=cheated)
    axes.semilogy(100 * rates, failed, color=theme.z, linestyle="--", label=refused)
    axes.axvline(100 * agreed, color=theme.good, linestyle=":", label="agreed")
    axes.set_xlabel("largest error rate that is accepted (%)")
    axes.set_ylabel("probability at most")
    axes.legend()


def draw_error_rates(
    axes: "Axes", theme: "Theme", judged: Sequence[Judged], *, agreed: float, forger: float | None = None
) -> None:
    """Draw the error rate of each claim beside the agreed limit, and beside the least of a forger if it is given."""
    rates = [100.0 * count.errors / count.bits if count.bits else 0.0 for _, count, _ in judged]
    colours = [theme.good if is_accepted else theme.alarm for _, _, is_accepted in judged]
    axes.barh([name for name, _, _ in judged], rates, color=colours, height=0.5)
    axes.axvline(100 * agreed, color=theme.ink, linestyle="--", label="agreed limit")
    if forger is not None:
        axes.axvline(100 * forger, color=theme.x, linestyle=":", label="least of a forger")
    axes.invert_yaxis()
    axes.set_xlabel("error rate (%)")
    legend_above(axes, 1 if forger is None else 2)
