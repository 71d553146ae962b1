"""PicoQuant MultiHarp 150 and 160 time taggers in T2 mode, through the maker's library mhlib.

Input n is channel n, the sync input is channel 0, marker pattern m is channel 240 + m. The class also carries what
the HydraHarp driver shares.

Sources: mhlib.h of MHLib 3.1; chapters on T2 mode, trigger levels and flags of the MultiHarp manual. Tried against the
library's calls that need no device, never with one.
"""

import ctypes
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from qcodes.instrument import ChannelTuple, Instrument, InstrumentChannel
from qcodes.parameters import Parameter
from qcodes.validators import Bool, Enum, Ints, Numbers

from faintlink.core.errors import ConnectionLostError, LocalProtocolError
from faintlink.core.formats.ptu_records import RecordLayout, RecordType, layout_of
from faintlink.drivers.base import Capabilities, DriverMixin
from faintlink.drivers.timetaggers.picoquant_library import (
    MULTIHARP_SIGNATURES,
    PicoQuantLibrary,
    Signature,
    load_library,
)
from faintlink.drivers.timetaggers.picoquant_stream import Flag, PicoQuantStream

if TYPE_CHECKING:
    from qcodes.instrument import InstrumentBaseKWArgs
    from typing_extensions import Unpack

_T2 = 2
MOST_DEVICES = 8
"""Device indices that the library knows."""
LONGEST_MS = 360_000_000
"""Longest measurement: 100 h."""


@dataclass(frozen=True, slots=True)
class PicoQuantCapabilities(Capabilities):
    """What a device can do."""

    inputs: int
    """Number of inputs without sync."""
    resolution_ps: int
    """Unit of its time stamps."""


class PicoQuantInput(DriverMixin, InstrumentChannel["PicoQuantMultiHarp"]):
    """One input.

    Parameters
    ----------
    parent, name
        The device, and the input's name in it.
    number
        As printed on the front: 0 is sync, inputs count from 1.
    """

    def __init__(self, parent: "PicoQuantMultiHarp", name: str, number: int) -> None:
        super().__init__(parent, name)
        self.lock = parent.lock
        self.capabilities = parent.capabilities
        self.number = number
        self._level_mv, self._edge = parent.default_level_mv, 0
        self.trigger_level: Parameter[float, Self] = self.add_parameter(
            "trigger_level",
            label="Trigger level",
            unit="V",
            get_cmd=lambda: self._level_mv * 1e-3,
            set_cmd=lambda volts: self._set_trigger(round(volts * 1e3), self._edge),
            vals=Numbers(*parent.level_range_v),
        )
        """Voltage that a pulse must pass."""
        self.trigger_edge: Parameter[str, Self] = self.add_parameter(
            "trigger_edge",
            label="Trigger edge",
            get_cmd=lambda: "rising" if self._edge else "falling",
            set_cmd=lambda edge: self._set_trigger(self._level_mv, int(edge == "rising")),
            vals=Enum(*parent.edges),
        )
        """Which flank counts."""
        offset = "SetInputChannelOffset" if number else "SetSyncChannelOffset"
        self.delay: Parameter[int, Self] = self.add_parameter(
            "delay",
            label="Added delay",
            unit="ps",
            get_cmd=None,
            set_cmd=lambda ps: parent.command(offset, *self._address, ps),
            initial_cache_value=0,
            vals=Ints(-99_999, 99_999),
        )
        """Added to its time stamps."""
        if number:
            self.enabled: Parameter[bool, Self] = self.add_parameter(
                "enabled",
                label="Enabled",
                get_cmd=None,
                set_cmd=lambda state: parent.command("SetInputChannelEnable", number - 1, int(state)),
                initial_cache_value=True,
                vals=Bool(),
            )
            """Whether its events are recorded."""
        self.count_rate: Parameter[int, Self] = self.add_parameter(
            "count_rate", label="Count rate", unit="Hz", get_cmd=self._rate, set_cmd=False, snapshot_get=False
        )
        """Events per second as the device measures them."""
        self._set_trigger(self._level_mv, self._edge)

    @property
    def _address(self) -> tuple[int, ...]:
        return (self.number - 1,) if self.number else ()

    def _set_trigger(self, level_mv: int, edge: int) -> None:
        self.parent.set_trigger(self.number, level_mv, edge)
        self._level_mv, self._edge = level_mv, edge

    def _rate(self) -> int:
        with self.lock:
            name = "GetCountRate" if self.number else "GetSyncRate"
            return self.parent.library.integer(name, self.parent.device, *self._address)

    def safe_state(self) -> None:
        """Do nothing: an input is safe by itself."""


class PicoQuantMultiHarp(DriverMixin, Instrument):
    """A MultiHarp.

    Parameters
    ----------
    name
        Instrument name.
    address
        Serial number, or the library's device index; the first device by default.
    library
        Path of the library, or an object with its functions.
    reference
        ``internal`` or ``external`` 10 MHz.
    watches_sync
        Whether a lost sync signal breaks the time base; switch it off when nothing is plugged into sync.

    Raises
    ------
    HardwareError
        The library is not installed.
    ConnectionLostError
        The device cannot be opened.
    """

    verified_on_hardware: ClassVar[str | None] = None
    prefix: ClassVar[str] = "MH_"
    signatures: ClassVar[Mapping[str, Signature]] = MULTIHARP_SIGNATURES
    libraries: ClassVar[Sequence[str]] = ("libmhlib.so", "mhlib.so", "mhlib64.dll")
    read_limit: ClassVar[int] = 1 << 20
    level_range_v: ClassVar[tuple[float, float]] = (-1.2, 1.2)
    default_level_mv: ClassVar[int] = -50
    edges: ClassVar[tuple[str, ...]] = ("falling", "rising")
    layout: RecordLayout = layout_of(RecordType.GENERIC_T2)

    def __init__(
        self,
        name: str,
        address: str = "0",
        *,
        library: Any = None,
        reference: str = "internal",
        watches_sync: bool = True,
        **kwargs: "Unpack[InstrumentBaseKWArgs]",
    ) -> None:
        super().__init__(name, **kwargs)
        self.lock = threading.RLock()
        self.device = -1
        self._stream: PicoQuantStream | None = None
        self._records = np.empty(self.read_limit, np.uint32)
        try:
            paths = self.libraries if library is None else [library]
            functions = load_library(paths) if library is None or isinstance(library, str) else library
            self.library = PicoQuantLibrary(functions, self.prefix, self.signatures)
            self.serial = self._open(address)
            self._initialize({"internal": 0, "external": 1}[reference])
        except BaseException:
            self.close()
            raise
        self.watched = ~Flag(0) if watches_sync else ~Flag.SYNC_LOST
        self._add_parameters()

    def _open(self, address: str) -> str:
        """Open by index or serial number and return the serial number."""
        is_index = len(address) == 1 and address.isdigit()
        refusal: ConnectionLostError | None = None
        for index in [int(address)] if is_index else range(MOST_DEVICES):
            try:
                serial = self.library.texts("OpenDevice", index)[0]
            except ConnectionLostError as error:
                refusal = refusal or error
                continue
            if is_index or serial == address:
                self.device = index
                return serial
            self.library.call("CloseDevice", index)
        raise ConnectionLostError(
            f"{self.name}: no device {address!r} can be opened: {refusal.message if refusal else 'others answered'}",
            hint="check cable, power and the number in the station file; no other program may hold the device",
            address=address,
        ) from refusal

    def _initialize(self, reference: int) -> None:
        self.library.call("Initialize", self.device, _T2, reference)
        self.model, self.part, self.version = self.library.texts("GetHardwareInfo", self.device, count=3)
        resolution, steps = ctypes.c_double(), ctypes.c_int()
        self.library.call("GetBaseResolution", self.device, ctypes.pointer(resolution), ctypes.pointer(steps))
        self.resolution_ps = round(resolution.value)
        inputs = self.library.integer("GetNumOfInputChannels", self.device)
        self.capabilities: PicoQuantCapabilities = PicoQuantCapabilities(self.model, inputs, self.resolution_ps)

    def _add_parameters(self) -> None:
        self.resolution: Parameter[float, Self] = self.add_parameter(
            "resolution", label="Resolution", unit="s", get_cmd=lambda: self.resolution_ps * 1e-12, set_cmd=False
        )
        """Unit of its time stamps."""
        self.sync_divider: Parameter[int, Self] = self.add_parameter(
            "sync_divider",
            label="Sync divider",
            get_cmd=None,
            set_cmd=lambda divider: self.command("SetSyncDiv", divider),
            initial_value=1,
            vals=Enum(1, 2, 4, 8, 16),
        )
        """Only each so many-th sync event is recorded."""
        self.sync = self.add_submodule("sync", PicoQuantInput(self, "sync", 0))
        inputs = [PicoQuantInput(self, f"ch{n}", n) for n in range(1, self.capabilities.inputs + 1)]
        for channel in inputs:
            self.add_submodule(channel.short_name, channel)
        self.inputs = self.add_submodule("inputs", ChannelTuple(self, "inputs", PicoQuantInput, inputs))

    def command(self, name: str, *values: int) -> None:
        """Call a setting function of the library; refused while a stream runs."""
        if self._stream is not None and self._stream.is_running:
            raise LocalProtocolError(f"{self.full_name} is streaming: {name} would disturb it", hint="stop it first")
        with self.lock:
            self.library.call(name, self.device, *values)

    def set_trigger(self, number: int, level_mv: int, edge: int) -> None:
        """Set level and edge of an input (0 is sync)."""
        if number:
            self.command("SetInputEdgeTrg", number - 1, level_mv, edge)
        else:
            self.command("SetSyncEdgeTrg", level_mv, edge)

    def start_measurement(self) -> None:
        """Begin to fill the FIFO; `PicoQuantStream` calls it."""
        with self.lock:
            self.library.call("StartMeas", self.device, LONGEST_MS)

    def stop_measurement(self) -> None:
        """Fill the FIFO no more; `PicoQuantStream` calls it."""
        with self.lock:
            self.library.call("StopMeas", self.device)

    def read_records(self) -> npt.NDArray[np.uint32]:
        """Return the FIFO's next records; `PicoQuantStream` calls it."""
        count = ctypes.c_int(0)
        with self.lock:
            self.library.call("ReadFiFo", self.device, *self._fifo_arguments(), ctypes.pointer(count))
        return self._records[: count.value]

    def _fifo_arguments(self) -> tuple[Any, ...]:
        return (self._records.ctypes.data_as(ctypes.POINTER(ctypes.c_uint)),)

    def read_flags(self) -> Flag:
        """Return the flags; `PicoQuantStream` calls it."""
        with self.lock:
            return Flag(self.library.integer("GetFlags", self.device))

    def has_ended(self) -> bool:
        """Return whether the measurement has ended by itself."""
        with self.lock:
            return bool(self.library.integer("CTCStatus", self.device))

    def stream(self) -> PicoQuantStream:
        """Return a stream of tags that is not yet started."""
        if self._stream is not None and self._stream.is_running:
            raise LocalProtocolError(f"{self.full_name} is streaming already", hint="the device has one FIFO only")
        self._stream = PicoQuantStream(self)
        return self._stream

    def get_idn(self) -> dict[str, str | None]:
        """Return what the device said it is."""
        return {"vendor": "PicoQuant", "model": self.model, "serial": self.serial, "firmware": self.version}

    def safe_state(self) -> None:
        """Stop the stream."""
        if self._stream is not None:
            self._stream.stop()

    def close(self) -> None:
        """Close the device and forget the instrument."""
        if self.device >= 0:
            device, self.device = self.device, -1
            self.library.call("CloseDevice", device)
        super().close()
