"""What the writer process is told at its start, and what it says at its end.

Light on purpose: the writer process imports it, and no instrument or configuration library.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from faintlink.acquisition.ring import RingEnd
from faintlink.core.runfile.party_writer import ROTATE_BYTES, ROTATE_S
from faintlink.core.runfile.schema import StreamSpec
from faintlink.core.symbols import Party

EVENTS = StreamSpec("events", "events")
"""The stream of events that every party's file has."""


@dataclass(frozen=True, slots=True)
class PartyPlan:
    """What is written for one party."""

    party: Party
    streams: tuple[StreamSpec, ...]
    """Streams besides `EVENTS`."""
    context: Mapping[str, str]
    """Texts for ``/context``."""


@dataclass(frozen=True, slots=True)
class WriterPlan:
    """What is written, where and how often it is made safe."""

    folder: Path
    """New run folder."""
    run_id: str
    parties: tuple[PartyPlan, ...]
    commit_s: float
    """Longest time from a block's arrival to its commit."""
    sync_s: float = 5.0
    """Time between two waits for the disk."""
    reserve_bytes: int = 64 << 20
    """Free space below which the run ends while its files can still be sealed."""
    rotate_bytes: int = ROTATE_BYTES
    """Size from which a new file is started."""
    rotate_s: float = ROTATE_S
    """Age from which a new file is started."""


@dataclass(frozen=True, slots=True)
class RingPlan:
    """Which ring feeds which stream."""

    party: Party
    stream: str
    kind: str
    end: RingEnd


@dataclass(frozen=True, slots=True)
class SealReport:
    """What was sealed."""

    rows: Mapping[str, int]
    """Rows by ``party/stream``."""
    lost: int
    """Tags known to be missing, over all streams."""
    files: tuple[str, ...]
    """Names within the run folder."""
    bytes: int
    """Size of all files."""
