"""``faintlink compare``: two analyses side by side."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from faintlink.core.cli import EXIT_UNLIKE

if TYPE_CHECKING:
    from rich.console import Console

    from faintlink.postprocess.campaign.comparison import Comparison


@click.command("compare")
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option(
    "--sigma", type=click.FloatRange(0.0), help="Compare figures with statistics only, and let them differ so far."
)
@click.option("--json", "as_json", is_flag=True, help="Print the whole comparison as JSON.")
def compare(first: Path, second: Path, *, sigma: float | None, as_json: bool) -> int:
    """Compare two analyses (folders of results, or analysis.json): their configurations and their figures.

    Exit code 0 says that they are equal, 8 that they differ. Differences in sigma take the two for independent;
    analyses of the same run share their data and agree closer than that.
    """
    import json

    from rich.console import Console

    from faintlink.postprocess.campaign.comparison import compare as compare_analyses
    from faintlink.postprocess.campaign.comparison import load_analysis

    found = compare_analyses(load_analysis(first), load_analysis(second))
    is_equal = found.is_equal(sigma)
    if as_json:
        click.echo(json.dumps({"equal": is_equal, "within_sigma": sigma, **found.to_dict()}, indent=1))
    else:
        _print(found, Console(), is_equal=is_equal)
    return 0 if is_equal else EXIT_UNLIKE


def _print(found: "Comparison", console: "Console", *, is_equal: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(title="configuration")
    for column in ("parameter", "first", "second"):
        table.add_column(column)
    for one in found.parameters:
        table.add_row(*(Text(str(value)) for value in (one.name, one.a, one.b)))
    console.print(table if found.parameters else "the configurations are the same")
    table = Table(title="figures")
    for column in ("figure", "first", "second", "difference", "sigma"):
        table.add_column(column, justify="left" if column == "figure" else "right")
    for figure in found.figures:
        cells = (figure.name, figure.a, figure.b, figure.difference)
        sigma = "" if figure.sigma is None else f"{figure.sigma:+.2f}"
        table.add_row(*(Text(_shown(cell)) for cell in cells), sigma, style="bold" if figure.differs else "dim")
    console.print(table)
    if found.is_same_run:
        console.print("both are of the same run: sigma, which is for independent data, says little of them")
    console.print("the two are equal" if is_equal else "[bold]the two differ[/]")


def _shown(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
