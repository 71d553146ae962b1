"""Agiltron fast fibre-optic switches of the FF series (1x4, 1x8), over a serial port.

Fills the role OpticalSwitch. Request and answer are four bytes: 01, what is asked, 00, the channel. The device does
not name itself: what answers in this form is taken for one, and the number of outputs is an argument.

Sources: bytes from an open driver of others (QMI, TU Delft), which names Agiltron's "Command List for CL-LB Switch
Driver"; that list was not read, and this driver was not tried on a device.
"""

from typing import TYPE_CHECKING, ClassVar, Self

from qcodes.parameters import Parameter
from qcodes.validators import Ints

from faintlink.core.errors import ConfigError
from faintlink.drivers.base import Capabilities
from faintlink.drivers.dialogue import DialogueInstrument
from faintlink.drivers.transport.link import ByteLink
from faintlink.drivers.transport.step import Marker

if TYPE_CHECKING:
    from qcodes.instrument import InstrumentBaseKWArgs
    from typing_extensions import Unpack

_SIZE = 4
_GET, _SET = 0x11, 0x12


def encode_get() -> bytes:
    """Return the request for the connected channel."""
    return bytes([0x01, _GET, 0x00, 0x00])


def encode_set(channel: int) -> bytes:
    """Return the request to connect a channel, counted from 1."""
    return bytes([0x01, _SET, 0x00, channel])


def parse_channel(request: bytes, answer: bytes) -> int:
    """Return the channel in an answer.

    Raises
    ------
    ValueError
        It does not answer this request.
    """
    if len(answer) != _SIZE or answer[:3] != request[:3]:
        raise ValueError(f"expected {request[:3].hex(' ')} and a channel, got {answer.hex(' ')}")
    return answer[3]


class AgiltronFF(DialogueInstrument):
    """A switch of one fibre to several.

    Parameters
    ----------
    name
        Instrument name.
    address
        Serial port, or ``tcp://host:port``.
    outputs
        Number of outputs, 2 to 255.
    link
        An open link to use instead of opening ``address``.

    Raises
    ------
    ConfigError
        The number of outputs is impossible.
    ConnectionLostError
        The device cannot be reached.
    DeviceReportedError
        Another device answers.
    """

    verified_on_hardware: ClassVar[str | None] = None
    marker: Marker | None = Marker.of(encode_get(), rb"\x01\x11\x00.")
    default_timeout_s: ClassVar[float] = 0.5

    def __init__(
        self,
        name: str,
        address: str,
        *,
        outputs: int = 4,
        link: ByteLink | None = None,
        **kwargs: "Unpack[InstrumentBaseKWArgs]",
    ) -> None:
        if not 2 <= outputs <= 255:
            raise ConfigError(f"{name}: a switch has 2 to 255 outputs, got {outputs}")
        self._outputs = outputs
        super().__init__(name, address, link=link, **kwargs)

    def _identify(self) -> None:
        self.capabilities = Capabilities(f"FF 1x{self._outputs}")
        self._connected()

    def _add_parameters(self) -> None:
        self.position: Parameter[int, Self] = self.add_parameter(
            "position", label="Position", get_cmd=self._connected, set_cmd=self._connect, vals=Ints(1, self._outputs)
        )
        """Connected output, from 1."""

    def _ask(self, request: bytes) -> int:
        answer = self.exchange(request, lambda: self.link.read_exact(_SIZE))
        try:
            return parse_channel(request, answer)
        except ValueError as error:
            raise self.garbled("not an answer to this", sent=request, seen=answer) from error

    def _connected(self) -> int:
        channel = self._ask(encode_get())
        if not 1 <= channel <= self._outputs:
            raise self.garbled(f"no output from 1 to {self._outputs}", sent=encode_get(), seen=str(channel))
        return channel

    def _connect(self, position: int) -> None:
        with self.lock:
            echo = self._ask(encode_set(position))
            if echo != position:
                raise self.garbled("another output in the echo", sent=encode_set(position), seen=str(echo))
            self.remember("position", position, self._connected)

    def get_idn(self) -> dict[str, str | None]:
        """Return what the driver takes it for; the device does not say."""
        return {"vendor": "Agiltron", "model": self.capabilities.model, "serial": None, "firmware": None}

    def safe_state(self) -> None:
        """Do nothing: no position of a switch is safer than another."""
