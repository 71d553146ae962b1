"""What all panels of the window have in common: a title, a widget, a table of what they show."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, ClassVar

from faintlink.acquisition.live.model import LiveModel
from faintlink.acquisition.live.series import Course
from faintlink.acquisition.live.toolkit import Look

TITLE_PX = 21.0
AXIS_PX = 17.0
TICK_PX = 16.0

Row = tuple[object, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What there is to draw."""

    model: LiveModel
    """The moment that is shown."""
    course: Course
    """The run over time."""


class Panel(ABC):
    """One panel of the window.

    Parameters
    ----------
    look
        Libraries, colours, size.
    """

    name: ClassVar[str]
    """For file names."""
    is_fast: ClassVar[bool] = False
    """Whether it is drawn in every second frame; the others take turns."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self.widget: Any = None

    @abstractmethod
    def draw(self, scene: Scene) -> None:
        """Show a scene."""

    @abstractmethod
    def table(self, scene: Scene) -> tuple[Row, Sequence[Row]]:
        """Return head and rows of what the panel shows."""


class PlotPanel(Panel):
    """A panel with axes."""

    title: ClassVar[str]
    left: ClassVar[str] = ""
    bottom: ClassVar[str] = ""

    def __init__(self, look: Look) -> None:
        super().__init__(look)
        theme = look.theme
        self.widget = look.kit.pg.PlotWidget(background=theme.paper)
        self.plot = self.widget.getPlotItem()
        self.plot.setMenuEnabled(False)
        self.plot.setMouseEnabled(x=False, y=False)
        self.plot.hideButtons()
        self.plot.setContentsMargins(0, 0, look.px(10), 0)
        self.say(self.title)
        for side, text in (("left", self.left), ("bottom", self.bottom)):
            axis = self.plot.getAxis(side)
            axis.setPen(theme.faint)
            axis.setTextPen(theme.ink)
            axis.setTickFont(look.font(TICK_PX))
            axis.setStyle(tickTextOffset=look.px(4), autoExpandTextSpace=False, maxTickLevel=0)
            axis.enableAutoSIPrefix(False)
            if text:
                axis.setLabel(text, **{"color": theme.ink, "font-size": f"{look.px(AXIS_PX)}px"})
        self.plot.getAxis("left").setWidth(look.px(92 if self.left else 62))
        self.plot.getAxis("bottom").setHeight(look.px(50 if self.bottom else 28))
        self.plot.showGrid(x=False, y=True, alpha=0.25)

    def say(self, title: str) -> None:
        """Set the title; what came from elsewhere is shown as it is, and not as markup."""
        self.say_markup(escape(title))

    def say_markup(self, title: str) -> None:
        """Set the title, which may name colours."""
        self.plot.setTitle(title, color=self.look.theme.ink, size=f"{self.look.px(TITLE_PX)}px", bold=True)
        # pyqtgraph gives every title 30 pixels.
        height = self.look.px(1.6 * TITLE_PX)
        self.plot.titleLabel.setMaximumHeight(height)
        self.plot.layout.setRowFixedHeight(0, height)

    def show_run(self, model: LiveModel) -> None:
        """Let the axis of time cover the run, in all panels alike."""
        end_s = model.history[-1].elapsed_s if model.history else 0.0
        self.plot.setXRange(0.0, max(end_s, 1.0), padding=0.03)

    def hide_left(self) -> None:
        """Leave the left axis out, where only the shape or the written numbers matter."""
        self.plot.hideAxis("left")
        self.plot.showGrid(x=False, y=False)

    def ticks(self, side: str, names: Sequence[str]) -> None:
        """Name the places 0, 1, … of an axis."""
        self.plot.getAxis(side).setTicks([list(enumerate(names))])

    def curve(self, colour: str, width: float = 2.5) -> Any:
        """Return a new line, empty."""
        return self.plot.plot(pen=self.look.pen(colour, width), connect="finite")

    def bars(self, colours: Sequence[str]) -> Any:
        """Return new bars, empty, in these colours."""
        item = self.look.kit.pg.BarGraphItem(x=[], height=[], width=0.8, brushes=[*colours], pen=None)
        self.plot.addItem(item)
        return item

    def labels(self, count: int, size: float = 20.0) -> list[Any]:
        """Return new texts, empty, that stand above a point."""
        texts = []
        for _ in range(count):
            text = self.look.kit.pg.TextItem("", color=self.look.theme.ink, anchor=(0.5, 1.0))
            text.setFont(self.look.font(size, is_bold=True))
            self.plot.addItem(text, ignoreBounds=True)
            texts.append(text)
        return texts

    def line(self, colour: str, *, is_dashed: bool = False, angle: float = 0.0) -> Any:
        """Return a new line across the panel."""
        item = self.look.kit.pg.InfiniteLine(0.0, angle=angle, pen=self.look.pen(colour, 2.5, is_dashed=is_dashed))
        self.plot.addItem(item, ignoreBounds=True)
        return item


def span(values: Sequence[float], *, least: float = 0.0, room: float = 0.08) -> tuple[float, float]:
    """Return ends of an axis that shows all values, at least ``least`` apart, with some room beyond them."""
    low, high = min(values), max(values)
    missing = max(0.0, least - (high - low)) / 2
    low, high = low - missing, high + missing
    pad = room * (high - low) or 1.0
    return low - pad, high + pad
