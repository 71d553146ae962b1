"""What keys and menus do in the window, and the window's own loop."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from faintlink.acquisition.live.export import history_table, save_csv, save_png
from faintlink.acquisition.live.feeds import Feed
from faintlink.acquisition.live.model import LiveModel
from faintlink.acquisition.live.panels import Panel
from faintlink.acquisition.live.toolkit import Toolkit, require_window
from faintlink.acquisition.live.window import LiveWindow
from faintlink.core.errors import FaintlinkError

_STEP_S = 1.0
_NUMBERS = "1234567890-"
KEYS = "1-9 0 - enlarge · Esc all · Space hold/play · ← → · End newest · A whole run · T theme · P png · C csv · F · Q"


def show(feed: Feed, model: LiveModel, *, is_dark: bool, save_to: Path) -> int:
    """Show the window until it is closed.

    Raises
    ------
    FaintlinkError
        pyqtgraph or Qt is missing, or there is no display.
    """
    kit = require_window()
    application = kit.pg.mkQApp("faintlink")
    window = LiveWindow(feed, model, kit, is_dark=is_dark)
    Controls(window, model, kit, save_to=save_to)
    window.widget.showMaximized()
    with feed:
        window.start()
        return int(application.exec())


class Controls:
    """Keys and menus of a window.

    Parameters
    ----------
    window, model, kit
        What is controlled.
    save_to
        Folder for pictures and tables.
    """

    def __init__(self, window: LiveWindow, model: LiveModel, kit: Toolkit, *, save_to: Path) -> None:
        self._window, self._model, self._kit = window, model, kit
        self._save_to = save_to
        self._played_s: float | None = None
        window.before_frame = self.play_on
        self._bind()
        self._add_menus()
        window.say(KEYS)

    def _bind(self) -> None:
        window, gui = self._window, self._kit.gui
        keys: dict[str, Callable[[], object]] = {
            number: lambda at=at: window.enlarge(window.panels[at])  # type: ignore[misc]  # a bound default
            for at, number in enumerate(_NUMBERS)
        }
        keys |= {
            "Esc": lambda: window.enlarge(None),
            "Space": self.hold,
            "Left": lambda: self.move(-_STEP_S),
            "Right": lambda: self.move(_STEP_S),
            "Home": lambda: self.go(0),
            "End": lambda: self.go(None),
            "A": self.toggle_whole_run,
            "T": self.toggle_theme,
            "P": lambda: self.save_picture(window.large),
            "C": lambda: self.save_table(window.large),
            "F": self.toggle_full_screen,
            "Q": window.widget.close,
        }
        for key, action in keys.items():
            gui.QShortcut(gui.QKeySequence(key), window.widget).activated.connect(action)

    def _add_menus(self) -> None:
        policy = self._kit.core.Qt.ContextMenuPolicy.CustomContextMenu
        for panel in self._window.panels:
            panel.widget.setContextMenuPolicy(policy)
            panel.widget.customContextMenuRequested.connect(lambda place, of=panel: self._open_menu(of, place))

    def _open_menu(self, panel: Panel, place: Any) -> None:
        menu = self._kit.widgets.QMenu(panel.widget)
        is_large = self._window.large is panel
        for text, action in (
            ("Save picture (PNG)", lambda: self.save_picture(panel)),
            ("Save table (CSV)", lambda: self.save_table(panel)),
            ("Show all" if is_large else "Enlarge", lambda: self._window.enlarge(None if is_large else panel)),
        ):
            menu.addAction(text).triggered.connect(action)
        menu.popup(panel.widget.mapToGlobal(place))

    def go(self, index: int | None) -> None:
        """Show a snapshot by its number; the newest if None."""
        self._played_s = None
        self._model.show(index)
        self._window.redraw()

    def move(self, by_s: float) -> None:
        """Show a moment that much later or earlier."""
        self._played_s = None
        self._model.show_time(self._model.current.elapsed_s + by_s)
        self._window.redraw()

    def hold(self) -> None:
        """Hold what is shown, or go on; a finished run is played, from its start if its end is shown."""
        if self._model.is_replay:
            if not self._model.is_held:
                self._model.show(0)
            self._played_s = time.monotonic() if self._played_s is None else None
        elif self._model.is_held:
            self._model.show(None)
        else:
            self._model.hold()
        self._window.redraw()

    def play_on(self) -> None:
        """Move on as fast as the run went, while it is played."""
        if self._played_s is None:
            return
        now = time.monotonic()
        at = self._model.index
        self._model.show_time(self._model.current.elapsed_s + now - self._played_s)
        if self._model.index != at:
            self._played_s = now
        if not self._model.is_held:
            self._played_s = None

    def toggle_whole_run(self) -> None:
        """Show error rates, histogram, matrix and intensities of the whole run, or of its last seconds."""
        self._model.shows_whole_run = not self._model.shows_whole_run
        self._window.say("the whole run so far" if self._model.shows_whole_run else KEYS)
        self._window.redraw()

    def toggle_theme(self) -> None:
        """Change between light and dark."""
        self._window.is_dark = not self._window.is_dark
        self._window.rebuild()
        self._add_menus()

    def toggle_full_screen(self) -> None:
        """Fill the screen, or no longer."""
        widget = self._window.widget
        if widget.isFullScreen():
            widget.showMaximized()
        else:
            widget.showFullScreen()

    def save_picture(self, panel: Panel | None) -> None:
        """Save a panel as PNG; the whole window if None."""
        shown = self._window.shown(panel)
        widget = shown.widget if shown is not None else self._window.widget
        self._save(lambda: save_png(widget, self._save_to, self._name(panel)))

    def save_table(self, panel: Panel | None) -> None:
        """Save what a panel shows as CSV; the history of the run if None."""
        head, rows = panel.table(self._window.scene()) if panel is not None else history_table(self._model)
        self._save(lambda: save_csv(head, rows, self._save_to, self._name(panel)))

    def _name(self, panel: Panel | None) -> str:
        return f"{self._model.facts.link or 'run'}-{panel.name if panel is not None else 'live'}"

    def _save(self, save: Callable[[], Path]) -> None:
        try:
            self._window.say(f"saved {save()}")
        except FaintlinkError as error:
            self._window.say(error.message)
