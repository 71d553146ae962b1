"""Packed bits: parities of ranges, marks of leaves, and many permutations at once.

The Cascade kernels of both parties stand on these. A row is a stretch of w words of a flat ``uint64`` array that
starts at word ``base``, position p being bit p & 63 of word ``base`` + (p >> 6): flat arrays and offsets, because
each view of a row costs a compiled loop more than its work. One spare word must follow the last row. Nothing here
knows of keys, parties or messages.

Sources: Warren, Hacker's Delight (2nd ed., 2012), 7-3 (transposing a bit matrix by halves).
"""

from collections.abc import Callable
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt
from numba import njit, types
from numba.extending import intrinsic

from faintlink.core.units import Bits

Words: TypeAlias = npt.NDArray[np.uint64]
Int: TypeAlias = Any
"""An index or a count: int or np.int64, which compiled code does not tell apart but checkers do."""

WORD_BITS = 64
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_ONE = np.uint64(1)


def _popcount(_typing: Any, _word: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate


def _trailing_zeros(_typing: Any, _word: Any) -> Any:
    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], context.get_constant(types.boolean, True))

    return types.int64(types.uint64), generate


def _leading_zeros(_typing: Any, _word: Any) -> Any:
    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctlz(arguments[0], context.get_constant(types.boolean, True))

    return types.int64(types.uint64), generate


popcount = cast("Callable[[np.uint64], int]", intrinsic(_popcount))
"""Number of ones of a word; one machine instruction, only inside compiled code."""
trailing_zeros = cast("Callable[[np.uint64], int]", intrinsic(_trailing_zeros))
"""Index of the lowest one of a word that is not 0; only inside compiled code."""
leading_zeros = cast("Callable[[np.uint64], int]", intrinsic(_leading_zeros))
"""63 minus the index of the highest one of a word that is not 0; only inside compiled code."""


@njit(cache=True, nogil=True, forceinline=True)
def bits_from(position: Int) -> np.uint64:
    """Return the word with ones at ``position & 63`` and above."""
    return _ALL << np.uint64(position & 63)


@njit(cache=True, nogil=True, forceinline=True)
def bits_through(position: Int) -> np.uint64:
    """Return the word with ones up to and with ``position & 63``."""
    return _ALL >> np.uint64(63 - (position & 63))


@njit(cache=True, nogil=True, forceinline=True)
def bit_of(words: Words, base: Int, position: Int) -> Int:
    """Return the bit at ``position`` of the row that starts at word ``base``."""
    return np.int64((words[base + (position >> 6)] >> np.uint64(position & 63)) & _ONE)


@njit(cache=True, nogil=True, forceinline=True)
def flip_bit(words: Words, base: Int, position: Int) -> None:
    """Flip the bit at ``position`` in place."""
    words[base + (position >> 6)] ^= _ONE << np.uint64(position & 63)


@njit(cache=True, nogil=True, forceinline=True)
def set_bit(words: Words, base: Int, position: Int) -> None:
    """Set the bit at ``position`` in place."""
    words[base + (position >> 6)] |= _ONE << np.uint64(position & 63)


@njit(cache=True, nogil=True, forceinline=True)
def extract(words: Words, base: Int, first: Int, count: Int) -> np.uint64:
    """Return ``count`` (1 to 64) bits from ``first`` on as a word, the first one lowest.

    It reads the word after, too, whether needed or not: branches that cannot be predicted cost more.
    """
    word, shift = base + (first >> 6), np.uint64(first & 63)
    found: np.uint64 = (words[word] >> shift) | ((words[word + 1] << np.uint64(63 - (first & 63))) << _ONE)
    return found & bits_through(count - 1)


@njit(cache=True, nogil=True, forceinline=True)
def range_parity(words: Words, base: Int, first: Int, stop: Int) -> Int:
    """Return the parity of ``[first, stop)``, which must not be empty. O(words touched)."""
    if stop - first <= WORD_BITS:
        return popcount(extract(words, base, first, stop - first)) & 1
    word, last = base + (first >> 6), base + ((stop - 1) >> 6)
    folded = (words[word] & bits_from(first)) ^ (words[last] & bits_through(stop - 1))
    for middle in range(word + 1, last):
        folded ^= words[middle]
    return popcount(folded) & 1


@njit(cache=True, nogil=True, forceinline=True)
def masked_parity(words: Words, base: Int, masks: Words, mask_base: Int, first: Int, stop: Int) -> Int:
    """Return the parity of the bits of ``[first, stop)`` that a row of ``masks`` selects. O(words touched)."""
    folded = np.uint64(0)
    for word in range(first >> 6, ((stop - 1) >> 6) + 1):
        chosen = words[base + word] & masks[mask_base + word]
        if word == first >> 6:
            chosen &= bits_from(first)
        if word == (stop - 1) >> 6:
            chosen &= bits_through(stop - 1)
        folded ^= chosen
    return popcount(folded) & 1


@njit(cache=True, nogil=True, forceinline=True)
def mark_before(words: Words, base: Int, position: Int) -> Int:
    """Return the last marked position at or before ``position``; position 0 must be marked."""
    word = position >> 6
    found = words[base + word] & bits_through(position)
    while found == 0:
        word -= 1
        found = words[base + word]
    return (word << 6) + 63 - leading_zeros(found)


@njit(cache=True, nogil=True, forceinline=True)
def mark_after(words: Words, base: Int, position: Int, length: Int) -> Int:
    """Return the first marked position after ``position``, or ``length`` if there is none."""
    word = position >> 6
    found = words[base + word] & (bits_from(position) << _ONE)
    while found == 0:
        word += 1
        if word << 6 >= length:
            return length
        found = words[base + word]
    return (word << 6) + trailing_zeros(found)


@njit(cache=True, nogil=True, forceinline=True)
def transpose_64(block: Words) -> None:
    """Transpose a 64 x 64 bit matrix of (64,) words in place; bit j of word i becomes bit i of word j."""
    width = 32
    mask = np.uint64(0x00000000FFFFFFFF)
    while width:
        shift = np.uint64(width)
        for base in range(0, WORD_BITS, 2 * width):
            for row in range(base, base + width):
                swap = ((block[row] >> shift) ^ block[row + width]) & mask
                block[row] ^= swap << shift
                block[row + width] ^= swap
        width >>= 1
        mask ^= mask << np.uint64(width)


@njit(cache=True, nogil=True)
def permute_frames(frames: Words, orders: npt.NDArray[np.uint16], out: Words) -> None:
    """Write each frame's bits in several orders.

    Parameters
    ----------
    frames
        Packed frames, (m, w) uint64.
    orders
        ``orders[s, q]`` is the position in the frame of the bit that comes q-th in order s, (s, n) uint16.
    out
        Packed result, (m, s, w) uint64; every word is written.

    Notes
    -----
    64 frames share one permutation. Turned so that one word holds one position of 64 frames, a permutation moves
    whole words: 0.1 ns a bit and order instead of about 1. O(s n) per 64 frames.
    """
    count, width = frames.shape
    passes, length = orders.shape
    turned = np.zeros(width * WORD_BITS, np.uint64)
    block = np.zeros(WORD_BITS, np.uint64)
    for group in range(0, count, WORD_BITS):
        held = min(WORD_BITS, count - group)
        for word in range(width):
            block[:] = 0
            for frame in range(held):
                block[frame] = frames[group + frame, word]
            transpose_64(block)
            turned[word * WORD_BITS : (word + 1) * WORD_BITS] = block
        for chosen in range(passes):
            for word in range(width):
                start = word * WORD_BITS
                filled = min(WORD_BITS, length - start)
                block[filled:] = 0
                for position in range(filled):
                    block[position] = turned[orders[chosen, start + position]]
                transpose_64(block)
                for frame in range(held):
                    out[group + frame, chosen, word] = block[frame]


@njit(cache=True, nogil=True)
def shuffled(draws: Words) -> npt.NDArray[np.uint16]:
    """Return the permutation of 0 … n-1 (n <= 65536) that the n words of ``draws`` choose (Fisher-Yates). O(n)."""
    order = np.empty(draws.size, np.uint16)
    for position in range(draws.size):
        order[position] = position
    for position in range(draws.size - 1, 0, -1):
        other = ((draws[position] >> np.uint64(32)) * np.uint64(position + 1)) >> np.uint64(32)
        order[position], order[other] = order[other], order[position]
    return order


def pack_rows(bits: Bits) -> Words:
    """Return (m, n) bits packed to (m, ceil(n / 64)) uint64, padded with zeros."""
    count, length = bits.shape
    width = -(-length // WORD_BITS)
    packed = np.zeros((count, width * 8), np.uint8)
    squeezed = np.packbits(bits, axis=1, bitorder="little")
    packed[:, : squeezed.shape[1]] = squeezed
    return packed.view("<u8").astype(np.uint64, copy=False)
