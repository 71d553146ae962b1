"""Sift detections against settings, and count what was sifted, in one pass each.

Both nodes of a link use them; the plain numpy references are in the tests. Rows are written before it is known whether
they stay, and overwritten when they do not: a branch on a random bit costs more than a store.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from faintlink.core.symbols import BASIS_SHIFT, BIT_MASK, INTENSITY_SHIFT, MAX_INTENSITIES, SYNC_FLAG
from faintlink.core.units import Bits, Slots
from faintlink.postprocess.kernels.parity import Int

Codes = npt.NDArray[np.uint8]
_LANES = 4
_LEVEL = MAX_INTENSITIES - 1
"""Bits of an intensity: an index within them cannot leave its table."""


@njit(cache=True, nogil=True)
def mark_equal_bases(
    codes: Codes, found: npt.NDArray[np.bool_], bases: Codes, out_kept: Bits, out_intensity: Codes
) -> Int:
    """Mark the detections with equal bases and return how many there are, in O(n).

    Parameters
    ----------
    codes, found
        (n,) setting codes of the detections' slots, and whether each is on record.
    bases
        (n,) measured basis.
    out_kept
        (n,), filled: 1 for each that is kept; slots of the public pattern are not.
    out_intensity
        (n,), filled with the intensities of those kept, in order.
    """
    rows = np.int64(0)
    for i in range(codes.size):
        code = np.int64(codes[i])
        in_pattern = np.int64(code & SYNC_FLAG != 0)
        keep = np.int64(found[i]) & ~in_pattern & ~((code >> BASIS_SHIFT) ^ np.int64(bases[i])) & 1
        out_kept[i] = keep
        out_intensity[rows] = (code >> INTENSITY_SHIFT) & _LEVEL
        rows += keep
    return rows


@njit(cache=True, nogil=True)
def split_marked(
    outcomes: Codes,
    kept: Bits,
    intensity: Codes,
    out_key: Bits,
    out_key_intensity: Codes,
    out_test: Bits,
    out_test_intensity: Codes,
) -> tuple[Int, Int]:
    """Divide the detections that are marked by their basis; return how many are of the key and of the test basis. O(n).

    Parameters
    ----------
    outcomes
        (n,) whose two lowest bits are basis and bit: an outcome, or a setting code.
    kept
        (n,) 1 for each that is kept.
    intensity
        (k,) of those kept, in order.
    out_key, out_key_intensity, out_test, out_test_intensity
        (n,), filled with bits and intensities of those kept, by basis.
    """
    at = key = test = np.int64(0)
    last = intensity.size - 1
    for i in range(outcomes.size if intensity.size else 0):
        outcome, keep = np.int64(outcomes[i]), np.int64(kept[i])
        basis, bit = (outcome >> BASIS_SHIFT) & 1, outcome & BIT_MASK
        level = intensity[at if at < last else last]
        out_key[key], out_key_intensity[key] = bit, level
        out_test[test], out_test_intensity[test] = bit, level
        at += keep
        test += keep & basis
        key += keep & ~basis
    return key, test


@njit(cache=True, nogil=True)
def tally(intensity: Codes, wrong: npt.NDArray[np.bool_], out_counts: npt.NDArray[np.int64]) -> None:
    """Count detections by intensity, and the errors among them, in O(n).

    Parameters
    ----------
    intensity
        (n,) below `MAX_INTENSITIES`.
    wrong
        (n,) which differ; empty if nobody knows yet.
    out_counts
        (2, `MAX_INTENSITIES`), added to: detections and errors.
    """
    # Some rows in turn: one counter alone would have to wait for its own last store.
    lanes = np.zeros((_LANES, 2, MAX_INTENSITIES), np.int64)
    for i in range(intensity.size):
        lanes[i % _LANES, 0, intensity[i] & _LEVEL] += 1
    for i in range(wrong.size):
        lanes[i % _LANES, 1, intensity[i] & _LEVEL] += wrong[i]
    out_counts += lanes.sum(axis=0)


@njit(cache=True, nogil=True)
def ones_and_repeats(bits: Bits) -> tuple[int, int]:
    """Return how many bits (n,) are one, and how many equal the bit before them, in O(n)."""
    ones, repeats = 0, 0
    for i in range(bits.size):
        ones += bits[i]
    for i in range(1, bits.size):
        repeats += bits[i] == bits[i - 1]
    return ones, repeats


@njit(cache=True, nogil=True)
def longest_step(slots: Slots) -> Int:
    """Return the greatest step between slots (n,) that follow each other, 0 for fewer than two, in O(n)."""
    longest = np.int64(0)
    for i in range(1, slots.size):
        longest = max(longest, slots[i] - slots[i - 1])
    return longest


@njit(cache=True, nogil=True)
def steps_between(slots: Slots, out: npt.NDArray[np.unsignedinteger]) -> None:
    """Write the steps between slots (n,) that follow each other to ``out``, (n - 1,) unsigned, in O(n)."""
    for i in range(out.size):
        out[i] = slots[i + 1] - slots[i]


@njit(cache=True, nogil=True)
def add_steps(first: int, steps: npt.NDArray[np.unsignedinteger], last: int, out: Slots) -> bool:
    """Write the slots that begin at ``first`` and go on by ``steps`` to ``out``, in O(n); return whether they are fair.

    Parameters
    ----------
    first
        First slot.
    steps
        (n - 1,) unsigned, each at least 1.
    last
        No slot may lie beyond it.
    out
        (n,), filled as far as they are fair.
    """
    slot = np.int64(first)
    if out.size:
        out[0] = slot
    for i in range(steps.size):
        step = np.int64(steps[i])
        if step < 1 or step > last - slot:
            return False
        slot += step
        out[i + 1] = slot
    return True
