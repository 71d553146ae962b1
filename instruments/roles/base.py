"""What every role builds on."""

from typing import Any, Protocol


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
