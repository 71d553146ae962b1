"""Sift detections against settings, and count what was sifted, in one pass each.

Both nodes of a link use them; the plain numpy references are in the tests. Rows are written before it is known whether
they stay, and overwritten when they do not: a branch on a random bit costs more than a store.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from faintlink.core.units import Bits, Slots
from faintlink.postprocess.kernels.parity import Int

Codes = npt.NDArray[np.uint8]


@njit(cache=True, nogil=True)
def keep_equal_bases(
    codes: Codes,
    found: npt.NDArray[np.bool_],
    bases: Codes,
    out_kept: Bits,
    out_intensity: Codes,
    out_key: Bits,
    out_key_intensity: Codes,
    out_test: Bits,
    out_test_intensity: Codes,
) -> tuple[Int, Int]:
    """Keep the detections with equal bases; return how many are of the key and of the test basis. O(n).

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
    out_key, out_key_intensity, out_test, out_test_intensity
        (n,), filled with bits and intensities of those kept, by basis.
    """
    kept = key = test = np.int64(0)
    for i in range(codes.size):
        code, basis = np.int64(codes[i]), np.int64(bases[i])
        bit, intensity = code & 1, (code >> 2) & 3
        keep = np.int64(found[i]) & ~(code >> 7) & ~((code >> 1) ^ basis) & 1
        out_kept[i] = keep
        out_intensity[kept] = intensity
        out_key[key], out_key_intensity[key] = bit, intensity
        out_test[test], out_test_intensity[test] = bit, intensity
        kept += keep
        test += keep & basis
        key += keep & ~basis
    return key, test


@njit(cache=True, nogil=True)
def keep_marked(
    outcomes: Codes,
    kept: Bits,
    intensity: Codes,
    out_key: Bits,
    out_key_intensity: Codes,
    out_test: Bits,
    out_test_intensity: Codes,
) -> tuple[Int, Int]:
    """Keep the detections that are marked; return how many are of the key and of the test basis. O(n).

    Parameters
    ----------
    outcomes
        (n,) outcome of each detection: 2 basis + bit.
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
        basis, bit = outcome >> 1, outcome & 1
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
        (n,) below 4.
    wrong
        (n,) which differ; empty if nobody knows yet.
    out_counts
        (2, 4), added to: detections and errors.
    """
    # Four rows in turn: one counter alone would have to wait for its own last store.
    lanes = np.zeros((4, 8), np.int64)
    for i in range(intensity.size):
        lanes[i & 3, np.int64(intensity[i]) & 3] += 1
    for i in range(wrong.size):
        lanes[i & 3, 4 + (np.int64(intensity[i]) & 3)] += wrong[i]
    for lane in range(4):
        for level in range(4):
            out_counts[0, level] += lanes[lane, level]
            out_counts[1, level] += lanes[lane, 4 + level]


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
