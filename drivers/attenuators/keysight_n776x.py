"""Keysight N7761A, N7762A and N7764A variable optical attenuators, over SCPI.

One box holds one, two or four attenuators; each is a channel ``ch1`` … with the role Attenuator.

Sources: Keysight N776xA Programming Guide, signal conditioning commands (INPut and OUTPut subsystems); the ranges are
those of the A models at 1550 nm and are checked by the device itself, whose error queue is read after each setting.
"""

import re
from dataclasses import dataclass
from typing import ClassVar, Self

from qcodes.instrument import ChannelList, InstrumentChannel
from qcodes.parameters import Parameter
from qcodes.validators import Bool, Numbers

from faintlink.core.errors import UnsupportedFeatureError
from faintlink.drivers.base import Capabilities, DriverMixin
from faintlink.drivers.scpi import ScpiInstrument

GREATEST_ATTENUATION_DB = 45.0
_ATTENUATORS = {"N7761A": 1, "N7762A": 2, "N7764A": 4}


@dataclass(frozen=True, slots=True)
class AttenuatorCapabilities(Capabilities):
    """What an attenuator box can do."""

    attenuators: int
    """Number of attenuators in the box."""
    greatest_attenuation_db: float
    """Upper end of the range."""


class KeysightN776xChannel(DriverMixin, InstrumentChannel["KeysightN776x"]):
    """One attenuator of the box.

    Parameters
    ----------
    parent, name
        The box, and the channel's name in it.
    number
        1, 2, 3 or 4, as printed on the front.
    """

    verified_on_hardware: ClassVar[str | None] = None

    def __init__(self, parent: "KeysightN776x", name: str, number: int) -> None:
        super().__init__(parent, name)
        self.lock = parent.lock
        self.capabilities = parent.capabilities
        self.attenuation: Parameter[float, Self] = self.add_parameter(
            "attenuation",
            label="Attenuation",
            unit="dB",
            get_cmd=f"INP{number}:ATT?",
            set_cmd=f"INP{number}:ATT {{:.4f}}",
            get_parser=float,
            vals=Numbers(0.0, GREATEST_ATTENUATION_DB),
        )
        """Attenuation, positive is loss; without the offset."""
        self.offset: Parameter[float, Self] = self.add_parameter(
            "offset",
            label="Attenuation offset",
            unit="dB",
            get_cmd=f"INP{number}:OFFS?",
            set_cmd=f"INP{number}:OFFS {{:.4f}}dB",
            get_parser=float,
            vals=Numbers(-200.0, 200.0),
        )
        """Added to what the device shows as attenuation; for fixed losses around it."""
        self.wavelength: Parameter[float, Self] = self.add_parameter(
            "wavelength",
            label="Wavelength",
            unit="nm",
            get_cmd=f"INP{number}:WAV?",
            set_cmd=lambda value: self.write(f"INP{number}:WAV {value * 1e-9:.6E}"),
            get_parser=lambda text: float(text) * 1e9,
            vals=Numbers(1260.0, 1640.0),
        )
        """Vacuum wavelength for which the attenuation is calibrated."""
        self.shutter_open: Parameter[bool, Self] = self.add_parameter(
            "shutter_open",
            label="Shutter open",
            get_cmd=f"OUTP{number}:STAT?",
            set_cmd=lambda is_open: self.write(f"OUTP{number}:STAT {int(is_open)}"),
            get_parser=lambda text: bool(int(text)),
            vals=Bool(),
        )
        """Whether light passes at all."""

    def safe_state(self) -> None:
        """Close the shutter."""
        self.shutter_open(False)


class KeysightN776x(ScpiInstrument):
    """A box of one, two or four attenuators.

    Parameters
    ----------
    name
        Instrument name.
    address
        VISA resource name.

    Raises
    ------
    ConnectionLostError
        The device cannot be reached.
    UnsupportedFeatureError
        Another device answers.
    """

    verified_on_hardware: ClassVar[str | None] = None
    identity = r"N776[124]A"
    capabilities: AttenuatorCapabilities

    def _identify(self) -> None:
        model = re.search(self.identity, self.idn_text)
        if model is None:
            raise UnsupportedFeatureError(f"{self.name}: {self.idn_text!r} names no known model")
        count = _ATTENUATORS[model.group()]
        self.capabilities = AttenuatorCapabilities(model.group(), count, GREATEST_ATTENUATION_DB)

    def _add_parameters(self) -> None:
        count = self.capabilities.attenuators
        channels = [KeysightN776xChannel(self, f"ch{number}", number) for number in range(1, count + 1)]
        for channel in channels:
            self.add_submodule(channel.short_name, channel)
        self.channels = self.add_submodule(
            "channels", ChannelList(self, "channels", KeysightN776xChannel, channels).to_channel_tuple()
        )

    def safe_state(self) -> None:
        """Close all shutters."""
        for channel in self.channels:
            channel.safe_state()
