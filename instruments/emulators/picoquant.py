"""A stand-in for mhlib and hhlib with one emulated device: the same functions, arguments and return codes.

Give it to a driver as ``library=``. Tags of any stream go through a FIFO of finite size as T2 records; faults are
injected by its methods.

Sources: as the drivers, `faintlink.drivers.timetaggers.picoquant_mhlib` and ``picoquant_hhlib``.
"""

# ruff: noqa: N802 - the names are the maker's

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt

from faintlink.core.formats.ptu_kernels import count_records, encode_records
from faintlink.core.tags import TagBlock
from faintlink.instruments.emulators.kit.tag_source import TagSource
from faintlink.instruments.roles import TagStream

OPEN_FAILED = -1
IO_ERROR = -20
_ACTIVE = 0x20
_FIFO_FULL = 0x02
_WRAP = 1 << 25
_OVERFLOW = 127 << 25
_SYNC = 64 << 25
_SILENT = "MH_ERROR_DEVICE_OPEN_FAIL", "MH_ERROR_USB_BULKRD_FAIL"


def t2_records(block: TagBlock, *, resolution_ps: int, wraps_done: int) -> tuple[npt.NDArray[np.uint32], int]:
    """Return tags as T2 records, and the wraps reached. Channel 0 is sync, channel n is input n."""
    ticks = block.times_ps // resolution_ps
    field = (block.channels.astype(np.uint32) - np.uint32(1)) << np.uint32(25)
    upper = np.where(block.channels == 0, np.uint32(_SYNC), field).astype(np.uint32)
    keep = np.full(len(block), _WRAP - 1, np.uint32)
    size = count_records(ticks, wraps_done, _WRAP, _WRAP - 1)
    records = np.empty(size, np.uint32)
    reached = encode_records(ticks, upper, keep, wraps_done, _WRAP, _WRAP - 1, _OVERFLOW, records)
    return records, int(reached)


class FakePicoQuant:
    """The library's functions without prefix, and one device behind them.

    Parameters
    ----------
    source
        Where its tags come from.
    inputs
        Number of inputs.
    resolution_ps
        Unit of its stamps.
    fifo_records
        What its FIFO holds.
    """

    def __init__(
        self, source: TagSource, *, inputs: int = 4, resolution_ps: int = 5, fifo_records: int = 1 << 28
    ) -> None:
        self.source = source
        self.inputs = inputs
        self.resolution_ps = resolution_ps
        self.fifo_records = fifo_records
        self.is_plugged = True
        self.settings: dict[str, tuple[int, ...]] = {}
        """Last arguments of each setting function, by name and input."""
        self._flags: list[int] = []
        self._running: TagStream | None = None
        self._fifo: npt.NDArray[np.uint32] = np.empty(0, np.uint32)
        self._wraps = 0
        self._overran = False
        self._has_ended = False

    def raise_flags(self, flags: int, times: int = 1) -> None:
        """Show flags at the next reads of them."""
        self._flags += [flags] * times

    def pull_cable(self) -> None:
        """Let every call fail from now on."""
        self.is_plugged = False

    def end_measurement(self) -> None:
        """End the measurement as a restart of the device would."""
        self._stop()
        self._has_ended = True

    def spoil(self, *records: int) -> None:
        """Put words into the FIFO that no device sends."""
        self._fifo = np.concatenate([self._fifo, np.array(records, np.uint32)])

    def fill(self, reads: int) -> None:
        """Let the FIFO fill with as much as ``reads`` reads of the source give, as when nobody reads it."""
        for _ in range(reads):
            self._refill()

    def GetLibraryVersion(self, text: Any) -> int:
        """Answer with a version."""
        text.value = b"3.1"
        return 0

    def GetErrorString(self, text: Any, code: int) -> int:
        """Name the two errors that it knows."""
        text.value = _SILENT[code != OPEN_FAILED].encode()
        return 0

    def OpenDevice(self, device: int, serial: Any) -> int:
        """Open device 0."""
        if device or not self.is_plugged:
            return OPEN_FAILED
        serial.value = b"1045678"
        return 0

    def CloseDevice(self, device: int) -> int:  # noqa: ARG002
        """Close it."""
        self._stop()
        return 0

    def Initialize(self, device: int, mode: int, reference: int) -> int:  # noqa: ARG002
        """Accept T2 mode only."""
        self.settings["Initialize"] = (mode, reference)
        return 0 if mode == 2 else IO_ERROR

    def GetHardwareInfo(self, device: int, model: Any, part: Any, version: Any) -> int:  # noqa: ARG002
        """Say what it is."""
        model.value, part.value, version.value = b"emulated Harp", b"930000", b"1.0"
        return 0

    def GetSerialNumber(self, device: int, serial: Any) -> int:  # noqa: ARG002
        """Say its number."""
        serial.value = b"1045678"
        return 0

    def GetBaseResolution(self, device: int, resolution: Any, steps: Any) -> int:  # noqa: ARG002
        """Say its resolution."""
        resolution[0], steps[0] = float(self.resolution_ps), 24
        return 0

    def GetNumOfInputChannels(self, device: int, count: Any) -> int:  # noqa: ARG002
        """Say how many inputs it has."""
        count[0] = self.inputs
        return 0

    def _keep(self, name: str, values: tuple[int, ...]) -> int:
        if not self.is_plugged:
            return IO_ERROR
        self.settings[name] = values
        return 0

    def __getattr__(self, name: str) -> Any:
        """Return a function: those with a prefix are the ones without it; ``Set…`` remember their arguments."""
        if name[:3] in ("MH_", "HH_"):
            return getattr(self, name[3:])
        if name.startswith("Set"):
            return lambda device, *values: self._keep(name, values)  # noqa: ARG005
        raise AttributeError(name)

    def GetSyncRate(self, device: int, rate: Any) -> int:  # noqa: ARG002
        """Count nothing at sync."""
        rate[0] = 0
        return 0

    def GetCountRate(self, device: int, channel: int, rate: Any) -> int:  # noqa: ARG002
        """Count nothing."""
        rate[0] = 0
        return 0

    def GetFlags(self, device: int, flags: Any) -> int:  # noqa: ARG002
        """Show injected flags, an overrun once, and whether it measures."""
        if not self.is_plugged:
            return IO_ERROR
        shown = self._flags.pop(0) if self._flags else 0
        flags[0] = shown | (_ACTIVE if self._running else 0) | (_FIFO_FULL if self._overran else 0)
        self._overran = False
        return 0

    def StartMeas(self, device: int, duration_ms: int) -> int:  # noqa: ARG002
        """Begin to measure with an empty FIFO."""
        if not self.is_plugged:
            return IO_ERROR
        self._stop()
        self._fifo, self._wraps, self._has_ended = np.empty(0, np.uint32), 0, False
        self._running = self.source()
        self._running.start()
        return 0

    def StopMeas(self, device: int) -> int:  # noqa: ARG002
        """Measure no more."""
        self._stop()
        return 0 if self.is_plugged else IO_ERROR

    def _stop(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.stop()

    def CTCStatus(self, device: int, has_ended: Any) -> int:  # noqa: ARG002
        """Say whether the measurement has ended."""
        has_ended[0] = int(self._has_ended)
        return 0 if self.is_plugged else IO_ERROR

    def _refill(self) -> None:
        block = self._running.read(0.01) if self._running is not None else TagBlock.empty()
        room = self.fifo_records - len(self._fifo)
        records, self._wraps = t2_records(block, resolution_ps=self.resolution_ps, wraps_done=self._wraps)
        lost = records[max(room, 0) :]
        kept = records[: max(room, 0)]
        if len(lost):
            self._overran = True
            # Overflow records are never lost: the device goes on counting them.
            kept = np.concatenate([kept, lost[lost >> np.uint32(25) == 127]])
        self._fifo = np.concatenate([self._fifo, kept]) if len(self._fifo) else kept

    def ReadFiFo(self, device: int, buffer: Any, *rest: Any) -> int:  # noqa: ARG002
        """Give records: (count), or (limit, count) as hhlib has it."""
        if not self.is_plugged:
            return IO_ERROR
        limit = int(rest[0]) if len(rest) == 2 else 1 << 20
        if not len(self._fifo):
            self._refill()
        part, self._fifo = self._fifo[:limit], self._fifo[limit:]
        ctypes.memmove(buffer, part.ctypes.data, part.nbytes)
        rest[-1][0] = len(part)
        return 0
