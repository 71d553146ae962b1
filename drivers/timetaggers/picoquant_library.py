"""Calls into PicoQuant's device libraries by ctypes: signatures, loading, and return codes as our errors.

Used by the MultiHarp and HydraHarp drivers. The library belongs to the device's maker and is not part of this
package; it is loaded when an instrument is opened and not before. Instead of a library, any object with functions of
the same names and arguments will do.

Sources: mhlib.h of MHLib 3.1 and hhlib.h of HHLib 3.0 (names and argument types); return codes below zero are errors
and explain themselves through ``GetErrorString``.
"""

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from faintlink.core.errors import ConnectionLostError, DeviceReportedError, HardwareError

Signature: TypeAlias = tuple[Any, ...]

_INT = ctypes.c_int
_TEXT = ctypes.c_char_p
_INT_OUT = ctypes.POINTER(ctypes.c_int)
_DOUBLE_OUT = ctypes.POINTER(ctypes.c_double)
_RECORDS = ctypes.POINTER(ctypes.c_uint)

_COMMON: dict[str, Signature] = {
    "GetLibraryVersion": (_TEXT,),
    "GetErrorString": (_TEXT, _INT),
    "OpenDevice": (_INT, _TEXT),
    "CloseDevice": (_INT,),
    "Initialize": (_INT, _INT, _INT),
    "GetHardwareInfo": (_INT, _TEXT, _TEXT, _TEXT),
    "GetSerialNumber": (_INT, _TEXT),
    "GetBaseResolution": (_INT, _DOUBLE_OUT, _INT_OUT),
    "GetNumOfInputChannels": (_INT, _INT_OUT),
    "SetSyncDiv": (_INT, _INT),
    "SetSyncChannelOffset": (_INT, _INT),
    "SetInputChannelOffset": (_INT, _INT, _INT),
    "SetInputChannelEnable": (_INT, _INT, _INT),
    "GetSyncRate": (_INT, _INT_OUT),
    "GetCountRate": (_INT, _INT, _INT_OUT),
    "GetFlags": (_INT, _INT_OUT),
    "StartMeas": (_INT, _INT),
    "StopMeas": (_INT,),
    "CTCStatus": (_INT, _INT_OUT),
}
MULTIHARP_SIGNATURES: Mapping[str, Signature] = _COMMON | {
    "SetSyncEdgeTrg": (_INT, _INT, _INT),
    "SetInputEdgeTrg": (_INT, _INT, _INT, _INT),
    "SetInputDeadTime": (_INT, _INT, _INT, _INT),
    "ReadFiFo": (_INT, _RECORDS, _INT_OUT),
}
"""Functions of mhlib without their prefix ``MH_``; all return int."""
HYDRAHARP_SIGNATURES: Mapping[str, Signature] = _COMMON | {
    "SetSyncCFD": (_INT, _INT, _INT),
    "SetInputCFD": (_INT, _INT, _INT, _INT),
    "ReadFiFo": (_INT, _RECORDS, _INT, _INT_OUT),
}
"""Functions of hhlib without their prefix ``HH_``; all return int."""

_TEXT_BYTES = 64


def load_library(names: Sequence[str]) -> ctypes.CDLL:
    """Return the first library that can be loaded.

    Raises
    ------
    HardwareError
        None can.
    """
    reasons = []
    for name in names:
        try:
            return ctypes.CDLL(name)
        except OSError as error:
            reasons.append(f"{name}: {error}")
    raise HardwareError(
        f"no PicoQuant library could be loaded; tried {'; '.join(reasons)}",
        hint="install the device's library from its maker, or give its path as `library`",
    )


class PicoQuantLibrary:
    """A loaded library with checked calls.

    Parameters
    ----------
    functions
        The library, or an object with the same functions.
    prefix
        ``MH_`` or ``HH_``.
    signatures
        Its functions.
    """

    def __init__(self, functions: Any, prefix: str, signatures: Mapping[str, Signature]) -> None:
        self._functions = {name: getattr(functions, prefix + name) for name in signatures}
        self._prefix = prefix
        if isinstance(functions, ctypes.CDLL):
            for name, arguments in signatures.items():
                self._functions[name].argtypes = arguments
                self._functions[name].restype = ctypes.c_int

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function.

        Raises
        ------
        ConnectionLostError
            The device can no longer be read from, or not be opened.
        DeviceReportedError
            The library reports another error.
        """
        code = int(self._functions[name](*arguments))
        if code >= 0:
            return
        is_lost = name in ("OpenDevice", "ReadFiFo", "GetFlags", "CTCStatus")
        kind = ConnectionLostError if is_lost else DeviceReportedError
        raise kind(
            f"{self._prefix}{name} returned {code}: {self.error_text(code)}",
            hint="check cable and power, and that no other program holds the device; then open it again"
            if is_lost
            else "see the library's manual for the limits of this setting",
            sent=name,
            seen=code,
        )

    def error_text(self, code: int) -> str:
        """Return the library's own words for a return code."""
        text = ctypes.create_string_buffer(_TEXT_BYTES)
        self._functions["GetErrorString"](text, code)
        return text.value.decode("latin-1")

    def texts(self, name: str, *arguments: Any, count: int = 1) -> tuple[str, ...]:
        """Return the strings that a function gives in its last ``count`` arguments."""
        buffers = [ctypes.create_string_buffer(_TEXT_BYTES) for _ in range(count)]
        self.call(name, *arguments, *buffers)
        return tuple(buffer.value.decode("latin-1") for buffer in buffers)

    def integer(self, name: str, *arguments: Any) -> int:
        """Return the integer that a function gives in its last argument."""
        value = ctypes.c_int(0)
        self.call(name, *arguments, ctypes.pointer(value))
        return value.value
