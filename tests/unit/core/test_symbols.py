"""The one-byte code of a pulse's settings."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faintlink.core.symbols import (
    SETTING_CODES,
    SYNC_FLAG,
    is_sync,
    pack_settings,
    setting_basis,
    setting_bit,
    setting_intensity,
)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1), st.integers(0, 3)), max_size=50))
def test_settings_are_packed_and_unpacked(settings: list[tuple[int, int, int]]) -> None:
    bit, basis, intensity = (np.array([s[i] for s in settings], np.int64) for i in range(3))
    code = pack_settings(bit=bit, basis=basis, intensity=intensity)
    assert setting_bit(code).tolist() == bit.tolist()
    assert setting_basis(code).tolist() == basis.tolist()
    assert setting_intensity(code).tolist() == intensity.tolist()
    assert not is_sync(code).any()
    assert (code < SETTING_CODES).all()


def test_the_code_is_laid_out_as_the_file_format_says() -> None:
    one = np.array([1])
    assert pack_settings(bit=one, basis=0 * one, intensity=0 * one).tolist() == [1]
    assert pack_settings(bit=0 * one, basis=one, intensity=0 * one).tolist() == [2]
    assert pack_settings(bit=0 * one, basis=0 * one, intensity=3 * one).tolist() == [12]


def test_the_synchronisation_flag_does_not_disturb_the_rest() -> None:
    code = np.array([SYNC_FLAG | 0x0F], np.uint8)
    assert is_sync(code).tolist() == [True]
    assert (setting_bit(code)[0], setting_basis(code)[0], setting_intensity(code)[0]) == (1, 1, 3)


@pytest.mark.parametrize(("name", "value"), [("bit", 2), ("basis", -1), ("intensity", 4)])
def test_a_setting_out_of_range_is_refused_by_name(name: str, value: int) -> None:
    parts = {"bit": np.array([0]), "basis": np.array([0]), "intensity": np.array([0]), name: np.array([value])}
    with pytest.raises(ValueError, match=f"{name} must lie in"):
        pack_settings(**parts)
