"""Thorlabs OSW...E optical switches, over a serial port.

Fills the role OpticalSwitch. A setting has no answer, so the driver asks for the position until the switch is there.

Sources: commands, baud rate and handshake from an open driver of others (PnPQ), which tried an OSW22-1310E; this
driver was not tried on a device.
"""

import time
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

_POLL_S = 0.05


class ThorlabsOSW(DialogueInstrument):
    """A switch of two or more positions; 1 is bar and 2 is cross in a 2x2 switch.

    Parameters
    ----------
    name
        Instrument name.
    address
        Serial port, or ``tcp://host:port``.
    positions
        Number of positions.
    link
        An open link to use instead of opening ``address``.

    Raises
    ------
    ConfigError
        Fewer than two positions.
    ConnectionLostError
        The device cannot be reached.
    UnsupportedFeatureError
        Another device answers.
    """

    verified_on_hardware: ClassVar[str | None] = None
    marker: Marker | None = Marker.of(b"I?\n", rb"OSW[^\r]*\r\n")
    default_baud: ClassVar[int] = 115200
    default_rtscts: ClassVar[bool] = True
    switching_s: ClassVar[float] = 3.0
    """Longest time for switching."""

    def __init__(
        self,
        name: str,
        address: str,
        *,
        positions: int = 2,
        link: ByteLink | None = None,
        **kwargs: "Unpack[InstrumentBaseKWArgs]",
    ) -> None:
        if positions < 2:
            raise ConfigError(f"{name}: a switch has two positions or more, got {positions}")
        self._positions = positions
        super().__init__(name, address, link=link, **kwargs)

    def _add_parameters(self) -> None:
        self.position: Parameter[int, Self] = self.add_parameter(
            "position", label="Position", get_cmd=self._position, set_cmd=self._switch, vals=Ints(1, self._positions)
        )
        """Connected position, from 1."""

    def _identify(self) -> None:
        self._board = self.ask_raw("I?")
        self._refuse_unless("OSW", asked="I?", answer=self._board)
        self._type_code = self.ask_raw("T?")
        self.capabilities = Capabilities(self._board)

    def ask_raw(self, cmd: str) -> str:
        """Return the line that answers a query."""
        request = cmd.encode("ascii") + b"\n"
        answer = self.exchange(request, lambda: self.link.read_until(b"\r\n"))
        try:
            return answer.decode("ascii").strip()
        except UnicodeDecodeError as error:
            raise self.garbled("no text", sent=request, seen=answer) from error

    def _position(self) -> int:
        text = self.ask_raw("S?")
        if not (text.isdigit() and 1 <= int(text) <= self._positions):
            raise self.garbled(f"no position from 1 to {self._positions}", sent="S?", seen=text)
        return int(text)

    def _switch(self, position: int) -> None:
        with self.lock:
            self.exchange(f"S {position}\n".encode("ascii"), lambda: b"")
            deadline = time.monotonic() + self.switching_s
            while self._position() != position and time.monotonic() < deadline:
                time.sleep(_POLL_S)
            self.remember("position", position, self._position)

    def get_idn(self) -> dict[str, str | None]:
        """Return what the switch says it is."""
        return {"vendor": "Thorlabs", "model": self._board, "serial": None, "firmware": self._type_code}

    def safe_state(self) -> None:
        """Do nothing: no position of a switch is safer than another."""
