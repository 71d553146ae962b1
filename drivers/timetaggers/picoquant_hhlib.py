"""PicoQuant HydraHarp 400 time tagger in T2 mode, through the maker's library hhlib.

As the MultiHarp, with discriminators that take a level and a zero crossing in place of an edge, and a FIFO read that
is told how many records may come.

Sources: hhlib.h of HHLib 3.0; chapters on T2 mode and flags of the HydraHarp manual. Not tried on a device.
"""

import ctypes
from typing import Any, ClassVar

from faintlink.core.formats.ptu_records import RecordLayout, RecordType, layout_of
from faintlink.drivers.timetaggers.picoquant_library import HYDRAHARP_SIGNATURES
from faintlink.drivers.timetaggers.picoquant_mhlib import PicoQuantMultiHarp

ZERO_CROSS_MV = 10
"""Zero crossing of the discriminators, in mV below zero."""


class PicoQuantHydraHarp(PicoQuantMultiHarp):
    """A HydraHarp 400; parameters as of the MultiHarp. It counts falling edges only."""

    verified_on_hardware: ClassVar[str | None] = None
    prefix = "HH_"
    signatures = HYDRAHARP_SIGNATURES
    libraries = ("libhhlib.so", "hhlib.so", "hhlib64.dll")
    read_limit = 131_072
    level_range_v = (-1.0, 0.0)
    edges = ("falling",)
    layout: RecordLayout = layout_of(RecordType.HYDRAHARP_V2_T2)

    def set_trigger(self, number: int, level_mv: int, edge: int) -> None:  # noqa: ARG002 - always falling
        """Set the discriminator of an input (0 is sync); the library takes the level without its sign."""
        if number:
            self.command("SetInputCFD", number - 1, -level_mv, ZERO_CROSS_MV)
        else:
            self.command("SetSyncCFD", -level_mv, ZERO_CROSS_MV)

    def _fifo_arguments(self) -> tuple[Any, ...]:
        return self._records.ctypes.data_as(ctypes.POINTER(ctypes.c_uint)), self.read_limit
