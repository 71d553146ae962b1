"""Key rates against distance or loss, for planned links and for comparisons with published curves.

It draws what it is given and computes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from faintlink.postprocess.report import style
from faintlink.postprocess.report.style import LIGHT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))


@dataclass(frozen=True, slots=True)
class Curve:
    """One line, or points when ``is_reference``."""

    label: str
    """What it is."""
    x: tuple[float, ...]
    """Distance in km or loss in dB, rising."""
    rate: tuple[float, ...]
    """Key rate at each; values of 0 end the line."""
    is_reference: bool = False
    """Drawn as hollow points in the colour of the line before it: somebody else's figures."""


def rates_png(curves: Sequence[Curve], *, title: str, x_label: str, y_label: str, note: str = "") -> bytes:
    """Return the curves over a logarithmic axis of the rate, as a PNG of 1200 x 800 pixels."""
    from matplotlib.figure import Figure

    with style.drawing(LIGHT):
        figure = Figure(figsize=(12, 8), dpi=100, layout="constrained")
        axes = figure.add_subplot()
        _draw(axes, curves)
        axes.set_title(style.drawable(title))
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        _note(figure, note)
        return style.png(figure)


def _draw(axes: "Axes", curves: Sequence[Curve]) -> None:
    colours = (LIGHT.z, LIGHT.x, LIGHT.good, LIGHT.x_pale, LIGHT.z_pale, LIGHT.faint)
    line = -1
    for curve in curves:
        pairs = [(x, y) for x, y in zip(curve.x, curve.rate, strict=True) if y > 0.0]
        xs, ys = [x for x, _ in pairs], [y for _, y in pairs]
        label = style.drawable(curve.label + ("" if pairs else " (no key)"))
        if curve.is_reference:
            colour = colours[max(line, 0) % len(colours)]
            axes.plot(xs, ys, "o", color=colour, markerfacecolor="none", markersize=8, label=label)
        else:
            line += 1
            colour, dashes = colours[line % len(colours)], _DASHES[line % len(_DASHES)]
            marker = "." if len(xs) < 3 else ""
            axes.plot(xs, ys, color=colour, linestyle=dashes, marker=marker, linewidth=2, label=label)
    if any(y > 0.0 for curve in curves for y in curve.rate):
        axes.set_yscale("log")
        axes.legend(loc="best")
        return
    style.say_empty(axes, "no settings give key at any of these distances", LIGHT)


def _note(figure: "Figure", note: str) -> None:
    if note:
        figure.supxlabel(style.drawable(note), x=0.01, ha="left", size=9, color=LIGHT.faint)
