"""The door to Qt and pyqtgraph, opened only when a window is wanted."""

import ctypes
import os
import sys
from dataclasses import dataclass
from typing import Any

from faintlink.core.errors import FaintlinkError
from faintlink.postprocess.report.style import Theme

_NEVER_USED_UP = 1 << 60
_INSTEAD = "or use --text, which needs no window"


@dataclass(frozen=True, slots=True)
class Toolkit:
    """The libraries that draw."""

    pg: Any
    """pyqtgraph."""
    core: Any
    """QtCore."""
    gui: Any
    """QtGui."""
    widgets: Any
    """QtWidgets."""


def load() -> Toolkit:
    """Return the libraries.

    Raises
    ------
    FaintlinkError
        One is missing, or one of the system's libraries that it needs.
    """
    try:
        import pyqtgraph as pg
        from pyqtgraph.Qt import QtCore, QtGui, QtWidgets
    except ImportError as error:
        raise FaintlinkError(
            f"the window cannot be shown: {error}",
            hint=f'pip install "faintlink[live]" and the system libraries of Qt (libegl1, libgl1), {_INSTEAD}',
        ) from error
    _keep_singletons()
    return Toolkit(pg, QtCore, QtGui, QtWidgets)


def _keep_singletons() -> None:
    """Make the singletons of Python 3.11 as lasting as they are from 3.12 on.

    PySide6 is built with headers by which returning None, True or False takes no reference, since those of newer
    interpreters are immortal. On 3.11 each call of Qt would take one reference too many away, and after some minutes
    of frames the interpreter ends with "deallocating None".
    """
    if sys.version_info >= (3, 12) or sys.implementation.name != "cpython":
        return
    for one in (None, True, False, NotImplemented, Ellipsis):
        if sys.getrefcount(one) < _NEVER_USED_UP // 2:
            ctypes.c_ssize_t.from_address(id(one)).value += _NEVER_USED_UP


def require_window() -> Toolkit:
    """Return the libraries if a window can come up here.

    Raises
    ------
    FaintlinkError
        A library is missing, or there is no display.
    """
    is_headless = sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or _has_wayland())
    if is_headless and not os.environ.get("QT_QPA_PLATFORM"):
        # Qt would abort the program, without a word that helps.
        raise FaintlinkError("there is no display to show a window on", hint=f"use ssh -X, {_INSTEAD}")
    return load()


def _has_wayland() -> bool:
    return bool(os.environ.get("WAYLAND_DISPLAY"))


@dataclass(frozen=True, slots=True)
class Look:
    """Libraries, colours and size of everything that is drawn."""

    kit: Toolkit
    theme: Theme
    scale: float = 1.0
    """1 on a screen 1080 pixels high."""

    def px(self, size: float) -> int:
        """Return a size in pixels."""
        return max(1, round(size * self.scale))

    def font(self, size: float, *, is_bold: bool = False, is_mono: bool = False) -> Any:
        """Return a font whose letters are ``size`` scaled pixels high."""
        font = self.kit.gui.QFont("DejaVu Sans Mono" if is_mono else "DejaVu Sans")
        font.setPixelSize(self.px(size))
        font.setBold(is_bold)
        return font

    def pen(self, colour: str, width: float = 2.0, *, is_dashed: bool = False) -> Any:
        """Return a pen."""
        style = self.kit.core.Qt.PenStyle.DashLine if is_dashed else self.kit.core.Qt.PenStyle.SolidLine
        return self.kit.pg.mkPen(colour, width=self.px(width), style=style)

    def brush(self, colour: str, opacity: float = 1.0) -> Any:
        """Return a brush."""
        shade = self.kit.gui.QColor(colour)
        shade.setAlphaF(opacity)
        return self.kit.pg.mkBrush(shade)
