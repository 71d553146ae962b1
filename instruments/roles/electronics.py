"""Roles without light: bias sources and random sources."""

from typing import Protocol

from faintlink.instruments.roles.base import Role, RoleParameter


class BiasController(Role, Protocol):
    """A source that biases a modulator or a detector."""

    @property
    def enabled(self) -> RoleParameter:
        """Whether its output is on."""
        ...

    @property
    def bias(self) -> RoleParameter:
        """Bias in V."""
        ...


class RandomSource(Role, Protocol):
    """A hardware source of random bytes."""

    def read_bytes(self, size: int) -> bytes:
        """Return ``size`` fresh random bytes."""
        ...
