"""The base of drivers that speak SCPI over VISA: identification, error queue, lock, our errors.

After each setting the device's error queue is read, so that a refused value raises where it was set. Any VISA backend
will do; the default is pyvisa-py.

Sources: IEEE 488.2-1992 (*IDN?, *CLS), SCPI-1999 volume 2 chapter 21 (SYSTem:ERRor).
"""

import re
import threading
from typing import TYPE_CHECKING, Any, ClassVar

import pyvisa
from qcodes.instrument import VisaInstrument

from faintlink.core.errors import ConnectionLostError, DeviceReportedError, UnsupportedFeatureError
from faintlink.drivers.base import DriverMixin

if TYPE_CHECKING:
    from qcodes.instrument import VisaInstrumentKWArgs
    from typing_extensions import Unpack

_NO_ERROR = re.compile(r"^\s*[+-]?0\b")


class ScpiInstrument(DriverMixin, VisaInstrument):
    """An SCPI instrument.

    Parameters
    ----------
    name
        Instrument name.
    address
        VISA resource name, such as ``TCPIP::10.0.0.5::5025::SOCKET`` or ``GPIB0::20::INSTR``.

    Raises
    ------
    ConnectionLostError
        The device cannot be reached.
    UnsupportedFeatureError
        Another device answers.
    """

    default_terminator = "\n"
    default_timeout = 3.0
    identity: ClassVar[str] = ""
    """Regular expression that the answer to ``*IDN?`` must contain; empty accepts any."""
    error_query: ClassVar[str] = "SYST:ERR?"
    """Query of the error queue; empty when the device has none."""

    def __init__(self, name: str, address: str | None = None, **kwargs: "Unpack[VisaInstrumentKWArgs]") -> None:
        self.lock = threading.RLock()
        if "visalib" not in kwargs and "resource" not in kwargs and "pyvisa_sim_file" not in kwargs:
            kwargs["visalib"] = "@py"
        # pyvisa-py's clear of a socket only waits; what is stale there is read away by the identification.
        kwargs.setdefault("device_clear", False)
        try:
            super().__init__(name, address, **kwargs)
        except (pyvisa.errors.VisaIOError, OSError, ValueError) as error:
            raise ConnectionLostError(
                f"{name} at {address} cannot be opened: {error}",
                hint="check address, network and power; many instruments serve one client at a time",
                device=name,
                address=address,
            ) from error
        try:
            self.idn_text = self.check_identity()
        except BaseException:
            self.close()
            raise

    def check_identity(self) -> str:
        """Return the answer to ``*IDN?``, if it is that of this kind of device.

        Raises
        ------
        UnsupportedFeatureError
            Another device answers.
        """
        answer = self.ask("*IDN?").strip()
        if self.identity and not re.search(self.identity, answer, re.IGNORECASE):
            raise UnsupportedFeatureError(
                f"{self.name} at {self.address} answers *IDN? with {answer!r}, expected {self.identity!r}",
                hint="check the address in the station file; this driver is for another device",
                seen=answer,
            )
        return answer

    def ask_raw(self, cmd: str) -> str:
        """Send a query and return its answer."""
        with self.lock:
            return str(self._exchanged(lambda: super(ScpiInstrument, self).ask_raw(cmd), cmd))

    def write_raw(self, cmd: str) -> None:
        """Send a command and raise what the device's error queue says of it."""
        with self.lock:
            self._exchanged(lambda: super(ScpiInstrument, self).write_raw(cmd), cmd)
            if self.error_query:
                self._raise_reported(cmd)

    def _raise_reported(self, cmd: str) -> None:
        error = self.ask_raw(self.error_query).strip()
        if not _NO_ERROR.match(error):
            raise DeviceReportedError(
                f"{self.full_name} reports {error!r} after {cmd!r}",
                hint="the setting was not taken; see the device's manual for the error number",
                device=self.full_name,
                sent=cmd,
                seen=error,
            )

    def _exchanged(self, exchange: Any, cmd: str) -> Any:
        try:
            return exchange()
        except (pyvisa.errors.VisaIOError, pyvisa.errors.InvalidSession, OSError, UnicodeDecodeError) as error:
            raise ConnectionLostError(
                f"{self.full_name} does not answer: {error}; sent {cmd!r}",
                hint="check cable, network and power; then open the instrument again",
                device=self.full_name,
                sent=cmd,
            ) from error
