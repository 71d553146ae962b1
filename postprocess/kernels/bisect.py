"""Bob's memory in Cascade: trees of ranges of known parity, and how an odd range is halved or corrected.

Each pass keeps a binary tree over its own order of the bits. A *leaf* is a smallest range whose parity both parties
know; a mark stands at its first bit, and it is *odd* when the parties' parities differ. All odd leaves of one pass
are disjoint, so they are halved together, one message a level. Each corrected bit turns one leaf of every pass.
`faintlink.postprocess.kernels.cascade_bob` decides which ranges are halved.

A bit is *known* once it was corrected, or once it is the only unknown bit of an even range. Known bits carry no
error, so ranges are halved by their unknown bits, and the last unknown bit of an odd range needs no question.
Since only unknown bits are flipped, and become known, at most n flips happen whatever the other side answers.

Sources: as `faintlink.postprocess.kernels.cascade`.
"""

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from numba import njit

from faintlink.core.units import Bits
from faintlink.postprocess.kernels.cascade import PASSES
from faintlink.postprocess.kernels.parity import (
    WORD_BITS,
    Int,
    Words,
    bit_of,
    bits_through,
    extract,
    flip_bit,
    mark_before,
    popcount,
    set_bit,
    trailing_zeros,
)

Maps: TypeAlias = npt.NDArray[np.uint16]
Ranges: TypeAlias = npt.NDArray[np.int32]
Books: TypeAlias = npt.NDArray[np.int64]

# Columns of State.books
PENDING, SET, ACTIVE, TOPS, ASKED_SUBSETS, ODD_SUBSETS, LEFT, FLIPS = range(8)
COLUMNS = 8

# Values of PENDING
NOTHING, BLOCKS, SUBSETS, RANGES, DONE = range(5)

# Rows of w words in a frame's part of State.memory, one a pass each; the summaries of ODD follow
ROWS, KNOWN, LEAVES, ODD, SUMMARIES = range(0, 15, 3)

CONTRADICTION = -1
"""The answers contradict each other, or the two sides do not cut alike."""

_ONE = np.uint64(1)
_EXACT_HALVING = 12


class State(NamedTuple):
    """Bob's memory of m frames of n bits in w words; flat and changed in place."""

    memory: Words
    """(m frame_words + 1,): for each frame and pass his bits (in the order of the pass), ones at known bits, ones at
    first bits of leaves, ones at first bits of odd leaves; then for each pass ones at words of the last that may
    not be 0."""
    frame_words: Int
    """Words of memory a frame."""
    ranges: Ranges
    """(m n 3,): first, middle and stop of each range that is being halved."""
    books: Books
    """(m, columns): where each frame stands."""
    corrected: Bits
    """(m n,): his bits in their own order, as corrected so far, one a byte."""


def stride(width: Int) -> Int:
    """Return the words of memory that a frame of ``width`` words takes."""
    return SUMMARIES * width + PASSES * ((width + WORD_BITS - 1) // WORD_BITS)


@njit(cache=True, nogil=True, forceinline=True)
def turn_leaf(memory: Words, base: Int, width: Int, chosen: Int, position: Int) -> None:
    """Turn the leaf of a pass that holds ``position`` from even to odd or back."""
    first = mark_before(memory, base + (LEAVES + chosen) * width, position)
    flip_bit(memory, base + (ODD + chosen) * width, first)
    set_bit(memory, base + SUMMARIES * width + chosen * ((width + 63) >> 6), first >> 6)


@njit(cache=True, nogil=True, forceinline=True)
def learn(maps: Maps, memory: Words, base: Int, width: Int, length: Int, place: Int) -> None:
    """Mark the bit at ``place`` of pass 0 as known in every pass."""
    for other in range(PASSES):
        position = np.int64(maps[(PASSES + other) * length + place])
        set_bit(memory, base + (KNOWN + other) * width, position)


@njit(cache=True, nogil=True, forceinline=True)
def _correct(
    maps: Maps,
    interleaver: Maps,
    masks: Words,
    memory: Words,
    base: Int,
    books: Books,
    corrected: Bits,
    frame: Int,
    chosen: Int,
    position: Int,
) -> None:
    """Flip a bit found by set ``chosen``, whose own leaf is then even."""
    length = maps.size // (2 * PASSES)
    width = (length + 63) >> 6
    place = position
    if chosen < PASSES:
        place = np.int64(maps[chosen * length + position])
    corrected[frame * length + np.int64(interleaver[place])] ^= 1
    books[frame, FLIPS] += 1
    for other in range(PASSES):
        at = np.int64(maps[(PASSES + other) * length + place])
        flip_bit(memory, base + (ROWS + other) * width, at)
        set_bit(memory, base + (KNOWN + other) * width, at)
        if other != chosen and other < books[frame, TOPS]:
            turn_leaf(memory, base, width, other, at)
    for subset in range(books[frame, ASKED_SUBSETS]):
        books[frame, ODD_SUBSETS] ^= bit_of(masks, subset * width, place) << subset


@njit(cache=True, nogil=True, forceinline=True)
def unknown(masks: Words, memory: Words, base: Int, width: Int, chosen: Int, first: Int, count: Int) -> np.uint64:
    """Return the unknown bits among up to 64 of a set, as a word."""
    if chosen < PASSES:
        return ~extract(memory, base + (KNOWN + chosen) * width, first, count) & bits_through(count - 1)
    mask = extract(masks, (chosen - PASSES) * width, first, count)
    return ~extract(memory, base + KNOWN * width, first, count) & mask


@njit(cache=True, nogil=True, forceinline=True)
def _middle(word: np.uint64, ones: Int, count: Int) -> Int:
    """Return where to cut ``count`` bits with at least two ones so that about half of the ones lie below."""
    half = count >> 1
    if ones > _EXACT_HALVING:
        below = popcount(word & bits_through(half - 1))
        if 0 < below < ones:
            return half
    for _ in range(ones >> 1):
        word &= word - _ONE
    return trailing_zeros(word)


@njit(cache=True, nogil=True)
def _has_unknown(masks: Words, memory: Words, base: Int, width: Int, chosen: Int, first: Int, stop: Int) -> bool:
    for start in range(first, stop, WORD_BITS):
        if unknown(masks, memory, base, width, chosen, start, min(WORD_BITS, stop - start)):
            return True
    return False


@njit(cache=True, nogil=True)
def _shrink(masks: Words, memory: Words, base: Int, width: Int, chosen: Int, first: Int, stop: Int) -> tuple[Int, Int]:
    """Drop halves without unknown bits until both halves have some, or 64 bits are left."""
    while stop - first > WORD_BITS:
        middle = (first + stop) >> 1
        if not _has_unknown(masks, memory, base, width, chosen, first, middle):
            first = middle
        elif not _has_unknown(masks, memory, base, width, chosen, middle, stop):
            stop = middle
        else:
            break
    return first, stop


@njit(cache=True, nogil=True)
def halve_all(
    maps: Maps,
    interleaver: Maps,
    masks: Words,
    memory: Words,
    base: Int,
    ranges: Ranges,
    books: Books,
    corrected: Bits,
    frame: Int,
) -> Int:
    """Halve every active range, or correct its last unknown bit.

    Returns how many need a question, or CONTRADICTION.
    """
    length = maps.size // (2 * PASSES)
    width = (length + 63) >> 6
    chosen, start = books[frame, SET], 3 * frame * length
    kept = start
    for at in range(start, start + 3 * books[frame, ACTIVE], 3):
        first, stop = np.int64(ranges[at]), np.int64(ranges[at + 2])
        if stop - first > WORD_BITS:
            first, stop = _shrink(masks, memory, base, width, chosen, first, stop)
        if stop - first > WORD_BITS:
            middle = (first + stop) >> 1
        else:
            word = unknown(masks, memory, base, width, chosen, first, stop - first)
            ones = popcount(word)
            if ones == 0:
                return CONTRADICTION
            if ones == 1:
                place = first + trailing_zeros(word)
                _correct(maps, interleaver, masks, memory, base, books, corrected, frame, chosen, place)
                continue
            middle = first + _middle(word, ones, stop - first)
        ranges[kept], ranges[kept + 1], ranges[kept + 2] = first, middle, stop
        kept += 3
    books[frame, ACTIVE] = (kept - start) // 3
    return (kept - start) // 3
