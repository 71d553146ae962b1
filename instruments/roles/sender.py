"""Roles at the sender: light, modulators, and the card that drives them."""

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from faintlink.core.units import Slots
from faintlink.instruments.roles.base import Role, RoleParameter


class Laser(Role, Protocol):
    """A laser that runs continuously, such as a seed or a pump."""

    @property
    def enabled(self) -> RoleParameter:
        """Whether it emits light."""
        ...


class TunableLaser(Laser, Protocol):
    """A laser whose wavelength can be chosen."""

    @property
    def wavelength(self) -> RoleParameter:
        """Vacuum wavelength in nm."""
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
