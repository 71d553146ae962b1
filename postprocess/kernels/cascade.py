"""Cascade's shared layout, and the kernel of the party that answers.

Both parties cut each frame in the same trees and number them alike, see `Layout`. Alice's kernel checks a whole
request and answers it; it never changes her bits. Bob's kernels are in `bisect` and `cascade_bob`.

Sources: Brassard and Salvail, EUROCRYPT '93 (Cascade); Martinez-Mateo, Pacher, Peev, Ciurana and Martin,
Quantum Inf. Comput. 15 (2015) 453 (variants and block sizes).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from faintlink.postprocess.kernels.parity import Int, Words, masked_parity, range_parity

PASSES = 3
"""Passes that cut a frame into blocks; the random subsets follow."""
SUBSET_COUNT = 20
"""Random subsets, at most 62. Errors that the passes left escape all of them with a chance of about 2**-20."""
ALL_SUBSETS = 256
"""Set number that asks for the parities of all subsets; below it: passes 0 … 2, then single subsets."""

BAD_HEADER = -1
BAD_FRAME = -2
BAD_SET = -3
BAD_COUNT = -4
BAD_RANGE = -5
OVER_BUDGET = -6


class Layout(NamedTuple):
    """What both parties know: how a frame of n bits, w words, is cut. Never changed."""

    maps: npt.NDArray[np.uint16]
    """(6 n,): for each pass the position in pass 0 of the bit that comes q-th; then for each pass where a bit of
    pass 0 comes."""
    interleaver: npt.NDArray[np.uint16]
    """(n,): the position in the frame of the bit at each place of pass 0; breaks bursts of errors."""
    masks: Words
    """(20 w + 1,): which bits of pass 0 are in each random subset."""
    blocks: npt.NDArray[np.int64]
    """(3,): block size of each pass."""


@njit(cache=True, nogil=True)
def asked_at_top(length: Int, block: Int, chosen: Int) -> Int:
    """Return how many block parities of a pass are asked: the last of passes 1 and 2 follows from the others."""
    blocks = (length + block - 1) // block
    return blocks if chosen == 0 else blocks - 1


@njit(cache=True, nogil=True, forceinline=True)
def _put(answer: npt.NDArray[np.uint8], index: Int, bit: Int) -> None:
    answer[index >> 3] |= np.uint8(bit << (index & 7))


@njit(cache=True, nogil=True)
def _answer_blocks(
    rows: Words, base: Int, length: Int, block: Int, asked: Int, answer: npt.NDArray[np.uint8], bits: Int
) -> Int:
    for index in range(asked):
        first = index * block
        _put(answer, bits + index, range_parity(rows, base, first, min(first + block, length)))
    return bits + asked


@njit(cache=True, nogil=True)
def _answer_subsets(rows: Words, base: Int, masks: Words, length: Int, answer: npt.NDArray[np.uint8], bits: Int) -> Int:
    width = (length + 63) >> 6
    for subset in range(SUBSET_COUNT):
        _put(answer, bits + subset, masked_parity(rows, base, masks, subset * width, 0, length))
    return bits + SUBSET_COUNT


@njit(cache=True, nogil=True)
def _answer_ranges(
    rows: Words,
    base: Int,
    masks: Words,
    mask_base: Int,
    length: Int,
    request: npt.NDArray[np.uint16],
    at: Int,
    count: Int,
    answer: npt.NDArray[np.uint8],
    bits: Int,
) -> Int:
    for index in range(count):
        first, stop = np.int64(request[at + 2 * index]), np.int64(request[at + 2 * index + 1]) + 1
        if stop > length or first >= stop:
            return BAD_RANGE
        if mask_base < 0:
            _put(answer, bits + index, range_parity(rows, base, first, stop))
        else:
            _put(answer, bits + index, masked_parity(rows, base, masks, mask_base, first, stop))
    return bits + count


@njit(cache=True, nogil=True)
def group_bits(length: Int, blocks: npt.NDArray[np.int64], chosen: Int, ranges: Int) -> Int:
    """Return how many bits one group of a request asks for, or a negative fault."""
    if chosen == ALL_SUBSETS:
        return SUBSET_COUNT if ranges == 0 else BAD_COUNT
    if chosen >= PASSES + SUBSET_COUNT:
        return BAD_SET
    if ranges == 0:
        return BAD_COUNT if chosen >= PASSES else asked_at_top(length, blocks[chosen], chosen)
    return ranges


@njit(cache=True, nogil=True)
def answer_request(
    masks: Words,
    blocks: npt.NDArray[np.int64],
    length: Int,
    rows: Words,
    request: npt.NDArray[np.uint16],
    left: npt.NDArray[np.int64],
    answer: npt.NDArray[np.uint8],
) -> Int:
    """Check a request and answer all of it.

    Parameters
    ----------
    masks, blocks
        Of the public `Layout`.
    length
        Bits a frame.
    rows
        Alice's bits in the order of each pass, (m 3 w,) uint64.
    request
        Words of the message, as `faintlink.postprocess.qkd.cascade.parties` describes them.
    left
        Bits that each frame may still disclose, (m,) int64; lowered in place.
    answer
        Zeroed room for the packed answer, (k,) uint8.

    Returns
    -------
    int
        Bits answered, or one of the negative faults.
    """
    if request.size < 1 or request[0] == 0:
        return BAD_HEADER
    width = (length + 63) >> 6
    bits: Int = 0
    at: Int = 1
    before: Int = -1
    for _ in range(request[0]):
        if at + 3 > request.size:
            return BAD_HEADER
        frame, chosen, count = np.int64(request[at]), np.int64(request[at + 1]), np.int64(request[at + 2])
        at += 3
        if frame <= before or frame >= left.size:
            return BAD_FRAME
        before = frame
        asked = group_bits(length, blocks, chosen, count)
        if asked <= 0:
            return asked if asked < 0 else BAD_COUNT
        if at + 2 * count > request.size or bits + asked > 8 * answer.size:
            return BAD_COUNT
        left[frame] -= asked
        if left[frame] < 0:
            return OVER_BUDGET
        base = frame * PASSES * width
        if count:
            mask_base = -1
            if chosen >= PASSES:
                mask_base = (chosen - PASSES) * width
            else:
                base += chosen * width
            bits = _answer_ranges(rows, base, masks, mask_base, length, request, at, count, answer, bits)
        elif chosen == ALL_SUBSETS:
            bits = _answer_subsets(rows, base, masks, length, answer, bits)
        else:
            bits = _answer_blocks(rows, base + chosen * width, length, blocks[chosen], asked, answer, bits)
        if bits < 0:
            return bits
        at += 2 * count
    return bits if at == request.size else BAD_HEADER
