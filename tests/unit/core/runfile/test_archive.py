"""Archived keys come back exactly, and near the entropy of the stream."""

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faintlink.core.exports.bound import distance_bits, entropy_bits, poisson_bits
from faintlink.core.runfile.archive import ArchivedKeys, DistanceWriter, Split, choose_split
from faintlink.core.runfile.schema import INDEX_DTYPE

Keys = npt.NDArray[np.int64]


def index_of(blocks: Sequence[Keys]) -> npt.NDArray[np.void]:
    index = np.zeros(len(blocks), INDEX_DTYPE)
    index["rows"] = [len(block) for block in blocks]
    index["first_row"] = np.cumsum(index["rows"]) - index["rows"]
    index["first_key"] = [block[0] if len(block) else 0 for block in blocks]
    return index


def read_back(blocks: Sequence[Keys], split: Split) -> list[list[int]]:
    index = index_of(blocks)
    with h5py.File("archive", "w", driver="core", backing_store=False) as file:
        writer = DistanceWriter(file, "time_ps", split, chunk_rows=16)
        for block in blocks:
            writer.append(block)
        keys = ArchivedKeys(file["time_ps"], index)
        ends = [(int(row["first_row"]), int(row["first_row"] + row["rows"])) for row in index]
        return [keys[first:end].tolist() for first, end in ends]


SPLITS = st.one_of(
    st.integers(0, 31).map(lambda shift: Split(0, 0, (shift,))),
    st.tuples(st.integers(2_000, 10**9), st.integers(0, 31), st.integers(0, 31)).map(
        lambda drawn: Split(drawn[0], 1 << 20, drawn[1:])
    ),
)


@given(st.lists(st.lists(st.integers(-(2**62), 2**62), max_size=40).map(sorted), max_size=5), SPLITS)
@settings(deadline=None, max_examples=60)
def test_any_keys_come_back_through_any_split(rows: list[list[int]], split: Split) -> None:
    blocks = [np.array(block, np.int64) for block in rows]
    assert read_back(blocks, split) == rows


def test_a_range_across_blocks_and_into_their_middle_is_read() -> None:
    blocks = [np.array([1, 5, 9], np.int64), np.array([], np.int64), np.array([100, 101, 300], np.int64)]
    with h5py.File("archive", "w", driver="core", backing_store=False) as file:
        writer = DistanceWriter(file, "slot", Split(0, 0, (2,)))
        for block in blocks:
            writer.append(block)
        keys = ArchivedKeys(file["slot"], index_of(blocks))
        assert keys[1:5].tolist() == [5, 9, 100, 101]
        assert keys[4:4].tolist() == []
        assert keys[5:99].tolist() == [300]


def test_another_encoding_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_group("time_ps").attrs["encoding"] = "other/9"
        with pytest.raises(ValueError, match="other/9"):
            ArchivedKeys(file["time_ps"], index_of([]))


def test_a_period_is_used_only_where_it_helps() -> None:
    rng = np.random.default_rng(5)
    pulsed = 10_000 * rng.geometric(0.01, 50_000) + rng.integers(-40, 41, 50_000)
    smooth = rng.exponential(1e6, 50_000).astype(np.int64)
    assert choose_split(pulsed, [10_000.0])[0].period_fs == 10_000_000
    assert choose_split(smooth, [10_000.0])[0].period_fs == 0


def test_the_entropy_of_even_bytes_is_eight_bits() -> None:
    values = np.random.default_rng(6).integers(0, 256, 1 << 18)
    assert entropy_bits(values) == pytest.approx(8.0, abs=0.002)


def test_the_bound_of_poisson_light_is_that_of_its_rate() -> None:
    # log2(e / (1 MHz * 1 ps)) = 21.374 bits; the estimate errs by less than 0.01 for 2**20 distances.
    distances = np.random.default_rng(7).exponential(1e6, 1 << 20).astype(np.int64)
    assert poisson_bits(1e6) == pytest.approx(21.374, abs=0.001)
    assert distance_bits(distances) == pytest.approx(poisson_bits(1e6), abs=0.01)


def test_the_bound_of_pulsed_light_is_slots_and_jitter() -> None:
    # Entropy of the geometric distribution, h(p) / p, and of the difference of two Gaussians of 30 ps.
    rng, p = np.random.default_rng(8), 0.01
    jitter = np.rint(rng.normal(0, 30 * np.sqrt(2), 1 << 20)).astype(np.int64)
    slots = -(p * np.log2(p) + (1 - p) * np.log2(1 - p)) / p
    expected = slots + np.log2(30 * np.sqrt(2) * np.sqrt(2 * np.pi * np.e))
    distances = 10_000 * rng.geometric(p, 1 << 20) + jitter
    assert distance_bits(distances, [10_000.0]) == pytest.approx(expected, abs=0.02)
