"""OZ Optics electric polarization controller and scrambler with four fibre squeezers, over a serial port.

The device knows voltages, one for each squeezer, between -5 and 5 V. A squeezer is a retarder: its axis is fixed and
its retardance grows with the voltage. So it has no angle of a paddle; what it has in degrees is the retardance. With
the half-wave voltage of the squeezers, which the laboratory measures, the driver offers the retardances as ``angles``
and so fills the role PolarizationController. Without it there are voltages only, and the role is refused.

Sources: commands and the forms of answers from an open driver of others (QMI, TU Delft), not from a manual; not tried
on a device. The retardance is taken as proportional to the voltage; hysteresis and drift are left to whoever searches.
"""

import re
from collections.abc import Callable
from collections.abc import Sequence as Series
from typing import TYPE_CHECKING, ClassVar, Self

from qcodes.instrument import ChannelList, InstrumentChannel
from qcodes.parameters import Parameter
from qcodes.validators import Enum, Ints, Numbers, Sequence

from faintlink.core.errors import InterlockError
from faintlink.drivers.base import Capabilities, DriverMixin
from faintlink.drivers.dialogue import DialogueInstrument
from faintlink.drivers.transport.link import ByteLink
from faintlink.drivers.transport.step import Marker

if TYPE_CHECKING:
    from qcodes.instrument import InstrumentBaseKWArgs
    from typing_extensions import Unpack

SQUEEZERS = 4
GREATEST_V = 5.0
_END = b"Done\r\n"
_STEP_V = 1e-3


def parse_channels(text: str) -> tuple[int, ...]:
    """Return the numbers of the four channels from an answer to ``V?`` (mV) or ``F?`` (Hz).

    Raises
    ------
    ValueError
        It does not name four channels in order.
    """
    found = re.findall(r"CH(\d)\s*([+-]?\d+)", text)
    if [channel for channel, _ in found] != ["1", "2", "3", "4"]:
        raise ValueError(f"expected CH1 to CH4, got {text!r}")
    return tuple(int(number) for _, number in found)


class OZOpticsEPCChannel(DriverMixin, InstrumentChannel["OZOpticsEPC"]):
    """One squeezer.

    Parameters
    ----------
    parent, name
        The box, and the channel's name in it.
    number
        1 to 4.
    """

    def __init__(self, parent: "OZOpticsEPC", name: str, number: int) -> None:
        super().__init__(parent, name)
        self.lock = parent.lock
        self.capabilities = parent.capabilities
        self.voltage: Parameter[float, Self] = self.add_parameter(
            "voltage",
            label=f"Squeezer {number}",
            unit="V",
            get_cmd=lambda: parent.read_channels("V?")[number - 1] * _STEP_V,
            set_cmd=lambda volts: parent.set_channel(number, volts),
            vals=Numbers(-GREATEST_V, GREATEST_V),
        )
        """Voltage in direct-voltage mode, in steps of 1 mV."""
        self.scrambling_frequency: Parameter[int, Self] = self.add_parameter(
            "scrambling_frequency",
            label=f"Scrambling frequency {number}",
            unit="Hz",
            get_cmd=lambda: parent.read_channels("F?")[number - 1],
            set_cmd=lambda frequency_hz: parent.set_frequency(number, frequency_hz),
            vals=Ints(0, 100),
        )
        """Frequency in scrambling mode."""

    def safe_state(self) -> None:
        """Take the voltage off."""
        self.voltage(0.0)


class OZOpticsEPC(DialogueInstrument):
    """A driver of four fibre squeezers.

    Parameters
    ----------
    name
        Instrument name.
    address
        Serial port, or ``tcp://host:port``.
    half_wave_voltage
        Voltage in V that adds half a wave of retardance, measured at the wavelength used. With it there is the
        parameter ``angles``.
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
    marker: Marker | None = Marker.of(b"V?\r\n", rb"Voltage[^\r]*\r\nDone\r\n")

    def __init__(
        self,
        name: str,
        address: str,
        *,
        half_wave_voltage: float | None = None,
        link: ByteLink | None = None,
        **kwargs: "Unpack[InstrumentBaseKWArgs]",
    ) -> None:
        self._half_wave_v = half_wave_voltage
        super().__init__(name, address, link=link, **kwargs)

    def _identify(self) -> None:
        self.capabilities = Capabilities("EPC")
        self.read_channels("V?")

    def _add_parameters(self) -> None:
        channels = [OZOpticsEPCChannel(self, f"ch{number}", number) for number in range(1, SQUEEZERS + 1)]
        for channel in channels:
            self.add_submodule(channel.short_name, channel)
        self.channels = self.add_submodule(
            "channels", ChannelList(self, "channels", OZOpticsEPCChannel, channels).to_channel_tuple()
        )
        self._add_modes()
        if self._half_wave_v is not None:
            self._add_angles(self._half_wave_v)

    def _add_modes(self) -> None:
        self.voltages: Parameter[tuple[float, ...], Self] = self.add_parameter(
            "voltages",
            label="Squeezers",
            unit="V",
            get_cmd=lambda: tuple(value * _STEP_V for value in self.read_channels("V?")),
            set_cmd=self._set_all,
            vals=Sequence(Numbers(-GREATEST_V, GREATEST_V), length=SQUEEZERS),
        )
        """Voltages of all squeezers, applied one after the other."""
        self.mode: Parameter[str, Self] = self.add_parameter(
            "mode",
            label="Mode",
            get_cmd=self._read_mode,
            set_cmd=lambda mode: self._choose(f"M{mode}", mode, self._read_mode),
            vals=Enum("DC", "AC"),
        )
        """``DC`` holds the voltages, ``AC`` scrambles."""
        self.waveform: Parameter[str, Self] = self.add_parameter(
            "waveform",
            label="Scrambling waveform",
            get_cmd=self._read_waveform,
            set_cmd=lambda shape: self._choose("WF1" if shape == "sine" else "WF2", shape, self._read_waveform),
            vals=Enum("sine", "triangle"),
        )
        """Waveform in scrambling mode."""

    def _add_angles(self, half_wave_v: float) -> None:
        degrees = 180.0 / half_wave_v
        self.angles: Parameter[tuple[float, ...], Self] = self.add_parameter(
            "angles",
            label="Retardances",
            unit="deg",
            get_cmd=lambda: tuple(volts * degrees for volts in self.voltages()),
            set_cmd=lambda angles: self.voltages(tuple(angle / degrees for angle in angles)),
            vals=Sequence(Numbers(-GREATEST_V * degrees, GREATEST_V * degrees), length=SQUEEZERS),
        )
        """Retardance of each squeezer against no voltage; there if a half-wave voltage was given."""

    def send(self, command: str) -> str:
        """Send a command and return the line before ``Done``."""
        request = command.encode("ascii") + b"\r\n"
        answer = self.exchange(request, lambda: self.link.read_until(_END))
        try:
            lines = [line for line in answer.removesuffix(_END).decode("ascii").split("\r\n") if line.strip()]
        except UnicodeDecodeError as error:
            raise self.garbled("no text", sent=request, seen=answer) from error
        if not lines:
            raise self.garbled("an empty answer", sent=request, seen=answer)
        return lines[-1].strip()

    def read_channels(self, query: str) -> tuple[int, ...]:
        """Return the four numbers that ``V?`` (mV) or ``F?`` (Hz) gives."""
        text = self.send(query)
        try:
            return parse_channels(text)
        except ValueError as error:
            raise self.garbled("not four channels", sent=query, seen=text) from error

    def set_channel(self, number: int, volts: float) -> None:
        """Set the voltage of a squeezer.

        Raises
        ------
        InterlockError
            The device scrambles, so that no voltage would hold.
        DeviceReportedError
            The device holds another voltage.
        """
        with self.lock:
            self._refuse_scrambling()
            self._put(number, volts)

    def set_frequency(self, number: int, frequency_hz: int) -> None:
        """Set the scrambling frequency of a squeezer in Hz.

        Raises
        ------
        DeviceReportedError
            The device holds another frequency.
        """
        with self.lock:
            self.send(f"F{number},{frequency_hz}")
            self.remember(f"F{number}", frequency_hz, lambda: self.read_channels("F?")[number - 1])

    def _choose(self, command: str, wanted: str, read: Callable[[], str]) -> None:
        with self.lock:
            self.send(command)
            seen = read()
            if seen != wanted:
                raise self.reported("the choice was not taken", sent=command, seen=seen)

    def _set_all(self, volts: Series[float]) -> None:
        with self.lock:
            self._refuse_scrambling()
            for number, value in enumerate(volts, 1):
                self._put(number, value)

    def _put(self, number: int, volts: float) -> None:
        millivolts = round(volts / _STEP_V)
        self.send(f"V{number},{millivolts}")
        self.remember(f"V{number}", millivolts, lambda: self.read_channels("V?")[number - 1])

    def _refuse_scrambling(self) -> None:
        if self.mode() != "DC":
            raise InterlockError(
                f"{self.full_name} scrambles: a voltage set now would not hold",
                hint="set mode to DC first",
                device=self.full_name,
            )

    def _read_mode(self) -> str:
        text = self.send("M?")
        mode = text.split()[-1][:2]
        if mode not in ("AC", "DC"):
            raise self.garbled("no mode", sent="M?", seen=text)
        return mode

    def _read_waveform(self) -> str:
        return self.send("WF?").split()[-1].lower()

    def save(self) -> None:
        """Make the present settings those of power-on."""
        self.send("SAVE")

    def get_idn(self) -> dict[str, str | None]:
        """Return what the driver takes it for; the device does not say."""
        return {"vendor": "OZ Optics", "model": self.capabilities.model, "serial": None, "firmware": None}

    def safe_state(self) -> None:
        """Stop scrambling; the voltages stay, as taking them off would undo an alignment."""
        self.forget_settings()
        self.mode("DC")
