"""Streams in notebooks."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from faintlink.core.errors import ConfigError
from faintlink.core.exports.frames import open_pandas, open_xarray
from faintlink.core.tags import concatenate
from tests.runs import tag_blocks, write_file


def test_xarray_has_int64_picoseconds_with_their_unit(tmp_path: Path) -> None:
    pytest.importorskip("xarray")
    blocks = tag_blocks((100, 0, 50))
    dataset = open_xarray(write_file(tmp_path / "bob.h5", blocks))
    assert dataset["time_ps"].dtype == np.int64
    assert dataset["time_ps"].attrs["units"] == "ps"
    assert dataset["time_ps"].values.tolist() == concatenate(blocks).times_ps.tolist()
    assert dataset.attrs["party"] == "bob"
    assert dataset["gap_cause"].values.tolist() == ["buffer_full"]


def test_pandas_has_int64_picoseconds_with_units_and_gaps_in_attrs(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    blocks = tag_blocks((100, 0, 50))
    frame = open_pandas(write_file(tmp_path / "bob.h5", blocks))
    assert frame["time_ps"].dtype == np.int64
    assert frame["channel"].tolist() == concatenate(blocks).channels.tolist()
    assert frame.attrs["units"] == {"time_ps": "ps", "channel": "1"}
    assert [gap["cause"] for gap in frame.attrs["gaps"]] == ["buffer_full"]


def test_an_empty_stream_is_an_empty_frame(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    assert len(open_pandas(write_file(tmp_path / "bob.h5", []))) == 0


def test_a_stretch_can_be_taken(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    blocks = tag_blocks((100,))
    run = write_file(tmp_path / "bob.h5", blocks)
    second_ps = int(blocks[0].times_ps[1] - blocks[0].times_ps[0])
    assert len(open_pandas(run, start_s=f"{second_ps}e-12")) == 99


def test_a_missing_library_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", refuse)
    with pytest.raises(ConfigError, match=r"faintlink\[notebook\]"):
        open_xarray(tmp_path)
