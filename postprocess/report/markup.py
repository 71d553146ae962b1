"""HTML by construction: every string becomes text, and only this module's own tags become tags.

Used by the HTML report. A string from a configuration file, an error or an instrument can never become markup.
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import TypeAlias


class Markup(str):
    """Text that is HTML already; only `tag` and its kin make it."""

    __slots__ = ()


Child: TypeAlias = "str | Markup"


def tag(name: str, /, *children: Child, **attributes: str) -> Markup:
    """Return an element with its children, escaped unless they are elements.

    Parameters
    ----------
    name
        Of the element.
    children
        Text and elements.
    attributes
        Of the element; ``class_`` stands for ``class``, since that is a word of Python's.
    """
    return Markup(f"<{name}{_attributes(attributes)}>{join(children)}</{name}>")


def single(name: str, /, **attributes: str) -> Markup:
    """Return an element that has no end tag."""
    return Markup(f"<{name}{_attributes(attributes)}>")


def join(children: Iterable[Child]) -> Markup:
    """Return text and elements one after the other."""
    return Markup("".join(one if isinstance(one, Markup) else escape(one) for one in children))


def _attributes(attributes: dict[str, str]) -> str:
    return "".join(f' {name.rstrip("_").replace("_", "-")}="{escape(value)}"' for name, value in attributes.items())


def table(
    head: Sequence[str], rows: Sequence[Sequence[Child]], *, most: int = 0, marked: frozenset[int] = frozenset()
) -> Markup:
    """Return a table that scrolls sideways on a narrow screen.

    Parameters
    ----------
    head
        Names of the columns; a name that ends in ``#`` is of a column of figures.
    rows
        Cells, as many as columns.
    most
        Rows to show; of more, the rest is counted under the table. 0 shows all.
    marked
        Numbers of the rows that want attention.
    """
    if not rows:
        return tag("p", "none", class_="faint")
    numeric = ["num" if name.endswith("#") else "text" for name in head]
    shown = rows[:most] if most else rows
    top = tag("tr", *(tag("th", name.rstrip("# "), class_=kind) for name, kind in zip(head, numeric, strict=True)))
    body = [
        tag(
            "tr",
            *(tag("td", cell, class_=kind) for cell, kind in zip(cells, numeric, strict=True)),
            **({"class_": "alarm"} if at in marked else {}),
        )
        for at, cells in enumerate(shown)
    ]
    inner = tag("table", tag("thead", top), tag("tbody", *body))
    left = len(rows) - len(shown)
    rest = tag("p", f"{left} more of {len(rows)} rows stand in analysis.json", class_="faint") if left else Markup("")
    return join((tag("div", inner, class_="scroll"), rest))


def pairs(items: Iterable[tuple[str, Child]]) -> Markup:
    """Return names with their values, as a list."""
    return tag("dl", *(join((tag("dt", name), tag("dd", value))) for name, value in items))


def bullets(lines: Iterable[Child]) -> Markup:
    """Return a list of lines."""
    return tag("ul", *(tag("li", line) for line in lines))
