"""Analyse one run of a campaign: a pure function of the task, called in this process or in any other.

The random bits are derived from run id and configuration, so that anybody can compute them: keys of campaigns are
never usable, and they are not stored.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from faintlink.core import __version__
from faintlink.core.config.link import LinkConfig, config_sha256
from faintlink.core.config.loader import parse_yaml
from faintlink.core.errors import ConfigError, FaintlinkError
from faintlink.core.runfile.folder import Run, open_run
from faintlink.postprocess.campaign import allan, store
from faintlink.postprocess.campaign.changes import Change
from faintlink.postprocess.campaign.clock_phase import clock_phase
from faintlink.postprocess.campaign.entropy import campaign_entropy
from faintlink.postprocess.campaign.plan import Task
from faintlink.postprocess.campaign.variant import varied
from faintlink.postprocess.pipeline import Analysis, process
from faintlink.postprocess.report.document import analysis_document
from faintlink.postprocess.results import link_of

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one run."""

    name: str
    """Of the task."""
    body: dict[str, Any]
    """The result as JSON holds it; of a failure ``error`` and ``message``."""
    is_reused: bool = False
    """Whether it was made before."""

    @property
    def has_failed(self) -> bool:
        """Whether the run could not be analysed."""
        return "error" in self.body


def reanalyse(task: Task) -> Outcome:
    """Return the result of a run, from the store if it is there; failures are results and are made again."""
    try:
        return _reanalyse(task)
    except FaintlinkError as error:
        return failed(task, type(error).__name__, error.message)
    except Exception as error:
        # Whatever one run brings up, a fault of this program included, must not stop the others.
        _log.debug("run %s failed", task.name, exc_info=error)
        return failed(task, type(error).__name__, str(error))


def failed(task: Task, kind: str, message: str) -> Outcome:
    """Return the outcome of a run that could not be analysed."""
    return Outcome(task.name, {"name": task.name, "error": kind, "message": message})


def _reanalyse(task: Task) -> Outcome:
    run = open_run([Path(path) for path in task.paths])
    given = parse_yaml(task.link_text, LinkConfig, "link file of the campaign") if task.link_text else link_of(run)
    link, changes = varied(given, task.config.set, task.config.intensity_uncertainty)
    content, config = store.content_sha256(task.paths), config_sha256(link)
    key = store.result_key(content, config, config_sha256(given), str(task.config.clock_phase), __version__)
    body = store.load(Path(task.store), key)
    if body is not None:
        return Outcome(task.name, body | {"name": task.name}, is_reused=True)
    if not link.protocol.makes_keys:
        raise ConfigError(
            f"protocol {link.protocol} makes no keys; campaigns analyse links that do",
            hint="`faintlink process` judges runs of applications one by one",
        )
    analysis = process(run, link, campaign_entropy(run.run_id, config))
    body = _body(run, analysis, changes, content) | _deviations(run, analysis, with_clock=task.config.clock_phase)
    return Outcome(task.name, store.save(Path(task.store), key, body) | {"name": task.name})


def _body(run: Run, analysis: Analysis, changes: tuple[Change, ...], content: str) -> dict[str, Any]:
    document = analysis_document(analysis)
    for block in document["blocks"]:
        # No key is kept, so that its id names nothing; times of stages differ from machine to machine.
        block["key_id"] = None
        for stage in block["stages"]:
            del stage["seconds"]
    return {
        "created_utc": min(recording.header.created_utc for recording in run.parties.values()),
        "origin": run.origin,
        "content_sha256": content,
        "changed": [change.to_dict() for change in changes],
        "ended_early": analysis.ended_early,
        "analysis": document,
    }


def _deviations(run: Run, analysis: Analysis, *, with_clock: bool) -> dict[str, Any]:
    """Return the overlapping Allan deviations within a run: of the error rates, and of the clock if asked for."""
    curves = {}
    points = analysis.series.points()
    numbers = np.array([round(point.time_s / analysis.series.bin_s) for point in points], np.int64)
    for name in ("key", "test"):
        rates = np.full(int(numbers[-1]) + 1 if numbers.size else 0, np.nan)
        for number, point in zip(numbers, points, strict=True):
            count = getattr(point, name)
            rates[number] = count.rate if count.bits else np.nan
        # The last bin may not be full.
        curve = allan.of_rate(allan.longest_stretch(rates[:-1]), analysis.series.bin_s)
        curves[f"qber_{name}"] = curve.to_dict()
    if with_clock:
        phase_s, interval_s = clock_phase(run, analysis.link)
        curves["clock"] = allan.of_phase(allan.longest_stretch(phase_s), interval_s).to_dict()
    return {"allan": curves}
