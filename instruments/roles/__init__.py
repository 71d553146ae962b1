"""What a laboratory instrument must offer to be used in a link, role by role, and the check that it does.

Acquisition and calibration type against these Protocols and never against a driver. A Protocol knows names only,
so each role also has a `RoleSpec` with units and settable parameters; `check_role` walks it and reports every lack
at once. A driver of a third party fills a role by having the parameters: nothing to inherit, nothing to register.

Parameters are QCoDeS parameters in the units named here. ``safe_state()`` is what a station calls before it lets
an instrument go, on errors too: no light, no high voltage, nothing moving.
"""

from collections.abc import Iterable

from faintlink.core.errors import RoleError
from faintlink.instruments.role_spec import ParameterSpec, RoleSpec, lacks
from faintlink.instruments.roles.base import Role, RoleParameter
from faintlink.instruments.roles.electronics import BiasController, RandomSource
from faintlink.instruments.roles.optics import Attenuator, DelayLine, OpticalSwitch, PolarizationController, PowerMeter
from faintlink.instruments.roles.receiver import SinglePhotonDetector, TagStream, TimeTagger
from faintlink.instruments.roles.sender import (
    IntensityModulator,
    Laser,
    PairSource,
    PatternGenerator,
    PhaseModulator,
    PolarizationModulator,
    Preamble,
    PulsedLaser,
    TunableLaser,
)

__all__ = [
    "ROLES",
    "Attenuator",
    "BiasController",
    "DelayLine",
    "IntensityModulator",
    "Laser",
    "OpticalSwitch",
    "PairSource",
    "PatternGenerator",
    "PhaseModulator",
    "PolarizationController",
    "PolarizationModulator",
    "PowerMeter",
    "Preamble",
    "PulsedLaser",
    "RandomSource",
    "Role",
    "RoleParameter",
    "SinglePhotonDetector",
    "TagStream",
    "TimeTagger",
    "TunableLaser",
    "check_role",
]


def _spec(
    role: type, *parameters: ParameterSpec, methods: Iterable[str] = (), attributes: Iterable[str] = ()
) -> RoleSpec:
    return RoleSpec(role.__name__, parameters, ("safe_state", *methods), tuple(attributes))


def _p(name: str, unit: str = "") -> ParameterSpec:
    return ParameterSpec(name, unit)


def _readable(name: str, unit: str = "") -> ParameterSpec:
    return ParameterSpec(name, unit, is_settable=False)


_SPECS = (
    _spec(Laser, _p("enabled")),
    _spec(TunableLaser, _p("enabled"), _p("wavelength", "nm")),
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
    _spec(OpticalSwitch, _p("position")),
    _spec(DelayLine, _p("delay", "ps")),
    _spec(PowerMeter, _readable("power", "W"), _p("wavelength", "nm")),
    _spec(BiasController, _p("enabled"), _p("bias", "V")),
    _spec(RandomSource, methods=["read_bytes"]),
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
