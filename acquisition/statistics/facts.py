"""What a viewer shows that hardly changes: the link's limits and axes, its calibrations, the event log."""

import json
import logging
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from faintlink.acquisition.calibration.in_force import CONTEXT
from faintlink.acquisition.statistics.codec import MAX_LINES
from faintlink.acquisition.statistics.snapshot import BINS, RunFacts
from faintlink.core.calibration.file import SUFFIX, read_record
from faintlink.core.calibration.records import CalibrationRecord
from faintlink.core.config.link import LinkConfig
from faintlink.core.errors import RunfileError
from faintlink.core.runfile.reader import RowBlock
from faintlink.postprocess.qkd.detection import HISTOGRAM_BINS
from faintlink.postprocess.qkd.pairs import HISTOGRAM_WINDOWS

_log = logging.getLogger(__name__)


def facts_of(link: LinkConfig, *, run_id: str, origin: str, calibrations: Iterable[str] = ()) -> RunFacts:
    """Return the facts of a link's run."""
    axis, first_ps, bin_ps, gate_ps = _axis(link)
    return RunFacts(
        run_id=run_id,
        link=link.name,
        origin=origin,
        max_qber=link.security.max_qber,
        bound=link.security.bound,
        block_s=link.security.block_s,
        intensities=link.source.intensities if link.source else (),
        axis=axis,
        first_ps=first_ps,
        bin_ps=bin_ps,
        gate_ps=gate_ps,
        calibrations=tuple(calibrations)[-MAX_LINES:],
    )


def _axis(link: LinkConfig) -> tuple[str, float, float, tuple[float, float]]:
    """Return name, left edge and bin width of the arrival histogram, and the gate on it."""
    if link.source is not None:
        period_ps, gate = link.source.period_ps, link.gate
        reach = (float(gate.center_ps - gate.half_width_ps), float(gate.center_ps + gate.half_width_ps))
        return "time after the pulse", -period_ps / 2, period_ps / BINS, reach
    if link.pairs is not None:
        span, half = HISTOGRAM_WINDOWS * link.pairs.window_ps, link.pairs.window_ps // 2
        bin_ps = max(span // HISTOGRAM_BINS, 1) * (HISTOGRAM_BINS // BINS)
        return "delay of Bob after Alice", float(-(span // 2)), float(bin_ps), (float(-half), float(half))
    return "", 0.0, 1.0, (0.0, 0.0)


def calibrations_in_force(context: Mapping[str, str]) -> list[str]:
    """Return one line for each calibration that a run file names as in force, oldest first."""
    try:
        records = json.loads(context.get(CONTEXT, "{}")).get("records", {})
        lines = [(str(one["started_utc"]), f"{name} in force", one["results"]) for name, one in records.items()]
        return [_line(*line) for line in sorted(lines, key=lambda line: line[0])]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        _log.warning("the run file's list of calibrations cannot be read: %s", error)
        return []


def calibration_history(folder: Path, link: str) -> list[str]:
    """Return one line for each calibration record of a link in a folder, oldest first; damaged files are left out."""
    records: list[CalibrationRecord] = []
    for path in folder.glob(f"*{SUFFIX}"):
        try:
            records.append(read_record(path))
        except RunfileError as error:
            _log.warning("%s", error.message)
    own = sorted((one for one in records if one.link == link), key=lambda one: one.started_utc)
    return [_line(one.started_utc, f"{one.routine} {one.verdict}", one.decision.results, one.reason) for one in own]


def _line(started_utc: str, what: str, results: Mapping[str, float], reason: str = "") -> str:
    figures = ", ".join(f"{name} {float(value):.4g}" for name, value in list(results.items())[:3])
    return f"{started_utc[:16].replace('T', ' ')}  {what}  {reason or figures}"


def event_lines(blocks: Iterable[RowBlock]) -> list[str]:
    """Return the lines of a stream of events, see `event_line`."""
    lines = []
    for block in blocks:
        times, levels, texts = (column.tolist() for column in block.columns)
        for when, level, text in zip(times, levels, texts, strict=True):
            lines.append(event_line(text.decode(errors="replace"), level=level, time_s=when * 1e-9))
    return lines


def event_line(text: str, *, level: int, time_s: float) -> str:
    """Return one event with its time of day (UTC) and, from warnings on, its level."""
    mark = "! " if level >= logging.WARNING else ""
    return f"{time.strftime('%H:%M:%S', time.gmtime(time_s))} {mark}{text}"
