"""Aurea Technology OEM single-photon detector, through the maker's library ``OEM.so``.

Fills the role SinglePhotonDetector. The library is loaded when an instrument is opened and no library object is
given; it comes with the device and is not distributed here. It offers no switch for the bias: ``enabled`` is the
switch of the output, so a disabled detector is silent but still biased. A call into the library cannot be cut short.

Sources: functions, types and codes of ``OEM.so`` as VeriQloud's hardware control calls them (facts only). Unverified
on a device; the unit of the count is taken to be clicks per second.
"""

import ctypes
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from qcodes.instrument import Instrument
from qcodes.parameters import Parameter
from qcodes.validators import Bool, Enum, Numbers

from faintlink.core.errors import ConfigError, ConnectionLostError, DeviceReportedError
from faintlink.drivers.base import Capabilities, DriverMixin

if TYPE_CHECKING:
    from qcodes.instrument import InstrumentBaseKWArgs
    from typing_extensions import Unpack

DETECTION_MODES = {"free-running": 0, "gated": 1}
OUTPUT_FORMATS = {"numeric": 0, "analogue": 1, "nim": 2}
OUTPUT_ON, OUTPUT_OFF = 0, 1
MOST_DEVICES = 10
_TEXT_BYTES = 64
_MICRO = 1e-6

_SHORT_P, _DOUBLE_P, _ULONG_P = (ctypes.POINTER(kind) for kind in (ctypes.c_short, ctypes.c_double, ctypes.c_ulong))
_SIGNATURES: dict[str, list[Any]] = {
    "CPC_openDevice": [ctypes.c_short],
    "CPC_closeDevice": [ctypes.c_short],
    "CPC_getSystemVersion": [ctypes.c_short, ctypes.c_char_p],
    "CPC_getEfficiencyRange": [ctypes.c_short, ctypes.c_char_p],
    "CPC_getEfficiency": [ctypes.c_short, _SHORT_P],
    "CPC_setEfficiency": [ctypes.c_short, ctypes.c_short],
    "CPC_getDeadTimeRange": [ctypes.c_short, _DOUBLE_P, _DOUBLE_P],
    "CPC_getDeadTime": [ctypes.c_short, _DOUBLE_P],
    "CPC_setDeadTime": [ctypes.c_short, ctypes.c_double],
    "CPC_getDetectionMode": [ctypes.c_short, _SHORT_P],
    "CPC_setDetectionMode": [ctypes.c_short, ctypes.c_short],
    "CPC_getOutputFormat": [ctypes.c_short, _SHORT_P],
    "CPC_setOutputFormat": [ctypes.c_short, ctypes.c_short],
    "CPC_getOutputState": [ctypes.c_short, _SHORT_P],
    "CPC_setOutputState": [ctypes.c_short, ctypes.c_short],
    "CPC_getCLKCountData": [ctypes.c_short, _ULONG_P, _ULONG_P],
    "CPC_getBodySocketTemp": [ctypes.c_short, _DOUBLE_P],
}


@dataclass(frozen=True, slots=True)
class AureaCapabilities(Capabilities):
    """What a detector can do."""

    shortest_dead_time_s: float
    """Least dead time."""
    longest_dead_time_s: float
    """Greatest dead time."""
    efficiencies: str
    """Efficiencies that it offers in %, in its own words."""


def load_library(path: str = "OEM.so") -> Any:
    """Return the maker's library, its functions declared.

    Raises
    ------
    ConfigError
        It is not there, or lacks a function.
    """
    try:
        library = ctypes.CDLL(path)
        for name, types in _SIGNATURES.items():
            function = getattr(library, name)
            function.argtypes = types
            function.restype = ctypes.c_short
    except (OSError, AttributeError) as error:
        raise ConfigError(
            f"Aurea's library {path!r} cannot be used: {error}",
            hint="install the software that came with the device and name its OEM.so as library_path",
            path=path,
        ) from error
    return library


def list_devices(library: Any) -> list[str]:
    """Return the names of the devices that the library sees.

    Raises
    ------
    ConnectionLostError
        It cannot look for them.
    """
    names = (ctypes.c_char_p * MOST_DEVICES)()
    count = ctypes.c_short(0)
    code = library.CPC_listDevices(ctypes.cast(names, ctypes.POINTER(ctypes.c_char_p)), ctypes.pointer(count))
    if code:
        raise ConnectionLostError(
            f"Aurea's library cannot look for devices: code {code}",
            hint="check the USB cable and the rights on the device file",
        )
    return [(name or b"").decode("latin-1") for name in names[: max(0, min(count.value, MOST_DEVICES))]]


class AureaOEM(DriverMixin, Instrument):
    """A single-photon detector.

    Parameters
    ----------
    name
        Instrument name.
    address
        Part of the device's name in the library's list, such as its serial number; empty if there is only one.
    library
        The loaded library; otherwise it is loaded from ``library_path``.
    library_path
        File of the maker's library.

    Raises
    ------
    ConfigError
        The library cannot be loaded, or several devices fit the address.
    ConnectionLostError
        No such device is connected.
    """

    verified_on_hardware: ClassVar[str | None] = None

    def __init__(
        self,
        name: str,
        address: str = "",
        *,
        library: Any = None,
        library_path: str = "OEM.so",
        **kwargs: "Unpack[InstrumentBaseKWArgs]",
    ) -> None:
        super().__init__(name, **kwargs)
        self.lock = threading.RLock()
        self.address = address
        self._device: int | None = None
        try:
            self._library = library if library is not None else load_library(library_path)
            self._device = self._connect(address)
            self._version = self._text("CPC_getSystemVersion")
            shortest_us, longest_us = self._numbers("CPC_getDeadTimeRange", ctypes.c_double, ctypes.c_double)
            efficiencies = self._text("CPC_getEfficiencyRange")
        except BaseException:
            self.close()
            raise
        limits_s = (shortest_us * _MICRO, longest_us * _MICRO)
        self.capabilities = AureaCapabilities("SPD OEM", *limits_s, efficiencies)
        self._add_detection(Numbers(*limits_s))
        self._add_output()

    def _add_detection(self, dead_times: Numbers) -> None:
        self.efficiency: Parameter[float, Self] = self.add_parameter(
            "efficiency",
            label="Detection efficiency",
            unit="",
            get_cmd=lambda: self._short("CPC_getEfficiency") / 100.0,
            set_cmd=lambda share: self._set_short("Efficiency", round(share * 100.0)),
            vals=Numbers(0.0, 1.0),
        )
        """Efficiency it is set to; it offers some only, see ``capabilities.efficiencies``."""
        self.dead_time: Parameter[float, Self] = self.add_parameter(
            "dead_time",
            label="Dead time",
            unit="s",
            get_cmd=lambda: self._numbers("CPC_getDeadTime", ctypes.c_double)[0] * _MICRO,
            set_cmd=lambda seconds: self._call("CPC_setDeadTime", ctypes.c_double(seconds / _MICRO)),
            vals=dead_times,
        )
        """Time after a click in which it is blind."""
        self.detection_mode: Parameter[str, Self] = self._choice("detection_mode", "DetectionMode", DETECTION_MODES)
        """``free-running`` or ``gated``."""
        self.count_rate: Parameter[float, Self] = self.add_parameter(
            "count_rate", label="Count rate", unit="Hz", get_cmd=lambda: self._clock_and_counts()[1], set_cmd=False
        )
        """Clicks per second."""
        self.clock_rate: Parameter[float, Self] = self.add_parameter(
            "clock_rate", label="Clock rate", unit="Hz", get_cmd=lambda: self._clock_and_counts()[0], set_cmd=False
        )
        """Gates per second at its clock input."""
        self.temperature: Parameter[float, Self] = self.add_parameter(
            "temperature",
            label="Temperature of the body",
            unit="degC",
            get_cmd=lambda: self._numbers("CPC_getBodySocketTemp", ctypes.c_double)[0],
            set_cmd=False,
        )
        """Temperature of the body, not of the diode."""

    def _add_output(self) -> None:
        self.enabled: Parameter[bool, Self] = self.add_parameter(
            "enabled",
            label="Output",
            get_cmd=lambda: self._short("CPC_getOutputState") == OUTPUT_ON,
            set_cmd=lambda on: self._set_short("OutputState", OUTPUT_ON if on else OUTPUT_OFF),
            vals=Bool(),
        )
        """Whether clicks leave the device; the library has no switch for the bias."""
        self.output_format: Parameter[str, Self] = self._choice("output_format", "OutputFormat", OUTPUT_FORMATS)
        """``numeric``, ``analogue`` or ``nim``."""

    def _choice(self, name: str, function: str, codes: dict[str, int]) -> Parameter[Any, Any]:
        words = {code: word for word, code in codes.items()}

        def read() -> str:
            code = self._short(f"CPC_get{function}")
            if code not in words:
                raise self._reported(f"CPC_get{function}", f"value {code}, which is none of {codes}")
            return words[code]

        return self.add_parameter(
            name,
            label=name.replace("_", " ").capitalize(),
            get_cmd=read,
            set_cmd=lambda word: self._set_short(function, codes[word]),
            vals=Enum(*codes),
        )

    def _connect(self, address: str) -> int:
        names = list_devices(self._library)
        fitting = [index for index, device in enumerate(names) if address in device]
        if len(fitting) > 1:
            raise ConfigError(
                f"{self.name}: several devices fit {address!r}: {', '.join(names)}",
                hint="give more of the serial number as address",
            )
        if not fitting or self._library.CPC_openDevice(ctypes.c_short(fitting[0])):
            raise ConnectionLostError(
                f"{self.name}: no Aurea detector {address!r} can be opened; connected: {', '.join(names) or 'none'}",
                hint="check the USB cable, the rights on the device file, and that no other program holds it",
                device=self.name,
                address=address,
            )
        return fitting[0]

    def _reported(self, function: str, what: str) -> DeviceReportedError:
        return DeviceReportedError(
            f"{self.full_name}: {function} answers {what}",
            hint="see the range that the device names; if it was unplugged, open the instrument again",
            device=self.full_name,
            sent=function,
            seen=what,
        )

    def _call(self, name: str, *arguments: Any) -> None:
        with self.lock:
            if self._device is None:
                raise ConnectionLostError(f"{self.full_name} is closed; called {name}", hint="open it again")
            function: Callable[..., int] = getattr(self._library, name)
            code = function(ctypes.c_short(self._device), *arguments)
        if code:
            raise self._reported(name, f"code {code}")

    def _numbers(self, name: str, *kinds: Any) -> list[float]:
        values = [kind(0) for kind in kinds]
        self._call(name, *(ctypes.pointer(value) for value in values))
        return [value.value for value in values]

    def _short(self, name: str) -> int:
        return int(self._numbers(name, ctypes.c_short)[0])

    def _text(self, name: str) -> str:
        buffer = ctypes.create_string_buffer(_TEXT_BYTES)
        self._call(name, buffer)
        return buffer.value.decode("latin-1").strip()

    def _set_short(self, function: str, value: int) -> None:
        with self.lock:
            self._call(f"CPC_set{function}", ctypes.c_short(value))
            kept = self._short(f"CPC_get{function}")
        if kept != value:
            raise self._reported(f"CPC_set{function}({value})", f"success, but it keeps {kept}")

    def _clock_and_counts(self) -> tuple[float, float]:
        clock, counts = self._numbers("CPC_getCLKCountData", ctypes.c_ulong, ctypes.c_ulong)
        return float(clock), float(counts)

    def get_idn(self) -> dict[str, str | None]:
        """Return what the device says of itself."""
        part, serial, firmware, *_ = [*self._version.replace(",", "/").split("/"), "", ""]
        return {"vendor": "Aurea Technology", "model": part or "SPD OEM", "serial": serial, "firmware": firmware}

    def safe_state(self) -> None:
        """Turn the output off."""
        self.enabled(False)

    def close(self) -> None:
        """Close the device and forget the instrument."""
        device, self._device = getattr(self, "_device", None), None
        if device is not None:
            self._library.CPC_closeDevice(ctypes.c_short(device))
        super().close()
