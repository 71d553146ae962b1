"""The T2 stream of a PicoQuant device: FIFO words to tags, flags to gaps.

Used by the MultiHarp and HydraHarp drivers through `RecordSource`; knows no library.

Flags are read after each part of the FIFO. A loss that they report may have happened at any time since the part
before, so that its gap reaches from the newest tag before that part to the first tag of the next.

Sources: manuals of MHLib and HHLib, chapters on T2 mode and on the flags.
"""

import time
from enum import IntFlag
from typing import Protocol

import numpy as np
import numpy.typing as npt

from faintlink.core.errors import DeviceReportedError, FormatError
from faintlink.core.formats.ptu_records import RecordDecoder, RecordLayout
from faintlink.core.tags import GapCause, TagBlock, concatenate
from faintlink.core.units import Channels, TimesPs
from faintlink.drivers.timetaggers.stream import POLL_S, DeviceStream

_DRAIN_READS = 64
_OVERFLOW_FIELD = 127


class Flag(IntFlag):
    """Bits of ``GetFlags``."""

    OVERFLOW = 0x01
    FIFO_FULL = 0x02
    SYNC_LOST = 0x04
    REFERENCE_LOST = 0x08
    SYSTEM_ERROR = 0x10
    ACTIVE = 0x20
    COUNTS_DROPPED = 0x40


CAUSES = {
    Flag.OVERFLOW: GapCause.DEVICE_OVERFLOW,
    Flag.FIFO_FULL: GapCause.DEVICE_OVERFLOW,
    Flag.COUNTS_DROPPED: GapCause.DEVICE_OVERFLOW,
    Flag.SYNC_LOST: GapCause.REFERENCE_LOST,
    Flag.REFERENCE_LOST: GapCause.REFERENCE_LOST,
}
"""What each flag means for a stream."""


class RecordSource(Protocol):
    """What the stream needs of a device."""

    layout: RecordLayout
    resolution_ps: int
    watched: Flag

    @property
    def full_name(self) -> str:
        """Name of the instrument."""
        ...

    def start_measurement(self) -> None:
        """Begin to fill the FIFO."""
        ...

    def stop_measurement(self) -> None:
        """Fill it no more; what is in it can still be read."""
        ...

    def read_records(self) -> npt.NDArray[np.uint32]:
        """Return the FIFO's next records, possibly none; a view that holds until the next call."""
        ...

    def read_flags(self) -> Flag:
        """Return the flags."""
        ...

    def has_ended(self) -> bool:
        """Return whether the measurement has ended by itself."""
        ...


class PicoQuantStream(DeviceStream):
    """A stream of T2 records.

    Raises
    ------
    ConnectionLostError
        On reading: the device is gone.
    DeviceReportedError
        On reading: the device reports a system error, or its measurement ended by itself.
    """

    def __init__(self, source: RecordSource) -> None:
        super().__init__()
        self._source = source
        self._decoder = RecordDecoder(source.layout, resolution_ps=source.resolution_ps)

    def _begin(self) -> None:
        self._source.start_measurement()

    def _collect(self, timeout_s: float) -> TagBlock:
        deadline = time.monotonic() + timeout_s
        while True:
            block, records = self._part()
            if len(block) or block.gaps:
                return block
            if not records:
                self._require_running()
                if time.monotonic() >= deadline:
                    return block
                time.sleep(POLL_S)

    def _part(self) -> tuple[TagBlock, int]:
        """Return one part of the FIFO and how many records it was."""
        before_ps = self.tags.last_ps
        records = self._source.read_records()
        flags = self._source.read_flags()
        times_ps, channels = self._decoded(records)
        block = self.tags.block(times_ps, channels) if times_ps.size else TagBlock.empty()
        for cause in {CAUSES[flag] for flag in CAUSES if flag & flags & self._source.watched}:
            self.tags.lose(cause, since_ps=before_ps)
        if flags & Flag.SYSTEM_ERROR:
            raise DeviceReportedError(
                f"{self._source.full_name} reports a system error",
                hint="read its warnings and debug information with the maker's software; power it off and on",
                device=self._source.full_name,
                seen=int(flags),
            )
        return block, len(records)

    def _decoded(self, records: npt.NDArray[np.uint32]) -> tuple[TimesPs, Channels]:
        times_ps = np.empty(len(records), np.int64)
        channels = np.empty(len(records), np.uint8)
        filled, start = 0, 0
        while start < len(records):
            before = self._decoder.records
            try:
                filled += self._decoder.decode_into(records[start:], times_ps[filled:], channels[filled:])
                break
            except FormatError as error:
                # The record is skipped; those before it are decoded already and only have to be counted.
                bad = int(error.fields["record"]) - before
                whole = records[start : start + bad]
                filled += int(np.count_nonzero(whole >> np.uint32(25) != _OVERFLOW_FIELD))
                start += bad + 1
                self.tags.lose(GapCause.RECORD_DAMAGED)
        return times_ps[:filled], channels[:filled]

    def _require_running(self) -> None:
        if self._source.has_ended():
            raise DeviceReportedError(
                f"{self._source.full_name} ended its measurement by itself",
                hint="its FIFO overran, its longest measurement is over, or it restarted with settings of power-on",
                device=self._source.full_name,
            )

    def _end(self) -> TagBlock:
        self._source.stop_measurement()
        parts = []
        for _ in range(_DRAIN_READS):
            block, records = self._part()
            parts.append(block)
            if not records:
                break
        return concatenate([*parts, self.tags.finish()])
