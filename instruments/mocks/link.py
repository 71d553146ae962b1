"""Mock parts between sender and receiver: the fibre and the polarization controller."""

from collections.abc import Iterable
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
        self.polarization_walk: Parameter[float, Self] = self._link(
            "polarization_walk", "walk_rad2_per_h", "rad^2/h", "Random walk of the polarization", (0.0, 1e6)
        )
        """Mean square angle by which a state turns on the Poincaré sphere in an hour, from bench time zero on."""
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
        self._move_s = 0.0
        self.move_time: Parameter[float, Self] = self._knob(
            "move_time",
            read=lambda: self._move_s,
            write=self._set_move_time,
            unit="s",
            label="Time of a move",
            vals=Numbers(0.0, 60.0),
        )
        """How long the motors take for each setting of the angles; bench time passes meanwhile."""
        self.angles: Parameter[tuple[float, ...], Self] = self._knob(
            "angles",
            read=lambda: self.engine.state.link.paddles_deg,
            write=self._move,
            unit="deg",
            label="Paddle angles",
            vals=Sequence(Numbers(-180.0, 180.0), length=3),
        )
        """Angle of each paddle; all at zero change nothing."""

    def _set_move_time(self, seconds: float) -> None:
        self._move_s = float(seconds)

    def _move(self, angles: Iterable[float]) -> None:
        self.engine.update("link", paddles_deg=tuple(float(angle) for angle in angles))
        if self._move_s:
            self.bench.lapse(self._move_s)

    def safe_state(self) -> None:
        """Leave the paddles where they are: moving them would undo an alignment."""
