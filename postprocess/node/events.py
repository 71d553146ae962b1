"""What happens in a session, for whoever runs it."""

from dataclasses import dataclass
from typing import TypeAlias

from faintlink.core.errors import SecurityAbort
from faintlink.postprocess.node.machine import Settled


@dataclass(frozen=True, slots=True)
class Ready:
    """The peer is known, old keys are settled, blocks may begin."""

    next_block: int
    """First block that neither side ever began."""


@dataclass(frozen=True, slots=True, eq=False)
class BlockEnded:
    """A block is over on this side."""

    number: int
    """Of the block."""
    settled: Settled | None
    """What this side knows of it, with its key; None after a refusal."""
    refusal: SecurityAbort | None
    """Why there is no key, on whichever side it arose."""
    auth_epsilon: float
    """Chance that any seal or frame of the session so far was forged, at most."""


@dataclass(frozen=True, slots=True)
class Over:
    """Both sides said all they had to say."""


Event: TypeAlias = Ready | BlockEnded | Over
