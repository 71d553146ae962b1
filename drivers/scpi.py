"""The base of drivers that speak SCPI over VISA: identification, error queue, lock, falling into step, our errors.

After each setting the device's error queue is read, so that a refused value raises where it was set. After a lost
answer, and before the next question, what is stale is thrown away: by a device clear where the interface has one, and
by waiting for the known answer to ``*IDN?``. Any VISA backend will do; the default is pyvisa-py.

Sources: IEEE 488.2-1992 (*IDN?, *CLS; section 5.8 device clear), SCPI-1999 volume 2 chapter 21 (SYSTem:ERRor).
"""

import logging
import re
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, TypeVar

import pyvisa
from pyvisa.constants import InterfaceType, StatusCode
from qcodes.instrument import VisaInstrument

from faintlink.core.errors import ConnectionLostError, DeviceReportedError
from faintlink.drivers.base import DriverMixin
from faintlink.drivers.transport.step import Marker, Step

if TYPE_CHECKING:
    from qcodes.instrument import VisaInstrumentKWArgs
    from typing_extensions import Unpack

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")
_NO_ERROR = re.compile(r"^\s*[+-]?0\b")
_LONGEST_QUEUE = 100
_FAILURES = (pyvisa.errors.VisaIOError, pyvisa.errors.InvalidSession, OSError, UnicodeDecodeError)


class ScpiInstrument(DriverMixin, VisaInstrument):
    """An SCPI instrument.

    A driver fills in ``_identify``, after ``*IDN?`` was answered, and ``_add_parameters``; it needs no constructor.

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
    quiet_s: ClassVar[float] = 0.1
    """How long a socket or serial line must be silent after a lost answer."""
    patience_s: ClassVar[float] = 3.0
    """How long to wait for that silence, and then for the answer to ``*IDN?``."""
    late_s: ClassVar[float] = 1.0
    """Silence after which a lost answer to ``*IDN?`` itself no longer counts as late."""

    def __init__(self, name: str, address: str | None = None, **kwargs: "Unpack[VisaInstrumentKWArgs]") -> None:
        self.lock = threading.RLock()
        self._step = Step(name, quiet_s=self.quiet_s, patience_s=self.patience_s, late_s=self.late_s)
        self.idn_text = ""
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
            self._identify()
            self._add_parameters()
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
        self._refuse_unless(self.identity, asked="*IDN?", answer=answer)
        return answer

    def ask_raw(self, cmd: str) -> str:
        """Send a query and return its answer."""
        with self.lock:
            self._fall_into_step()
            return self._exchanged(lambda: super(ScpiInstrument, self).ask_raw(cmd), cmd)

    def write_raw(self, cmd: str) -> None:
        """Send a command and raise what the device's error queue says of it."""
        with self.lock:
            self._fall_into_step()
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

    def _exchanged(self, exchange: Callable[[], Answer], cmd: str) -> Answer:
        """Return what an exchange gives; whatever else ends it leaves the conversation out of step."""
        try:
            with self._step.asking(self._encoded(cmd)):
                return exchange()
        except _FAILURES as error:
            raise self._lost(error, cmd) from error

    def _lost(self, error: Exception, cmd: str) -> ConnectionLostError:
        return ConnectionLostError(
            f"{self.full_name} does not answer: {error}; sent {cmd!r}",
            hint="check cable, network and power; if it goes on, open the instrument again",
            device=self.full_name,
            sent=cmd,
        )

    def _encoded(self, cmd: str) -> bytes:
        return (cmd + str(self.visa_handle.write_termination or "")).encode("latin-1")

    def _fall_into_step(self) -> None:
        if not (self._step.is_lost and self.idn_text):
            return
        marker = Marker.of(self._encoded("*IDN?"), re.escape(self.idn_text.encode("latin-1")))
        handle, patience = self.visa_handle, self.visa_handle.timeout
        try:
            if is_cleared := self._has_device_clear():
                handle.clear()
                self._step.forget()
            # A cleared device must not be read before it is asked: it would report an unterminated query.
            self._step.regain(handle.write_raw, self._receive, marker, waits_for_silence=not is_cleared)
        except _FAILURES as error:
            self._step.lose()
            raise self._lost(error, "*IDN?") from error
        finally:
            handle.timeout = patience
        self._forget_errors()

    def _has_device_clear(self) -> bool:
        """Return whether the interface can empty the device's buffers; pyvisa-py never ends clearing a dead socket."""
        handle = self.visa_handle
        return handle.resource_class != "SOCKET" and handle.interface_type != InterfaceType.asrl

    def _receive(self, timeout_s: float) -> bytes:
        """Return what came up to an end of line, waiting at most so long; empty if none came."""
        self.visa_handle.timeout = max(1.0, timeout_s * 1e3)
        try:
            return self.visa_handle.read_raw()
        except pyvisa.errors.VisaIOError as error:
            if error.error_code != StatusCode.error_timeout:
                raise
            return b""

    def _forget_errors(self) -> None:
        """Read the error queue empty: what it holds belongs to commands before the lost answer."""
        for _ in range(_LONGEST_QUEUE if self.error_query else 0):
            error = self._exchanged(lambda: super(ScpiInstrument, self).ask_raw(self.error_query), self.error_query)
            if _NO_ERROR.match(error):
                return
            logger.warning("%s reported before a lost answer: %s", self.full_name, error.strip())
