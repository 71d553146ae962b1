"""The panel that shows how the key length comes about, as a waterfall or as a list of terms."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from faintlink.postprocess.report import style
from faintlink.postprocess.report.summary import shown_block, whole
from faintlink.postprocess.report.waterfall import Step, waterfall

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes

    from faintlink.postprocess.pipeline import Analysis
    from faintlink.postprocess.report.style import Theme

_MAX_TERMS = 24


def key_length(axes: "Axes", analysis: "Analysis", theme: "Theme") -> None:
    """Draw the way from sifted bits to the key of the first block with key, or of the last that had terms."""
    block = shown_block(analysis.blocks)
    if block is None or block.bound is None or not block.bound.terms:
        style.title(axes, "Key length")
        style.say_empty(axes, "no block came as far as its key length", theme)
        return
    outcome = "" if block.key_bits else " (refused)"
    style.title(axes, style.drawable(f"Key length of block {block.number}{outcome}, {block.bound.bound}"))
    steps = waterfall(block.bound, block.counts.key.bits)
    if steps:
        _draw_steps(axes, steps, theme)
    else:
        _draw_terms(axes, block.bound.terms, theme)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _draw_steps(axes: "Axes", steps: Sequence[Step], theme: "Theme") -> None:
    unit, scale = _unit(max(abs(step.bits) for step in steps))
    level, reached = 0.0, [0.0]
    for row, step in enumerate(steps):
        start = 0.0 if step.is_total else level
        level = start + step.bits
        reached.append(level)
        _bar(axes, row, start / scale, level / scale, _color(step, row == len(steps) - 1, theme))
        if row + 1 < len(steps):
            axes.plot([level / scale] * 2, [row - 0.3, row + 1.3], color=theme.faint, lw=0.8)
        _number(axes, row, max(start, level) / scale, _text(step), theme)
    low, high = min(reached) / scale, max(reached) / scale
    axes.set_xlim(low * 1.05, high + 0.34 * (high - low))
    _rows(axes, [step.label for step in steps])
    axes.axvline(0.0, color=theme.faint, lw=0.8)
    axes.set_xlabel(f"length / {unit}")


def _draw_terms(axes: "Axes", terms: "Mapping[str, float]", theme: "Theme") -> None:
    size = 10.5 if len(terms) <= 12 else 8.0
    shown = list(terms.items())[-_MAX_TERMS:]
    finite = [abs(value) for _, value in shown if math.isfinite(value) and value != 0.0]
    floor = min(finite, default=1.0) / 3
    top = max(finite, default=1.0)
    axes.set_xscale("log")
    for row, (_, value) in enumerate(shown):
        reach = abs(value) if math.isfinite(value) else 0.0
        if reach:
            _bar(axes, row, floor, reach, theme.alarm if value < 0.0 else theme.z)
        _number(axes, row, max(reach, floor), f"{value:.6g}", theme, size=size)
    axes.set_xlim(floor, top * (top / floor) ** 0.35)
    _rows(axes, [style.drawable(name) for name, _ in shown], size=size)
    axes.set_xlabel("size of each term, in its own unit")


def _bar(axes: "Axes", row: int, start: float, end: float, color: str) -> None:
    axes.barh([row], [end - start], 0.6, left=start, color=color)


def _number(axes: "Axes", row: int, x: float, text: str, theme: "Theme", *, size: float = 9.5) -> None:
    axes.annotate(
        text, (x, row), xytext=(5, 0), textcoords="offset points", va="center", fontsize=size, color=theme.ink
    )


def _rows(axes: "Axes", names: Sequence[str], size: float = 10.5) -> None:
    axes.set_yticks(range(len(names)), names, fontsize=size)
    axes.set_ylim(len(names) - 0.4, -0.6)


def _color(step: Step, is_last: bool, theme: "Theme") -> str:
    if not step.is_total:
        return theme.x_pale
    if is_last:
        return theme.good if step.bits >= 0.0 else theme.alarm
    return theme.z


def _text(step: Step) -> str:
    sign = "\N{MINUS SIGN}" if step.bits < 0.0 else ""
    return f"{sign}{whole(abs(round(step.bits)))}"


def _unit(largest: float) -> tuple[str, float]:
    for scale, name in ((1e6, "Mbit"), (1e3, "kbit")):
        if largest >= 2 * scale:
            return name, scale
    return "bit", 1.0
