"""The window of the live view: large figures, panels, time slider.

Panels take turns, so that no frame takes long beside an acquisition that wants all of two cores: the large figures are
of every frame, half of the panels of the moment, and one of those over time. The window draws what its feed has brought
and never waits for anything.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from faintlink.acquisition.live import courses, plots
from faintlink.acquisition.live.feeds import Feed
from faintlink.acquisition.live.figures import figures
from faintlink.acquisition.live.model import LiveModel
from faintlink.acquisition.live.panels import Panel, Scene
from faintlink.acquisition.live.series import Course, course
from faintlink.acquisition.live.tiles import Tile
from faintlink.acquisition.live.toolkit import Look, Toolkit
from faintlink.postprocess.report.style import DARK, LIGHT

FRAME_MS = 33
_COURSE_S = 0.2
_TILES_IN_A_ROW = 4
_ENLARGED = 1.7
LAYOUT: tuple[tuple[type[Panel], int, int, int], ...] = (
    (courses.QberPanel, 0, 0, 2),
    (plots.RatesPanel, 0, 2, 1),
    (plots.ArrivalPanel, 0, 3, 1),
    (plots.MatrixPanel, 1, 0, 1),
    (plots.IntensityPanel, 1, 1, 1),
    (courses.KeyPanel, 1, 2, 1),
    (courses.LossPanel, 1, 3, 1),
    (courses.ClockPanel, 2, 0, 1),
    (courses.OffsetPanel, 2, 1, 1),
    (plots.CalibrationsPanel, 2, 2, 1),
    (plots.EventsPanel, 2, 3, 1),
)
"""Panels with row, column and width, in the order of their keys 1 to 9, 0 and -."""


class LiveWindow:
    """The window of one run.

    Parameters
    ----------
    feed, model
        Taken from, and drawn, 30 times a second once `start` was called.
    kit
        Qt and pyqtgraph.
    is_dark
        Colours at first.
    scale
        Of all type; that of the screen if None.
    """

    def __init__(
        self,
        feed: Feed,
        model: LiveModel,
        kit: Toolkit,
        *,
        is_dark: bool = False,
        scale: float | None = None,
    ) -> None:
        self._feed, self._model, self._kit = feed, model, kit
        self.is_dark = is_dark
        """Colours; `rebuild` shows a change."""
        screen = kit.gui.QGuiApplication.primaryScreen()
        height = screen.availableGeometry().height() if screen is not None else 1080
        self._scale = scale or max(0.5, min(height, 4320) / 1080)
        self.large: Panel | None = None
        """The panel that fills the window, if one does."""
        self._enlarged: Panel | None = None
        self._message_text = ""
        self._course: Course | None = None
        self._course_s = 0.0
        self._drawn = -1
        self._turn = 0
        self.panels: list[Panel] = []
        """In the order of `LAYOUT`."""
        self.before_frame: Callable[[], None] = lambda: None
        """Called before each frame is drawn."""
        self.frames = 0
        """Frames in which something was drawn."""
        self.widget = kit.widgets.QWidget()
        self._outer = kit.widgets.QVBoxLayout(self.widget)
        self._outer.setContentsMargins(0, 0, 0, 0)
        self._inner: Any = None
        self.rebuild()
        self._timer = kit.core.QTimer(self.widget)
        self._timer.setTimerType(kit.core.Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self.refresh)

    def start(self) -> None:
        """Begin to draw."""
        self._timer.start(FRAME_MS)

    def rebuild(self) -> None:
        """Make everything anew, in the present colours."""
        widgets = self._kit.widgets
        self._look = look = Look(self._kit, DARK if self.is_dark else LIGHT, self._scale)
        theme = look.theme
        if self._inner is not None:
            self._outer.removeWidget(self._inner)
            self._inner.deleteLater()
        self._inner = widgets.QWidget()
        self._inner.setStyleSheet(
            f"QWidget {{ background: {theme.paper}; color: {theme.ink}; }} QPlainTextEdit {{ border: none; }}"
        )
        self._outer.addWidget(self._inner)
        rows = widgets.QVBoxLayout(self._inner)
        rows.setContentsMargins(look.px(8), look.px(8), look.px(8), look.px(4))
        rows.setSpacing(look.px(4))
        self._tiles = [Tile(look) for _ in figures(self._model)]
        rows.addLayout(self._grid_of_tiles())
        large = self.panels.index(self.large) if self.large is not None else None
        self._enlarged = None
        self.panels = [kind(look) for kind, *_ in LAYOUT]
        self._grid = widgets.QGridLayout()
        for panel, (_, row, column, width) in zip(self.panels, LAYOUT, strict=True):
            self._grid.addWidget(panel.widget, row, column, 1, width)
            self._grid.setRowStretch(row, 1)
            self._grid.setColumnStretch(column, 1)
        rows.addLayout(self._grid, 1)
        rows.addLayout(self._foot())
        self.enlarge(None if large is None else self.panels[large])

    def _grid_of_tiles(self) -> Any:
        grid = self._kit.widgets.QGridLayout()
        grid.setSpacing(self._look.px(6))
        for at, tile in enumerate(self._tiles):
            grid.addWidget(tile.widget, at // _TILES_IN_A_ROW, at % _TILES_IN_A_ROW)
            grid.setColumnStretch(at % _TILES_IN_A_ROW, 1)
        return grid

    def _foot(self) -> Any:
        widgets, look = self._kit.widgets, self._look
        row = widgets.QHBoxLayout()
        self._slider = widgets.QSlider(self._kit.core.Qt.Orientation.Horizontal)
        self._slider.setFocusPolicy(self._kit.core.Qt.FocusPolicy.NoFocus)
        self._slider.valueChanged.connect(self._slide)
        self._message = widgets.QLabel(self._message_text)
        self._message.setFont(look.font(16.0))
        self._message.setTextFormat(self._kit.core.Qt.TextFormat.PlainText)
        self._message.setStyleSheet(f"color: {look.theme.faint};")
        row.addWidget(self._slider, 2)
        row.addWidget(self._message)
        return row

    def refresh(self) -> None:
        """Take what has come and draw it: one frame."""
        for snapshot in self._feed.take():
            self._model.push(snapshot)
        if self._feed.error is not None:
            self._model.fail(self._feed.error)
        self.before_frame()
        self._show_figures()
        if self._model.version != self._drawn:
            self._drawn = self._model.version
            self._draw(self._due())
            self.frames += 1

    def redraw(self) -> None:
        """Draw everything now."""
        self._course = None
        self._show_figures()
        self._draw(self.panels)

    def _due(self) -> list[Panel]:
        """Return the panels whose turn it is: every second one of the moment, and the next one over time."""
        self._turn += 1
        fast = [panel for panel in self.panels if panel.is_fast]
        slow = [panel for panel in self.panels if not panel.is_fast]
        return [*fast[self._turn % 2 :: 2], slow[self._turn % len(slow)]]

    def _draw(self, panels: list[Panel]) -> None:
        now = time.monotonic()
        if self._course is None or now - self._course_s >= _COURSE_S:
            self._course, self._course_s = course(self._model.history), now
        scene = Scene(self._model, self._course)
        for panel in panels if self._enlarged is None else [self._enlarged]:
            panel.draw(scene)
        self._place_slider()

    def _show_figures(self) -> None:
        for tile, figure in zip(self._tiles, figures(self._model), strict=True):
            tile.show(figure)

    def _place_slider(self) -> None:
        self._slider.blockSignals(True)
        self._slider.setMaximum(max(0, len(self._model.history) - 1))
        self._slider.setValue(max(0, self._model.index))
        self._slider.blockSignals(False)

    def _slide(self, index: int) -> None:
        self._model.show(index)
        self.redraw()

    def enlarge(self, panel: Panel | None) -> None:
        """Let a panel fill the window, with larger type; None shows all."""
        if self._enlarged is not None:
            self._grid.removeWidget(self._enlarged.widget)
            self._enlarged.widget.deleteLater()
        self.large, self._enlarged = panel, None
        for one in self.panels:
            one.widget.setVisible(panel is None)
        if panel is not None:
            self._enlarged = type(panel)(replace(self._look, scale=self._scale * _ENLARGED))
            self._grid.addWidget(self._enlarged.widget, 0, 0, len(LAYOUT), len(LAYOUT))
        self.redraw()

    def shown(self, panel: Panel | None) -> Panel | None:
        """Return the panel on the screen that shows what ``panel`` does."""
        return self._enlarged if panel is not None and panel is self.large else panel

    def scene(self) -> Scene:
        """Return what is drawn now."""
        return Scene(self._model, course(self._model.history))

    def say(self, text: str) -> None:
        """Show a message at the foot."""
        self._message_text = text
        self._message.setText(text)
