"""Run a campaign: plan, work, table, figures and page, all in one folder that a later call goes on with.

The folder holds ``campaign.json`` (configuration and table), ``runs.csv``, ``report.html``, a PNG a figure, and
``results/`` with one file a finished run. Results are reused; table, figures and page are written anew.
"""

import json
import logging
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from faintlink.core import __version__
from faintlink.core.errors import RunExistsError
from faintlink.postprocess.campaign import trends
from faintlink.postprocess.campaign.executors import Executor, processes
from faintlink.postprocess.campaign.plan import CampaignConfig, Task, find_runs
from faintlink.postprocess.campaign.store import replace_file
from faintlink.postprocess.campaign.trends import Row
from faintlink.postprocess.campaign.work import Outcome

_log = logging.getLogger(__name__)
_RESULTS = "results"
_TABLE = "campaign.json"


def make_tasks(patterns: Sequence[str], config: CampaignConfig, link_text: str, out: Path) -> list[Task]:
    """Return the tasks of a campaign, one a run.

    Raises
    ------
    SchemaError
        A pattern matches nothing.
    RunExistsError
        ``out`` holds something else than a campaign.
    """
    store = out / _RESULTS
    if out.exists() and not store.is_dir() and (not out.is_dir() or any(out.iterdir())):
        raise RunExistsError(f"{out} is no campaign; nothing was written there", hint="choose another --out")
    found = find_runs(patterns)
    store.mkdir(parents=True, exist_ok=True)
    return [Task(paths, name, config, link_text, str(store.resolve())) for name, paths in found]


def run_campaign(
    tasks: Sequence[Task],
    out: Path,
    *,
    workers: int,
    executor: Executor = processes,
    on_outcome: Callable[[Outcome], None] | None = None,
) -> list[Row]:
    """Do all tasks, write the table, figures and page into ``out`` and return the rows.

    Parameters
    ----------
    tasks
        From `make_tasks`, for the same folder.
    out
        Folder of the campaign.
    workers
        How many at once.
    executor
        Who does the work.
    on_outcome
        Called with each run as soon as it is finished.
    """
    outcomes: dict[str, Outcome] = {}
    for outcome in executor(tasks, workers):
        outcomes[outcome.name] = outcome
        if on_outcome is not None:
            on_outcome(outcome)
    # In the order of the tasks: who was first is an accident.
    ordered = [outcomes[task.name] for task in tasks]
    table = trends.rows(ordered)
    about = _about(tasks[0].config if tasks else CampaignConfig())
    replace_file(out / "runs.csv", trends.table_csv(table).encode())
    curves = {outcome.name: outcome.body["allan"] for outcome in ordered if not outcome.has_failed}
    _write_page(out, (table, {row.name: curves[row.name] for row in table if not row.error}), about)
    replace_file(out / _TABLE, trends.table_json(table, {"about": about, "allan": curves}).encode())
    return table


def _about(config: CampaignConfig) -> dict[str, Any]:
    return {"software_version": __version__, **json.loads(config.model_dump_json())}


def _write_page(out: Path, campaign: tuple[Sequence[Row], dict[str, Any]], about: dict[str, Any]) -> None:
    if not find_spec("matplotlib"):
        _log.warning("no figures and no report.html: matplotlib is missing (pip install 'faintlink[report]')")
        return
    from faintlink.postprocess.campaign.page import figures, page
    from faintlink.postprocess.report.style import LIGHT

    light = figures(campaign, LIGHT)
    for name, data in light.items():
        replace_file(out / f"{name}.png", data)
    replace_file(out / "report.html", page(campaign, about, light).encode())
