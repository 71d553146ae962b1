"""What an application decided, as files and on the terminal: the same shape for tokens, money, payments and the rest.

Called by the applications' ``analyse_run`` and by the commands. Nothing secret of a session is ever written here.
"""

import json
import logging
from base64 import b64encode
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from faintlink.postprocess.applications import Outcome
from faintlink.postprocess.report.files import write_new
from faintlink.postprocess.report.html import document
from faintlink.postprocess.report.markup import Markup, bullets, join, pairs, single, tag
from faintlink.postprocess.report.style import DARK, LIGHT, Theme, drawing, png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Draw: TypeAlias = "Callable[[Axes, Theme], None]"
"""Draws one panel."""
_log = logging.getLogger(__name__)
_INCHES = (7.2, 4.4)


def write_outcome(outcome: Outcome, folder: Path, panels: Mapping[str, Draw]) -> None:
    """Write ``outcome.json``, and with matplotlib ``report.html`` and one PNG per panel, into a results folder.

    Parameters
    ----------
    outcome
        What was decided.
    folder
        Exists, and holds none of these files.
    panels
        What to draw, by caption's first words as the file's name: ``"secure region: …"`` becomes secure-region.png.

    Raises
    ------
    RunExistsError
        One of the files exists.
    """
    write_new(folder / "outcome.json", json.dumps(outcome_document(outcome), indent=1).encode())
    if not find_spec("matplotlib"):
        _log.warning("no report.html: matplotlib is missing (pip install 'faintlink[report]')")
        return
    pictures = {caption: (_png(draw, LIGHT), _png(draw, DARK)) for caption, draw in panels.items()}
    for caption, (light, _) in pictures.items():
        write_new(folder / f"{_file_name(caption)}.png", light)
    write_new(folder / "report.html", document(outcome.title, _page(outcome, pictures)).encode())


def outcome_document(outcome: Outcome) -> dict[str, object]:
    """Return an outcome as JSON holds it."""
    return {
        "title": outcome.title,
        "accepted": outcome.is_accepted,
        "verdict": outcome.verdict,
        "facts": outcome.facts,
        "statements": list(outcome.statements),
    }


def print_outcome(outcome: Outcome, console: Console) -> None:
    """Print an outcome for people."""
    table = Table(title=outcome.title, show_header=False)
    for name, value in outcome.facts.items():
        table.add_row(name, _words(value))
    console.print(table)
    for line in outcome.statements:
        console.print(f"· {line}", markup=False, soft_wrap=True)
    colour = "green" if outcome.is_accepted else "red"
    console.print(f"[bold {colour}]{escape(outcome.verdict)}[/]")


def _words(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _page(outcome: Outcome, pictures: Mapping[str, tuple[bytes, bytes]]) -> Markup:
    mood = "result good" if outcome.is_accepted else "banner"
    return join(
        [
            tag("h1", outcome.title),
            tag("p", outcome.verdict, class_=mood),
            *(_figure(caption, themes) for caption, themes in pictures.items()),
            tag("h2", "Figures"),
            pairs((name, _words(value)) for name, value in outcome.facts.items()),
            tag("h2", "What is proved, measured and assumed"),
            bullets(outcome.statements),
        ]
    )


def _figure(caption: str, themes: tuple[bytes, bytes]) -> Markup:
    light, dark = (f"data:image/png;base64,{b64encode(data).decode()}" for data in themes)
    source = single("source", media="(prefers-color-scheme: dark)", srcset=dark)
    picture = tag("div", tag("picture", source, single("img", src=light, alt=caption)), class_="scroll")
    return tag("figure", join((picture, tag("figcaption", caption))))


def _png(draw: Draw, theme: Theme) -> bytes:
    from matplotlib.figure import Figure

    with drawing(theme):
        figure = Figure(figsize=_INCHES, dpi=150, layout="constrained")
        draw(figure.add_subplot(), theme)
        return png(figure)


def _file_name(caption: str) -> str:
    return caption.split(":", maxsplit=1)[0].strip().lower().replace(" ", "-")
