"""The sifting kernels do what plain numpy does."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faintlink.core.errors import LocalProtocolError
from faintlink.core.symbols import is_sync, setting_basis, setting_bit, setting_intensity
from faintlink.postprocess.kernels.sifting import (
    add_steps,
    longest_step,
    mark_equal_bases,
    ones_and_repeats,
    split_marked,
    steps_between,
    tally,
)
from faintlink.postprocess.node.kept import Kept

CODES = st.lists(st.integers(0, 15) | st.integers(128, 143), max_size=60)


def arrays(codes: list[int], seed: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_], npt.NDArray[np.uint8]]:
    rng = np.random.default_rng(seed)
    return np.array(codes, np.uint8), rng.random(len(codes)) < 0.8, rng.integers(0, 2, len(codes), dtype=np.uint8)


@settings(deadline=None)
@given(CODES, st.integers(0, 99))
def test_equal_bases_are_kept_as_by_masks(codes: list[int], seed: int) -> None:
    code, found, bases = arrays(codes, seed)
    marks, intensity, *parts = (np.empty(code.size, np.uint8) for _ in range(6))
    rows = mark_equal_bases(code, found, bases, marks, intensity)
    key, test = split_marked(code, marks, intensity[:rows], *parts)
    keep = found & ~is_sync(code) & (setting_basis(code) == bases)
    assert np.array_equal(marks.astype(bool), keep)
    assert np.array_equal(intensity[: key + test], setting_intensity(code[keep]))
    for basis, rows, (bits, levels) in ((0, key, parts[:2]), (1, test, parts[2:])):
        chosen = code[keep & (bases == basis)]
        assert np.array_equal(bits[:rows], setting_bit(chosen))
        assert np.array_equal(levels[:rows], setting_intensity(chosen))


@settings(deadline=None)
@given(CODES, st.integers(0, 99))
def test_marked_detections_are_kept_as_by_masks(codes: list[int], seed: int) -> None:
    code, found, _ = arrays(codes, seed)
    outcomes, levels = code & np.uint8(3), setting_intensity(code[found])
    parts = [np.empty(code.size, np.uint8) for _ in range(4)]
    key, test = split_marked(outcomes, found.astype(np.uint8), levels, *parts)
    kept = outcomes[found]
    for basis, rows, (bits, own) in ((0, key, parts[:2]), (1, test, parts[2:])):
        assert np.array_equal(bits[:rows], kept[kept >> 1 == basis] & 1)
        assert np.array_equal(own[:rows], levels[kept >> 1 == basis])


@settings(deadline=None)
@given(CODES, st.integers(0, 99))
def test_counts_are_those_of_bincount(codes: list[int], seed: int) -> None:
    code, wrong, _ = arrays(codes, seed)
    intensity = setting_intensity(code)
    table = np.zeros((2, 4), np.int64)
    tally(intensity, wrong, table)
    assert np.array_equal(table, [np.bincount(which, minlength=4) for which in (intensity, intensity[wrong])])


@settings(deadline=None)
@given(st.lists(st.integers(0, 1), max_size=40))
def test_ones_and_repeats_are_those_of_numpy(values: list[int]) -> None:
    bits = np.array(values, np.uint8)
    assert ones_and_repeats(bits) == (int(bits.sum()), int(np.count_nonzero(bits[1:] == bits[:-1])))


@settings(deadline=None)
@given(st.integers(0, 2**40), st.lists(st.integers(1, 2**20), max_size=40))
def test_slots_come_back_from_their_steps(first: int, steps: list[int]) -> None:
    slots = first + np.cumsum([0, *steps]).astype(np.int64)
    told = np.empty(len(steps), np.uint32)
    steps_between(slots, told)
    assert longest_step(slots) == max(steps, default=0)
    again = np.empty_like(slots)
    assert add_steps(first, told, int(slots[-1]), again)
    assert np.array_equal(again, slots)


@pytest.mark.parametrize("steps", [[1, 0, 1], [1, 8, 2], [2**64 - 1, 1, 1], [2**63 - 1, 1, 1]])
def test_steps_of_nothing_or_beyond_the_last_slot_are_not_fair(steps: list[int]) -> None:
    assert not add_steps(0, np.array(steps, np.uint64), 10, np.empty(4, np.int64))


def test_an_intensity_that_the_link_does_not_have_is_refused() -> None:
    none = np.zeros(0, np.uint8)
    kept = Kept(np.zeros(3, np.uint8), np.array([0, 1, 3], np.uint8), none, none)
    with pytest.raises(LocalProtocolError, match="beyond the link's 2"):
        kept.counts(none, 2)
