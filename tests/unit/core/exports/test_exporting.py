"""Exports: what goes in comes out, each format judged by a reader of others where one is installed."""

import importlib
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faintlink.core.errors import ConfigError, CorruptBlockError, FormatError, RunExistsError, SchemaError
from faintlink.core.exports import photon_hdf5
from faintlink.core.exports.exporting import ExportFormat, ExportPlan, ExportReport, export
from faintlink.core.formats.recording import open_recording
from faintlink.core.tags import GapCause, GapRecord, TagBlock, concatenate
from tests.runs import chunk_offset, flip, tag_blocks, write_file

SIZES = (100, 0, 2000, 5)
GOLDEN = [
    TagBlock(np.array([0, 5], np.int64), np.array([1, 2], np.uint8)),
    TagBlock(np.array([5, 9_007_199_254_740_993], np.int64), np.array([1, 4], np.uint8),
             (GapRecord(5, 70, -1, GapCause.DEVICE_OVERFLOW), GapRecord(80, 90, 3, GapCause.BUFFER_FULL))),
]  # fmt: skip
"""Four tags, the last at 2**53 + 1 ps, which no double holds."""
GOLDEN_GAPS = "start_ps,end_ps,lost,cause\n5,70,-1,device_overflow\n80,90,3,buffer_full\n"


def made(run: Path, name: str, format_: str, **choice: str) -> ExportReport:
    return export(ExportPlan(source=run, target=run.with_name(name), format=ExportFormat(format_), **choice))


def hdf5_times(path: Path, format_: str) -> tuple[list[int], list[int]]:
    with h5py.File(path) as file:
        if format_ == "photon-hdf5":
            return file["photon_data/timestamps"][:].tolist(), file["photon_data/detectors"][:].tolist()
        events = file["entry/events"]
        counts = np.diff(np.append(events["event_index"][:], events["event_id"].shape[0]))
        times = events["event_time_offset"][:] + np.repeat(events["event_time_zero"][:], counts)
        return times.tolist(), events["event_id"][:].tolist()


# --- CSV


def test_csv_is_exact_integers_with_the_gaps_beside_them(tmp_path: Path) -> None:
    run = write_file(tmp_path / "bob.h5", GOLDEN)
    report = made(run, "o.csv", "csv")
    assert (tmp_path / "o.csv").read_text() == "time_ps,channel\n0,1\n5,2\n5,1\n9007199254740993,4\n"
    assert (tmp_path / "o.csv.gaps.csv").read_text() == GOLDEN_GAPS
    assert (report.rows, report.gaps, report.lost) == (4, 2, 3)


def test_a_stretch_is_counted_from_the_first_tag_and_excludes_its_end(tmp_path: Path) -> None:
    run = write_file(tmp_path / "bob.h5", [TagBlock(np.array([10, 20, 30, 40], np.int64), np.zeros(4, np.uint8))])
    made(run, "o.csv", "csv", start_s="0.00000000001", stop_s="0.00000000003")
    assert (tmp_path / "o.csv").read_text() == "time_ps,channel\n20,0\n30,0\n"


def test_a_stretch_keeps_the_gaps_that_touch_it_and_no_others(tmp_path: Path) -> None:
    run = write_file(tmp_path / "bob.h5", GOLDEN)
    made(run, "o.csv", "csv", stop_s="0.00000000008")
    assert (tmp_path / "o.csv.gaps.csv").read_text() == "start_ps,end_ps,lost,cause\n5,70,-1,device_overflow\n"


@pytest.mark.parametrize("stretch", [{"start_s": "soon"}, {"start_s": "2", "stop_s": "1"}, {"stop_s": "nan"}])
def test_a_stretch_that_makes_no_sense_is_refused(tmp_path: Path, stretch: dict[str, str]) -> None:
    run = write_file(tmp_path / "bob.h5", GOLDEN)
    with pytest.raises(ConfigError):
        made(run, "o.csv", "csv", **stretch)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bob.h5"]


# --- HDF5 formats


@pytest.mark.parametrize("format_", ["photon-hdf5", "nexus"])
def test_hdf5_formats_give_the_golden_tags_back_exactly(tmp_path: Path, format_: str) -> None:
    made(write_file(tmp_path / "bob.h5", GOLDEN), "o", format_)
    assert hdf5_times(tmp_path / "o", format_) == ([0, 5, 5, 9_007_199_254_740_993], [1, 2, 1, 4])


def test_photon_hdf5_keeps_gaps_in_the_user_group(tmp_path: Path) -> None:
    made(write_file(tmp_path / "bob.h5", GOLDEN), "o", "photon-hdf5")
    with h5py.File(tmp_path / "o") as file:
        assert file["user/faintlink/gaps"][:].tolist() == [(5, 70, -1, 1), (80, 90, 3, 2)]


def test_nexus_keeps_gaps_beside_the_events_and_cues_each_block(tmp_path: Path) -> None:
    made(write_file(tmp_path / "bob.h5", GOLDEN), "o", "nexus")
    with h5py.File(tmp_path / "o") as file:
        assert file["entry/gaps/lost"][:].tolist() == [-1, 3]
        assert file["entry/events/cue_index"][:].tolist() == [0, 2]
        assert file["entry/events/cue_timestamp_zero"][:].tolist() == [0, 5]
        assert file["entry/events"].attrs["NX_class"] == "NXevent_data"


@pytest.mark.filterwarnings("ignore")  # tables and phconvert warn about themselves and about optional fields
def test_phconvert_accepts_the_photon_hdf5_file(tmp_path: Path) -> None:
    hdf5 = pytest.importorskip("phconvert.hdf5")
    tables = pytest.importorskip("tables")
    run = write_file(tmp_path / "bob.h5", tag_blocks(SIZES))
    made(run, "o.h5", "photon-hdf5")
    with tables.open_file(str(tmp_path / "o.h5")) as file:
        hdf5.assert_valid_photon_hdf5(file, require_rootformat=True, strict_description=True)


@pytest.mark.filterwarnings("ignore")
def test_phconvert_refuses_the_file_without_one_title(tmp_path: Path) -> None:
    hdf5 = pytest.importorskip("phconvert.hdf5")
    tables = pytest.importorskip("tables")
    made(write_file(tmp_path / "bob.h5", GOLDEN), "o.h5", "photon-hdf5")
    with h5py.File(tmp_path / "o.h5", "r+") as file:
        file["identity/software"].attrs["TITLE"] = np.bytes_(b"other")
    with tables.open_file(str(tmp_path / "o.h5")) as file, pytest.raises(hdf5.Invalid_PhotonHDF5):
        hdf5.assert_valid_photon_hdf5(file)


@pytest.mark.filterwarnings("ignore")
def test_nexusformat_reads_the_nexus_file(tmp_path: Path) -> None:
    nexus = pytest.importorskip("nexusformat.nexus")
    made(write_file(tmp_path / "bob.h5", GOLDEN), "o.nxs", "nexus")
    root = nexus.nxload(str(tmp_path / "o.nxs"))
    assert root.entry.events.nxclass == "NXevent_data"
    assert root.entry.events.event_time_offset.attrs["units"] == "ps"
    assert int(root.entry.events.total_counts) == 4


# --- Parquet and PTU


def test_parquet_gives_typed_columns_with_units_back(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    made(write_file(tmp_path / "bob.h5", GOLDEN), "o.parquet", "parquet")
    table = parquet.read_table(tmp_path / "o.parquet")
    assert table.column("time_ps").to_pylist() == [0, 5, 5, 9_007_199_254_740_993]
    assert table.schema.field("time_ps").metadata == {b"units": b"ps"}
    assert json.loads(table.schema.metadata[b"faintlink"])["party"] == "bob"
    assert (tmp_path / "o.parquet.gaps.csv").read_text() == GOLDEN_GAPS


def test_a_missing_library_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise ImportError(name)

    run = write_file(tmp_path / "bob.h5", GOLDEN)
    monkeypatch.setattr(importlib, "import_module", refuse)
    with pytest.raises(ConfigError, match=r"pyarrow.*[\s\S]*faintlink\[parquet\]"):
        made(run, "o.parquet", "parquet")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bob.h5"]


def test_ptufile_reads_the_ptu_file_tag_by_tag(tmp_path: Path) -> None:
    ptufile = pytest.importorskip("ptufile")
    blocks = tag_blocks(SIZES)
    made(write_file(tmp_path / "bob.h5", blocks), "o.ptu", "ptu")
    with ptufile.PtuFile(tmp_path / "o.ptu") as file:
        records = file.decode_records()
    ours = concatenate(blocks)
    assert records["time"].tolist() == ours.times_ps.tolist()
    # ptufile counts inputs from 0, and puts the sync on the first of them.
    assert records["channel"].tolist() == np.maximum(ours.channels.astype(int) - 1, 0).tolist()


def test_a_ptu_export_reads_back_as_the_same_tags(tmp_path: Path) -> None:
    blocks = tag_blocks(SIZES)
    made(write_file(tmp_path / "bob.h5", blocks), "o.ptu", "ptu")
    tags, ours = open_recording(tmp_path / "o.ptu").read(), concatenate(blocks)
    assert tags.times_ps.tolist() == ours.times_ps.tolist()
    assert tags.channels.tolist() == ours.channels.tolist()


def test_negative_times_do_not_go_into_a_ptu_file(tmp_path: Path) -> None:
    run = write_file(tmp_path / "bob.h5", [TagBlock(np.array([-5], np.int64), np.array([1], np.uint8))])
    with pytest.raises(FormatError, match="-5 ps"):
        made(run, "o.ptu", "ptu")


# --- every format


@pytest.mark.parametrize("format_", [*ExportFormat])
def test_nothing_is_ever_overwritten(tmp_path: Path, format_: str) -> None:
    run = write_file(tmp_path / "bob.h5", GOLDEN)
    (tmp_path / "o").write_text("mine")
    with pytest.raises(RunExistsError):
        made(run, "o", format_)
    assert (tmp_path / "o").read_text() == "mine"


def test_an_existing_gap_table_is_kept_too(tmp_path: Path) -> None:
    run = write_file(tmp_path / "bob.h5", GOLDEN)
    (tmp_path / "o.csv.gaps.csv").write_text("mine")
    with pytest.raises(RunExistsError):
        made(run, "o.csv", "csv")
    assert not (tmp_path / "o.csv").exists()


@pytest.mark.parametrize("format_", [*ExportFormat])
def test_a_damaged_block_leaves_nothing_behind(tmp_path: Path, format_: str) -> None:
    if format_ == "parquet":
        pytest.importorskip("pyarrow")
    run = write_file(tmp_path / "bob.h5", GOLDEN)
    flip(run, chunk_offset(run, "streams/tags/time_ps"))
    with pytest.raises(CorruptBlockError):
        made(run, "o", format_)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bob.h5"]


@pytest.mark.parametrize("format_", ["photon-hdf5", "nexus", "csv", "ptu"])
def test_exports_are_readable_by_their_owner_only(tmp_path: Path, format_: str) -> None:
    report = made(write_file(tmp_path / "bob.h5", GOLDEN), "o", format_)
    assert {Path(file).stat().st_mode & 0o777 for file in report.files} == {0o600}


def test_an_unknown_stream_is_answered_with_those_there_are(tmp_path: Path) -> None:
    run = write_file(tmp_path / "bob.h5", GOLDEN)
    with pytest.raises(SchemaError, match="it has tags"):
        made(run, "o.csv", "csv", stream="tag")


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 1 << 50), st.integers(0, 255)), max_size=20), max_size=4),
    st.sampled_from(["photon-hdf5", "nexus"]),
)
@settings(deadline=None, max_examples=20)
def test_any_stream_survives_the_hdf5_formats(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[tuple[int, int]]], format_: str
) -> None:
    folder = tmp_path_factory.mktemp("any")
    flat = sorted(row for block in rows for row in block)
    blocks = [
        TagBlock(np.array([t for t, _ in part], np.int64), np.array([c for _, c in part], np.uint8))
        for part in (flat[:7], flat[7:])
    ]
    made(write_file(folder / "bob.h5", blocks), "o", format_)
    assert hdf5_times(folder / "o", format_) == ([t for t, _ in flat], [c for _, c in flat])


def test_every_field_of_the_photon_hdf5_file_has_an_official_title(tmp_path: Path) -> None:
    made(write_file(tmp_path / "bob.h5", GOLDEN), "o", "photon-hdf5")
    names: list[str] = []
    with h5py.File(tmp_path / "o") as file:
        file.visit(names.append)
    official = {f"/{name}" for name in names if not name.startswith("user/")}
    assert official <= set(photon_hdf5._TITLES)
