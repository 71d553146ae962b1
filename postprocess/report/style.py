"""Colours and type of all figures, and the one door to matplotlib.

Colours follow Okabe and Ito, so that readers with any colour vision can tell them apart; lines differ in their
dashes too. Settings hold inside `drawing` only: what the user has set for other figures neither shows here nor is
changed.

Sources: M. Okabe, K. Ito, "Color Universal Design", 2008 (palette).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

from faintlink.core.errors import FaintlinkError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours of one figure."""

    ink: str
    """Text and axes."""
    faint: str
    """Secondary text and limits."""
    paper: str
    """Background."""
    grid: str
    """Grid lines."""
    z: str
    """Key basis, and outcome Z0."""
    z_pale: str
    """Outcome Z1."""
    x: str
    """Test basis, and outcome X0."""
    x_pale: str
    """Outcome X1."""
    good: str
    """Key."""
    alarm: str
    """What must not be missed."""
    shade: str
    """Gate."""

    @property
    def outcomes(self) -> tuple[str, str, str, str]:
        """Colours of Z0, Z1, X0 and X1."""
        return self.z, self.z_pale, self.x, self.x_pale


LIGHT = Theme(
    ink="#1b1f24",
    faint="#5b6470",
    paper="#ffffff",
    grid="#dfe3e8",
    z="#0072b2",
    z_pale="#56b4e9",
    x="#d55e00",
    x_pale="#e69f00",
    good="#009e73",
    alarm="#b3261e",
    shade="#e6ebf0",
)
DARK = Theme(
    ink="#e6e9ed",
    faint="#9aa4b0",
    paper="#171b21",
    grid="#30363f",
    z="#4aa8e8",
    z_pale="#9bd3f7",
    x="#f08545",
    x_pale="#f2bd4d",
    good="#2fc69b",
    alarm="#ff8a80",
    shade="#333d4a",
)


@contextmanager
def drawing(theme: Theme) -> Iterator[None]:
    """Draw with matplotlib's own defaults and ``theme`` while the context lasts.

    Raises
    ------
    FaintlinkError
        matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
    except ModuleNotFoundError as error:
        raise FaintlinkError(
            "figures need matplotlib, which is not installed", hint='pip install "faintlink[report]"'
        ) from error
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_settings(theme))
        yield


def _settings(theme: Theme) -> dict[Any, Any]:
    ink = dict.fromkeys(("text.color", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color"), theme.ink)
    paper = dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), theme.paper)
    return {
        **ink,
        **paper,
        "axes.edgecolor": theme.faint,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.grid": True,
        "axes.titlelocation": "left",
        "axes.titlesize": 12,
        "axes.titleweight": "bold",
        "axes.labelsize": 11,
        "font.family": ["DejaVu Sans"],
        "font.size": 10.5,
        "grid.color": theme.grid,
        "grid.linewidth": 0.8,
        "hatch.linewidth": 0.8,
        "legend.fontsize": 10,
        "legend.frameon": False,
        "lines.linewidth": 1.5,
        "ytick.minor.size": 0,
    }


def png(figure: "Figure") -> bytes:
    """Return a figure as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    out = BytesIO()
    FigureCanvasAgg(figure).print_png(out, metadata={"Software": "faintlink"})  # type: ignore[no-untyped-call]
    return out.getvalue()


def legend_above(axes: "Axes", columns: int) -> None:
    """Put the legend in a row between title and data, where it covers nothing."""
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=columns,
        borderaxespad=0.2,
        borderpad=0.2,
        columnspacing=1.3,
        handlelength=1.8,
        handletextpad=0.5,
    )


def say_empty(axes: "Axes", text: str, theme: Theme) -> None:
    """Say in the middle of a panel why it shows nothing."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=theme.faint)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)


def drawable(text: str) -> str:
    """Return ``text`` in one line as it stands: no glyph that the font lacks, and no dollar taken for mathematics."""
    from matplotlib.font_manager import findfont, get_font

    known = get_font(findfont("DejaVu Sans")).get_charmap()
    shown = "".join(letter if ord(letter) in known else "?" for letter in " ".join(text.split()))
    return shown.replace("$", r"\$")


def title(axes: "Axes", text: str, *, above_legend: bool = False) -> None:
    """Write the title of a panel."""
    axes.set_title(text, pad=26 if above_legend else 8)


def text_line(
    figure: "Figure | SubFigure", y: float, text: str, *, size: float, color: str, bold: bool = False
) -> None:
    """Write one line of text across a figure."""
    figure.text(0.012, y, drawable(text), size=size, color=color, weight="bold" if bold else "normal", va="center")
