"""Swabian Instruments Time Tagger 20, Ultra and X, through the maker's package ``Swabian.TimeTagger``.

Rising edges of input n are channel n, falling edges (the maker's -n) are channel 128 + n. The package is imported
when an instrument is opened and not before; a module with the same names will do in its place.

Overflow events, missed-event counts and error events of the stream become gaps; so does a buffer that came back full,
from which events were probably discarded.

Sources: names, arguments and event types of Swabian-TimeTagger 2.22.6 as its own docstrings give them. Its virtual
device needs a licence, so that nothing was tried against the real library but its names.
"""

import importlib
import threading
import time
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from qcodes.instrument import Instrument, InstrumentChannel
from qcodes.parameters import Parameter
from qcodes.validators import Ints, Numbers

from faintlink.core.errors import ConnectionLostError, HardwareError, UnsupportedFeatureError
from faintlink.core.tags import GapCause, TagBlock, concatenate
from faintlink.core.units import Channels, TimesPs
from faintlink.drivers.base import Capabilities, DriverMixin
from faintlink.drivers.timetaggers.stream import POLL_S, DeviceStream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qcodes.instrument import InstrumentBaseKWArgs
    from typing_extensions import Unpack

PACKAGE = "Swabian.TimeTagger"
FALLING = 128
"""Falling edges of input n are channel 128 + n."""
BUFFER_EVENTS = 4_000_000
_REFERENCE_OFF = 0


class EventType(IntEnum):
    """Event types of a stream."""

    TIME_TAG = 0
    ERROR = 1
    OVERFLOW_BEGIN = 2
    OVERFLOW_END = 3
    MISSED_EVENTS = 4


@dataclass(frozen=True, slots=True)
class SwabianCapabilities(Capabilities):
    """What a tagger can do."""

    inputs: tuple[int, ...]
    """Its inputs, as numbered on the front."""


def delivered_channel(channel: int) -> int:
    """Return the channel on which the maker's channel is delivered.

    Raises
    ------
    UnsupportedFeatureError
        It is no input: a virtual channel has a number of its own.
    """
    if not 0 < abs(channel) < FALLING:
        raise UnsupportedFeatureError(
            f"channel {channel} cannot be streamed", hint="take inputs 1 to 127, or their negatives for falling edges"
        )
    return channel if channel > 0 else FALLING - channel


class SwabianStream(DeviceStream):
    """A stream of one tagger.

    Raises
    ------
    ConnectionLostError
        On reading: the library reports an error, or the stream was ended by it.
    """

    def __init__(self, tagger: "SwabianTimeTagger") -> None:
        super().__init__()
        self._tagger = tagger
        self._events: Any = None
        self._overflow_ps: int | None = None

    def _begin(self) -> None:
        self._events = self._tagger.new_stream(BUFFER_EVENTS)

    def _guarded(self, call: str) -> Any:
        try:
            return getattr(self._events, call)()
        except (RuntimeError, OSError) as error:
            raise ConnectionLostError(
                f"{self._tagger.full_name}: {call} failed: {error}",
                hint="check the USB cable and power; then open the instrument again",
                device=self._tagger.full_name,
            ) from error

    def _collect(self, timeout_s: float) -> TagBlock:
        deadline = time.monotonic() + timeout_s
        while True:
            block = self._part()
            if len(block) or block.gaps:
                return block
            if not self._guarded("isRunning"):
                raise ConnectionLostError(
                    f"{self._tagger.full_name}: the stream ended by itself",
                    hint="the tagger was unplugged, reset or taken by another program; open it again",
                    device=self._tagger.full_name,
                )
            if time.monotonic() >= deadline:
                return block
            time.sleep(POLL_S)

    def _part(self) -> TagBlock:
        data = self._guarded("getData")
        if not data.size:
            return TagBlock.empty()
        times = np.array(data.getTimestamps(), np.int64)
        channels = np.asarray(data.getChannels(), np.int32)
        kinds = np.asarray(data.getEventTypes(), np.uint8)
        # The maker numbers falling edges below zero; 128 - channel maps -n to 128 + n.
        numbers = np.where(channels < 0, FALLING - channels, channels).astype(np.uint8)
        if kinds.any():
            self._note_losses(times, kinds, np.asarray(data.getMissedEvents(), np.int64))
            is_tag = kinds == EventType.TIME_TAG
            times, numbers = times[is_tag], numbers[is_tag]
        block = self.tags.block(times, numbers)
        if data.size >= BUFFER_EVENTS:
            self.tags.lose(GapCause.BUFFER_FULL)
        return block

    def _note_losses(self, times: TimesPs, kinds: Channels, missed: TimesPs) -> None:
        for at in np.flatnonzero(kinds):
            kind, time_ps = EventType(int(kinds[at])), int(times[at])
            before_ps = int(times[at - 1]) if at else self._newest(time_ps)
            if kind is EventType.OVERFLOW_BEGIN:
                self._overflow_ps = min(before_ps, time_ps)
            elif kind is EventType.OVERFLOW_END:
                start_ps = before_ps if self._overflow_ps is None else self._overflow_ps
                self.tags.note(start_ps, time_ps, GapCause.DEVICE_OVERFLOW)
                self._overflow_ps = None
            elif kind is EventType.MISSED_EVENTS:
                start_ps = before_ps if self._overflow_ps is None else self._overflow_ps
                self.tags.note(start_ps, time_ps, GapCause.DEVICE_OVERFLOW, lost=int(missed[at]))
            else:
                self.tags.note(before_ps, time_ps, GapCause.REFERENCE_LOST)

    def _newest(self, otherwise_ps: int) -> int:
        return otherwise_ps if self.tags.last_ps is None else self.tags.last_ps

    def _end(self) -> TagBlock:
        self._guarded("stop")
        last = self._part()
        if self._overflow_ps is not None:
            self.tags.note(self._overflow_ps, self._newest(self._overflow_ps), GapCause.DEVICE_OVERFLOW)
        return concatenate([last, self.tags.finish()])


class SwabianInput(DriverMixin, InstrumentChannel["SwabianTimeTagger"]):
    """One input.

    Parameters
    ----------
    parent, name
        The tagger, and the input's name in it.
    number
        As printed on the front.
    """

    def __init__(self, parent: "SwabianTimeTagger", name: str, number: int) -> None:
        super().__init__(parent, name)
        self.lock = parent.lock
        self.capabilities = parent.capabilities
        self.number = number
        self.trigger_level: Parameter[float, Self] = self.add_parameter(
            "trigger_level",
            label="Trigger level",
            unit="V",
            get_cmd=lambda: parent.call("getTriggerLevel", number),
            set_cmd=lambda volts: parent.call("setTriggerLevel", number, volts),
            vals=Numbers(-2.5, 2.5),
        )
        """Voltage that a pulse must pass."""
        self.delay: Parameter[int, Self] = self.add_parameter(
            "delay",
            label="Added delay",
            unit="ps",
            get_cmd=lambda: int(parent.call("getInputDelay", number)),
            set_cmd=lambda ps: parent.call("setInputDelay", number, ps),
            vals=Ints(-(10**12), 10**12),
        )
        """Added to its time stamps."""
        self.dead_time: Parameter[int, Self] = self.add_parameter(
            "dead_time",
            label="Dead time",
            unit="ps",
            get_cmd=lambda: int(parent.call("getDeadtime", number)),
            set_cmd=lambda ps: parent.call("setDeadtime", number, ps),
            vals=Ints(0, 10**12),
        )
        """Time after an event in which it is blind; the device rounds to its clock."""
        self.event_divider: Parameter[int, Self] = self.add_parameter(
            "event_divider",
            label="Event divider",
            get_cmd=lambda: int(parent.call("getEventDivider", number)),
            set_cmd=lambda divider: parent.call("setEventDivider", number, divider),
            vals=Ints(1, 65535),
        )
        """Only each so many-th event is recorded."""

    def safe_state(self) -> None:
        """Do nothing: an input is safe by itself."""


class SwabianTimeTagger(DriverMixin, Instrument):
    """A Time Tagger.

    Parameters
    ----------
    name
        Instrument name.
    address
        Serial number; the first tagger by default.
    channels
        What streams deliver, by the maker's numbers; the rising edges of all inputs by default.
    library
        A module to use instead of the maker's package.

    Raises
    ------
    HardwareError
        The package is not installed.
    ConnectionLostError
        The tagger cannot be opened.
    """

    verified_on_hardware: ClassVar[str | None] = None

    def __init__(
        self,
        name: str,
        address: str = "",
        *,
        channels: "Sequence[int]" = (),
        library: Any = None,
        **kwargs: "Unpack[InstrumentBaseKWArgs]",
    ) -> None:
        super().__init__(name, **kwargs)
        self.lock = threading.RLock()
        self._tagger: Any = None
        self._stream: SwabianStream | None = None
        try:
            self._library = library or _imported()
            self._tagger = self._opened(address)
            inputs = tuple(int(n) for n in self.call("getChannelList") if n > 0)
            self.channels = tuple(channels) or inputs
            for channel in self.channels:
                delivered_channel(channel)
        except BaseException:
            self.close()
            raise
        self.capabilities = SwabianCapabilities(str(self.call("getModel")), inputs)
        self._reference = _REFERENCE_OFF
        self._add_device_parameters(inputs)

    def _opened(self, address: str) -> Any:
        try:
            return self._library.createTimeTagger(address)
        except RuntimeError as error:
            raise ConnectionLostError(
                f"{self.name}: no Time Tagger {address!r} can be opened: {error}",
                hint="check cable, power and serial number; no other program may hold it",
                address=address,
            ) from error

    def _add_device_parameters(self, inputs: tuple[int, ...]) -> None:
        self.resolution: Parameter[float, Self] = self.add_parameter(
            "resolution", label="Resolution", unit="s", get_cmd=lambda: 1e-12, set_cmd=False
        )
        """Unit of its time stamps."""
        self.reference_input: Parameter[int, Self] = self.add_parameter(
            "reference_input",
            label="Input of the reference clock",
            get_cmd=lambda: self._reference,
            set_cmd=self._set_reference,
            vals=Ints(0, FALLING - 1),
        )
        """Input that carries 10 MHz to which the time base is locked in software; 0 for none."""
        for number in inputs:
            self.add_submodule(f"ch{number}", SwabianInput(self, f"ch{number}", number))

    def _set_reference(self, number: int) -> None:
        if number == _REFERENCE_OFF:
            self.call("disableReferenceClock")
        else:
            self.call("setReferenceClock", number, 10_000_000.0)
        self._reference = number

    def call(self, name: str, *values: Any) -> Any:
        """Call a function of the tagger.

        Raises
        ------
        HardwareError
            The library refuses; the message holds its words.
        """
        with self.lock:
            try:
                return getattr(self._tagger, name)(*values)
            except (RuntimeError, ValueError) as error:
                raise HardwareError(
                    f"{self.full_name}: {name}{values} failed: {error}",
                    hint="see the maker's documentation of this function for its limits",
                    device=self.full_name,
                    sent=name,
                ) from error

    def new_stream(self, events: int) -> Any:
        """Return the maker's stream of this tagger's channels; `SwabianStream` calls it."""
        with self.lock:
            return self._library.TimeTagStream(self._tagger, events, list(self.channels))

    def stream(self) -> SwabianStream:
        """Return a stream of tags that is not yet started."""
        self._stream = SwabianStream(self)
        return self._stream

    def get_idn(self) -> dict[str, str | None]:
        """Return what the tagger said it is."""
        return {
            "vendor": "Swabian Instruments",
            "model": self.capabilities.model,
            "serial": str(self.call("getSerial")),
            "firmware": str(self.call("getFirmwareVersion")),
        }

    def safe_state(self) -> None:
        """Stop the stream."""
        if self._stream is not None:
            self._stream.stop()

    def close(self) -> None:
        """Give the tagger back and forget the instrument."""
        tagger, self._tagger = getattr(self, "_tagger", None), None
        if tagger is not None:
            self._library.freeTimeTagger(tagger)
        super().close()


def _imported() -> Any:
    try:
        return importlib.import_module(PACKAGE)
    except ImportError as error:
        raise HardwareError(
            f"the package {PACKAGE} cannot be imported: {error}",
            hint="pip install Swabian-TimeTagger; the package named TimeTagger is another program",
        ) from error
