"""Read PicoQuant PTU recordings (T2 and T3) as tag blocks.

`recording.open_recording` comes here for files that start with ``PQTTTR``. The header becomes a
`RecordingInfo`; the records are read in pieces and decoded by `ptu_records`. It never loads a whole file.

Sources: see `ptu_header` and `ptu_records`.
"""

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import numpy as np

from faintlink.core.errors import FormatError
from faintlink.core.formats.detection import FormatName
from faintlink.core.formats.ordering import Reorderer
from faintlink.core.formats.ptu_header import Header, ParsedHeader, finite_number, read_header
from faintlink.core.formats.ptu_records import (
    MARKER_CHANNEL,
    SYNC_CHANNEL,
    RecordDecoder,
    RecordLayout,
    Records,
    layout_of,
)
from faintlink.core.formats.recording import DecodeCount, Recording, RecordingInfo
from faintlink.core.tags import TagBlock
from faintlink.core.units import PS_PER_S

_log = logging.getLogger(__name__)

REORDER_WINDOW_PS = 1_000_000
"""T2 records are sorted by the instrument; only PicoHarp markers, whose time is coarse, may step back a little."""
MARKERS = 4
"""Marker lines of all instruments."""
CHUNK_RECORDS = 131_072
_SAME_RATE = 1e-12


@dataclass(frozen=True, slots=True)
class TimeBase:
    """How records become picoseconds."""

    resolution_ps: int
    """Step of the tag (T2) or dtime (T3)."""
    sync_period_ps: Fraction
    """Exact sync period; 0 in T2."""


def open_ptu(path: Path) -> Recording:
    """Return the PTU recording at ``path``.

    Raises
    ------
    FormatError
        The header is malformed or names an unknown record type, or the records are fewer than it counts.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        parsed = read_header(stream)
    layout = layout_of(int(finite_number(parsed.values, "TTResultFormat_TTTRRecType")))
    base = time_base(parsed.values, layout)
    records = _record_count(parsed, size)
    info = _info(parsed.values, layout, base, records)

    def read(max_tags: int, count: DecodeCount) -> Iterator[TagBlock]:
        # A late marker is late by ticks, a T3 photon at most by the longest dtime and a sync period.
        window_ps = REORDER_WINDOW_PS + (16 + (2 << layout.dtime_bits)) * base.resolution_ps
        order = Reorderer(window_ps=window_ps)
        decoder = RecordDecoder(layout, resolution_ps=base.resolution_ps, sync_period_ps=base.sync_period_ps)
        with path.open("rb", buffering=0) as stream:
            stream.seek(parsed.records_offset)
            for chunk in _chunks(stream, records, min(max_tags, CHUNK_RECORDS)):
                times_ps, channels = order.room(len(chunk))
                tags = decoder.decode_into(chunk, times_ps, channels)
                count.records += len(chunk)
                count.tags += tags
                count.without_tag += len(chunk) - tags
                yield from order.filled(tags, max_tags=max_tags)
                count.reordered = order.reordered
        yield from order.flush(max_tags=max_tags)

    return Recording(info, read)


def time_base(values: Header, layout: RecordLayout) -> TimeBase:
    """Return the time base that a header gives.

    Raises
    ------
    FormatError
        A needed entry is missing or out of range, or a resolution is not a whole number of ps.

    Notes
    -----
    The T3 sync period is 1/``TTResult_SyncRate`` exactly where ``MeasDesc_GlobalResolution`` is that number as a
    double, and otherwise the shortest decimal that reads back as the double.
    """
    unit_s = finite_number(values, "MeasDesc_GlobalResolution")
    if not layout.is_t3:
        return TimeBase(_whole_ps(unit_s, "MeasDesc_GlobalResolution"), Fraction(0))
    if not 0 < unit_s <= 1:
        raise FormatError(f"MeasDesc_GlobalResolution must be the sync period in 0..1 s, got {unit_s}")
    rate_hz = values.get("TTResult_SyncRate")
    exact = Fraction(repr(unit_s)) * PS_PER_S
    if isinstance(rate_hz, int) and rate_hz > 0 and math.isclose(rate_hz * unit_s, 1.0, rel_tol=_SAME_RATE):
        exact = Fraction(PS_PER_S, rate_hz)
    return TimeBase(_whole_ps(finite_number(values, "MeasDesc_Resolution"), "MeasDesc_Resolution"), exact)


def _whole_ps(seconds: float, name: str) -> int:
    step_ps = seconds * PS_PER_S
    whole = round(step_ps)
    if whole < 1 or not math.isclose(step_ps, whole, rel_tol=1e-6):
        raise FormatError(f"{name} must be a whole number of ps, got {step_ps} ps", hint="the header is damaged")
    return whole


def _record_count(parsed: ParsedHeader, size: int) -> int:
    bits = parsed.values.get("TTResultFormat_BitsPerRecord", 32)
    if bits != 32:
        raise FormatError(f"TTTR records have 32 bits, the header says {bits!r}", hint="the header is damaged")
    present, odd = divmod(size - parsed.records_offset, 4)
    claimed = int(finite_number(parsed.values, "TTResult_NumberOfRecords", 0))
    if claimed < 0 or claimed > present or (odd and not claimed):
        raise FormatError(
            f"the header counts {claimed} records, the file holds {present} and {odd} bytes",
            hint="the recording was cut short; copy the file again",
            expected=claimed,
            seen=present,
        )
    if claimed == 0 and present:
        _log.warning("the header counts no records: the recorder never finished; reading all %d present", present)
        return present
    if claimed < present:
        _log.warning("%d records after the %d that the header counts are left out", present - claimed, claimed)
    return claimed


def _chunks(stream: BinaryIO, records: int, per_chunk: int) -> Iterator[Records]:
    buffer = memoryview(bytearray(4 * per_chunk))
    for start in range(0, records, per_chunk):
        wanted = 4 * min(per_chunk, records - start)
        filled = 0
        while filled < wanted:
            got = stream.readinto(buffer[filled:wanted])  # type: ignore[attr-defined]  # raw files have it
            if not got:
                raise FormatError(f"the file ended {wanted - filled} bytes early", hint="it was cut while being read")
            filled += got
        yield np.frombuffer(buffer, "<u4", wanted // 4)


def _info(values: Header, layout: RecordLayout, base: TimeBase, records: int) -> RecordingInfo:
    inputs = values.get("HW_InpChannels")
    count = inputs if isinstance(inputs, int) and 1 <= inputs <= layout.inputs else layout.inputs
    names = {channel: f"input {channel}" for channel in range(1, count + 1)}
    if not layout.is_t3:
        names = {SYNC_CHANNEL: "sync", **names}
    channels = tuple(names)
    names |= {MARKER_CHANNEL + (1 << line): f"marker {line + 1}" for line in range(MARKERS)}
    rate_hz = values.get("TTResult_SyncRate")
    created = values.get("File_CreatingTime")
    return RecordingInfo(
        format=FormatName.PTU,
        instrument=str(values.get("HW_Type", "PicoQuant instrument")),
        resolution_ps=float(base.resolution_ps),
        channels=channels,
        channel_names=names,
        sync_rate_hz=float(rate_hz) if isinstance(rate_hz, int | float) and rate_hz > 0 else None,
        records_expected=records,
        created=created if isinstance(created, datetime) else None,
        comments=str(values.get("File_Comment", "")),
        header=values,
    )
