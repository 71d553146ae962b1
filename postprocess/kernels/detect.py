"""Turn slotted tags into detections, and join detections with the sender's settings, in one pass each.

Called by the detection and sifting stages, live and offline. All state between calls is in the arrays given.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from faintlink.core.units import Channels, Slots, TimesPs

IGNORED = 254
"""Meaning of a channel that carries no detections."""
UNKNOWN = 255
"""Meaning of a channel that the map does not name."""

TAGS, OUTSIDE, DEAD, IGNORED_TAGS, EVENTS, MULTI = range(6)
"""Rows of the counter array of `detections`."""
COUNTERS = 6


@njit(cache=True, nogil=True)
def detections(
    times: TimesPs,
    channels: Channels,
    slots: Slots,
    phases: npt.NDArray[np.int32],
    meaning: npt.NDArray[np.uint8],
    gate: npt.NDArray[np.int64],
    state: npt.NDArray[np.int64],
    counters: npt.NDArray[np.int64],
    moments: npt.NDArray[np.int64],
    histogram: npt.NDArray[np.int64],
    out_slot: Slots,
    out_mask: npt.NDArray[np.uint8],
) -> int:
    """Write one row per slot with a valid click and return the number of rows, in O(n).

    Stretches should be cut between slots: of a slot that is cut, only the first part with a valid click counts.

    Parameters
    ----------
    times, channels, slots, phases
        (n,) the tags of a stretch in order of time.
    meaning
        (256,) uint8: outcome 2*basis + bit of each channel, `IGNORED` or `UNKNOWN`.
    gate
        (4,) int64: centre and half width of the gate, dead time, first bin edge of the histogram, in ps.
    state
        (3,) int64: time of the last click, last slot that was written, first unknown channel or -1.
        A slot whose first click in the gate comes within the dead time after any click, of an earlier slot or outside
        the gate, holds no detection: some detector was blind and the outcome would be biased.
    counters
        (6,) int64, added to: tags, outside the gate, within dead time, ignored, events, multi-click events.
    moments
        (4, 3) int64, added to for each outcome: clicks in the gate, sum of their phases, sum of squares.
    histogram
        (4, bins) int64, added to: phases of all clicks of an outcome; the bins cover one period.
    out_slot, out_mask
        (n,) int64 slot and (n,) uint8 bit mask of the outcomes that clicked.
    """
    rows = 0
    bins = histogram.shape[1]
    scale = bins / (2.0 * -gate[3])
    n = times.size
    i = 0
    while i < n:
        slot = slots[i]
        mask = np.uint8(0)
        is_decided = is_alive = False
        while i < n and slots[i] == slot:
            outcome = meaning[channels[i]]
            counters[TAGS] += 1
            if outcome >= IGNORED:
                if outcome == UNKNOWN and state[2] < 0:
                    state[2] = channels[i]
                counters[IGNORED_TAGS] += 1
                i += 1
                continue
            phase = np.int64(phases[i])
            at = int((phase - gate[3]) * scale)
            histogram[outcome, min(max(at, 0), bins - 1)] += 1
            if abs(phase - gate[0]) > gate[1]:
                counters[OUTSIDE] += 1
            else:
                if not is_decided:
                    is_alive = times[i] - state[0] > gate[2]
                    is_decided = True
                if is_alive:
                    mask |= np.uint8(1 << outcome)
                    moments[outcome, 0] += 1
                    moments[outcome, 1] += phase
                    moments[outcome, 2] += phase * phase
                else:
                    counters[DEAD] += 1
            state[0] = times[i]
            i += 1
        if mask and slot > state[1]:
            out_slot[rows] = slot
            out_mask[rows] = mask
            rows += 1
            state[1] = slot
            counters[EVENTS] += 1
            if mask & (mask - 1):
                counters[MULTI] += 1
    return rows


@njit(cache=True, nogil=True)
def join_settings(
    slots: Slots,
    setting_slots: Slots,
    settings: npt.NDArray[np.uint8],
    out_setting: npt.NDArray[np.uint8],
    out_found: npt.NDArray[np.bool_],
) -> int:
    """Look up the setting of each slot and return how many were found, in O(n + m).

    Parameters
    ----------
    slots
        (n,) int64, strictly increasing.
    setting_slots, settings
        (m,) int64 strictly increasing and (m,) uint8.
    out_setting, out_found
        (n,), filled.
    """
    j = 0
    found = 0
    for i in range(slots.size):
        while j < setting_slots.size and setting_slots[j] < slots[i]:
            j += 1
        hit = j < setting_slots.size and setting_slots[j] == slots[i]
        out_found[i] = hit
        out_setting[i] = settings[j] if hit else np.uint8(0)
        found += hit
    return found


@njit(cache=True, nogil=True)
def close_cluster(
    state: npt.NDArray[np.int64],
    counters: npt.NDArray[np.int64],
    out_time: TimesPs,
    out_mask: npt.NDArray[np.uint8],
    rows: int,
) -> int:
    """Finish the unfinished event of `clusters`, if there is one, and return the number of rows after it.

    Parameters
    ----------
    state, counters, out_time, out_mask
        As for `clusters`.
    rows
        Rows written so far.
    """
    mask = state[3]
    state[3] = 0
    if mask == 0 or state[4] == 0:
        return rows
    out_time[rows] = state[1]
    out_mask[rows] = mask
    counters[EVENTS] += 1
    if mask & (mask - 1):
        counters[MULTI] += 1
    return rows + 1


@njit(cache=True, nogil=True)
def clusters(
    times: TimesPs,
    channels: Channels,
    meaning: npt.NDArray[np.uint8],
    spans: npt.NDArray[np.int64],
    state: npt.NDArray[np.int64],
    counters: npt.NDArray[np.int64],
    out_time: TimesPs,
    out_mask: npt.NDArray[np.uint8],
) -> int:
    """Join clicks that come together into one event each and return the number of finished events, in O(n).

    An event is finished by the first click that lies beyond it; `close_cluster` finishes the last one.

    Parameters
    ----------
    times, channels
        (n,) the tags of a stretch in order of time.
    meaning
        (256,) uint8 as for `detections`.
    spans
        (2,) int64: clicks within spans[0] ps of an event's first belong to it; an event that starts within spans[1]
        ps after any earlier click is dropped, since some detector was blind.
    state
        (5,) int64: time of the last click, time at which the unfinished event started, first unknown channel or -1,
        bit mask of the unfinished event or 0, whether all detectors were alive at its start.
    counters
        (6,) int64, added to as for `detections`; nothing is outside a gate here.
    out_time, out_mask
        (n,) int64 time of the first click and (n,) uint8 bit mask of the outcomes of each event.
    """
    rows = 0
    for i in range(times.size):
        outcome = meaning[channels[i]]
        counters[TAGS] += 1
        if outcome >= IGNORED:
            if outcome == UNKNOWN and state[2] < 0:
                state[2] = channels[i]
            counters[IGNORED_TAGS] += 1
            continue
        if state[3] == 0 or times[i] - state[1] > spans[0]:
            rows = close_cluster(state, counters, out_time, out_mask, rows)
            state[1] = times[i]
            state[4] = times[i] - state[0] > spans[1]
        state[0] = times[i]
        state[3] |= 1 << outcome
        counters[DEAD] += state[4] == 0
    return rows
