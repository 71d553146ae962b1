"""OZ Optics DD-100-MC digital attenuator, over a serial port.

Fills the role Attenuator. An answer is some lines and ends with ``Done`` and an empty line. After a setting the
driver asks where the attenuator really went. The device does not name itself: what answers in this form is taken for
one.

Sources: command letters and framing from an open driver of others (QMI, TU Delft), not from a manual; not tried on a
device. The range depends on the calibration of each unit and is therefore an argument.
"""

import re
from typing import TYPE_CHECKING, ClassVar, Self

from qcodes.parameters import Parameter
from qcodes.validators import Numbers

from faintlink.drivers.base import Capabilities
from faintlink.drivers.dialogue import DialogueInstrument
from faintlink.drivers.transport.link import ByteLink
from faintlink.drivers.transport.step import Marker

if TYPE_CHECKING:
    from qcodes.instrument import InstrumentBaseKWArgs
    from typing_extensions import Unpack

_END = b"Done\r\n\r\n"
_HOMING_S = 30.0
_ARRIVED_DB = 0.1


def parse_display(lines: list[str]) -> tuple[int, float]:
    """Return motor steps and attenuation in dB from the lines of the answer to ``D``.

    Raises
    ------
    ValueError
        They are not of that form.
    """
    match = re.fullmatch(r"DPos:\s*(-?\d+)\nATTEN:\s*(-?\d+(?:\.\d+)?)", "\n".join(lines))
    if match is None:
        raise ValueError(f"expected DPos and ATTEN, got {lines}")
    return int(match[1]), float(match[2])


class OZOpticsDD100(DialogueInstrument):
    """A motor-driven attenuator.

    Parameters
    ----------
    name
        Instrument name.
    address
        Serial port, or ``tcp://host:port``.
    greatest_attenuation
        Upper end of the unit's calibrated range in dB.
    link
        An open link to use instead of opening ``address``.

    Raises
    ------
    ConnectionLostError
        The device cannot be reached, or another one does not answer in this form.
    DeviceReportedError
        Another device answers.
    """

    verified_on_hardware: ClassVar[str | None] = None
    marker: Marker | None = Marker.of(b"D\r", rb"DPos:.*?Done\r\n\r\n")
    default_timeout_s: ClassVar[float] = 5.0

    def __init__(
        self,
        name: str,
        address: str,
        *,
        greatest_attenuation: float = 60.0,
        link: ByteLink | None = None,
        **kwargs: "Unpack[InstrumentBaseKWArgs]",
    ) -> None:
        self._greatest_db = greatest_attenuation
        super().__init__(name, address, link=link, **kwargs)

    def _identify(self) -> None:
        self.capabilities = Capabilities("DD-100-MC")
        self._display()

    def _add_parameters(self) -> None:
        self.attenuation: Parameter[float, Self] = self.add_parameter(
            "attenuation",
            label="Attenuation",
            unit="dB",
            get_cmd=lambda: self._display()[1],
            set_cmd=self._set_attenuation,
            vals=Numbers(0.0, self._greatest_db),
        )
        """Attenuation that the device realizes, positive is loss."""
        self.steps: Parameter[int, Self] = self.add_parameter(
            "steps", label="Motor position", get_cmd=lambda: self._display()[0], set_cmd=False
        )
        """Position of the motor in steps from home."""

    def ask_raw(self, cmd: str) -> str:
        """Return the lines of an answer, joined by line feeds."""
        return "\n".join(self._lines(cmd, self.link.timeout_s))

    def _lines(self, command: str, timeout_s: float) -> list[str]:
        request = command.encode("ascii") + b"\r"
        answer = self.exchange(request, lambda: self.link.read_until(_END, timeout_s=timeout_s))
        try:
            text = answer.removesuffix(_END).decode("ascii")
        except UnicodeDecodeError as error:
            raise self.garbled("no text", sent=request, seen=answer) from error
        return [line.strip() for line in text.split("\r\n") if line.strip()]

    def _display(self) -> tuple[int, float]:
        lines = self._lines("D", self.link.timeout_s)
        try:
            return parse_display(lines)
        except ValueError as error:
            raise self.garbled("no position", sent="D", seen=repr(lines)) from error

    def _set_attenuation(self, attenuation_db: float) -> None:
        command = f"A{attenuation_db:.2f}"
        with self.lock:
            lines = self._lines(command, self.link.timeout_s)
            if not (lines and re.fullmatch(r"Pos:\s*-?\d+", lines[-1])):
                raise self.garbled("no position reached", sent=command, seen=repr(lines))
            self.remember("attenuation", attenuation_db, lambda: self._display()[1], tolerance=_ARRIVED_DB)

    def home(self) -> None:
        """Find the motor's reference; takes up to half a minute and changes the attenuation."""
        with self.lock:
            self.forget_settings()
            self._lines("H", _HOMING_S)

    def configuration(self) -> list[str]:
        """Return the lines in which the device shows its configuration."""
        return self._lines("CD", self.link.timeout_s)

    def get_idn(self) -> dict[str, str | None]:
        """Return what the driver takes it for; the device does not say."""
        return {"vendor": "OZ Optics", "model": self.capabilities.model, "serial": None, "firmware": None}

    def safe_state(self) -> None:
        """Block as much light as it can."""
        self.forget_settings()
        self.attenuation(self._greatest_db)
