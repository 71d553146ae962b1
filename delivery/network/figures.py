"""Figures of a simulated network: pools against time, key rates on the map, and what became of the requests."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from faintlink.core.symbols import Protocol
from faintlink.delivery.network.config import SimulatedNetwork
from faintlink.delivery.network.rates import LinkRate
from faintlink.delivery.network.simulation import Counts, History
from faintlink.postprocess.report import style
from faintlink.postprocess.report.style import LIGHT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MBIT = 1e-6
_COLOURS = {Protocol.BB84_DECOY.value: LIGHT.z, Protocol.BBM92.value: LIGHT.x}
_WIDEST = 7.0


def pools_png(network: SimulatedNetwork, history: History) -> bytes:
    """Return both pools of every link against time, mishaps shaded, as a PNG of 1500 x 1100 pixels."""
    from matplotlib.figure import Figure

    with style.drawing(LIGHT):
        figure = Figure(figsize=(15, 11), dpi=100, layout="constrained")
        rows = -(-len(network.links) // 4)
        panels = figure.subplots(rows, 4, sharex=True, sharey=True, squeeze=False)
        for at, axes in enumerate(panels.flat):
            if at < len(network.links):
                _draw_pool(axes, network, history, at)
            else:
                axes.set_axis_off()
        for axes in panels[:, 0]:
            axes.set_ylabel("Mbit")
        for axes in panels[-1]:
            axes.set_xlabel("s")
        figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="upper right", ncols=2)
        figure.suptitle(style.drawable(f"Pools of {network.name}"), x=0.01, ha="left", weight="bold")
        return style.png(figure)


def rates_png(network: SimulatedNetwork, rates: Sequence[LinkRate]) -> bytes:
    """Return the map with the secret bits per second of every link, as a PNG of 1200 x 1000 pixels."""
    from matplotlib.figure import Figure

    with style.drawing(LIGHT):
        figure = Figure(figsize=(12, 10), dpi=100, layout="constrained")
        axes = figure.add_subplot()
        most = max((rate.rate_bps for rate in rates), default=0.0) or 1.0
        for rate in rates:
            _draw_link(axes, network, rate, most)
        for name, site in network.sites.items():
            axes.plot(*site.at_km, "o", color=LIGHT.ink, markersize=11, zorder=3)
            axes.annotate(style.drawable(name), site.at_km, (8, 8), textcoords="offset points", weight="bold", zorder=4)
        for label, colour in _COLOURS.items():
            axes.plot([], [], color=colour, linewidth=4, label=label)
        axes.legend(loc="lower left")
        axes.set_aspect("equal")
        axes.margins(0.12)
        axes.set_xlabel("km")
        axes.set_ylabel("km")
        axes.set_title(style.drawable(f"Secret key of the links of {network.name}, kbit/s"))
        return style.png(figure)


def requests_png(network: SimulatedNetwork, history: History) -> bytes:
    """Return what became of the requests of every pair against time, as a PNG of 1500 x 1000 pixels."""
    from matplotlib.figure import Figure

    with style.drawing(LIGHT):
        figure = Figure(figsize=(15, 10), dpi=100, layout="constrained")
        demands = network.simulation.demands
        panels = figure.subplots(-(-len(demands) // 2), 2, sharex=True, squeeze=False)
        for at, axes in enumerate(panels.flat):
            if at < len(demands):
                _draw_requests(axes, history, at)
                axes.set_title(style.drawable(" - ".join(demands[at].between)), fontsize=10)
            else:
                axes.set_axis_off()
        for axes in panels[:, 0]:
            axes.set_ylabel("keys/s")
        for axes in panels[-1]:
            axes.set_xlabel("s")
        figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="upper right", ncols=4)
        figure.suptitle(style.drawable(f"Keys asked for in {network.name}"), x=0.01, ha="left", weight="bold")
        return style.png(figure)


def _draw_pool(axes: "Axes", network: SimulatedNetwork, history: History, at: int) -> None:
    link = network.links[at]
    axes.plot(history.times_s, _MBIT * history.own_bits[:, at], color=LIGHT.good, label="own keys")
    axes.plot(history.times_s, _MBIT * history.reserve_bits[:, at], color=LIGHT.z, linestyle="--", label="relay")
    for mishap in network.simulation.mishaps:
        if frozenset(mishap.link) == frozenset(link.between):
            axes.axvspan(mishap.from_s, mishap.to_s, color=LIGHT.x_pale, alpha=0.4, linewidth=0)
            axes.text(mishap.from_s, 0.0, f" {mishap.kind}", color=LIGHT.alarm, fontsize=9, va="bottom")
    axes.set_title(style.drawable(f"{' - '.join(link.between)} ({link.protocol.value})"), fontsize=10)


def _draw_link(axes: "Axes", network: SimulatedNetwork, rate: LinkRate, most: float) -> None:
    (x0, y0), (x1, y1) = (network.sites[name].at_km for name in rate.between)
    width = 0.8 + _WIDEST * rate.rate_bps / most
    axes.plot([x0, x1], [y0, y1], color=_COLOURS[rate.protocol], linewidth=width, alpha=0.75, zorder=1)
    label = f"{rate.rate_bps / 1e3:.3g}" if rate.block_bits else "no key"
    box = {"boxstyle": "round,pad=0.2", "facecolor": LIGHT.paper, "edgecolor": "none", "alpha": 0.85}
    axes.text((x0 + x1) / 2, (y0 + y1) / 2, label, ha="center", va="center", fontsize=9, bbox=box, zorder=2)


def _draw_requests(axes: "Axes", history: History, at: int) -> None:
    # Means over a hundredth of the time: single steps are noise.
    width = max(1, len(history.times_s) // 100)
    whole = len(history.times_s) // width * width
    seconds = float(history.times_s[0]) * width
    times = history.times_s[:whole].reshape(-1, width)[:, -1]

    def mean(counts: Counts) -> list[float]:
        return list(counts[:whole, at].reshape(-1, width).sum(axis=1) / seconds)

    parts = [mean(counts) for counts in (history.direct, history.relayed, history.rerouted, history.refused)]
    axes.stackplot(
        times,
        np.array(parts),
        colors=[LIGHT.good, LIGHT.z, LIGHT.x_pale, LIGHT.alarm],
        labels=["direct", "relayed", "rerouted", "refused"],
    )
