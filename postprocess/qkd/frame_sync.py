"""Find the public preamble in slotted clicks, so that slots become absolute.

`clock` numbers slots from the first pulse it happens to find; this stage finds where the sender's slot 0 lies by
correlating clicks with `faintlink.core.preamble.preamble_pattern`. It needs one click in a hundred thousand pulses
to be light rather than noise, and never looks at bits that make key.

Sources: overlap-save correlation (Oppenheim and Schafer, Discrete-Time Signal Processing, section 8.7).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.fft

from faintlink.core.errors import ClockLostError
from faintlink.core.units import Bits, Slots

_FFT_SIZE = 1 << 22
_MIN_SPREAD = 1e-9


@dataclass(frozen=True, slots=True)
class FrameStart:
    """Where the sender's slot 0 lies."""

    slot0: int
    """Relative slot of the preamble's first pulse; absolute slot = relative slot - ``slot0``."""
    significance: float
    """Height of the correlation in standard deviations of unrelated clicks."""
    clicks: int
    """Clicks inside the preamble."""
    runner_up: float
    """Height of the next-best place in the same stretch, at least two slots away."""


class _Correlator:
    """The pattern's spectrum, and the correlation with one stretch of clicks."""

    def __init__(self, pattern: Bits, lags: int) -> None:
        signed = 2.0 * pattern.astype(np.float32) - 1.0
        signed -= signed.mean()
        self.length = pattern.size
        self._spread = float(np.mean(signed.astype(np.float64) ** 2))
        if self._spread < _MIN_SPREAD:
            raise ValueError("the pattern is constant: it marks no place")
        largest = max(_FFT_SIZE, 1 << (2 * self.length - 1).bit_length())
        self._size = min(largest, int(scipy.fft.next_fast_len(lags + self.length - 1, real=True)))
        self.lags = self._size - self.length + 1
        self._spectrum = np.conj(scipy.fft.rfft(signed, self._size))

    def best(self, slots: Slots, first_lag: int, lags: int) -> FrameStart:
        """Return the best of ``lags`` places from ``first_lag`` on, for sorted slots (n,) int64."""
        start, end = np.searchsorted(slots, (first_lag, first_lag + self._size))
        clicks = np.zeros(self._size, np.float32)
        clicks[slots[start:end] - first_lag] = 1.0
        score = scipy.fft.irfft(scipy.fft.rfft(clicks) * self._spectrum, self._size)[:lags]
        before = np.concatenate((np.zeros(1, np.int32), np.cumsum(clicks, dtype=np.int32)))
        inside = before[self.length : self.length + lags] - before[:lags]
        height = score / np.sqrt(np.maximum(inside, 1) * np.float32(self._spread))
        top = int(np.argmax(height))
        peak = float(height[top])
        height[max(0, top - 1) : top + 2] = -np.inf
        return FrameStart(first_lag + top, peak, int(inside[top]), float(height.max()))


def find_frame_start(
    slots_relative: Slots, *, pattern: Bits, search_slots: int, min_significance: float = 8.0
) -> FrameStart:
    """Return where the preamble starts.

    Parameters
    ----------
    slots_relative
        (n,) int64 slots of the clicks, from the clock tracker.
    pattern
        (L,) uint8, 1 for a bright pulse and 0 for vacuum.
    search_slots
        How many slots behind the first click the preamble may start. It may also have started up to L slots before
        the first click, if the clock was found inside the preamble.
    min_significance
        Standard deviations asked for; 8 leaves a chance of 1e-8 for a false place in 1e7.

    Raises
    ------
    ClockLostError
        No place stands out; the message says how far the best one stood out.
    """
    if not slots_relative.size:
        raise ClockLostError("there are no clicks to find a preamble in", hint="check the clock stage", clicks=0)
    slots = np.sort(slots_relative, kind="stable")
    first = int(slots[0]) - pattern.size + 1
    end = min(int(slots[0]) + search_slots, int(slots[-1]) + 1)
    correlator = _Correlator(pattern, max(end - first, 1))
    best: FrameStart | None = None
    for at, lags in _stretches(first, end, correlator.lags):
        found = correlator.best(slots, at, lags)
        if best is None or found.significance > best.significance:
            best = found
        if best.significance >= min_significance:
            return best
    height = best.significance if best is not None else 0.0
    raise ClockLostError(
        f"no preamble in {slots.size} clicks within {search_slots} slots: the best place stands out by "
        f"{height:.1f} sigma, {min_significance:g} are needed",
        hint="check seed and length of the preamble on both sides, the search range, and that it is bright",
        significance=height,
        clicks=int(slots.size),
    )


def _stretches(first: int, end: int, lags: int) -> Iterator[tuple[int, int]]:
    for at in range(first, max(end, first + 1), lags):
        yield at, min(lags, max(end - at, 1))


def absolute_slots(slots_relative: Slots, start: FrameStart) -> npt.NDArray[np.int64]:
    """Return the sender's slot numbers (n,) int64 of relative slots (n,) int64."""
    absolute: npt.NDArray[np.int64] = slots_relative - np.int64(start.slot0)
    return absolute
