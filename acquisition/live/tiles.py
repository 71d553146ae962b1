"""The large figures above the panels, to be read from the other end of the room."""

from typing import Any

from faintlink.acquisition.live.figures import Figure
from faintlink.acquisition.live.toolkit import Look

VALUE_PX = 58.0
WORD_PX = 22.0


class Tile:
    """One large figure.

    Parameters
    ----------
    look
        Libraries, colours, size.
    """

    def __init__(self, look: Look) -> None:
        widgets, align = look.kit.widgets, look.kit.core.Qt.AlignmentFlag
        self._look = look
        self._shown: Figure | None = None
        self.widget: Any = widgets.QFrame()
        self.widget.setObjectName("tile")
        grid = widgets.QGridLayout(self.widget)
        grid.setContentsMargins(look.px(14), look.px(4), look.px(14), look.px(2))
        grid.setSpacing(0)
        self._title, self._note, self._value = widgets.QLabel(), widgets.QLabel(), widgets.QLabel()
        self._title.setFont(look.font(WORD_PX, is_bold=True))
        self._note.setFont(look.font(WORD_PX - 3.0))
        self._value.setFont(look.font(VALUE_PX, is_bold=True))
        self._note.setAlignment(align.AlignRight | align.AlignVCenter)
        for label in (self._title, self._note, self._value):
            # A long word must not push its neighbours about.
            label.setTextFormat(look.kit.core.Qt.TextFormat.PlainText)
            label.setSizePolicy(widgets.QSizePolicy.Policy.Ignored, widgets.QSizePolicy.Policy.Preferred)
        grid.addWidget(self._title, 0, 0)
        grid.addWidget(self._note, 0, 1)
        grid.addWidget(self._value, 1, 0, 1, 2)
        grid.setColumnStretch(0, 2)
        grid.setColumnStretch(1, 3)

    def show(self, figure: Figure) -> None:
        """Show a figure; nothing is drawn anew unless it changed."""
        before, self._shown = self._shown, figure
        if before == figure:
            return
        self._title.setText(figure.title)
        self._note.setText(figure.note)
        self._value.setText(figure.text)
        if before is None or (before.is_alarm, before.is_good) != (figure.is_alarm, figure.is_good):
            self._paint(figure)

    def _paint(self, figure: Figure) -> None:
        theme = self._look.theme
        edge = theme.alarm if figure.is_alarm else theme.good if figure.is_good else theme.grid
        width = self._look.px(5)
        # An alarm fills the tile: colour alone is not seen by everybody.
        paper, ink, faint = (
            (theme.alarm, theme.paper, theme.paper) if figure.is_alarm else (theme.paper, theme.ink, theme.faint)
        )
        self.widget.setStyleSheet(
            f"#tile {{ background: {paper}; border: 1px solid {theme.grid}; border-left: {width}px solid {edge}; }}"
        )
        for label, colour in ((self._title, faint), (self._note, faint), (self._value, ink)):
            label.setStyleSheet(f"color: {colour}; background: transparent;")
