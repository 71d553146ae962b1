"""The panels of the moment: count rates, arrival histogram, correlation matrix, intensities, and the texts."""

from collections.abc import Callable, Sequence
from html import escape
from typing import Any, ClassVar

import numpy as np

from faintlink.acquisition.live.figures import scaled
from faintlink.acquisition.live.model import LiveModel
from faintlink.acquisition.live.panels import TITLE_PX, Panel, PlotPanel, Row, Scene
from faintlink.acquisition.live.toolkit import Look
from faintlink.acquisition.statistics.snapshot import BINS, RunFacts

OUTCOMES = ("Z0", "Z1", "X0", "X1")
_MAX_BARS = 16


class RatesPanel(PlotPanel):
    """Counts per second of each detector, over the last second."""

    name = "rates"
    title = "Count rates"
    is_fast = True

    def __init__(self, look: Look) -> None:
        super().__init__(look)
        colours = look.theme.outcomes
        self._bars = self.bars([colours[k % 4] for k in range(_MAX_BARS)])
        self._texts = self.labels(_MAX_BARS)
        self._top = 0.0
        self._names: tuple[str, ...] = ()
        self.hide_left()

    def draw(self, scene: Scene) -> None:
        """Draw a bar for each detector, with its rate."""
        rates = list(scene.model.rates_hz().items())[:_MAX_BARS]
        if not rates:
            return
        names, values = tuple(name for name, _ in rates), [value for _, value in rates]
        if names != self._names:
            self._names = names
            self._show_names(names)
        self._bars.setOpts(x=np.arange(len(values)), height=values)
        for at, text in enumerate(self._texts[: len(values)]):
            text.setText(scaled(values[at]).strip())
            text.setPos(at, values[at])
        # The axis follows upward at once and downward late, so that bars can be compared over time.
        high = max(*values, 1.0)
        if not 0.6 * self._top < high <= self._top:
            self._top = 1.15 * high
            self.plot.setYRange(0.0, 1.18 * self._top, padding=0.0)

    def _show_names(self, names: Sequence[str]) -> None:
        self.ticks("bottom", [name.replace("alice ", "A ").replace("bob ", "B ") for name in names])
        self.plot.setXRange(-0.6, len(names) - 0.4, padding=0.0)
        for text in self._texts:
            text.setFont(self.look.font(22.0 if len(names) <= 4 else 15.0, is_bold=True))
            text.setText("")

    def table(self, scene: Scene) -> tuple[Row, Sequence[Row]]:
        """Return the rate of each detector."""
        return ("detector", "rate_hz"), list(scene.model.rates_hz().items())


class ArrivalPanel(PlotPanel):
    """When clicks come within the slot, or after the other receiver's, with the gate."""

    name = "arrival"
    title = "Arrival"
    bottom = "time, ps"
    is_fast = True

    def __init__(self, look: Look) -> None:
        super().__init__(look)
        pg, theme = look.kit.pg, look.theme
        self._gate = pg.LinearRegionItem(brush=look.brush(theme.shade, 0.9), pen=look.pen(theme.faint), movable=False)
        self._gate.setZValue(-10)
        self.plot.addItem(self._gate, ignoreBounds=True)
        self._curves = [self.curve(colour, 2.0) for colour in theme.outcomes]
        self._legend = _legend(self, [*zip(OUTCOMES, self._curves, strict=True)])
        self.hide_left()
        self._facts: RunFacts | None = None

    def draw(self, scene: Scene) -> None:
        """Draw a line for each outcome."""
        facts = scene.model.facts
        if facts != self._facts:
            self._show_axis(facts)
        table = scene.model.recent().histogram
        edges = facts.first_ps + facts.bin_ps * np.arange(BINS + 1)
        for curve, row in zip(self._curves, table, strict=True):
            curve.setData(edges, row, stepMode="center")
        self.plot.setYRange(0.0, 1.1 * max(int(table.max()), 1), padding=0.0)

    def _show_axis(self, facts: RunFacts) -> None:
        self._facts = facts
        self._gate.setRegion(facts.gate_ps)
        self.plot.setXRange(facts.first_ps, facts.first_ps + BINS * facts.bin_ps, padding=0.0)
        width = facts.gate_ps[1] - facts.gate_ps[0]
        self.say(f"Arrival, gate {width:.0f} ps" if facts.axis else "Arrival: not known here")
        self.plot.setLabel("bottom", escape(f"{facts.axis or 'time'}, ps"))

    def table(self, scene: Scene) -> tuple[Row, Sequence[Row]]:
        """Return the clicks of each bin."""
        facts, counts = scene.model.facts, scene.model.recent().histogram
        rows = [(facts.first_ps + (at + 0.5) * facts.bin_ps, *counts[:, at].tolist()) for at in range(BINS)]
        return ("time_ps", *OUTCOMES), rows


class MatrixPanel(PlotPanel):
    """How sent and measured bits go together, for equal bases; the others are not compared."""

    name = "matrix"
    title = "Correlation: Alice ↓, Bob →"

    def __init__(self, look: Look) -> None:
        super().__init__(look)
        pg, theme = look.kit.pg, look.theme
        self._image = pg.ImageItem(axisOrder="row-major")
        self._image.setColorMap(pg.ColorMap([0.0, 1.0], [theme.shade, theme.z]))
        self.plot.addItem(self._image)
        self._texts = self.labels(16, 22.0)
        for at, text in enumerate(self._texts):
            text.setAnchor((0.5, 0.5))
            text.setPos(at % 4 + 0.5, at // 4 + 0.5)
        self.plot.invertY()
        self.plot.setXRange(0.0, 4.0, padding=0.0)
        self.plot.setYRange(0.0, 4.0, padding=0.0)
        ticks = [[(place + 0.5, name) for place, name in enumerate(OUTCOMES)]]
        for side in ("left", "bottom"):
            self.plot.getAxis(side).setTicks(ticks)
        self.plot.showGrid(x=False, y=False)

    def draw(self, scene: Scene) -> None:
        """Draw the share of each measured bit among the detections of a sent one."""
        shares = _shares(scene.model)
        self._image.setImage(shares, levels=(0.0, 1.0), autoLevels=False)
        for text, share in zip(self._texts, shares.ravel().tolist(), strict=True):
            text.setText("" if np.isnan(share) else f"{100 * share:.1f}%")
            text.setColor(self.look.theme.paper if share > 0.5 else self.look.theme.ink)

    def table(self, scene: Scene) -> tuple[Row, Sequence[Row]]:
        """Return the counts."""
        counts = scene.model.recent().matrix
        rows = [("ZX"[at // 4], at // 2 % 2, at % 2, count) for at, count in enumerate(counts)]
        return ("basis", "sent", "measured", "detections"), rows


def _shares(model: LiveModel) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return (4, 4) float64 by sent and measured, nan where nothing is compared."""
    counts = np.array(model.recent().matrix, np.float64).reshape(2, 2, 2)
    totals = counts.sum(axis=2, keepdims=True)
    shares = np.full((4, 4), np.nan)
    known = np.divide(counts, totals, out=np.full_like(counts, np.nan), where=totals > 0.0)
    shares[:2, :2], shares[2:, 2:] = known
    return shares


class IntensityPanel(PlotPanel):
    """Sifted detections by intensity of the pulse, with the error rate of each."""

    name = "intensities"
    title = "Sifted by intensity, with QBER"

    def __init__(self, look: Look) -> None:
        super().__init__(look)
        theme = look.theme
        self._bars = self.bars([theme.good, theme.z_pale, theme.x_pale, theme.faint])
        self._texts = self.labels(4)
        self.hide_left()
        self._labels: tuple[str, ...] = ()

    def draw(self, scene: Scene) -> None:
        """Draw a bar for each intensity."""
        rows = _by_intensity(scene.model)
        labels = tuple(f"μ {mu:g}" if mu is not None else "all" for mu, _, _ in rows)
        if labels != self._labels:
            self._labels = labels
            self.ticks("bottom", labels)
            self.plot.setXRange(-0.7, len(rows) - 0.3, padding=0.0)
        heights = [detections for _, detections, _ in rows]
        self._bars.setOpts(x=np.arange(len(rows)), height=heights)
        self.plot.setYRange(0.0, 1.5 * max(*heights, 1), padding=0.0)
        for at, (text, (_, detections, errors)) in enumerate(zip(self._texts, rows, strict=False)):
            rate = f"{100 * errors / detections:.2f}%" if detections else "-"
            text.setText(f"{scaled(detections).strip()}\n{rate}")
            text.setPos(at, detections)

    def table(self, scene: Scene) -> tuple[Row, Sequence[Row]]:
        """Return detections and errors of each intensity."""
        return ("mean_photons", "detections", "errors"), _by_intensity(scene.model)


def _by_intensity(model: LiveModel) -> list[tuple[float | None, int, int]]:
    counts, known = model.recent().counts, model.facts.intensities
    rows = zip(counts.n_key, counts.n_test, counts.m_key, counts.m_test, strict=True)
    return [(known[at] if at < len(known) else None, n + k, m + j) for at, (n, k, m, j) in enumerate(rows)]


def _legend(panel: PlotPanel, entries: Sequence[tuple[str, Any]]) -> Any:
    look = panel.look
    legend = panel.plot.addLegend(
        offset=(-10, 6), labelTextColor=look.theme.ink, labelTextSize=f"{look.px(16)}px", colCount=2
    )
    for name, curve in entries:
        legend.addItem(curve, name)
    return legend


class LinesPanel(Panel):
    """Lines of text, the newest at the end.

    Parameters
    ----------
    look
        Libraries, colours, size.
    name, title
        Of the panel.
    lines
        Takes them out of a run's facts.
    empty
        Shown when there are none.
    """

    name: ClassVar[str] = "lines"

    def __init__(self, look: Look, *, title: str, lines: Callable[[RunFacts], Sequence[str]], empty: str) -> None:
        super().__init__(look)
        self._lines = lines
        self._empty = empty
        self._shown: tuple[str, ...] | None = None
        widgets = look.kit.widgets
        self.widget = widgets.QWidget()
        layout = widgets.QVBoxLayout(self.widget)
        layout.setContentsMargins(look.px(10), 0, 0, 0)
        head = widgets.QLabel(title)
        head.setFont(look.font(TITLE_PX, is_bold=True))
        head.setAlignment(look.kit.core.Qt.AlignmentFlag.AlignHCenter)
        self._text = widgets.QPlainTextEdit()
        self._text.setReadOnly(True)
        self._text.setFont(look.font(17.0))
        self._text.setFrameStyle(0)
        self._text.setLineWrapMode(widgets.QPlainTextEdit.LineWrapMode.NoWrap)
        off = look.kit.core.Qt.ScrollBarPolicy.ScrollBarAlwaysOff
        self._text.setHorizontalScrollBarPolicy(off)
        self._text.setVerticalScrollBarPolicy(off)
        self._text.setFocusPolicy(look.kit.core.Qt.FocusPolicy.NoFocus)
        layout.addWidget(head)
        layout.addWidget(self._text)

    def draw(self, scene: Scene) -> None:
        """Show the lines if they changed."""
        lines = tuple(self._lines(scene.model.facts))
        if lines == self._shown:
            return
        self._shown = lines
        self._text.setPlainText("\n".join(lines) if lines else self._empty)
        bar = self._text.verticalScrollBar()
        bar.setValue(bar.maximum())

    def table(self, scene: Scene) -> tuple[Row, Sequence[Row]]:
        """Return the lines."""
        return ("line",), [(line,) for line in self._lines(scene.model.facts)]


class EventsPanel(LinesPanel):
    """The event log of the run."""

    name = "events"

    def __init__(self, look: Look) -> None:
        super().__init__(look, title="Events", lines=lambda facts: facts.events, empty="no events known here")


class CalibrationsPanel(LinesPanel):
    """Calibrations in force, and before."""

    name = "calibrations"

    def __init__(self, look: Look) -> None:
        empty = "none in the run's files;\n--calibrations FOLDER lists those of a folder"
        super().__init__(look, title="Calibrations", lines=lambda facts: facts.calibrations, empty=empty)
