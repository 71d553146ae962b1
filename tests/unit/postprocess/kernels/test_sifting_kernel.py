"""The sifting kernels do what plain numpy does."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faintlink.core.errors import LocalProtocolError
from faintlink.core.symbols import is_sync, setting_basis, setting_bit, setting_intensity
from faintlink.postprocess.kernels.sifting import keep_equal_bases, tally
from faintlink.postprocess.node.alice import sifted_counts

CODES = st.lists(st.integers(0, 15) | st.integers(128, 143), max_size=60)


def arrays(codes: list[int], seed: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_], npt.NDArray[np.uint8]]:
    rng = np.random.default_rng(seed)
    return np.array(codes, np.uint8), rng.random(len(codes)) < 0.8, rng.integers(0, 2, len(codes), dtype=np.uint8)


@settings(deadline=None)
@given(CODES, st.integers(0, 99))
def test_equal_bases_are_kept_as_by_masks(codes: list[int], seed: int) -> None:
    code, found, bases = arrays(codes, seed)
    outs = [np.empty(code.size, np.uint8) for _ in range(4)]
    rows = keep_equal_bases(code, found, bases, *outs)
    keep = found & ~is_sync(code) & (setting_basis(code) == bases)
    assert np.array_equal(outs[0].astype(bool), keep)
    expected = bases[keep], setting_intensity(code[keep]), setting_bit(code[keep])
    for out, wanted in zip(outs[1:], expected, strict=True):
        assert np.array_equal(out[:rows], wanted)


@settings(deadline=None)
@given(CODES, st.integers(0, 99))
def test_counts_are_those_of_bincount(codes: list[int], seed: int) -> None:
    code, wrong, basis = arrays(codes, seed)
    intensity, wrong = setting_intensity(code), wrong[: int(basis.sum())]
    table = np.zeros((3, 4), np.int64)
    assert tally(basis, intensity, wrong, table) == wrong.size
    test = intensity[basis == 1]
    expected = [np.bincount(which, minlength=4) for which in (intensity[basis == 0], test, test[wrong])]
    assert np.array_equal(table, expected)


def test_an_intensity_that_the_link_does_not_have_is_refused() -> None:
    with pytest.raises(LocalProtocolError, match="beyond the link's 2"):
        sifted_counts(np.zeros(3, np.uint8), np.array([0, 1, 3], np.uint8), np.zeros(0, np.bool_), 2)
