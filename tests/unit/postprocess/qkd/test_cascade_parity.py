"""The bit kernels against plain numpy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faintlink.postprocess.kernels import parity

LENGTH = 300
SPARE = np.zeros(1, np.uint64)


def row_of(bits: np.ndarray) -> np.ndarray:
    return np.append(parity.pack_rows(bits[None, :])[0], SPARE)


@given(st.integers(0, 2**32), st.integers(0, LENGTH - 1), st.integers(1, LENGTH))
@settings(max_examples=200, deadline=None)
def test_the_parity_of_a_range_is_that_of_its_bits(seed: int, first: int, count: int) -> None:
    stop = min(first + count, LENGTH)
    bits, mask = np.random.default_rng(seed).integers(0, 2, (2, LENGTH), dtype=np.uint8)
    row, mask_row = row_of(bits), row_of(mask)
    assert parity.range_parity(row, 0, first, stop) == bits[first:stop].sum() % 2
    assert parity.masked_parity(row, 0, mask_row, 0, first, stop) == (bits & mask)[first:stop].sum() % 2


@given(st.integers(0, 2**32), st.integers(0, LENGTH - 64), st.integers(1, 64))
@settings(max_examples=200, deadline=None)
def test_extract_gives_the_bits_from_a_position_on(seed: int, first: int, count: int) -> None:
    bits = np.random.default_rng(seed).integers(0, 2, LENGTH, dtype=np.uint8)
    word = parity.extract(row_of(bits), 0, first, count)
    assert [int(word) >> k & 1 for k in range(64)] == [*bits[first : first + count], *[0] * (64 - count)]


@given(st.sets(st.integers(1, LENGTH - 1)), st.integers(0, LENGTH - 1))
@settings(max_examples=200, deadline=None)
def test_the_marks_around_a_position_are_found(marked: set[int], position: int) -> None:
    marks = np.zeros(LENGTH, np.uint8)
    marks[[0, *marked]] = 1
    row = row_of(marks)
    assert parity.mark_before(row, 0, position) == max(k for k in {0, *marked} if k <= position)
    assert parity.mark_after(row, 0, position, LENGTH) == min({LENGTH, *(k for k in marked if k > position)})


def test_a_transposed_block_has_rows_for_columns() -> None:
    bits = np.random.default_rng(1).integers(0, 2, (64, 64), dtype=np.uint8)
    block = parity.pack_rows(bits)[:, 0].copy()
    parity.transpose_64(block)
    np.testing.assert_array_equal(block, parity.pack_rows(np.ascontiguousarray(bits.T))[:, 0])


@pytest.mark.parametrize("frames", [1, 3, 64, 65, 130])
@pytest.mark.parametrize("length", [1, 63, 64, 65, 200])
def test_frames_are_permuted_like_index_arrays(frames: int, length: int) -> None:
    rng = np.random.default_rng(frames * length)
    bits = rng.integers(0, 2, (frames, length), dtype=np.uint8)
    orders = np.stack([rng.permutation(length) for _ in range(2)]).astype(np.uint16)
    packed = parity.pack_rows(bits)
    out = np.full((frames, 2, packed.shape[1]), 2**64 - 1, np.uint64)
    parity.permute_frames(packed, orders, out)
    for chosen in range(2):
        np.testing.assert_array_equal(out[:, chosen], parity.pack_rows(bits[:, orders[chosen]]))


@pytest.mark.parametrize("length", [1, 2, 1000, 65_536])
def test_a_shuffle_is_a_permutation(length: int) -> None:
    draws = np.random.default_rng(2).integers(0, 2**64, length, dtype=np.uint64)
    np.testing.assert_array_equal(np.sort(parity.shuffled(draws)), np.arange(length))


def test_all_six_orders_of_three_come_up_equally_often() -> None:
    draws = np.random.default_rng(3).integers(0, 2**64, (6_000, 3), dtype=np.uint64)
    _, counts = np.unique([parity.shuffled(draw) for draw in draws], axis=0, return_counts=True)
    assert counts.size == 6
    assert np.all(np.abs(counts - 1_000) < 5 * np.sqrt(1_000))  # 5 sigma
