"""Decode the 32-bit TTTR records of all public PicoQuant record types, chunk by chunk.

`ptu` reads files with it; a driver for a MultiHarp or HydraHarp feeds the FIFO's words through the same
`RecordDecoder`. State is carried from chunk to chunk, so any split of the records gives the same tags. It never
reads a file and never sorts.

Channels: 0 is the sync input of a T2 recording, n is input n as printed on the instrument (1-based; the
PicoHarp 300 numbers them so itself), and 240 + m is marker pattern m (1..15, one bit per marker line).

Times: a T2 time is (wraps + tag) * resolution. A T3 time is nsync * P + dtime * resolution with the sync period P
a fraction of picoseconds; nsync * P is rounded to the nearest picosecond once, from an exact integer remainder
carried along, so that no error grows with the length of the recording.

Sources: PicoQuant public format demos and the MultiHarp 150, HydraHarp 400, TimeHarp 260 and PicoHarp 300
manuals, chapters on T2 and T3 mode data.
"""

from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from faintlink.core.errors import FormatError
from faintlink.core.formats import ptu_kernels
from faintlink.core.units import Channels, TimesPs

SYNC_CHANNEL = 0
MARKER_CHANNEL = 240
"""Marker pattern m is delivered on channel 240 + m."""
MAX_PERIOD_PS = 10**12
"""Longest sync period that the integer arithmetic carries, in ps."""
MAX_RESOLUTION_PS = 2**32
_MAX_TIME_PS = 2**62

Records: TypeAlias = npt.NDArray[np.uint32]
Dtimes: TypeAlias = npt.NDArray[np.uint16]


class RecordType(IntEnum):
    """``TTResultFormat_TTTRRecType`` of every public record layout."""

    PICOHARP_T2 = 0x00010203
    PICOHARP_T3 = 0x00010303
    HYDRAHARP_V1_T2 = 0x00010204
    HYDRAHARP_V1_T3 = 0x00010304
    HYDRAHARP_V2_T2 = 0x01010204
    HYDRAHARP_V2_T3 = 0x01010304
    TIMEHARP_260N_T2 = 0x00010205
    TIMEHARP_260N_T3 = 0x00010305
    TIMEHARP_260P_T2 = 0x00010206
    TIMEHARP_260P_T3 = 0x00010306
    GENERIC_T2 = 0x00010207
    GENERIC_T3 = 0x00010307


@dataclass(frozen=True, slots=True)
class RecordLayout:
    """How the bits of one record type lie."""

    record_type: RecordType
    """Its code."""
    is_t3: bool
    """Whether records count syncs and carry a dtime."""
    is_picoharp: bool
    """Whether the four top bits name the channel; otherwise a special bit and six channel bits."""
    wrap: int
    """Ticks (T2) or syncs (T3) between two overflows."""
    counts_overflows: bool
    """Whether one overflow record can stand for several overflows."""

    @property
    def dtime_bits(self) -> int:
        """Bits of the dtime; 0 in T2."""
        return 0 if not self.is_t3 else 12 if self.is_picoharp else 15

    @property
    def inputs(self) -> int:
        """Most inputs that the layout can number."""
        return 4 if self.is_picoharp else 64


def layout_of(code: int) -> RecordLayout:
    """Return the layout of a ``TTResultFormat_TTTRRecType``.

    Raises
    ------
    FormatError
        The code is of no public record type.
    """
    try:
        kind = RecordType(code)
    except ValueError:
        known = ", ".join(f"0x{one:08x}" for one in RecordType)
        raise FormatError(f"unknown TTTR record type 0x{code:08x}", hint=f"known are {known}") from None
    is_t3 = kind & 0xFF00 == 0x0300
    if kind in (RecordType.PICOHARP_T2, RecordType.PICOHARP_T3):
        return RecordLayout(kind, is_t3, True, 65_536 if is_t3 else 210_698_240, False)
    v1 = kind in (RecordType.HYDRAHARP_V1_T2, RecordType.HYDRAHARP_V1_T3)
    return RecordLayout(kind, is_t3, False, 1024 if is_t3 else 33_552_000 if v1 else 2**25, not v1)


class RecordDecoder:
    """Turn records into times and channels, carrying overflows from call to call.

    Parameters
    ----------
    layout
        The record type.
    resolution_ps
        Step of the time tag (T2) or of the dtime (T3), whole ps.
    sync_period_ps
        T3 only: exact sync period.
    """

    def __init__(self, layout: RecordLayout, *, resolution_ps: int, sync_period_ps: Fraction = Fraction(0)) -> None:
        if not 1 <= resolution_ps <= MAX_RESOLUTION_PS:
            raise FormatError(f"the resolution must be 1..{MAX_RESOLUTION_PS} whole ps, got {resolution_ps}")
        if layout.is_t3 and not 0 < sync_period_ps <= MAX_PERIOD_PS:
            raise FormatError(f"the sync period must lie in 0..{MAX_PERIOD_PS} ps, got {float(sync_period_ps)}")
        self.layout = layout
        self.resolution_ps = resolution_ps
        self.records = 0
        self._wraps = 0
        self._limit = _MAX_TIME_PS // resolution_ps
        if layout.is_t3:
            self._set_period(sync_period_ps.limit_denominator(MAX_PERIOD_PS))

    def _set_period(self, period: Fraction) -> None:
        self._denominator = period.denominator
        self._whole, self._rest = divmod(period.numerator, period.denominator)
        steps = np.arange(self.layout.wrap, dtype=np.int64)
        self._step_ps = steps * self._whole + steps * self._rest // self._denominator
        self._step_rest = steps * self._rest % self._denominator
        # Half a denominator in the remainder turns the floor of each division into the nearest integer.
        self._anchor_rest = self._denominator // 2
        self._anchor_ps = 0

    def decode_into(self, records: Records, times_ps: TimesPs, channels: Channels, dtimes: Dtimes | None = None) -> int:
        """Decode records into arrays of at least their length; return how many tags there were.

        Parameters
        ----------
        records
            (n,) uint32 as in the file or FIFO.
        times_ps, channels
            Outputs (>= n,) int64 and uint8.
        dtimes
            T3 only, optional output (>= n,) uint16, in units of the resolution; 0 at markers.

        Raises
        ------
        FormatError
            A record is of no defined kind, or the times pass 2**62 ps. The tags before it are decoded.
        """
        count, bad = (
            self._decode_t3(records, times_ps, channels, dtimes)
            if self.layout.is_t3
            else self._decode_t2(records, times_ps, channels)
        )
        if bad >= 0:
            raise FormatError(
                f"record {self.records + bad} (0x{int(records[bad]):08x}) is no valid "
                f"{self.layout.record_type.name} record, or its time passes 2**62 ps",
                hint="the header names another record type, or the file is damaged",
                record=self.records + bad,
            )
        self.records += len(records)
        return count

    def _decode_t2(self, records: Records, times_ps: TimesPs, channels: Channels) -> tuple[int, int]:
        wrap, state = self.layout.wrap, (records, self._wraps, self._limit)
        if self.layout.is_picoharp:
            result = ptu_kernels.decode_picoharp_t2(*state, wrap, self.resolution_ps, times_ps, channels)
        else:
            several = self.layout.counts_overflows
            result = ptu_kernels.decode_t2(*state, wrap, several, self.resolution_ps, times_ps, channels)
        count, self._wraps, bad = result
        return count, bad

    def _decode_t3(
        self, records: Records, times_ps: TimesPs, channels: Channels, dtimes: Dtimes | None
    ) -> tuple[int, int]:
        state = (self._anchor_ps, self._anchor_rest), (self._whole, self._rest, self._denominator)
        steps = self._step_ps, self._step_rest
        if dtimes is None:
            dtimes = np.empty(len(records), np.uint16)
        if self.layout.is_picoharp:
            result = ptu_kernels.decode_picoharp_t3(
                records, *state, *steps, self.resolution_ps, times_ps, channels, dtimes
            )
        else:
            several = self.layout.counts_overflows
            result = ptu_kernels.decode_t3(
                records, *state, *steps, several, self.resolution_ps, times_ps, channels, dtimes
            )
        count, self._anchor_ps, self._anchor_rest, bad = result
        return count, bad
