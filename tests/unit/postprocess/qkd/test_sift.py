"""Sifting, the walk along the sender's record, and the cutting into blocks."""

import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faintlink.core.errors import CorruptBlockError, TagOrderError
from faintlink.core.symbols import SYNC_FLAG, Basis, pack_settings
from faintlink.postprocess.qkd.detection import Detections
from faintlink.postprocess.qkd.sift import BlockCutter, SettingsCursor, SiftedBits, join, sift


def detections(slots: list[int], outcomes: list[int]) -> Detections:
    return Detections(np.array(slots, np.int64), np.array(outcomes, np.uint8), 0)


def settings(bits: list[int], bases: list[int], intensities: list[int]) -> npt.NDArray[np.uint8]:
    return pack_settings(bit=np.array(bits), basis=np.array(bases), intensity=np.array(intensities))


def bits_at(positions: list[int], *, seed: int = 3) -> SiftedBits:
    rng = np.random.default_rng(seed)
    n = len(positions)
    basis, intensity, alice, bob = (rng.integers(0, top, n, dtype=np.uint8) for top in (2, 3, 2, 2))
    return SiftedBits(np.array(positions, np.int64), basis, intensity, alice, bob)


def test_only_equal_bases_outside_the_preamble_are_kept() -> None:
    found = detections([10, 11, 12, 13, 14], [0, 1, 2, 3, 1])
    codes = settings([0, 0, 1, 0, 1], [0, 0, 0, 1, 0], [0, 1, 0, 1, 0])
    codes[0] |= SYNC_FLAG
    bits, count = sift(found, np.array([10, 11, 12, 13]), codes[:4])
    assert bits.positions.tolist() == [11, 13]
    assert bits.alice.tolist() == [0, 0]
    assert bits.bob.tolist() == [1, 1]
    assert bits.intensity.tolist() == [1, 1]
    assert (count.detections, count.without_setting, count.sync, count.other_basis, count.sifted) == (5, 1, 1, 1, 2)


def test_counts_separate_basis_intensity_and_error() -> None:
    bits = SiftedBits(
        np.arange(6),
        np.array([0, 0, 0, 1, 1, 1], np.uint8),
        np.array([0, 0, 1, 0, 1, 1], np.uint8),
        np.array([0, 1, 1, 0, 1, 0], np.uint8),
        np.array([0, 0, 1, 0, 0, 1], np.uint8),
    )
    counts = bits.counts(2)
    assert counts.n_key == (2, 1)
    assert counts.m_key == (1, 0)
    assert counts.n_test == (1, 2)
    assert counts.m_test == (0, 2)


@given(st.lists(st.integers(0, 400), unique=True, min_size=1), st.integers(1, 9), st.integers(1, 60))
def test_the_cursor_finds_every_setting_however_the_record_is_cut(recorded: list[int], chunk: int, stride: int) -> None:
    slots = np.array(sorted(recorded), np.int64)
    codes = (slots % 251).astype(np.uint8)

    def blocks() -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]]:
        for at in range(0, slots.size, chunk):
            yield slots[at : at + chunk], codes[at : at + chunk]

    cursor = SettingsCursor(blocks())
    for first in range(0, 401, stride):
        last = first + stride - 1
        near_slots, near_codes = cursor.upto(first, last)
        inside = (near_slots >= first) & (near_slots <= last)
        wanted = (slots >= first) & (slots <= last)
        assert near_slots[inside].tolist() == slots[wanted].tolist()
        assert near_codes[inside].tolist() == codes[wanted].tolist()


def test_a_slot_recorded_twice_is_refused() -> None:
    twice = iter([(np.array([1, 2, 2]), np.zeros(3, np.uint8))])
    with pytest.raises(CorruptBlockError, match="strictly increasing"):
        SettingsCursor(twice).upto(0, 5)


@given(st.lists(st.integers(0, 999), unique=True), st.lists(st.integers(0, 1000), max_size=8), st.integers(1, 300))
def test_blocks_are_fixed_stretches_whatever_was_detected_in_them(
    positions: list[int], cuts: list[int], length: int
) -> None:
    whole = bits_at(sorted(positions))
    cutter = BlockCutter(length)
    seen = []
    edges = [0, *sorted(cuts), 1000]
    for first, last in itertools.pairwise(edges):
        seen += list(cutter.feed(whole.between(first, last), last))
    assert [start for start, _ in seen] == [length * k for k in range(1000 // length)]
    for start, bits in seen:
        expected = whole.between(start, start + length)
        assert bits.positions.tolist() == expected.positions.tolist()
        assert bits.alice.tolist() == expected.alice.tolist()
    assert cutter.left_over == len(whole.between(1000 // length * length, 1000))


def test_a_stream_that_goes_back_is_refused() -> None:
    cutter = BlockCutter(10)
    list(cutter.feed(bits_at([1, 2]), 5))
    with pytest.raises(TagOrderError, match="went back"):
        list(cutter.feed(bits_at([3]), 4))


def test_no_method_of_the_cutter_takes_a_count() -> None:
    # A block that ends when enough bits are there lets an adversary choose its end.
    assert set(vars(BlockCutter)) >= {"feed", "left_over"}
    assert [name for name in vars(BlockCutter) if not name.startswith("_")] == ["feed", "left_over"]


def test_joining_keeps_the_bases_apart() -> None:
    parts = [bits_at([1, 2, 3]), bits_at([5, 9], seed=4)]
    whole = join(parts)
    assert len(whole) == 5
    assert len(whole.in_basis(Basis.Z)) + len(whole.in_basis(Basis.X)) == 5
    assert len(join([])) == 0
