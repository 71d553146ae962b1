"""The panels of a report: each draws one thing into the axes that it is given.

The same panels make the one-page picture and the figures of the HTML page. A panel that has nothing to show says
so. Called inside `faintlink.postprocess.report.style.drawing` only.
"""

import math
from typing import TYPE_CHECKING

import numpy as np

from faintlink.core.records import ErrorCount
from faintlink.core.units import PS_PER_NS
from faintlink.postprocess.report import style
from faintlink.postprocess.report.arrivals import ArrivalHistogram, arrival_histogram
from faintlink.postprocess.report.summary import OUTCOMES, intensity_names, percent, whole
from faintlink.postprocess.report.timeline import QberBand, Timeline, band, timeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from faintlink.postprocess.pipeline import Analysis
    from faintlink.postprocess.report.style import Theme

_TIME = "time since start / s"
_MARKED_BINS = 60
_COUNT_FLOOR = 0.7
_NS_FROM_PS = 8_000


def qber(axes: "Axes", analysis: "Analysis", theme: "Theme") -> None:
    """Draw the error rate of both bases over time with the 95 % interval and the policy's limit."""
    line = timeline(analysis.series)
    limit = analysis.link.security.max_qber
    style.title(axes, f"QBER in bins of {line.bin_s:.4g} s, 95 % interval", above_legend=True)
    axes.set_xlabel(_TIME)
    axes.set_ylabel("QBER / %")
    bands = [
        ("key basis Z", band(line.key), theme.z, "-", "o"),
        ("test basis X", band(line.test), theme.x, "--", "s"),
    ]
    if not any(np.isfinite(one.rate).any() for _, one, *_ in bands):
        style.say_empty(axes, "no sifted bits to compare", theme)
        return
    for name, one, color, dashes, marker in bands:
        _band(axes, line, one, name=name, color=color, dashes=dashes, marker=marker)
    axes.axhline(100 * limit, color=theme.alarm, ls=":", lw=1.6, label=f"limit {percent(limit)}")
    top = _qber_top([one for _, one, *_ in bands], limit)
    axes.set_ylim(-0.02 * top, top)
    axes.set_xlim(0.0, len(line) * line.bin_s)
    style.legend_above(axes, 3)


def _band(axes: "Axes", line: Timeline, one: QberBand, *, name: str, color: str, dashes: str, marker: str) -> None:
    if not np.isfinite(one.rate).any():
        return
    x, y = line.centres_s, 100 * one.rate
    style_of_points = marker if len(line) <= _MARKED_BINS else ""
    axes.plot(x, y, color=color, ls=dashes, marker=style_of_points, ms=3.5, lw=1.4, label=name)
    if len(line) > 2:
        axes.fill_between(x, 100 * one.low, 100 * one.high, color=color, alpha=0.18, lw=0)
    else:
        seen = np.isfinite(one.rate)
        reach = np.array([one.rate - one.low, one.high - one.rate])[:, seen]
        axes.errorbar(x[seen], y[seen], 100 * reach, color=color, fmt="none", capsize=4)


def _qber_top(bands: list[QberBand], limit: float) -> float:
    """Return the top of the axis in per cent: limit and rates fit, a few wide intervals may stick out."""
    rates = np.concatenate([one.rate for one in bands])
    highs = np.concatenate([one.high for one in bands])
    intervals = min(1.1 * float(np.nanpercentile(highs, 90)), 2.5 * limit)
    return 100 * min(max(1.2 * limit, 1.15 * float(np.nanmax(rates)), intervals), 1.0)


def rates(axes: "Axes", analysis: "Analysis", theme: "Theme", *, with_title: bool = True) -> None:
    """Draw clicks and sifted bits per second over time; the last bin, which may not be full, is left out."""
    line = timeline(analysis.series)
    if with_title:
        style.title(axes, "Rates over time", above_legend=True)
    axes.set_xlabel(_TIME)
    axes.set_ylabel("rate / s⁻¹")
    if not len(line):
        style.say_empty(axes, "no data", theme)
        return
    last = len(line) - 1 if len(line) > 3 else len(line)
    drawn = (
        ("clicks", line.clicks, theme.faint, "-"),
        ("sifted Z", np.array([count.bits for count in line.key]), theme.z, "-"),
        ("sifted X", np.array([count.bits for count in line.test]), theme.x, "--"),
    )
    edges = np.arange(last + 1) * line.bin_s
    axes.set_yscale("log", nonpositive="clip")
    for name, counts, color, dashes in drawn:
        axes.stairs(counts[:last] / line.bin_s, edges, baseline=None, color=color, ls=dashes, lw=1.5, label=name)
    highest = float(max(counts[:last].max() for _, counts, *_ in drawn)) / line.bin_s
    positive = [float(c[:last][c[:last] > 0].min()) / line.bin_s for _, c, *_ in drawn if (c[:last] > 0).any()]
    lowest = min(positive, default=1.0)
    axes.set_ylim(10.0 ** math.floor(math.log10(0.8 * lowest)), 2.0 * max(highest, 10 * lowest))
    axes.set_xlim(0.0, len(line) * line.bin_s)
    style.legend_above(axes, 3)


def arrivals(axes: "Axes", analysis: "Analysis", theme: "Theme") -> None:
    """Draw when in the slot the clicks came, by outcome, with the gate shaded."""
    found = arrival_histogram(analysis)
    style.title(axes, found.title if found else "Arrival of clicks", above_legend=True)
    if found is None or not found.counts.any():
        style.say_empty(axes, "no clicks", theme)
        return
    unit, scale = ("ns", PS_PER_NS) if found.edges_ps[-1] - found.edges_ps[0] >= _NS_FROM_PS else ("ps", 1)
    edges = found.edges_ps / scale
    axes.axvspan(
        max(found.gate_ps[0] / scale, edges[0]),
        min(found.gate_ps[1] / scale, edges[-1]),
        color=theme.shade,
        lw=0,
        label=found.gate_name,
        zorder=0.5,
    )
    drawn = zip(OUTCOMES, found.counts, theme.outcomes, ("-", "-", "--", "--"), strict=True)
    for name, counts, color, dashes in drawn:
        if counts.any():
            shown = np.maximum(counts, _COUNT_FLOOR / 2)
            axes.stairs(shown, edges, baseline=None, color=color, ls=dashes, lw=1.2, label=name)
    _arrival_axes(axes, found, unit, (float(edges[0]), float(edges[-1])))


def _arrival_axes(axes: "Axes", found: ArrivalHistogram, unit: str, span: tuple[float, float]) -> None:
    axes.set_yscale("log")
    axes.set_ylim(_COUNT_FLOOR, 2.5 * max(float(found.counts.max()), 4.0))
    axes.set_xlim(*span)
    axes.set_xlabel(f"{found.x_name} / {unit}")
    axes.set_ylabel(f"clicks per {found.bin_ps:.3g} ps")
    style.legend_above(axes, 5)


def counts(axes: "Axes", analysis: "Analysis", theme: "Theme") -> None:
    """Draw sifted bits and errors of the whole run by basis and intensity, with the error rate above."""
    style.title(axes, "Sifted bits, errors and QBER of the run", above_legend=True)
    names = intensity_names(analysis)
    table = analysis.series.detected[:, : len(names), :]
    if not table.any():
        style.say_empty(axes, "no sifted bits", theme)
        return
    place, ticks = 0.0, []
    size = 9.5 if len(names) <= 3 else 7.5
    top = 20.0 * float(table.sum(axis=2).max())
    for letter, rows, color in zip("ZX", table.tolist(), (theme.z, theme.x), strict=True):
        for name, (right, wrong) in zip(names, rows, strict=True):
            _pair_of_bars(axes, place, ErrorCount(right + wrong, wrong), color=color, size=size, theme=theme)
            ticks.append((place, f"{letter}\n{name}".rstrip()))
            place += 1.0
        place += 0.35
    axes.bar([0], [0], color=theme.faint, label="sifted bits")
    axes.bar([0], [0], color="none", edgecolor=theme.faint, hatch="////", label="errors among them")
    axes.set_xticks([at for at, _ in ticks], [text for _, text in ticks])
    axes.set_xlim(-0.6, place - 0.75)
    axes.set_yscale("log", nonpositive="clip")
    axes.set_ylim(_COUNT_FLOOR, top)
    axes.set_xlabel("basis, mean photon number µ" if names[0] else "basis")
    axes.set_ylabel("count")
    axes.grid(visible=False, axis="x")
    style.legend_above(axes, 2)


def _pair_of_bars(axes: "Axes", place: float, count: ErrorCount, *, color: str, size: float, theme: "Theme") -> None:
    width = 0.38
    axes.bar([place - width / 2], [count.bits], width, color=color)
    axes.bar([place + width / 2], [count.errors], width, color="none", edgecolor=color, hatch="////")
    label = f"{percent(count.rate)}\n{whole(count.bits)}" if count.bits else "none"
    height = max(count.bits, 1) * 1.15
    axes.text(place, height, label, ha="center", va="bottom", fontsize=size, color=theme.ink)
