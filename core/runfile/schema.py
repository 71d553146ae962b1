"""The layout of a run file, in one place.

A run file belongs to one party. It holds *streams*: append-only tables in blocks. A stream is a group
``/streams/<name>`` with one dataset per column, a dataset ``gaps`` and a dataset ``index``. A row of ``index``
is written and flushed after the data it speaks of: it is the commit mark, and readers trust nothing beyond the
last row. ``/context`` holds texts (link configuration, station snapshot) as UTF-8 bytes.

Every object is created before the file enters SWMR mode, since HDF5 allows no new objects after that. The names
follow NeXus event data (``index`` is its cue index) so that an export is a renaming.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

FORMAT_NAME = "faintlink-run"
FORMAT_VERSION = "1.0"
"""Readers accept the same major version; a minor version only adds."""

CHUNK_ROWS = 131_072
"""Rows of a chunk: 1 MiB of int64, measured as the fastest grain for appends."""

Status: TypeAlias = Literal["recording", "closed", "recovered"]

StreamKind: TypeAlias = Literal["tags", "settings", "events"]

COLUMNS: Mapping[StreamKind, tuple[tuple[str, np.dtype[Any]], ...]] = {
    "tags": (("time_ps", np.dtype("<i8")), ("channel", np.dtype("u1"))),
    "settings": (("slot", np.dtype("<i8")), ("setting", np.dtype("u1"))),
    "events": (("wall_ns", np.dtype("<i8")), ("level", np.dtype("u1")), ("text", np.dtype("S240"))),
}
"""Columns of each kind; the first is the key, an int64 that never decreases."""

GAP_DTYPE = np.dtype([("start_ps", "<i8"), ("end_ps", "<i8"), ("lost", "<i8"), ("cause", "u1")])
"""One lost stretch, see `faintlink.core.tags.GapRecord`."""

INDEX_DTYPE = np.dtype(
    [
        ("first_row", "<u8"),  # of this block in the columns
        ("rows", "<u4"),
        ("gaps", "<u4"),  # rows of this block in ``gaps``
        ("first_gap", "<u8"),
        ("first_key", "<i8"),  # key of the first and of the last row; 0 in an empty block
        ("last_key", "<i8"),
        ("lost", "<u8"),  # known missing tags in this block
        ("wall_ns", "<i8"),  # UTC of the commit
        ("crc32", "<u4"),  # over this row up to here, all columns in order, then the gaps
    ]
)
"""One committed block."""

SMALL_CHUNK_ROWS = 1024
"""Rows of a chunk of ``index``, ``gaps`` and of event streams."""


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """What a stream is and where it came from."""

    name: str
    """Group name below ``/streams``."""
    kind: StreamKind
    """Decides the columns."""
    instrument: str = ""
    """Name of the instrument in the station."""
    serial: str = ""
    """Serial number of the instrument."""
    resolution_ps: float = 1.0
    """Resolution of the tagger; times are in picoseconds whatever it is."""
    clock_reference: str = "internal"
    """What the tagger's clock follows: internal, 10MHz, PPS, WR."""
    extra: Mapping[str, str] = field(default_factory=dict)
    """Further text attributes."""


@dataclass(frozen=True, slots=True)
class RunHeader:
    """Who recorded what, when, with which program."""

    run_id: str
    """Equal in all files of a run."""
    party: str
    """Owner: a `faintlink.core.symbols.Party` value."""
    created_utc: str
    """ISO 8601."""
    software_version: str
    """Version of faintlink that wrote the file."""
    segment: int = 0
    """Number of this file in the party's sequence."""
    status: Status = "recording"
    """``closed`` once sealed, ``recovered`` when made by `recover`."""
