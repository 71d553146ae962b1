import stat
from dataclasses import replace
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
import pytest

from faintlink.core.calibration.file import read_record, write_record
from faintlink.core.calibration.records import CalibrationRecord, Criterion, Decision, Fit, Scan, Verdict
from faintlink.core.errors import RunExistsError, SchemaError

_THIRD = 1.0 / 3.0


def _record() -> CalibrationRecord:
    fit = Fit("bias", "a + b v", ("a", "b"), (_THIRD, -2.5e-7), ((1e-9, -_THIRD), (-_THIRD, 4.0)), 17.25, 12)
    criterion = Criterion("leak", _THIRD, 0.1, 1.0, "at most")
    decision = Decision((fit,), (criterion,), {"im.bias": _THIRD, "im.drive": [5.0, 0.1]}, {"null_v": _THIRD}, "look")
    scans = {
        "bias": Scan("bias", {"bias_v": np.linspace(-1, 1, 7), "counts_z0": np.arange(7)}),
        "empty": Scan("empty", {"gap_ps": np.empty(0, np.int64)}),
    }
    return CalibrationRecord(
        "0123456789abcdef", "intensity_bias", 1, "demo", "2026-11-24T07:00:00.123+00:00", 1.5, "0.1.0",
        Verdict.PASSED, "", {"points": 25.0}, scans, decision, {"im.bias": 0.0}, {"im.bias": _THIRD},
        {"instruments": {}}, {"im": "alice_im"},
    )  # fmt: skip


def test_a_record_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    written = _record()
    seen = read_record(write_record(tmp_path, written))
    assert seen.decision == written.decision
    assert replace(seen, scans={}) == replace(written, scans={})
    for name, scan in written.scans.items():
        for column, values in scan.columns.items():
            back = seen.scans[name].columns[column]
            assert back.dtype == values.dtype
            assert back.tobytes() == values.tobytes()


def test_columns_keep_their_order(tmp_path: Path) -> None:
    assert list(read_record(write_record(tmp_path, _record())).scans["bias"].columns) == ["bias_v", "counts_z0"]


def test_the_file_is_for_its_owner_only_and_dated(tmp_path: Path) -> None:
    path = write_record(tmp_path / "new", _record())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.name == "20261124T070000Z-intensity_bias-01234567.calibration.h5"


def test_a_record_is_never_overwritten(tmp_path: Path) -> None:
    path = write_record(tmp_path, _record())
    before = path.read_bytes()
    with pytest.raises(RunExistsError, match="nothing was overwritten"):
        write_record(tmp_path, replace(_record(), reason="other"))
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_file_of_another_format_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    with h5py.File(path, "w") as file:
        file.attrs["format_name"] = "faintlink-run"
    with pytest.raises(SchemaError, match=r"format 'faintlink-run', expected 'faintlink-calibration'"):
        read_record(path)


def test_a_newer_major_version_is_refused(tmp_path: Path) -> None:
    path = write_record(tmp_path, _record())
    with h5py.File(path, "r+") as file:
        file.attrs["format_version"] = "2.0"
    with pytest.raises(SchemaError, match=r"version 2\.0"):
        read_record(path)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.95])
def test_a_truncated_record_is_refused(tmp_path: Path, share: float) -> None:
    path = write_record(tmp_path, _record())
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(SchemaError):
        read_record(path)


def test_a_flipped_count_is_noticed(tmp_path: Path) -> None:
    path = write_record(tmp_path, _record())
    data = bytearray(path.read_bytes())
    at = data.find(np.arange(7).tobytes())
    data[at + 8] ^= 0x10
    path.write_bytes(data)
    with pytest.raises(SchemaError):
        read_record(path)


@pytest.mark.parametrize(
    ("value", "sigma", "relation", "is_met"),
    [
        (0.6, 0.1, "at most", True),
        (0.8, 0.1, "at most", False),
        (1.4, 0.1, "at least", True),
        (1.2, 0.1, "at least", False),
        (float("nan"), 0.1, "at most", False),
        (float("nan"), 0.1, "at least", False),
        (0.5, float("inf"), "at most", False),
    ],
)
def test_a_criterion_asks_for_three_sigmas_to_spare(
    value: float, sigma: float, relation: Literal["at most", "at least"], is_met: bool
) -> None:
    assert Criterion("x", value, sigma, 1.0, relation).is_met is is_met


def test_only_a_passed_record_offers_settings() -> None:
    record = replace(_record(), decision=Decision((), (), {"im.bias": 1.0}))
    assert record.settings == {"alice_im.bias": 1.0}
    assert replace(record, verdict=Verdict.FAILED).settings == {}


def test_a_scan_with_ragged_columns_is_refused() -> None:
    with pytest.raises(ValueError, match="differ in length"):
        Scan("x", {"a": np.zeros(2), "b": np.zeros(3)})


def test_a_missing_column_is_named_with_those_there() -> None:
    with pytest.raises(SchemaError, match=r"no column 'c'; it has a"):
        Scan("x", {"a": np.zeros(2)})["c"]
