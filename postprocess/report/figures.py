"""Figures of an analysis: one picture of everything, and each panel by itself for the HTML page.

Called by `faintlink process` and by notebooks. Nothing of a key is ever drawn. matplotlib is loaded when the first
figure is drawn, and only its object interface is used: no window, no state shared with the caller's own figures.
"""

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from faintlink.postprocess.report import panels, style
from faintlink.postprocess.report.files import write_new
from faintlink.postprocess.report.key_length import key_length
from faintlink.postprocess.report.style import LIGHT, Theme
from faintlink.postprocess.report.summary import reason, summarise, why_unusable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

    from faintlink.postprocess.pipeline import Analysis

Panel: TypeAlias = "Callable[[Axes, Analysis, Theme], None]"

PANELS: Final[dict[str, Panel]] = {
    "qber": panels.qber,
    "rates": panels.rates,
    "arrivals": panels.arrivals,
    "counts": panels.counts,
    "key_length": key_length,
}
"""Each panel by its name, in the order of a report."""

_PICTURE_INCHES = (16.0, 12.0)
_PICTURE_DPI = 100
_PANEL_INCHES = (7.2, 4.4)
_PANEL_DPI = 150
_LINE = 170


def write_png(analysis: "Analysis", path: Path) -> Path:
    """Write one picture of an analysis and return its path.

    Parameters
    ----------
    analysis
        Finished, with or without key.
    path
        New file; its folder exists.

    Raises
    ------
    RunExistsError
        The file exists; nothing was overwritten.
    FaintlinkError
        matplotlib is not installed.
    """
    return write_new(path, picture_png(analysis))


def picture_png(analysis: "Analysis") -> bytes:
    """Return the picture of an analysis, 1600 by 1200 pixels, as PNG."""
    from matplotlib.figure import Figure

    with style.drawing(LIGHT):
        figure = Figure(figsize=_PICTURE_INCHES, dpi=_PICTURE_DPI)
        figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.1)
        rows = figure.add_gridspec(2, 1, height_ratios=(1.25, 10.0))
        _headline(figure.add_subfigure(rows[0]), analysis, LIGHT)
        _body(figure.add_subfigure(rows[1]), analysis, LIGHT)
        return style.png(figure)


def panel_png(name: str, analysis: "Analysis", theme: Theme) -> bytes:
    """Return one panel of `PANELS` as PNG."""
    from matplotlib.figure import Figure

    with style.drawing(theme):
        figure = Figure(figsize=_PANEL_INCHES, dpi=_PANEL_DPI)
        figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
        PANELS[name](figure.add_subplot(), analysis, theme)
        return style.png(figure)


def _body(figure: "SubFigure", analysis: "Analysis", theme: Theme) -> None:
    # One subfigure a panel: the long row names of the key length do not narrow the others.
    rows = figure.add_gridspec(2, 1)
    above = rows[0].subgridspec(1, 2)
    _over_time(figure.add_subfigure(above[0]), analysis, theme)
    panels.arrivals(figure.add_subfigure(above[1]).add_subplot(), analysis, theme)
    below = rows[1].subgridspec(1, 2, width_ratios=(0.85, 1.15))
    panels.counts(figure.add_subfigure(below[0]).add_subplot(), analysis, theme)
    key_length(figure.add_subfigure(below[1]).add_subplot(), analysis, theme)


def _over_time(figure: "SubFigure", analysis: "Analysis", theme: Theme) -> None:
    grid = figure.add_gridspec(2, 1, height_ratios=(3, 2))
    upper = figure.add_subplot(grid[0])
    lower = figure.add_subplot(grid[1], sharex=upper)
    panels.qber(upper, analysis, theme)
    panels.rates(lower, analysis, theme, with_title=False)
    upper.set_xlabel("")
    if analysis.series.points():
        upper.tick_params(labelbottom=False)
    figure.align_ylabels((upper, lower))


def _headline(figure: "SubFigure", analysis: "Analysis", theme: Theme) -> None:
    summary = summarise(analysis)
    style.text_line(figure, 0.80, f"{analysis.link.name} · run {analysis.run_id}", size=19, color=theme.ink, bold=True)
    color = theme.good if summary.is_usable else theme.ink
    style.text_line(figure, 0.55, summary.sentence, size=15, color=color, bold=True)
    remark, color = _remark(analysis, theme)
    style.text_line(figure, 0.32, _short(remark), size=11.5, color=color, bold=summary.has_unusable_keys)
    made_by = f"faintlink {analysis.software_version} · configuration sha256 {analysis.config_sha256}"
    style.text_line(figure, 0.11, made_by, size=10, color=theme.faint)


def _remark(analysis: "Analysis", theme: Theme) -> tuple[str, str]:
    """Return what must be said under the headline, and its colour."""
    if summarise(analysis).has_unusable_keys:
        return why_unusable(analysis), theme.alarm
    for block in analysis.blocks:
        if block.refusal is not None:
            text = f"block {block.number}: {reason(block.refusal)}: {block.refusal.message}"
            return text, theme.alarm
    return f"{analysis.left_over} sifted bits of an incomplete block make no key", theme.faint


def _short(text: str) -> str:
    return textwrap.shorten(text, _LINE, placeholder=" …")
