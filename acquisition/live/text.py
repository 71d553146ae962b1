"""The live view on a terminal: the window's figures, for work over ssh."""

import time

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from faintlink.acquisition.live.feeds import Feed
from faintlink.acquisition.live.figures import Figure, figures, scaled
from faintlink.acquisition.live.model import LiveModel

_DRAW_S = 0.25
_LINE_S = 2.0
_EVENTS = 5


def watch_in_terminal(feed: Feed, model: LiveModel, console: Console) -> int:
    """Show a feed until its run is over; a line every two seconds where the output is no terminal.

    Returns
    -------
    int
        0 when the run was seen to its end, 3 when its source failed before.
    """
    with feed:
        if console.is_terminal:
            with Live(as_panel(model), console=console, auto_refresh=False) as live:
                while not _take(feed, model):
                    live.update(as_panel(model), refresh=True)
                live.update(as_panel(model), refresh=True)
        else:
            _print_lines(feed, model, console)
    return 3 if model.error else 0


def _print_lines(feed: Feed, model: LiveModel, console: Console) -> None:
    printed_s = -_LINE_S
    while not _take(feed, model):
        if model.history and time.monotonic() - printed_s >= _LINE_S:
            printed_s = time.monotonic()
            console.print(as_line(model), soft_wrap=True, markup=False, highlight=False)
    console.print(as_panel(model))


def _take(feed: Feed, model: LiveModel) -> bool:
    """Move what has come into the model; return whether nothing more will come."""
    is_done = feed.has_ended
    for snapshot in feed.take(0.0 if is_done else _DRAW_S):
        model.push(snapshot)
    if feed.error is not None:
        model.fail(feed.error)
    return is_done


def as_line(model: LiveModel) -> str:
    """Return the figures in one line."""
    return "  ".join(f"{figure.title} {figure.text.strip()}" for figure in figures(model)) + f"  {model.health().text}"


def as_panel(model: LiveModel) -> RenderableType:
    """Return the figures as a table, with the rates of all detectors and the last events."""
    facts = model.facts
    table = Table(title=f"{facts.link or 'run'} {facts.run_id} ({facts.origin or 'origin unknown'})", show_header=False)
    for figure in figures(model):
        table.add_row(figure.title, Text(figure.text.strip(), style=_style(figure)), Text(figure.note))
    rates = "  ".join(f"{name} {scaled(rate)}/s" for name, rate in model.rates_hz().items())
    table.add_row("Detectors", Text(rates or "-"), "")
    health = model.health()
    state = Text(health.text, style="bold red" if health.is_alarm else "bold")
    return Group(table, state, *(Text(line) for line in facts.events[-_EVENTS:]))


def _style(figure: Figure) -> str:
    return "bold red" if figure.is_alarm else "bold green" if figure.is_good else "bold"
