"""What an emulated device turns: any callable that reads without argument and sets with one.

A parameter of a mock instrument is a knob, so that an emulated device in front of it acts on the physics bench.
`Cell` is a knob that only remembers, for devices that stand alone.
"""

from typing import Any, Protocol


class Knob(Protocol):
    """A value that can be read and, mostly, set."""

    def __call__(self, *value: Any) -> Any:
        """Return the value, or set it to the one given."""
        ...


class Cell:
    """A knob that remembers."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __call__(self, *value: Any) -> Any:
        """Return the value, or set it to the one given."""
        if not value:
            return self.value
        (self.value,) = value
        return None
