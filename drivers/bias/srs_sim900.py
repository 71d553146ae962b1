"""Stanford Research Systems SIM900 mainframe: the way to the modules in its slots.

A module is an instrument of its own that names the mainframe and its port; what it says is tunnelled. Before a
question the port is read empty, and after a lost answer the module is first asked who it is, so that no stale answer
can be taken for the new one.

Sources: SNDT, NINP and RAWN as in SRS' SIM900 manual and QMI's driver for it. Unverified on a device.
"""

import re
import time
from typing import TYPE_CHECKING, Any, ClassVar

from qcodes.instrument import Instrument

from faintlink.core.errors import ConfigError, ConnectionLostError, DeviceReportedError
from faintlink.drivers.base import Capabilities, DriverMixin
from faintlink.drivers.scpi import ScpiInstrument
from faintlink.drivers.transport.step import Marker, Step

if TYPE_CHECKING:
    from qcodes.instrument import InstrumentBaseKWArgs
    from typing_extensions import Unpack

PORTS = range(1, 9)
"""Numbers of the ports to slots; the last one is a remote port."""
_POLL_S = 0.01


class SRSSIM900(ScpiInstrument):
    """The mainframe.

    Parameters
    ----------
    name
        Instrument name, by which its modules find it.
    address
        VISA resource name, such as ``GPIB0::2::INSTR``.

    Raises
    ------
    ConnectionLostError
        The device cannot be reached.
    UnsupportedFeatureError
        Another device answers.
    """

    verified_on_hardware: ClassVar[str | None] = None
    identity = r"SIM900"
    error_query = ""
    module_timeout_s: ClassVar[float] = 2.0
    """Longest wait for a module's answer."""

    def _identify(self) -> None:
        self.capabilities = Capabilities("SIM900")

    def tell_module(self, port: int, message: str) -> None:
        """Send a message, without terminator, to the module at a port."""
        self.write(f'SNDT {port},"{message}"')

    def ask_module(self, port: int, message: str) -> str:
        """Send a question to the module at a port and return its answer.

        Raises
        ------
        ConnectionLostError
            The module does not answer in time.
        """
        with self.lock:
            self._read_empty(port)
            self.tell_module(port, message)
            answer = self.receive_from(port, self.module_timeout_s)
        if not answer:
            raise ConnectionLostError(
                f"the module at port {port} of {self.full_name} does not answer; sent {message!r}",
                hint="check that a module is in that slot, and its number in the station file",
                device=self.full_name,
                sent=message,
            )
        return answer.strip()

    def receive_from(self, port: int, timeout_s: float) -> str:
        """Return what the module at a port says, waiting at most so long for its beginning; empty if nothing."""
        deadline = time.monotonic() + timeout_s
        while not (waiting := self._waiting(port)):
            if time.monotonic() > deadline:
                return ""
            time.sleep(_POLL_S)
        return self._read(port, waiting)

    def _waiting(self, port: int) -> int:
        answer = self.ask(f"NINP? {port}").strip()
        if not answer.isdigit():
            raise DeviceReportedError(
                f"{self.full_name}: NINP? {port} must answer a number, seen {answer!r}",
                hint="clear the device and ask again",
                device=self.full_name,
                seen=answer,
            )
        return int(answer)

    def _read(self, port: int, count: int) -> str:
        # A VISA read ends with each line, and what waits may be several.
        query = f"RAWN? {port},{count}"
        text = str(self.ask(query))
        while len(text) + 1 < count:
            text += "\n" + str(self._exchanged(self.visa_handle.read, query))
        return text

    def _read_empty(self, port: int) -> None:
        while waiting := self._waiting(port):
            self._read(port, waiting)

    def safe_state(self) -> None:
        """Do nothing: the modules have a safe state of their own."""


class Sim900Module(DriverMixin, Instrument):
    """A module in a slot of the mainframe.

    Parameters
    ----------
    name
        Instrument name.
    address
        Name of the mainframe, which must be opened first.
    port
        Number of the port, 1 to 8.

    Raises
    ------
    ConfigError
        There is no such mainframe, or no such port.
    """

    identity_query: ClassVar[str] = "*IDN?"
    """Harmless question whose answer does not change; the driver keeps it as ``idn_text``."""
    quiet_s: ClassVar[float] = 0.1
    """How long the module must be silent after a lost answer."""
    patience_s: ClassVar[float] = 3.0
    """How long to wait for that silence, and then for the answer to ``identity_query``."""
    late_s: ClassVar[float] = 1.0
    """Silence after which a lost answer to ``identity_query`` itself no longer counts as late."""

    def __init__(self, name: str, address: str, *, port: int, **kwargs: "Unpack[InstrumentBaseKWArgs]") -> None:
        super().__init__(name, **kwargs)
        self.port = port
        self.idn_text = ""
        self._step = Step(name, quiet_s=self.quiet_s, patience_s=self.patience_s, late_s=self.late_s)
        try:
            self.mainframe = self._find_mainframe(address)
            if port not in PORTS:
                raise ConfigError(f"{name}: a SIM900 has the ports 1 to 8, not {port}", hint="correct the station file")
        except BaseException:
            self.close()
            raise
        self.lock = self.mainframe.lock

    def _find_mainframe(self, address: str) -> SRSSIM900:
        if Instrument.exist(address) and isinstance(found := Instrument.find_instrument(address), SRSSIM900):
            return found
        raise ConfigError(
            f"{self.name} looks for a SIM900 mainframe named {address!r}, which is not there",
            hint="give the station an entry of type faintlink.drivers.bias.srs_sim900.SRSSIM900 above it",
        )

    def ask_raw(self, cmd: str) -> str:
        """Send a question and return the answer."""
        with self.lock:
            self._fall_into_step()
            with self._step.asking(cmd.encode("latin-1")):
                return self.mainframe.ask_module(self.port, cmd)

    def write_raw(self, cmd: str) -> None:
        """Send a command."""
        with self.lock:
            self._fall_into_step()
            self.mainframe.tell_module(self.port, cmd)

    def _fall_into_step(self) -> None:
        if not (self._step.is_lost and self.idn_text):
            return
        self._step.regain(
            lambda request: self.mainframe.tell_module(self.port, request.decode("latin-1")),
            lambda timeout_s: self.mainframe.receive_from(self.port, timeout_s).encode("latin-1"),
            Marker.of(self.identity_query.encode("latin-1"), re.escape(self.idn_text.strip().encode("latin-1"))),
        )

    def number(self, query: str) -> float:
        """Return the number that a question is answered with.

        Raises
        ------
        DeviceReportedError
            The answer is none.
        """
        answer = self.ask(query)
        # Some modules write a count as ``3.0``, others add a unit.
        match = re.match(r"\s*[-+]?\d+(\.\d*)?([eE][-+]?\d+)?", answer)
        if match is None:
            raise self.reported("the answer is no number", sent=query, seen=answer)
        return float(match.group())

    def reported(self, what: str, *, sent: str, seen: Any) -> DeviceReportedError:
        """Return the error for an answer that reports a fault, or is none that the module should give."""
        return DeviceReportedError(
            f"{self.full_name} at port {self.port}: {what}; sent {sent!r}, seen {seen!r}",
            hint="see the module's manual for its error; the setting may not have been taken",
            device=self.full_name,
            sent=sent,
            seen=seen,
        )
