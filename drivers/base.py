"""What all drivers share: a lock, an honest word on what was tried on hardware, capabilities, safe state.

`LinkInstrument` is for devices on a byte link (serial or TCP with their own framing), `ScpiInstrument` in
`faintlink.drivers.scpi` for those that speak SCPI over VISA. A driver translates between SI units and bytes; it holds
no physics, no simulation, and no thread unless it streams.
"""

import re
import threading
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from qcodes.instrument import Instrument

from faintlink.core.errors import ConfigError, DeviceReportedError, UnsupportedFeatureError
from faintlink.drivers.transport.link import ByteLink
from faintlink.drivers.transport.serial_link import SerialLink
from faintlink.drivers.transport.tcp_link import TcpLink

if TYPE_CHECKING:
    from qcodes.instrument import InstrumentBaseKWArgs
    from typing_extensions import Unpack


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a device can do; drivers extend it with their own figures."""

    model: str
    """Model, as the maker writes it."""


class DriverMixin:
    """The house rules of a driver, beside whatever QCoDeS class it is."""

    verified_on_hardware: ClassVar[str | None] = None
    """Who tried it on which device and when; None until somebody did."""
    capabilities: Capabilities
    """What this device can do."""
    lock: threading.RLock
    """Held for every exchange, so that threads do not cut each other's."""

    @abstractmethod
    def safe_state(self) -> None:
        """Bring the device into a state in which it may be left alone."""

    def _identify(self) -> None:
        """Learn who answers, set ``capabilities``, and refuse another device; bases call it once the way is open."""

    def _add_parameters(self) -> None:
        """Add the parameters; bases call it once the device is identified."""

    def _refuse_unless(self, expected: str, *, asked: str, answer: str) -> None:
        """Raise unless an answer contains a regular expression, in whatever case.

        Raises
        ------
        UnsupportedFeatureError
            Another device answers.
        """
        if not re.search(expected, answer, re.IGNORECASE):
            raise UnsupportedFeatureError(
                f"{getattr(self, 'name', '')} at {getattr(self, 'address', '')} answers {asked} with {answer!r}, "
                f"expected {expected!r}",
                hint="check the address in the station file; this driver is for another device",
                seen=answer,
            )


class LinkInstrument(DriverMixin, Instrument):
    """An instrument on a byte link.

    A driver fills in ``_identify`` and ``_add_parameters``; it needs a constructor only for arguments of its own, which
    it keeps before it calls this one.

    Parameters
    ----------
    name
        Instrument name.
    address
        Serial port (``/dev/ttyUSB0``, ``COM3``, ``ASRL/dev/ttyUSB0::INSTR``) or ``tcp://host:port``.
    link
        An open link to use instead of opening ``address``.

    Raises
    ------
    ConnectionLostError
        The device cannot be reached.
    """

    default_baud: ClassVar[int] = 9600
    default_rtscts: ClassVar[bool] = False
    default_timeout_s: ClassVar[float] = 2.0

    def __init__(
        self, name: str, address: str, *, link: ByteLink | None = None, **kwargs: "Unpack[InstrumentBaseKWArgs]"
    ) -> None:
        super().__init__(name, **kwargs)
        self.lock = threading.RLock()
        self.address = address
        try:
            self.link = link or self._open(address)
            self._identify()
            self._add_parameters()
        except BaseException:
            self.close()
            raise

    def _open(self, address: str) -> ByteLink:
        if address.startswith("tcp://"):
            host, _, port = address.removeprefix("tcp://").rpartition(":")
            if not (host and port.isdigit()):
                raise ConfigError(f"{self.name}: {address!r} is no address", hint="write tcp://host:port")
            return TcpLink(host, int(port), timeout_s=self.default_timeout_s)
        visa = re.fullmatch(r"ASRL(.+)::INSTR", address)
        port_name = visa.group(1) if visa else address
        return SerialLink(
            port_name, baud=self.default_baud, rtscts=self.default_rtscts, timeout_s=self.default_timeout_s
        )

    def reported(self, what: str, *, sent: bytes | str, seen: bytes | str, hint: str = "") -> DeviceReportedError:
        """Return the error for an answer that reports a fault, or is none that the device should give."""
        return DeviceReportedError(
            f"{self.full_name}: {what}; sent {sent!r}, seen {seen!r}",
            hint=hint or "see the device's manual for its error; the setting may not have been taken",
            device=self.full_name,
            address=self.address,
            sent=sent,
            seen=seen,
        )

    def close(self) -> None:
        """Close the link and forget the instrument."""
        link = getattr(self, "link", None)
        if link is not None:
            link.close()
        super().close()
