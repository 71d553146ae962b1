"""An analysis as plain data."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from faintlink.core.records import DecoyCounts
from faintlink.postprocess.node.distil import BlockResult
from faintlink.postprocess.pipeline import Analysis
from faintlink.postprocess.qkd.estimate import error_rate
from faintlink.postprocess.qkd.monitors import MonitorReading
from faintlink.postprocess.report.document import FORMAT, analysis_document
from faintlink.postprocess.series import RunSeries

Make = Callable[..., Analysis]
MakeBlock = Callable[..., BlockResult]


def _round_trip(analysis: Analysis) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(analysis_document(analysis), allow_nan=False))
    return document


def test_the_document_survives_strict_json_unchanged(make_analysis: Make) -> None:
    analysis = make_analysis()
    assert _round_trip(analysis) == analysis_document(analysis)


def test_the_document_names_its_format_and_where_it_comes_from(make_analysis: Make) -> None:
    analysis = make_analysis()
    document = _round_trip(analysis)
    assert document["format"] == FORMAT
    assert document["run_id"] == analysis.run_id
    assert document["config_sha256"] == analysis.config_sha256
    assert document["link"]["source"]["intensities"] == [0.51, 0.15]


def test_a_key_stands_with_its_id_length_and_ledger(make_analysis: Make) -> None:
    (block,) = _round_trip(make_analysis())["blocks"]
    assert block["key_bits"] == 512
    assert block["key_id"] == "00000000-0000-4000-8000-000000000000"
    assert block["refusal"] is None
    assert block["epsilon"]["total"] == pytest.approx(1e-9, rel=1e-5)
    assert len(block["epsilon"]["parts"]) == 7
    assert block["bound"]["terms"]["leak_ec_upper"] == 1776924


def test_a_refusal_stands_with_its_kind_reason_and_hint(make_analysis: Make, make_refused: MakeBlock) -> None:
    (block,) = _round_trip(make_analysis(blocks=[make_refused()]))["blocks"]
    assert block["refusal"]["kind"] == "QberTooHighError"
    assert "12.40%" in block["refusal"]["reason"]
    assert "align the receiver" in block["refusal"]["hint"]
    assert (block["key_id"], block["key_bits"], block["bound"]) == (None, 0, None)


def test_a_rate_that_was_not_measured_is_null(make_analysis: Make, make_block: MakeBlock) -> None:
    counts = DecoyCounts((10, 1), (0, 0), (1, 0), (0, 0))
    block = replace(make_block(), counts=counts, qber_test=error_rate(counts.test))
    assert math.isnan(block.qber_test.rate)
    assert _round_trip(make_analysis(blocks=[block]))["blocks"][0]["qber_test"]["rate"] is None


def test_a_run_without_pieces_has_empty_columns(make_analysis: Make, empty_series: RunSeries) -> None:
    document = _round_trip(make_analysis(blocks=[], series=empty_series))
    assert document["series"]["points"]["time_s"] == []
    assert document["series"]["arrivals"] == {}
    assert document["summary"]["key_rate_hz"] is None


def test_the_series_comes_as_columns_of_equal_length(make_analysis: Make) -> None:
    columns = _round_trip(make_analysis())["series"]["points"]
    assert {len(column) for column in columns.values()} == {44}


def test_numbers_of_numpy_among_the_facts_become_plain(make_analysis: Make) -> None:
    clock: Any = {"n": np.int64(3), "x": np.float64(0.5), "ok": np.bool_(True), "never": math.inf}
    assert _round_trip(make_analysis(clock=clock))["clock"] == {"n": 3, "x": 0.5, "ok": True, "never": None}


def test_bytes_never_pass(make_analysis: Make, canary: bytes) -> None:
    facts: Any = {"oops": canary, "more": np.frombuffer(canary, np.uint8)}
    assert _round_trip(make_analysis(clock=facts))["clock"] == {"oops": "<bytes>", "more": "<ndarray>"}


def test_monitor_readings_keep_limit_and_meaning(
    make_analysis: Make, make_block: MakeBlock, make_reading: Callable[..., MonitorReading]
) -> None:
    block = make_block(monitors=(make_reading(objects=True),))
    (reading,) = _round_trip(make_analysis(blocks=[block]))["blocks"][0]["monitors"]
    assert reading["objects"] is True
    assert (reading["value"], reading["limit"]) == (0.21, 0.05)
