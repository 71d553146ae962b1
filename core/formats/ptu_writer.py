"""Write PTU recordings in T2 and T3 mode that PicoQuant's and others' readers accept.

The export command and the tests use it. Records are the generic ones of MultiHarp 150/160 and PicoHarp 330 unless
another public type is asked for. An existing file is never overwritten, and nothing is rounded: a time that the
resolution cannot hold is refused.

Sources: see `ptu_header` and `ptu_records`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from faintlink.core.errors import RunExistsError, TagOrderError, UnknownChannelError
from faintlink.core.formats import ptu_kernels
from faintlink.core.formats.ptu_header import HeaderValue, build_header
from faintlink.core.formats.ptu_records import (
    MARKER_CHANNEL,
    SYNC_CHANNEL,
    Dtimes,
    RecordLayout,
    Records,
    RecordType,
    layout_of,
)
from faintlink.core.tags import TagBlock
from faintlink.core.units import Channels

_NO_EXTRAS: Mapping[str, HeaderValue] = MappingProxyType({})
_FORBIDDEN = 0
_SPECIAL = 1 << 31


@dataclass(frozen=True, slots=True, eq=False)
class T3Block:
    """T3 events of one stretch, in order."""

    syncs: npt.NDArray[np.int64]
    """(n,) int64 count of sync pulses since the start."""
    dtimes: Dtimes
    """(n,) uint16 time after the sync, in units of the resolution."""
    channels: Channels
    """(n,) uint8 as delivered by the reader: input n, or 240 + marker pattern."""


class RecordEncoder:
    """Turn ticks and channels into TTTR records, carrying the overflow count from call to call."""

    def __init__(self, layout: RecordLayout) -> None:
        self.layout = layout
        self._wraps = 0
        self._upper, self._keep = _channel_words(layout)
        self._overflow = 0xF0000000 if layout.is_picoharp else 0xFE000000
        self._per_record = (1023 if layout.is_t3 else 2**25 - 1) if layout.counts_overflows else 1

    def encode(self, ticks: npt.NDArray[np.int64], channels: Channels, dtimes: Dtimes | None = None) -> Records:
        """Return the records (m,) uint32 of these events and the overflows before them.

        Raises
        ------
        TagOrderError
            Ticks run backwards or are negative.
        UnknownChannelError
            The layout has no record for a channel.
        ValueError
            A dtime is too large, or a marker has one.
        """
        upper = self._upper[channels]
        if np.any(self._keep[channels] == _FORBIDDEN):
            wrong = int(channels[int(np.argmax(self._keep[channels] == _FORBIDDEN))])
            raise UnknownChannelError(f"{self.layout.record_type.name} records cannot carry channel {wrong}")
        if dtimes is not None:
            self._check_dtimes(dtimes, channels)
            upper |= dtimes.astype(np.uint32) << np.uint32(16 if self.layout.is_picoharp else 10)
        ticks = np.ascontiguousarray(ticks, np.int64)
        total = ptu_kernels.count_records(ticks, self._wraps, self.layout.wrap, self._per_record)
        if total < 0:
            raise TagOrderError("the times of a recording must not run backwards or be negative")
        out = np.empty(total, np.uint32)
        self._wraps = ptu_kernels.encode_records(
            ticks,
            upper,
            self._keep[channels],
            self._wraps,
            self.layout.wrap,
            self._per_record,
            self._overflow,
            out,
        )
        return out

    def _check_dtimes(self, dtimes: Dtimes, channels: Channels) -> None:
        top = (1 << self.layout.dtime_bits) - 1
        if dtimes.size and int(dtimes.max()) > top:
            raise ValueError(f"a dtime must lie in 0..{top}, got {int(dtimes.max())}")
        if np.any(dtimes[channels > MARKER_CHANNEL]):
            raise ValueError("a marker carries no dtime")


def _channel_words(layout: RecordLayout) -> tuple[Records, Records]:
    """Return the channel bits and the mask of the tick bits for each of 256 channels; mask 0 where impossible."""
    upper = np.zeros(256, np.uint32)
    keep = np.zeros(256, np.uint32)
    marker_shift = 16 if layout.is_t3 else 0
    tick_mask = (0xFFFF if layout.is_t3 else 0xFFFFFFF) if layout.is_picoharp else (1023 if layout.is_t3 else 2**25 - 1)
    for channel in range(1, layout.inputs + 1):
        upper[channel] = channel << 28 if layout.is_picoharp else (channel - 1) << 25
        keep[channel] = tick_mask
    for marker in range(1, 16):
        if layout.is_picoharp:
            upper[MARKER_CHANNEL + marker] = 0xF0000000 | marker << marker_shift
            keep[MARKER_CHANNEL + marker] = tick_mask & (~15 if not layout.is_t3 else ~0)
        else:
            upper[MARKER_CHANNEL + marker] = _SPECIAL | marker << 25
            keep[MARKER_CHANNEL + marker] = tick_mask
    if not layout.is_t3:
        upper[SYNC_CHANNEL] = 0 if layout.is_picoharp else _SPECIAL
        keep[SYNC_CHANNEL] = tick_mask
    return upper, keep


def write_ptu_t2(
    path: Path,
    blocks: Iterable[TagBlock],
    *,
    resolution_ps: int = 1,
    inputs: int = 8,
    record_type: RecordType = RecordType.GENERIC_T2,
    created: datetime | None = None,
    comment: str = "",
    extra: Mapping[str, HeaderValue] = _NO_EXTRAS,
) -> int:
    """Write tags as a T2 recording; return the number of records.

    Parameters
    ----------
    path
        A file that does not exist yet.
    blocks
        The tags: channel 0 is the sync input, n input n, 240 + m marker pattern m; times from 0 on.
    resolution_ps
        Step of the times; every time must be a multiple of it.
    inputs
        Number of inputs that the header names.
    record_type
        A T2 record type.
    created, comment, extra
        Further header entries.

    Raises
    ------
    RunExistsError
        The file exists.
    ValueError
        A time is no multiple of the resolution, or the record type is a T3 one.
    TagOrderError, UnknownChannelError
        The records cannot hold the tags. The unfinished file is removed.
    """
    layout = layout_of(record_type)
    if layout.is_t3:
        raise ValueError(f"{record_type.name} is not a T2 record type")
    encoder = RecordEncoder(layout)
    header = _header(layout, resolution_ps * 1e-12, inputs, created, comment) | {
        "MeasDesc_Resolution": resolution_ps * 1e-12,
        "TTResult_SyncRate": 0,
        **extra,
    }
    return _write(path, header, (encoder.encode(_ticks(block, resolution_ps), block.channels) for block in blocks))


def write_ptu_t3(
    path: Path,
    blocks: Iterable[T3Block],
    *,
    sync_rate_hz: int,
    resolution_ps: int,
    inputs: int = 8,
    record_type: RecordType = RecordType.GENERIC_T3,
    created: datetime | None = None,
    comment: str = "",
    extra: Mapping[str, HeaderValue] = _NO_EXTRAS,
) -> int:
    """Write events as a T3 recording; return the number of records.

    Parameters
    ----------
    path
        A file that does not exist yet.
    blocks
        The events.
    sync_rate_hz
        Rate of the sync input; its inverse is the sync period.
    resolution_ps
        Step of the dtimes.
    inputs, record_type, created, comment, extra
        As in `write_ptu_t2`, with a T3 record type.

    Raises
    ------
    RunExistsError
        The file exists.
    ValueError
        A dtime does not fit, or the record type is a T2 one.
    TagOrderError, UnknownChannelError
        The records cannot hold the events. The unfinished file is removed.
    """
    layout = layout_of(record_type)
    if not layout.is_t3:
        raise ValueError(f"{record_type.name} is not a T3 record type")
    encoder = RecordEncoder(layout)
    header = _header(layout, 1 / sync_rate_hz, inputs, created, comment) | {
        "MeasDesc_Resolution": resolution_ps * 1e-12,
        "TTResult_SyncRate": sync_rate_hz,
        **extra,
    }
    return _write(path, header, (encoder.encode(one.syncs, one.channels, one.dtimes) for one in blocks))


def _ticks(block: TagBlock, resolution_ps: int) -> npt.NDArray[np.int64]:
    if resolution_ps == 1:
        return block.times_ps
    ticks, rest = np.divmod(block.times_ps, resolution_ps)
    if np.any(rest):
        raise ValueError(f"a time is no multiple of {resolution_ps} ps; write with a finer resolution")
    return ticks


def _header(
    layout: RecordLayout, unit_s: float, inputs: int, created: datetime | None, comment: str
) -> dict[str, HeaderValue]:
    return {
        "File_GUID": "{00000000-0000-0000-0000-000000000000}",
        "CreatorSW_Name": "faintlink",
        "CreatorSW_Version": "1",
        "File_CreatingTime": created or datetime(1970, 1, 1),
        "File_Comment": comment,
        "Measurement_Mode": 3 if layout.is_t3 else 2,
        "Measurement_SubMode": 0,
        "TTResultFormat_TTTRRecType": int(layout.record_type),
        "TTResultFormat_BitsPerRecord": 32,
        "MeasDesc_GlobalResolution": unit_s,
        "HW_Type": "faintlink export",
        "HW_InpChannels": inputs,
        "TTResult_StopReason": 0,
    }


def _write(path: Path, header: Mapping[str, HeaderValue], parts: Iterable[Records]) -> int:
    try:
        stream = path.open("xb")
    except FileExistsError:
        raise RunExistsError(f"{path} exists; nothing was written", hint="choose another name") from None
    try:
        with stream:
            return _fill(stream, header, parts)
    except BaseException:
        path.unlink()
        raise


def _fill(stream: BinaryIO, header: Mapping[str, HeaderValue], parts: Iterable[Records]) -> int:
    # The count is known only at the end; the header keeps its length because an integer entry has one.
    stream.write(build_header({**header, "TTResult_NumberOfRecords": 0}))
    written = 0
    for records in parts:
        stream.write(records.astype("<u4", copy=False).data)
        written += len(records)
    stream.seek(0)
    stream.write(build_header({**header, "TTResult_NumberOfRecords": written}))
    return written
