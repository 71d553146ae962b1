"""An analysis as plain data, for ``--json``, ``analysis.json`` and other programs.

It carries everything that a report shows and names keys by their id. No bit of a key, of the sifted strings or of
a random seed is ever in it.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from faintlink.postprocess.report.summary import OUTCOMES, summarise
from faintlink.postprocess.report.timeline import columns

if TYPE_CHECKING:
    from faintlink.core.errors import SecurityAbort
    from faintlink.core.records import DecoyCounts, LossCount
    from faintlink.postprocess.node.distil import BlockResult
    from faintlink.postprocess.pipeline import Analysis
    from faintlink.postprocess.qkd.detection import ArrivalStatistics
    from faintlink.postprocess.qkd.estimate import RateEstimate
    from faintlink.postprocess.qkd.monitors import MonitorReading
    from faintlink.postprocess.qkd.sift import SiftCount
    from faintlink.postprocess.qkd.stages import StageReport
    from faintlink.postprocess.security.ledger import EpsilonLedger
    from faintlink.postprocess.series import RunSeries

FORMAT = "faintlink-analysis/1"


def analysis_document(analysis: "Analysis") -> dict[str, Any]:
    """Return an analysis as dicts, lists, strings and numbers that strict JSON can hold; nan becomes None.

    Parameters
    ----------
    analysis
        Finished or under way.
    """
    document: dict[str, Any] = {
        "format": FORMAT,
        "run_id": analysis.run_id,
        "software_version": analysis.software_version,
        "config_sha256": analysis.config_sha256,
        "summary": _summary(analysis),
        "blocks": [_block(block) for block in analysis.blocks],
        "left_over": analysis.left_over,
        "sift": _sift(analysis.series.count),
        "losses": {str(party): _loss(count) for party, count in analysis.losses.items()},
        "clock": dict(analysis.clock),
        "series": _series(analysis.series),
        "link": analysis.link.model_dump(mode="json"),
    }
    plain: dict[str, Any] = _plain(document)
    return plain


def _summary(analysis: "Analysis") -> dict[str, Any]:
    summary = summarise(analysis)
    return {
        "link": analysis.link.name,
        "protocol": str(analysis.link.protocol),
        "duration_s": summary.duration_s,
        "key_bits": summary.key_bits,
        "key_rate_hz": summary.key_rate_hz,
        "blocks": summary.blocks,
        "blocks_with_key": summary.with_key,
        "blocks_refused": summary.refused,
        "is_usable": summary.is_usable,
        "epsilon": summary.epsilon,
    }


def _block(block: "BlockResult") -> dict[str, Any]:
    return {
        "number": block.number,
        "start": block.start,
        "key_bits": block.key_bits,
        "key_id": next((key.key_id for key in block.keys.values()), None),
        "is_usable": block.is_usable,
        "refusal": None if block.refusal is None else _refusal(block.refusal),
        "counts": _counts(block.counts),
        "qber_key": _rate(block.qber_key),
        "qber_test": _rate(block.qber_test),
        "bound": None if block.bound is None else block.bound.to_dict(),
        "epsilon": _ledger(block.ledger),
        "monitors": [_reading(reading) for reading in block.monitors],
        "stages": [_stage(report) for report in block.stages],
    }


def _refusal(refusal: "SecurityAbort") -> dict[str, str]:
    # The error's fields stay out: they are free-form, and only message and hint are promised to be harmless.
    return {"kind": type(refusal).__name__, "reason": refusal.message, "hint": refusal.hint}


def _counts(counts: "DecoyCounts") -> dict[str, list[int]]:
    return {
        "n_key": list(counts.n_key),
        "n_test": list(counts.n_test),
        "m_key": list(counts.m_key),
        "m_test": list(counts.m_test),
    }


def _rate(estimate: "RateEstimate") -> dict[str, float]:
    return {
        "rate": estimate.rate,
        "low": estimate.low,
        "high": estimate.high,
        "confidence": estimate.confidence,
    }


def _ledger(ledger: "EpsilonLedger") -> dict[str, Any]:
    return {
        "parts": [
            {"name": name, "kind": kind, "value": value, "source": source}
            for name, kind, value, source in ledger.as_rows()
        ],
        "total": ledger.total,
        "secrecy": ledger.secrecy,
        "correctness": ledger.correctness,
        "authentication": ledger.authentication,
    }


def _reading(reading: "MonitorReading") -> dict[str, Any]:
    return {
        "name": reading.name,
        "value": reading.value,
        "limit": reading.limit,
        "error": reading.error,
        "objects": reading.objects,
        "meaning": reading.meaning,
    }


def _stage(report: "StageReport") -> dict[str, Any]:
    return {"stage": report.stage, "seconds": report.seconds, "facts": dict(report.facts)}


def _sift(count: "SiftCount") -> dict[str, int]:
    return {
        "detections": count.detections,
        "without_setting": count.without_setting,
        "sync": count.sync,
        "other_basis": count.other_basis,
        "sifted": count.sifted,
    }


def _loss(count: "LossCount") -> dict[str, int]:
    return {"tags": count.tags, "lost": count.lost, "gaps": count.gaps}


def _series(series: "RunSeries") -> dict[str, Any]:
    return {
        "bin_s": series.bin_s,
        "points": columns(series.points()),
        "detected": series.detected.tolist(),
        "arrivals": {str(party): _arrivals(statistics) for party, statistics in series.arrivals.items()},
    }


def _arrivals(statistics: "ArrivalStatistics") -> dict[str, Any]:
    histogram = zip(OUTCOMES, statistics.histogram.tolist(), strict=True)
    return {
        "tags": statistics.tags,
        "outside": statistics.outside,
        "in_dead_time": statistics.in_dead_time,
        "ignored": statistics.ignored,
        "events": statistics.events,
        "multi": statistics.multi,
        "clicks": dict(zip(OUTCOMES, statistics.clicks.tolist(), strict=True)),
        "histogram": dict(histogram),
    }


def _plain(value: Any) -> Any:
    """Return ``value`` with every float that JSON does not know as None; nothing but plain data passes."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, str) or value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return [_plain(one) for one in value]
    return f"<{type(value).__name__}>"
