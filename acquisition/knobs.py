"""Turn knobs of a station by name before a run: what ``--set`` of the commands does."""

from collections.abc import Mapping
from typing import Any

import yaml

from faintlink.acquisition.preflight import Station
from faintlink.core.errors import ConfigError


def parse_knobs(texts: tuple[str, ...]) -> dict[str, Any]:
    """Return the values of ``NAME=VALUE`` texts by name; values are read as YAML.

    Raises
    ------
    ConfigError
        A text has no ``=``, or its value is not YAML.
    """
    knobs: dict[str, Any] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        try:
            knobs[name.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            separator = ""
        if not separator:
            raise ConfigError(
                f"{text!r} sets nothing", hint="write INSTRUMENT.PARAMETER=VALUE, as alice_voa.attenuation=3"
            )
    return knobs


def turn(station: Station, knobs: Mapping[str, Any]) -> None:
    """Set parameters of a station, such as ``alice_voa.attenuation``.

    Raises
    ------
    ConfigError
        There is no such parameter, or it refuses the value.
    """
    for name, value in knobs.items():
        instrument, _, parameter_name = name.rpartition(".")
        owner = station.component(instrument or name)
        parameters = getattr(owner, "parameters", {})
        if parameter_name not in parameters:
            raise ConfigError(
                f"{instrument or name} has no parameter {parameter_name!r}; it has {', '.join(sorted(parameters))}",
                hint="write INSTRUMENT.PARAMETER=VALUE",
            )
        try:
            parameters[parameter_name].set(value)
        except (TypeError, ValueError) as refused:
            raise ConfigError(f"{name} refuses {value!r}: {refused}", hint="see the parameter's validator") from refused
