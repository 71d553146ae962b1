"""Mock parts between sender and receiver: the fibre and the polarization controller."""

from typing import TYPE_CHECKING, Any, Self

from qcodes.parameters import Parameter
from qcodes.validators import Numbers, Sequence

from faintlink.instruments.mocks.base import MockInstrument

if TYPE_CHECKING:
    from qcodes.instrument import InstrumentBaseKWArgs
    from typing_extensions import Unpack


class MockFibre(MockInstrument):
    """The fibre between the parties, with everything it does to light; no instrument in a real laboratory."""

    def __init__(self, name: str, bench: str, **kwargs: "Unpack[InstrumentBaseKWArgs]") -> None:
        super().__init__(name, bench, **kwargs)
        self.length: Parameter[float, Self] = self._link("length", "length_km", "km", "Length", (0.0, 1000.0))
        """Length; sets loss and time of flight."""
        self.attenuation_coefficient: Parameter[float, Self] = self._link(
            "attenuation_coefficient", "attenuation_db_per_km", "dB/km", "Attenuation coefficient", (0.0, 10.0)
        )
        """Loss per length."""
        self.polarization_rotation: Parameter[float, Self] = self._link(
            "polarization_rotation", "rotation_deg", "deg", "Polarization rotation", (-360.0, 360.0)
        )
        """Turn of linear polarization at bench time zero."""
        self.polarization_drift: Parameter[float, Self] = self._link(
            "polarization_drift", "rotation_drift_deg_per_s", "deg/s", "Polarization drift", (-360.0, 360.0)
        )
        """How fast the turn grows."""
        self.retardance: Parameter[float, Self] = self._link(
            "retardance", "retardance_deg", "deg", "Retardance", (-360.0, 360.0)
        )
        """Birefringence between H and V."""
        self.interferometer_phase: Parameter[float, Self] = self._link(
            "interferometer_phase", "phase_rad", "rad", "Interferometer phase", (-10.0, 10.0)
        )
        """Phase between the two interferometers at bench time zero."""
        self.interferometer_drift: Parameter[float, Self] = self._link(
            "interferometer_drift", "phase_drift_rad_per_s", "rad/s", "Interferometer drift", (-100.0, 100.0)
        )
        """How fast that phase grows."""

    def _link(self, name: str, field: str, unit: str, label: str, limits: tuple[float, float]) -> Parameter[Any, Any]:
        return self._knob(
            name,
            read=lambda: getattr(self.engine.state.link, field),
            write=lambda value: self.engine.update("link", **{field: value}),
            unit=unit,
            label=label,
            vals=Numbers(*limits),
        )

    def safe_state(self) -> None:
        """Do nothing: a fibre is safe by itself."""


class MockPolarizationController(MockInstrument):
    """Three paddles in front of Bob: quarter, half and quarter wave."""

    def __init__(self, name: str, bench: str, **kwargs: "Unpack[InstrumentBaseKWArgs]") -> None:
        super().__init__(name, bench, **kwargs)
        self.angles: Parameter[tuple[float, ...], Self] = self._knob(
            "angles",
            read=lambda: self.engine.state.link.paddles_deg,
            write=lambda angles: self.engine.update("link", paddles_deg=tuple(float(a) for a in angles)),
            unit="deg",
            label="Paddle angles",
            vals=Sequence(Numbers(-180.0, 180.0), length=3),
        )
        """Angle of each paddle; all at zero change nothing."""

    def safe_state(self) -> None:
        """Leave the paddles where they are: moving them would undo an alignment."""
