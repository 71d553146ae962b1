"""Roles between the ends: attenuators, controllers, switches, delays, meters."""

from typing import Protocol

from faintlink.instruments.roles.base import Role, RoleParameter


class Attenuator(Role, Protocol):
    """A variable optical attenuator."""

    @property
    def attenuation(self) -> RoleParameter:
        """Attenuation in dB, positive is loss."""
        ...


class PolarizationController(Role, Protocol):
    """Paddles or squeezers that undo the fibre's rotation."""

    @property
    def angles(self) -> RoleParameter:
        """Angle of each paddle in deg."""
        ...


class OpticalSwitch(Role, Protocol):
    """A switch that connects one of several fibres."""

    @property
    def position(self) -> RoleParameter:
        """Number of the connected output, from 1."""
        ...


class DelayLine(Role, Protocol):
    """A variable optical delay."""

    @property
    def delay(self) -> RoleParameter:
        """Delay against the shortest one, in ps."""
        ...


class PowerMeter(Role, Protocol):
    """An optical power meter."""

    @property
    def power(self) -> RoleParameter:
        """Measured optical power in W."""
        ...

    @property
    def wavelength(self) -> RoleParameter:
        """Wavelength for which the sensor is corrected, in nm."""
        ...
