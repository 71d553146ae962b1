"""``faintlink campaign``: analyse many recorded runs again, on all cores, and show how the link did over time."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from faintlink.core.cli import EXIT_UNLIKE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from faintlink.postprocess.campaign.executors import Executor
    from faintlink.postprocess.campaign.plan import CampaignConfig, Task
    from faintlink.postprocess.campaign.trends import Row


@click.command("campaign")
@click.argument("runs", nargs=-1, required=True)
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="Campaign file (YAML).")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Change a link parameter; repeatable.")
@click.option("--intensity-uncertainty", type=float, metavar="REL", help="Least key within mu (1 ± REL).")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder; one of before is gone on with.")
@click.option("--workers", type=click.IntRange(1), help="Runs at once; default: all cores.")
@click.option("--executor", type=click.Choice(["processes", "dask", "serial"]), default="processes", show_default=True)
@click.option("--scheduler", default="", metavar="ADDRESS", help="Of a running dask cluster; default: a local one.")
def campaign(
    runs: tuple[str, ...],
    config_file: Path | None,
    settings: tuple[str, ...],
    intensity_uncertainty: float | None,
    out: Path,
    workers: int | None,
    executor: str,
    scheduler: str,
) -> int:
    """Analyse RUNS (folders, files, or patterns in quotes) again and write table, figures and page into a folder.

    The run files stay as they are. Finished runs are skipped when the command is called again. A run that fails is
    recorded and stops no other; exit code 8 says that there was one. Keys are neither usable nor kept.
    """
    from rich.console import Console

    from faintlink.postprocess.campaign.executors import EXECUTORS, cores, dask
    from faintlink.postprocess.campaign.runner import make_tasks

    config, link_text = _config(config_file, settings, intensity_uncertainty)
    tasks = make_tasks(runs, config, link_text, out)
    chosen: Executor = partial(dask, scheduler=scheduler) if executor == "dask" else EXECUTORS[executor]
    console = Console(stderr=True)
    table = _with_bar(tasks, out, workers or cores(), chosen, console)
    failures = [row for row in table if row.error]
    for row in failures:
        console.print(f"{row.name}: {row.error}: {row.message}", markup=False, style="red", soft_wrap=True)
    console.print(f"{len(table) - len(failures)} runs analysed, {len(failures)} failed; results in [bold]{out}[/]")
    return EXIT_UNLIKE if failures else 0


def _config(
    path: Path | None, settings: tuple[str, ...], intensity_uncertainty: float | None
) -> "tuple[CampaignConfig, str]":
    from faintlink.core.errors import ConfigError
    from faintlink.postprocess.campaign.changes import parse_settings
    from faintlink.postprocess.campaign.plan import CampaignConfig, load_campaign

    config, link_text = load_campaign(path) if path else (CampaignConfig(), "")
    relative = config.intensity_uncertainty if intensity_uncertainty is None else intensity_uncertainty
    if not 0.0 <= relative < 1.0:
        raise ConfigError(f"the uncertainty of the intensities must lie in 0..1, got {relative}", hint="0.05 is 5 %")
    together = {**config.set, **parse_settings(settings)}
    return config.model_copy(update={"set": together, "intensity_uncertainty": relative}), link_text


def _with_bar(
    tasks: "Sequence[Task]", out: Path, workers: int, executor: "Executor", console: "Console"
) -> "list[Row]":
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from faintlink.postprocess.campaign.runner import run_campaign

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        shown = bar.add_task("runs", total=len(tasks))
        return run_campaign(tasks, out, workers=workers, executor=executor, on_outcome=lambda _: bar.advance(shown))
