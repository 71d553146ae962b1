"""Time tags as uint32 differences and back: half the bytes, and what compressors like.

Exports and messages between the parties use it. It never rounds: a difference that does not fit is refused.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from faintlink.core.errors import FormatError, TagOrderError
from faintlink.core.units import TimesPs

LARGEST_DELTA_PS = 2**32 - 1
"""4.29 ms; insert a marker tag, or start a new block, where tags are further apart."""


@njit(cache=True, nogil=True)
def _encode(times: TimesPs, out: npt.NDArray[np.uint32]) -> np.uint64:
    seen = np.uint64(0)
    for i in range(1, times.size):
        delta = np.uint64(times[i] - times[i - 1])
        # A negative difference sets the top bits as well, so one test at the end finds both faults.
        seen |= delta
        out[i - 1] = np.uint32(delta & np.uint64(0xFFFFFFFF))
    return seen


@njit(cache=True, nogil=True)
def _decode(first: int, deltas: npt.NDArray[np.uint32], out: TimesPs) -> None:
    t = np.int64(first)
    out[0] = t
    for i in range(deltas.size):
        t += np.int64(deltas[i])
        out[i + 1] = t


def delta_encode(times: TimesPs) -> tuple[int, npt.NDArray[np.uint32]]:
    """Return the first time and the n - 1 differences, (n - 1,) uint32, in O(n).

    Parameters
    ----------
    times
        (n,) int64 in ps, never decreasing, n > 0.

    Raises
    ------
    FormatError
        There are no tags, or two are further apart than `LARGEST_DELTA_PS`.
    TagOrderError
        Times run backwards.
    """
    if not times.size:
        raise FormatError("no tags to encode", hint="write an empty block without deltas")
    deltas = np.empty(times.size - 1, np.uint32)
    if int(_encode(times, deltas)) > LARGEST_DELTA_PS:
        _refuse(times)
    return int(times[0]), deltas


def _refuse(times: TimesPs) -> None:
    gaps = np.diff(times)
    if int(gaps.min()) < 0:
        at = int(np.argmax(gaps < 0)) + 1
        raise TagOrderError(f"times run backwards at tag {at}: {times[at]} ps after {times[at - 1]} ps")
    at = int(np.argmax(gaps))
    raise FormatError(
        f"tags {at} and {at + 1} lie {gaps[at]} ps apart, more than {LARGEST_DELTA_PS} ps",
        hint="split the block at this place",
        at=at,
    )


def delta_decode(first_ps: int, deltas: npt.NDArray[np.uint32]) -> TimesPs:
    """Return the times (n,) int64 in ps of a first time and (n - 1,) uint32 differences, in O(n)."""
    times = np.empty(deltas.size + 1, np.int64)
    _decode(first_ps, deltas, times)
    return times
