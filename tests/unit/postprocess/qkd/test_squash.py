"""The receiver's coin for slots in which several detectors fired."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from faintlink.postprocess.qkd.squash import squash

SEED = bytes(range(32))


def test_a_single_click_keeps_its_outcome() -> None:
    masks = np.array([1, 2, 4, 8], np.uint8)
    assert squash(np.arange(4), masks, SEED).tolist() == [0, 1, 2, 3]


@given(st.lists(st.integers(1, 15), min_size=1, max_size=50))
def test_no_slot_is_dropped_and_the_basis_is_one_that_clicked(masks: list[int]) -> None:
    outcomes = squash(np.arange(len(masks)), np.array(masks, np.uint8), SEED)
    assert outcomes.size == len(masks)
    for mask, outcome in zip(masks, outcomes.tolist(), strict=True):
        assert mask >> (2 * (outcome >> 1)) & 3


def test_a_double_click_gets_a_fair_bit() -> None:
    # 4000 fair coins: 5 sigma of the sum is 158.
    outcomes = squash(np.arange(4000), np.full(4000, 0b0011, np.uint8), SEED)
    assert abs(int(outcomes.sum()) - 2000) < 158
    assert set(outcomes.tolist()) == {0, 1}


def test_clicks_in_both_bases_get_a_fair_basis() -> None:
    outcomes = squash(np.arange(4000), np.full(4000, 0b0101, np.uint8), SEED)
    assert abs(int((outcomes >> 1).sum()) - 2000) < 158


def test_the_coin_depends_on_the_slot_and_the_secret_only() -> None:
    slots, masks = np.arange(200), np.full(200, 15, np.uint8)
    whole = squash(slots, masks, SEED)
    parts = np.concatenate([squash(slots[:77], masks[:77], SEED), squash(slots[77:], masks[77:], SEED)])
    assert np.array_equal(whole, parts)
    assert not np.array_equal(whole, squash(slots, masks, bytes(32)))
