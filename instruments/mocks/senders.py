"""Mock instruments at the sender: laser, attenuator, modulators, pair source."""

from typing import TYPE_CHECKING, Any, Self

from qcodes.parameters import Parameter
from qcodes.validators import Bool, Enum, Numbers, Sequence

from faintlink.core.errors import ConfigError
from faintlink.instruments.mocks.base import MockInstrument
from faintlink.instruments.mocks.rates import nominal_drives

if TYPE_CHECKING:
    from qcodes.instrument import InstrumentBaseKWArgs
    from typing_extensions import Unpack

GREATEST_ATTENUATION_DB = 60.0
_VOLTS = Numbers(-20.0, 20.0)


class MockLaser(MockInstrument):
    """The sender's pulsed laser. Its nominal power gives the nominal intensities."""

    def __init__(self, name: str, bench: str, **kwargs: "Unpack[InstrumentBaseKWArgs]") -> None:
        super().__init__(name, bench, **kwargs)
        engine = self.engine
        self.enabled: Parameter[bool, Self] = self._knob(
            "enabled",
            read=lambda: engine.state.source.enabled,
            write=lambda on: engine.update("source", enabled=on),
            unit="",
            label="Emission",
            vals=Bool(),
        )
        """Whether it emits light."""
        self.power: Parameter[float, Self] = self._knob(
            "power",
            read=lambda: engine.state.source.power_w,
            write=lambda power: engine.update("source", power_w=power),
            unit="W",
            label="Average power",
            vals=Numbers(0.0, 0.01),
        )
        """Average optical power; 1 mW is nominal."""
        self.wavelength: Parameter[float, Self] = self.add_parameter(
            "wavelength",
            label="Wavelength",
            unit="nm",
            get_cmd=None,
            set_cmd=None,
            initial_value=1550.12,
            vals=Numbers(1260.0, 1675.0),
        )
        """Vacuum wavelength; the bench's optics does not depend on it."""

    def safe_state(self) -> None:
        """Turn the light off."""
        self.enabled(False)


class MockAttenuator(MockInstrument):
    """A variable attenuator in the sender (where it scales every intensity) or in the line.

    Parameters
    ----------
    place
        ``sender`` or ``line``. The sender's attenuators together give the nominal intensities at 20 dB.
    """

    def __init__(
        self, name: str, bench: str, *, place: str = "sender", **kwargs: "Unpack[InstrumentBaseKWArgs]"
    ) -> None:
        super().__init__(name, bench, **kwargs)
        if place not in ("sender", "line"):
            self.close()
            raise ConfigError(f"place of {name} must be 'sender' or 'line', got {place!r}")
        self._place = place
        table = self.bench
        nominal_db = self.engine.state.source.nominal_attenuation_db
        is_first = place == "sender" and not any(where == "sender" for where, _ in table.attenuations)
        table.set_attenuation(place, name, nominal_db if is_first else 0.0)
        self.attenuation: Parameter[float, Self] = self._knob(
            "attenuation",
            read=lambda: table.attenuations[place, name],
            write=lambda value: table.set_attenuation(place, name, value),
            unit="dB",
            label="Attenuation",
            vals=Numbers(0.0, GREATEST_ATTENUATION_DB),
        )
        """Attenuation, positive is loss."""

    def safe_state(self) -> None:
        """Block as much light as it can."""
        self.attenuation(GREATEST_ATTENUATION_DB)


class _Modulator(MockInstrument):
    """The knobs that all modulators share, on one group of the bench's state."""

    def _volts(self, name: str, group: str, field: str, label: str) -> Parameter[Any, Any]:
        return self._knob(
            name,
            read=lambda: getattr(getattr(self.engine.state, group), field),
            write=lambda value: self.engine.update(group, **{field: value}),
            unit="V",
            label=label,
            vals=Numbers(0.1, 20.0) if field == "half_wave_v" else _VOLTS,
        )

    def _levels(self, group: str, length: int) -> Parameter[Any, Any]:
        return self._knob(
            "drive_levels",
            read=lambda: getattr(self.engine.state, group).drive_v,
            write=lambda levels: self.engine.update(group, drive_v=tuple(float(v) for v in levels)),
            unit="V",
            label="Drive levels",
            vals=Sequence(_VOLTS, length=length),
        )


class MockIntensityModulator(_Modulator):
    """A Mach-Zehnder intensity modulator; at its null it passes what its extinction ratio leaves."""

    def __init__(self, name: str, bench: str, **kwargs: "Unpack[InstrumentBaseKWArgs]") -> None:
        super().__init__(name, bench, **kwargs)
        state = self.engine.state
        drives = nominal_drives(state.intensity_modulator, state.source.intensities)
        self.engine.update("intensity_modulator", drive_v=drives)
        group = "intensity_modulator"
        self.bias_voltage: Parameter[float, Self] = self._volts("bias_voltage", group, "bias_v", "Bias")
        """Bias voltage; light is least at the null."""
        self.null_voltage: Parameter[float, Self] = self._volts("null_voltage", group, "null_v", "True null")
        """Bias at which light is least. A real device keeps this to itself and drifts."""
        self.half_wave_voltage: Parameter[float, Self] = self._volts(
            "half_wave_voltage", group, "half_wave_v", "Half-wave voltage"
        )
        """Voltage from least to most light."""
        self.extinction_ratio: Parameter[float, Self] = self._knob(
            "extinction_ratio",
            read=lambda: self.engine.state.intensity_modulator.extinction_db,
            write=lambda ratio: self.engine.update(group, extinction_db=ratio),
            unit="dB",
            label="Extinction ratio",
            vals=Numbers(0.0, 80.0),
        )
        """Most over least light."""
        self.drive_levels: Parameter[tuple[float, ...], Self] = self._levels(group, len(drives))
        """Drive of each intensity, brightest first."""

    def safe_state(self) -> None:
        """Go back to no bias, which is the null of a fresh device."""
        self.bias_voltage(0.0)


class MockPhaseModulator(_Modulator):
    """A phase modulator of Alice (four drive levels, by bit + 2 basis) or of Bob (two, by basis).

    Parameters
    ----------
    party
        ``alice`` or ``bob``.
    """

    def __init__(
        self, name: str, bench: str, *, party: str = "alice", **kwargs: "Unpack[InstrumentBaseKWArgs]"
    ) -> None:
        super().__init__(name, bench, **kwargs)
        if party not in ("alice", "bob"):
            self.close()
            raise ConfigError(f"party of {name} must be 'alice' or 'bob', got {party!r}")
        group = f"{party}_phase"
        self.bias_voltage: Parameter[float, Self] = self._volts("bias_voltage", group, "bias_v", "Bias")
        """Bias voltage; turns all phases alike."""
        self.half_wave_voltage: Parameter[float, Self] = self._volts(
            "half_wave_voltage", group, "half_wave_v", "Half-wave voltage"
        )
        """Voltage for a phase of pi."""
        self.drive_levels: Parameter[tuple[float, ...], Self] = self._levels(group, 4 if party == "alice" else 2)
        """Drive of each phase."""

    def safe_state(self) -> None:
        """Take the bias off."""
        self.bias_voltage(0.0)


class MockPolarizationModulator(_Modulator):
    """A modulator that turns linear polarization, four drive levels by bit + 2 basis."""

    def __init__(self, name: str, bench: str, **kwargs: "Unpack[InstrumentBaseKWArgs]") -> None:
        super().__init__(name, bench, **kwargs)
        group = "polarization_modulator"
        self.half_wave_voltage: Parameter[float, Self] = self._volts(
            "half_wave_voltage", group, "half_wave_v", "Half-wave voltage"
        )
        """Voltage that turns linear polarization by 90 degrees."""
        self.drive_levels: Parameter[tuple[float, ...], Self] = self._levels(group, 4)
        """Drive of each state."""

    def safe_state(self) -> None:
        """Do nothing: it holds no light back and no voltage that could harm."""


class MockPairSource(MockInstrument):
    """The source of entangled pairs of the bbm92 model."""

    def __init__(self, name: str, bench: str, **kwargs: "Unpack[InstrumentBaseKWArgs]") -> None:
        super().__init__(name, bench, **kwargs)
        engine = self.engine
        self.enabled: Parameter[bool, Self] = self._knob(
            "enabled",
            read=lambda: engine.state.pairs.enabled,
            write=lambda on: engine.update("pairs", enabled=on),
            unit="",
            label="Emission",
            vals=Bool(),
        )
        """Whether it emits."""
        self.pair_rate: Parameter[float, Self] = self._knob(
            "pair_rate",
            read=lambda: engine.state.pairs.pair_rate_hz,
            write=lambda rate: engine.update("pairs", pair_rate_hz=rate),
            unit="Hz",
            label="Pair rate",
            vals=Numbers(0.0, 1e9),
        )
        """Pairs created per second."""
        self.alice_loss: Parameter[float, Self] = self._knob(
            "alice_loss",
            read=lambda: engine.state.pairs.alice_loss_db,
            write=lambda loss: engine.update("pairs", alice_loss_db=loss),
            unit="dB",
            label="Loss of Alice's arm",
            vals=Numbers(0.0, 60.0),
        )
        """Loss between the source and Alice's receiver; Bob's arm is the fibre."""
        self.bell_state: Parameter[str, Self] = self._knob(
            "bell_state",
            read=lambda: str(engine.state.pairs.state),
            unit="",
            label="Bell state",
            vals=Enum("phi+", "psi-"),
        )
        """phi+ gives equal bits, psi- opposite ones."""

    def safe_state(self) -> None:
        """Turn the pump off."""
        self.enabled(False)
