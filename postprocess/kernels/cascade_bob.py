"""Bob's side of Cascade, one step for all frames of a run: take the answers, correct, choose what to ask next.

Next comes always the pass that holds the smallest odd leaf, with all its odd leaves. When no leaf is odd, the next
pass, or at last the random subsets, are asked for. Leaves and ranges are those of
`faintlink.postprocess.kernels.bisect`.

Sources: as `faintlink.postprocess.kernels.cascade`.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from numba import njit

from faintlink.core.units import Bits
from faintlink.postprocess.kernels.bisect import (
    ACTIVE,
    ASKED_SUBSETS,
    BLOCKS,
    CONTRADICTION,
    DONE,
    LEAVES,
    LEFT,
    ODD,
    ODD_SUBSETS,
    PENDING,
    RANGES,
    ROWS,
    SET,
    SUBSETS,
    SUMMARIES,
    TOPS,
    Books,
    Maps,
    Ranges,
    halve_all,
    learn,
    turn_leaf,
    unknown,
)
from faintlink.postprocess.kernels.cascade import ALL_SUBSETS, PASSES, SUBSET_COUNT, asked_at_top
from faintlink.postprocess.kernels.parity import (
    WORD_BITS,
    Int,
    Words,
    mark_after,
    masked_parity,
    range_parity,
    set_bit,
    trailing_zeros,
)

Answer: TypeAlias = npt.NDArray[np.uint8]

_ONE = np.uint64(1)


@njit(cache=True, nogil=True, forceinline=True)
def _answered(answer: Answer, at: Int) -> Int:
    return (np.int64(answer[at >> 3]) >> (at & 7)) & 1


@njit(cache=True, nogil=True)
def _take_blocks(memory: Words, base: Int, length: Int, block: Int, chosen: Int, answer: Answer, at: Int) -> Int:
    width = (length + 63) >> 6
    asked = asked_at_top(length, block, chosen)
    total = 0
    for index in range((length + block - 1) // block):
        first = index * block
        differs = total  # every leaf of the passes before is even by now, so the whole frame is
        if index < asked:
            seen = range_parity(memory, base + (ROWS + chosen) * width, first, min(first + block, length))
            differs = _answered(answer, at) ^ seen
            at += 1
        total ^= differs
        set_bit(memory, base + (LEAVES + chosen) * width, first)
        if differs:
            turn_leaf(memory, base, width, chosen, first)
    return at


@njit(cache=True, nogil=True)
def _take_subsets(
    masks: Words, memory: Words, base: Int, books: Books, length: Int, frame: Int, answer: Answer, at: Int
) -> Int:
    width = (length + 63) >> 6
    for subset in range(SUBSET_COUNT):
        seen = masked_parity(memory, base + ROWS * width, masks, subset * width, 0, length)
        differs = _answered(answer, at) ^ seen
        at += 1
        books[frame, ODD_SUBSETS] |= differs << subset
    books[frame, ASKED_SUBSETS] = SUBSET_COUNT
    return at


@njit(cache=True, nogil=True)
def _take_ranges(
    maps: Maps,
    masks: Words,
    memory: Words,
    base: Int,
    ranges: Ranges,
    books: Books,
    frame: Int,
    answer: Answer,
    taken: Int,
) -> Int:
    length = maps.size // (2 * PASSES)
    width = (length + 63) >> 6
    chosen, start = books[frame, SET], 3 * frame * length
    for at in range(start, start + 3 * books[frame, ACTIVE], 3):
        first, middle, stop = np.int64(ranges[at]), np.int64(ranges[at + 1]), np.int64(ranges[at + 2])
        if chosen < PASSES:
            seen = range_parity(memory, base + (ROWS + chosen) * width, first, middle)
            set_bit(memory, base + (LEAVES + chosen) * width, middle)
        else:
            seen = masked_parity(memory, base + ROWS * width, masks, (chosen - PASSES) * width, first, middle)
        differs = _answered(answer, taken) != seen
        taken += 1
        ranges[at] = first if differs else middle
        ranges[at + 2] = middle if differs else stop
        even = middle if differs else first
        count = stop - middle if differs else middle - first
        if count <= WORD_BITS:
            word = unknown(masks, memory, base, width, chosen, even, count)
            if word & (word - _ONE) == 0 and word:
                place = even + trailing_zeros(word)
                if chosen < PASSES:
                    place = np.int64(maps[chosen * length + place])
                learn(maps, memory, base, width, length, place)
    return taken


@njit(cache=True, nogil=True)
def _smallest_odd(memory: Words, base: Int, length: Int, chosen: Int) -> Int:
    """Return the size of the smallest odd leaf of a pass, or n + 1 if there is none; tidies its summary."""
    width = (length + 63) >> 6
    smallest = length + 1
    outer_width = (width + 63) >> 6
    summary = base + SUMMARIES * width + chosen * outer_width
    leaves, odd = base + (LEAVES + chosen) * width, base + (ODD + chosen) * width
    for outer in range(outer_width):
        words = memory[summary + outer]
        while words:
            lowest = trailing_zeros(words)
            words &= words - _ONE
            word = (outer << 6) + lowest
            marks = memory[odd + word]
            if marks == 0:
                memory[summary + outer] ^= _ONE << np.uint64(lowest)
            while marks:
                first = (word << 6) + trailing_zeros(marks)
                marks &= marks - _ONE
                smallest = min(smallest, mark_after(memory, leaves, first, length) - first)
    return smallest


@njit(cache=True, nogil=True)
def _collect(memory: Words, base: Int, length: Int, chosen: Int, ranges: Ranges, start: Int) -> Int:
    """Make every odd leaf of a pass an active range (the halving will leave it even); return how many."""
    width = (length + 63) >> 6
    outer_width = (width + 63) >> 6
    summary = base + SUMMARIES * width + chosen * outer_width
    leaves, odd = base + (LEAVES + chosen) * width, base + (ODD + chosen) * width
    at = start
    for outer in range(outer_width):
        words = memory[summary + outer]
        memory[summary + outer] = 0
        while words:
            word = (outer << 6) + trailing_zeros(words)
            words &= words - _ONE
            marks = memory[odd + word]
            memory[odd + word] = 0
            while marks:
                first = (word << 6) + trailing_zeros(marks)
                marks &= marks - _ONE
                ranges[at], ranges[at + 2] = first, mark_after(memory, leaves, first, length)
                at += 3
    return (at - start) // 3


@njit(cache=True, nogil=True)
def _choose_ranges(memory: Words, base: Int, length: Int, ranges: Ranges, books: Books, frame: Int) -> bool:
    """Make ranges active if anything is odd."""
    best, smallest = -1, length + 1
    for chosen in range(books[frame, TOPS]):
        size = _smallest_odd(memory, base, length, chosen)
        if size < smallest:
            best, smallest = chosen, size
    start = 3 * frame * length
    if best >= 0:
        books[frame, SET] = best
        books[frame, ACTIVE] = _collect(memory, base, length, best, ranges, start)
        return True
    if books[frame, ODD_SUBSETS]:
        books[frame, SET] = PASSES + trailing_zeros(np.uint64(books[frame, ODD_SUBSETS]))
        books[frame, ACTIVE] = 1
        ranges[start], ranges[start + 2] = 0, length
        return True
    return False


@njit(cache=True, nogil=True)
def _next_top(blocks: Books, length: Int, books: Books, frame: Int) -> Int:
    """Choose the next pass, or the subsets; return how many parities it asks for, 0 when all is done."""
    books[frame, ACTIVE] = 0
    if books[frame, TOPS] < PASSES:
        books[frame, SET] = books[frame, TOPS]
        books[frame, PENDING] = BLOCKS
        return asked_at_top(length, blocks[books[frame, SET]], books[frame, SET])
    if not books[frame, ASKED_SUBSETS]:
        books[frame, PENDING] = SUBSETS
        return SUBSET_COUNT
    books[frame, PENDING] = DONE
    return 0


@njit(cache=True, nogil=True)
def _write_group(ranges: Ranges, start: Int, books: Books, frame: Int, request: npt.NDArray[np.uint16], at: Int) -> Int:
    count = books[frame, ACTIVE]
    request[at] = frame
    request[at + 1] = books[frame, SET]
    if books[frame, PENDING] == SUBSETS:
        request[at + 1] = ALL_SUBSETS
    request[at + 2] = count
    at += 3
    for index in range(start, start + 3 * count, 3):
        request[at] = ranges[index]
        request[at + 1] = ranges[index + 1] - 1
        at += 2
    return at


@njit(cache=True, nogil=True)
def advance(
    maps: Maps,
    interleaver: Maps,
    masks: Words,
    blocks: Books,
    memory: Words,
    frame_words: Int,
    ranges: Ranges,
    books: Books,
    corrected: Bits,
    answer: Answer,
    request: npt.NDArray[np.uint16],
) -> tuple[Int, Int]:
    """Take the answers to the last request and write the next.

    Parameters
    ----------
    maps, interleaver, masks, blocks
        The public `Layout`.
    memory, frame_words, ranges, books, corrected
        Bob's `State`; changed.
    answer
        The packed answer, of the right length; empty at the first call.
    request
        Room for 1 + m (n + 3) words.

    Returns
    -------
    tuple
        Words written (1 when all frames are done) and bits asked for; (CONTRADICTION, frame) if the answers cannot
        all be true.
    """
    length = maps.size // (2 * PASSES)
    width = (length + 63) >> 6
    taken, words, bits, groups = 0, 1, 0, 0
    for frame in range(books.shape[0]):
        base, pending = frame * frame_words, books[frame, PENDING]
        if pending == DONE:
            continue
        if pending == BLOCKS:
            chosen = books[frame, SET]
            taken = _take_blocks(memory, base, length, blocks[chosen], chosen, answer, taken)
            books[frame, TOPS] = chosen + 1
        elif pending == SUBSETS:
            taken = _take_subsets(masks, memory, base, books, length, frame, answer, taken)
        elif pending == RANGES:
            taken = _take_ranges(maps, masks, memory, base, ranges, books, frame, answer, taken)
        books[frame, PENDING] = RANGES
        asked = 0
        while asked == 0:
            asked = halve_all(maps, interleaver, masks, memory, base, ranges, books, corrected, frame)
            if asked == CONTRADICTION:
                return CONTRADICTION, frame
            if asked == 0 and not _choose_ranges(memory, base, length, ranges, books, frame):
                asked = _next_top(blocks, length, books, frame)
                if books[frame, PENDING] == DONE:
                    break
                if asked == 0:  # the only block of a pass: even, without a question
                    set_bit(memory, base + (LEAVES + books[frame, SET]) * width, 0)
                    books[frame, TOPS] += 1
                    books[frame, PENDING] = RANGES
        books[frame, LEFT] -= asked
        if books[frame, LEFT] < 0:
            books[frame, PENDING] = DONE  # no key is left in this frame; the verification will drop it
        if books[frame, PENDING] != DONE:
            words = _write_group(ranges, 3 * frame * length, books, frame, request, words)
            bits += asked
            groups += 1
    request[0] = groups
    return words, bits
