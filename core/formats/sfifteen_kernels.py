"""Compiled inner loops of the S-Fifteen time-stamp words; `sfifteen` calls them.

All take and return arrays and scalars. A counter of b bits is unwrapped by the signed step from word to word: a
step of less than half its range counts as forward, any other as a step back.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from faintlink.core.units import Channels, TimesPs

MAX_UNITS = 2**60
"""Unwrapped counters beyond this, in either direction, come only from damage."""

Words = npt.NDArray[np.uint32]
Raw = npt.NDArray[np.int64]


@njit(cache=True, nogil=True)
def split_words54(words: Words, high: int, filler: int) -> tuple[Raw, Raw, int]:
    """Return time stamps and patterns of 54-bit words, and the index of the first other filler, or -1.

    The pattern of a dummy is 0. ``words`` is (n, 2) with the high word in column ``high``.
    """
    raw = np.empty(len(words), np.int64)
    patterns = np.empty(len(words), np.int64)
    for i in range(len(words)):
        low = np.int64(words[i, 1 - high])
        if (low >> 6) & 15 != filler:
            return raw, patterns, i
        raw[i] = (np.int64(words[i, high]) << 22) | (low >> 10)
        patterns[i] = 0 if low & 16 else low & 15
    return raw, patterns, -1


@njit(cache=True, nogil=True)
def emit_tags(
    raw: Raw,
    patterns: Raw,
    bits: int,
    state: tuple[int, int],
    scale: tuple[int, int],
    times_ps: TimesPs,
    channels: Channels,
) -> Any:
    """Unwrap counters and give one tag for each set detector bit.

    Returns the number of tags, the last raw and unwrapped counter, the number of words without a tag and the
    index of a word out of range, or -1. ``scale`` is (multiplier, shift):
    ps = round(units * multiplier / 2**shift).
    """
    last, units = state
    multiplier, shift = scale
    full = np.int64(1) << bits
    half = full >> 1
    below = (np.int64(1) << shift) - 1
    rounding = (np.int64(1) << shift) >> 1
    count = np.uint64(0)
    empty = 0
    for i in range(raw.size):
        step = (raw[i] - last) & (full - 1)
        units += step - full if step >= half else step
        last = raw[i]
        if units > MAX_UNITS or units < -MAX_UNITS:
            return np.int64(count), last, units, empty, i
        if patterns[i] == 0:
            empty += 1
            continue
        # Split before multiplying: 54 bits times 125 would leave little room for unwrapped time.
        time_ps = (units >> shift) * multiplier + (((units & below) * multiplier + rounding) >> shift)
        rest = patterns[i]
        detector = 0
        while rest:
            detector += 1
            if rest & 1:
                times_ps[count] = time_ps
                channels[count] = detector
                count += np.uint64(1)
            rest >>= 1
    return np.int64(count), last, units, empty, -1
