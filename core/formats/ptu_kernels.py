"""Compiled inner loops of the PicoQuant TTTR records; `ptu_records` and `ptu_writer` call them.

All take and return arrays and scalars, in one pass over the records. Decoders return the number of tags, the
state for the next chunk and the index of the first record that is not valid, or -1. A record is widened to int64
before any arithmetic: mixing unsigned and signed 64-bit integers would give floats.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from faintlink.core.units import Channels, TimesPs

_MAX_ANCHOR_PS = 2**62

# An unsigned index spares the test for negative ones; it takes a quarter off the time of a record.
_ONE = np.uint64(1)

Records = npt.NDArray[np.uint32]
Steps = npt.NDArray[np.int64]
Dtimes = npt.NDArray[np.uint16]


@njit(cache=True, nogil=True)
def decode_t2(
    records: Records,
    wraps: int,
    limit: int,
    wrap: int,
    counts_overflows: bool,
    resolution_ps: int,
    times_ps: TimesPs,
    channels: Channels,
) -> Any:
    """Decode T2 records with a special bit: HydraHarp, TimeHarp 260, MultiHarp. ``wraps`` is in ticks."""
    count = np.uint64(0)
    for i in range(records.size):
        record = records[i]
        field: Any = np.int64(record >> np.uint32(25))
        tag: Any = np.int64(record & np.uint32(0x1FFFFFF))
        if field < 64:
            times_ps[count] = (wraps + tag) * resolution_ps
            channels[count] = field + 1
            count += _ONE
        elif field == 127:
            wraps += wrap * tag if counts_overflows and tag > 0 else wrap
            if wraps > limit:
                return np.int64(count), wraps, i
        elif field < 80:
            times_ps[count] = (wraps + tag) * resolution_ps
            channels[count] = 240 + field - 64 if field > 64 else 0
            count += _ONE
        else:
            return np.int64(count), wraps, i
    return np.int64(count), wraps, -1


@njit(cache=True, nogil=True)
def decode_picoharp_t2(
    records: Records,
    wraps: int,
    limit: int,
    wrap: int,
    resolution_ps: int,
    times_ps: TimesPs,
    channels: Channels,
) -> Any:
    """Decode PicoHarp 300 T2 records. ``wraps`` is in ticks."""
    count = np.uint64(0)
    for i in range(records.size):
        record: Any = np.int64(records[i])
        channel = record >> 28
        tag = record & 0xFFFFFFF
        marker = record & 15
        if channel <= 4:
            times_ps[count] = (wraps + tag) * resolution_ps
            channels[count] = channel
            count += _ONE
        elif channel != 15:
            return np.int64(count), wraps, i
        elif marker == 0:
            wraps += wrap
            if wraps > limit:
                return np.int64(count), wraps, i
        else:
            # The marker's own bits stand where the lowest time bits would.
            times_ps[count] = (wraps + (tag ^ marker)) * resolution_ps
            channels[count] = 240 + marker
            count += _ONE
    return np.int64(count), wraps, -1


@njit(cache=True, nogil=True)
def _advance(anchor: tuple[int, int], period: tuple[int, int, int], syncs: int) -> tuple[int, int]:
    """Move (ps, remainder) on by a number of syncs, exactly."""
    anchor_ps, anchor_rest = anchor
    whole, rest, denominator = period
    total = anchor_rest + syncs * rest
    return anchor_ps + syncs * whole + total // denominator, total % denominator


@njit(cache=True, nogil=True)
def decode_t3(
    records: Records,
    anchor: tuple[int, int],
    period: tuple[int, int, int],
    step_ps: Steps,
    step_rest: Steps,
    counts_overflows: bool,
    resolution_ps: int,
    times_ps: TimesPs,
    channels: Channels,
    dtimes: Dtimes,
) -> Any:
    """Decode T3 records with a special bit: HydraHarp, TimeHarp 260, MultiHarp."""
    count = np.uint64(0)
    anchor_ps, anchor_rest = anchor
    denominator = period[2]
    for i in range(records.size):
        record: Any = np.int64(records[i])
        field = record >> 25
        nsync = record & 1023
        if field == 127:
            overflows = nsync if counts_overflows and nsync > 0 else 1
            anchor_ps, anchor_rest = _advance((anchor_ps, anchor_rest), period, overflows * 1024)
            if anchor_ps > _MAX_ANCHOR_PS:
                return np.int64(count), anchor_ps, anchor_rest, i
            continue
        dtime = (record >> 10) & 32767
        if field < 64:
            channels[count] = field + 1
        elif 64 < field < 80:
            channels[count] = 240 + field - 64
            dtime = 0
        else:
            return np.int64(count), anchor_ps, anchor_rest, i
        carry = 1 if anchor_rest + step_rest[nsync] >= denominator else 0
        times_ps[count] = anchor_ps + step_ps[nsync] + carry + dtime * resolution_ps
        dtimes[count] = dtime
        count += _ONE
    return np.int64(count), anchor_ps, anchor_rest, -1


@njit(cache=True, nogil=True)
def decode_picoharp_t3(
    records: Records,
    anchor: tuple[int, int],
    period: tuple[int, int, int],
    step_ps: Steps,
    step_rest: Steps,
    resolution_ps: int,
    times_ps: TimesPs,
    channels: Channels,
    dtimes: Dtimes,
) -> Any:
    """Decode PicoHarp 300 T3 records."""
    count = np.uint64(0)
    anchor_ps, anchor_rest = anchor
    denominator = period[2]
    for i in range(records.size):
        record: Any = np.int64(records[i])
        channel = record >> 28
        nsync = record & 65535
        dtime = (record >> 16) & 4095
        if channel == 15 and dtime == 0:
            anchor_ps, anchor_rest = _advance((anchor_ps, anchor_rest), period, 65536)
            if anchor_ps > _MAX_ANCHOR_PS:
                return np.int64(count), anchor_ps, anchor_rest, i
            continue
        if channel == 15 and dtime < 16:
            channels[count] = 240 + dtime
            dtime = 0
        elif 1 <= channel <= 4:
            channels[count] = channel
        else:
            return np.int64(count), anchor_ps, anchor_rest, i
        carry = 1 if anchor_rest + step_rest[nsync] >= denominator else 0
        times_ps[count] = anchor_ps + step_ps[nsync] + carry + dtime * resolution_ps
        dtimes[count] = dtime
        count += _ONE
    return np.int64(count), anchor_ps, anchor_rest, -1


@njit(cache=True, nogil=True)
def count_records(ticks: Steps, wraps_done: int, wrap: int, per_record: int) -> int:
    """Return how many records, overflows included, hold these ticks; -1 when they run backwards."""
    total = 0
    for i in range(ticks.size):
        wraps = ticks[i] // wrap
        if wraps < wraps_done or (i > 0 and ticks[i] < ticks[i - 1]):
            return -1
        total += 1 + (wraps - wraps_done + per_record - 1) // per_record
        wraps_done = wraps
    return total


@njit(cache=True, nogil=True)
def encode_records(
    ticks: Steps,
    upper: Records,
    keep: Records,
    wraps_done: int,
    wrap: int,
    per_record: int,
    overflow: int,
    out: Records,
) -> int:
    """Fill ``out`` with records and the overflows before them; return the wraps reached.

    ``upper`` holds each record's channel and dtime bits, ``keep`` the mask of its tick bits, ``overflow`` the
    word of an overflow, to which the count is added where ``per_record`` exceeds 1.
    """
    at = 0
    for i in range(ticks.size):
        wraps = ticks[i] // wrap
        missing = wraps - wraps_done
        while missing > 0:
            step = min(missing, per_record)
            out[at] = overflow + (step if per_record > 1 else 0)
            at += 1
            missing -= step
        wraps_done = wraps
        out[at] = upper[i] | (np.uint32(ticks[i] - wraps * wrap) & keep[i])
        at += 1
    return wraps_done
