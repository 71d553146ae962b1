"""Roles at a receiver: detectors and time taggers."""

from typing import Protocol

from faintlink.core.tags import TagBlock
from faintlink.instruments.roles.base import Role, RoleParameter


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


class TagStream(Protocol):
    """A running stream of time tags, with its losses in the blocks."""

    def start(self) -> None:
        """Begin to record."""
        ...

    def read(self, timeout_s: float) -> TagBlock:
        """Return what came since the last call, waiting at most ``timeout_s``; possibly empty, gaps included.

        The arrays of the block belong to the caller: a stream does not write to them again.
        """
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
