"""An archive is the same run in fewer bytes."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from faintlink.core.errors import CorruptBlockError, RunExistsError, SchemaError
from faintlink.core.exports.bound import poisson_bits
from faintlink.core.exports.repacking import RECORD, repack
from faintlink.core.runfile.folder import open_run
from faintlink.core.runfile.manifest import file_sha256, read_manifest
from faintlink.core.runfile.summary import manifest_faults, summarise_run
from faintlink.core.tags import TagBlock
from tests.runs import chunk_offset, content, flip, tag_blocks, write_file

SIZES = (100, 0, 2000, 5)
CHANNEL_BITS = 2
PULSE_PS = 10_000


def even(times: np.ndarray[tuple[int], np.dtype[np.int64]], rng: np.random.Generator) -> list[TagBlock]:
    channels = rng.integers(0, 4, times.size, dtype=np.uint8)
    step = 1 << 17
    return [TagBlock(times[at : at + step], channels[at : at + step]) for at in range(0, times.size, step)]


def test_an_archive_says_everything_that_the_original_says(tmp_path: Path) -> None:
    run = write_file(tmp_path / "bob.h5", tag_blocks(SIZES))
    repack(run, tmp_path / "archive")
    assert content(tmp_path / "archive" / "bob-0000.h5") == content(run)


def test_an_archive_is_an_ordinary_run_without_faults(tmp_path: Path) -> None:
    run = write_file(tmp_path / "bob.h5", tag_blocks(SIZES))
    repack(run, tmp_path / "archive")
    assert manifest_faults(tmp_path / "archive") == []
    assert [file.faults for file in summarise_run(tmp_path / "archive")] == [[]]
    assert open_run([tmp_path / "archive"]).run_id == "r1"


def test_the_archive_keeps_the_hash_of_the_original_beside_its_own(tmp_path: Path) -> None:
    run = write_file(tmp_path / "bob.h5", tag_blocks(SIZES))
    repack(run, tmp_path / "archive")
    (entry,) = json.loads((tmp_path / "archive" / RECORD).read_text())["files"]
    assert entry["original_sha256"] == file_sha256(run)
    assert entry["sha256"] == file_sha256(tmp_path / "archive" / "bob-0000.h5")
    assert read_manifest(tmp_path / "archive").parties["bob"][0].sha256 == entry["sha256"]


def test_damage_in_an_archive_is_found_by_the_original_checksums(tmp_path: Path) -> None:
    run = write_file(tmp_path / "bob.h5", tag_blocks(SIZES))
    repack(run, tmp_path / "archive")
    packed = tmp_path / "archive" / "bob-0000.h5"
    flip(packed, chunk_offset(packed, "streams/tags/time_ps/distance_fine") + 100, 0x04)
    assert summarise_run(tmp_path / "archive")[0].faults


def test_a_damaged_original_makes_no_archive(tmp_path: Path) -> None:
    run = write_file(tmp_path / "bob.h5", tag_blocks(SIZES))
    flip(run, chunk_offset(run, "streams/tags/time_ps"))
    with pytest.raises(CorruptBlockError):
        repack(run, tmp_path / "archive")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bob.h5"]


def test_a_file_without_a_seal_is_refused(tmp_path: Path) -> None:
    run = write_file(tmp_path / "bob.h5", tag_blocks(SIZES), seal=False)
    with pytest.raises(SchemaError, match="never sealed"):
        repack(run, tmp_path / "archive")


def test_an_existing_folder_is_not_touched(tmp_path: Path) -> None:
    run = write_file(tmp_path / "bob.h5", tag_blocks(SIZES))
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "notes").write_text("mine")
    with pytest.raises(RunExistsError):
        repack(run, tmp_path / "archive")
    assert [path.name for path in (tmp_path / "archive").iterdir()] == ["notes"]


def test_only_filters_of_hdf5_itself_are_used(tmp_path: Path) -> None:
    repack(write_file(tmp_path / "bob.h5", tag_blocks(SIZES)), tmp_path / "archive")
    filters: set[str] = set()

    def collect(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            filters.update(item._filters)

    with h5py.File(tmp_path / "archive" / "bob-0000.h5") as file:
        file.visititems(collect)
    assert filters <= {"gzip", "shuffle", "scaleoffset", "fletcher32"}


def test_poisson_light_comes_within_an_eighth_of_its_entropy(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    run = write_file(tmp_path / "bob.h5", even(np.cumsum(rng.exponential(1e6, 1 << 20).astype(np.int64)), rng))
    (size,) = repack(run, tmp_path / "archive").streams
    assert 1.0 < size.bits_per_row / (poisson_bits(1e6) + CHANNEL_BITS) < 1.12
    assert 1.0 < size.ratio < 1.12


def test_pulsed_light_comes_within_an_eighth_of_its_entropy(tmp_path: Path) -> None:
    # 100 MHz, 1 % clicks, 30 ps jitter: 8.08 bits of slot, log2(30 sqrt(2 pi e)) = 6.95 of jitter, 2 of channel.
    rng = np.random.default_rng(10)
    jitter = np.rint(rng.normal(0, 30, 1 << 20)).astype(np.int64)
    times = np.sort(np.cumsum(rng.geometric(0.01, 1 << 20)) * PULSE_PS + jitter)
    run = write_file(tmp_path / "bob.h5", even(times, rng))
    (size,) = repack(run, tmp_path / "archive", periods_ps=[float(PULSE_PS)]).streams
    assert 1.0 < size.bits_per_row / (8.08 + 6.95 + CHANNEL_BITS) < 1.12


def test_times_on_the_grid_of_a_coarse_tagger_cost_no_bits_below_it(tmp_path: Path) -> None:
    # A tagger of 125 ps at 1 Mcps: log2(e / (1 MHz * 125 ps)) = 14.41 bits of distance, 2 of channel.
    rng = np.random.default_rng(11)
    run = write_file(tmp_path / "bob.h5", even(np.cumsum(rng.exponential(8000, 1 << 18).astype(np.int64)) * 125, rng))
    (size,) = repack(run, tmp_path / "archive").streams
    assert 1.0 < size.bits_per_row / (14.41 + CHANNEL_BITS) < 1.12
