"""What a laboratory instrument must offer to be used in a link, role by role, and the check that it does.

Acquisition and calibration type against these Protocols and never against a driver. A Protocol knows names only,
so each role also has a `RoleSpec` with units and settable parameters; `check_role` walks it and reports every lack
at once. A driver of a third party fills a role by having the parameters: nothing to inherit, nothing to register.

Parameters are QCoDeS parameters in the units named here. ``safe_state()`` is what a station calls before it lets
an instrument go, on errors too: no light, no high voltage, nothing moving.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from faintlink.core.errors import RoleError
from faintlink.core.tags import TagBlock
from faintlink.core.units import Slots
from faintlink.instruments.role_spec import ParameterSpec, RoleSpec, lacks


class RoleParameter(Protocol):
    """The part of a QCoDeS parameter that roles rely on."""

    def __call__(self, *value: Any) -> Any:
        """Return the value, or set it to the one given."""
        ...


class Role(Protocol):
    """What every instrument can do."""

    def safe_state(self) -> None:
        """Bring the instrument into a state in which it may be left alone."""
        ...


class PulsedLaser(Role, Protocol):
    """The sender's laser."""

    @property
    def enabled(self) -> RoleParameter:
        """Whether it emits light."""
        ...

    @property
    def power(self) -> RoleParameter:
        """Average optical power in W."""
        ...

    @property
    def wavelength(self) -> RoleParameter:
        """Vacuum wavelength in nm."""
        ...


class Attenuator(Role, Protocol):
    """A variable optical attenuator."""

    @property
    def attenuation(self) -> RoleParameter:
        """Attenuation in dB, positive is loss."""
        ...


class IntensityModulator(Role, Protocol):
    """The modulator that makes pulses of several intensities."""

    @property
    def bias_voltage(self) -> RoleParameter:
        """Bias in V."""
        ...

    @property
    def drive_levels(self) -> RoleParameter:
        """Drive of each intensity in V, brightest first."""
        ...


class PhaseModulator(Role, Protocol):
    """A phase modulator that codes or chooses the basis."""

    @property
    def bias_voltage(self) -> RoleParameter:
        """Bias in V."""
        ...

    @property
    def half_wave_voltage(self) -> RoleParameter:
        """Voltage for a phase of pi, in V."""
        ...

    @property
    def drive_levels(self) -> RoleParameter:
        """Drive of each played phase in V."""
        ...


class PolarizationModulator(Role, Protocol):
    """A modulator that codes in polarization."""

    @property
    def half_wave_voltage(self) -> RoleParameter:
        """Voltage that turns linear polarization by 90 degrees, in V."""
        ...

    @property
    def drive_levels(self) -> RoleParameter:
        """Drive of each state in V, by bit + 2 basis."""
        ...


class PolarizationController(Role, Protocol):
    """Paddles or squeezers that undo the fibre's rotation."""

    @property
    def angles(self) -> RoleParameter:
        """Angle of each paddle in deg."""
        ...


class SinglePhotonDetector(Role, Protocol):
    """One single-photon detector."""

    @property
    def enabled(self) -> RoleParameter:
        """Whether its bias is on."""
        ...

    @property
    def efficiency(self) -> RoleParameter:
        """Detection efficiency, 0 to 1."""
        ...

    @property
    def dead_time(self) -> RoleParameter:
        """Time after a click in which it is blind, in s."""
        ...

    @property
    def count_rate(self) -> RoleParameter:
        """Rate of clicks now, in Hz."""
        ...


class PairSource(Role, Protocol):
    """A source of entangled pairs."""

    @property
    def enabled(self) -> RoleParameter:
        """Whether it emits."""
        ...

    @property
    def pair_rate(self) -> RoleParameter:
        """Pairs per second, in Hz."""
        ...


class TagStream(Protocol):
    """A running stream of time tags, with its losses in the blocks."""

    def start(self) -> None:
        """Begin to record."""
        ...

    def read(self, timeout_s: float) -> TagBlock:
        """Return what came since the last call, waiting at most ``timeout_s``; possibly empty, gaps included."""
        ...

    def stop(self) -> None:
        """End recording; what is still buffered can be read."""
        ...


class TimeTagger(Role, Protocol):
    """An instrument that stamps clicks."""

    @property
    def resolution(self) -> RoleParameter:
        """Least step of its time stamps in s."""
        ...

    def stream(self) -> TagStream:
        """Return a stream of tags that is not yet started."""
        ...


class Preamble(NamedTuple):
    """The public pattern at the start: see `faintlink.core.preamble`."""

    seed: int
    """Public seed."""
    length: int
    """Number of slots."""


class PatternGenerator(Role, Protocol):
    """The card that drives the modulators from random numbers and remembers what it played."""

    @property
    def pulse_rate_hz(self) -> RoleParameter:
        """Slots per second in Hz."""
        ...

    @property
    def intensity_probabilities(self) -> RoleParameter:
        """How often each intensity is played, brightest first."""
        ...

    @property
    def basis_probability_z(self) -> RoleParameter:
        """How often basis Z is played."""
        ...

    @property
    def preamble(self) -> Preamble:
        """The public pattern that it plays first."""
        ...

    def start(self) -> None:
        """Play from slot 0, with fresh random settings."""
        ...

    def stop(self) -> None:
        """Stop driving the modulators."""
        ...

    def settings_at(self, slots: Slots) -> npt.NDArray[np.uint8]:
        """Return what was played in slots (n,) int64 counted from the start, as setting codes (n,) uint8."""
        ...


def _spec(
    role: type, *parameters: ParameterSpec, methods: Iterable[str] = (), attributes: Iterable[str] = ()
) -> RoleSpec:
    return RoleSpec(role.__name__, parameters, ("safe_state", *methods), tuple(attributes))


def _p(name: str, unit: str = "") -> ParameterSpec:
    return ParameterSpec(name, unit)


def _readable(name: str, unit: str = "") -> ParameterSpec:
    return ParameterSpec(name, unit, is_settable=False)


_SPECS = (
    _spec(PulsedLaser, _p("enabled"), _p("power", "W"), _readable("wavelength", "nm")),
    _spec(Attenuator, _p("attenuation", "dB")),
    _spec(IntensityModulator, _p("bias_voltage", "V"), _p("drive_levels", "V")),
    _spec(PhaseModulator, _p("bias_voltage", "V"), _readable("half_wave_voltage", "V"), _p("drive_levels", "V")),
    _spec(PolarizationModulator, _readable("half_wave_voltage", "V"), _p("drive_levels", "V")),
    _spec(PolarizationController, _p("angles", "deg")),
    _spec(
        SinglePhotonDetector,
        _p("enabled"),
        _readable("efficiency"),
        _readable("dead_time", "s"),
        _readable("count_rate", "Hz"),
    ),
    _spec(PairSource, _p("enabled"), _readable("pair_rate", "Hz")),
    _spec(TimeTagger, _readable("resolution", "s"), methods=["stream"]),
    _spec(
        PatternGenerator,
        _readable("pulse_rate_hz", "Hz"),
        _p("intensity_probabilities"),
        _p("basis_probability_z"),
        methods=["start", "stop", "settings_at"],
        attributes=["preamble"],
    ),
)
ROLES = {spec.name: spec for spec in _SPECS}
"""Every role by name."""


def check_role(instrument: object, role: str | type | RoleSpec) -> None:
    """Check that an instrument fills a role: names, units, settable parameters with validators, methods.

    Parameters
    ----------
    instrument
        A QCoDeS instrument, channel or module.
    role
        A role's Protocol, its name in `ROLES`, or a `RoleSpec` of your own.

    Raises
    ------
    RoleError
        The instrument lacks something; ``missing`` lists all of it.
    KeyError
        There is no role of that name.
    """
    spec = role if isinstance(role, RoleSpec) else ROLES[role if isinstance(role, str) else role.__name__]
    missing = lacks(instrument, spec)
    if missing:
        name = getattr(instrument, "full_name", type(instrument).__name__)
        raise RoleError(
            f"{name} does not fill the role {spec.name}; it lacks: " + "; ".join(missing),
            hint=f"add what is missing to the driver, or bind {spec.name} to another instrument",
            missing=missing,
            device=name,
        )
