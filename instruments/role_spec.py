"""The words in which a role is declared, and the comparison of an instrument with them.

Used by `roles`, which declares the roles; a laboratory with a role of its own builds a `RoleSpec` from here.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ParameterSpec:
    """What a role asks of one parameter."""

    name: str
    """Attribute name."""
    unit: str
    """QCoDeS unit; empty for none."""
    is_settable: bool = True
    """Whether it must be settable, and then carry a validator; others may be."""


@dataclass(frozen=True, slots=True)
class RoleSpec:
    """What a role asks of an instrument, beyond ``safe_state``."""

    name: str
    """Name of the Protocol."""
    parameters: tuple[ParameterSpec, ...]
    """Its parameters."""
    methods: tuple[str, ...] = ()
    """Its methods."""
    attributes: tuple[str, ...] = ()
    """Its plain attributes."""


def lacks(instrument: object, spec: RoleSpec) -> list[str]:
    """Return everything that an instrument lacks for a role, as readable phrases."""
    missing = [lack for wanted in spec.parameters for lack in _parameter_lacks(instrument, wanted)]
    missing += [f"method {name}()" for name in spec.methods if not callable(getattr(instrument, name, None))]
    missing += [f"attribute {name}" for name in spec.attributes if not hasattr(instrument, name)]
    return missing


def _parameter_lacks(instrument: object, wanted: ParameterSpec) -> list[str]:
    parameter = getattr(instrument, wanted.name, None)
    if parameter is None or not callable(parameter):
        return [f"parameter {wanted.name} [{wanted.unit}]"]
    lacks = []
    unit = getattr(parameter, "unit", None)
    if unit != wanted.unit:
        lacks.append(f"unit {wanted.unit!r} of {wanted.name} (it has {unit!r})")
    if not getattr(parameter, "gettable", False):
        lacks.append(f"a way to read {wanted.name}")
    if wanted.is_settable:
        if not getattr(parameter, "settable", False):
            lacks.append(f"a way to set {wanted.name}")
        elif getattr(parameter, "vals", None) is None:
            lacks.append(f"a validator of {wanted.name}")
    return lacks
