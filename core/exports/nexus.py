"""NeXus: the stream as event data (NXevent_data), one pulse a block.

``event_time_zero`` is the time of a block's first tag, ``event_time_offset`` the time after it, both int64 in ps;
their sum is the tag's time. ``event_index`` is the first event of each block, and the cue the same for seeking.
Gaps stand beside them in an NXcollection of one dataset a column.

Sources: NeXus base classes NXroot, NXentry, NXevent_data, NXdetector, NXcollection (NeXus definitions 2024).
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np

from faintlink.core import __version__
from faintlink.core.exports.source import ExportSource
from faintlink.core.exports.targets import gap_rows
from faintlink.core.runfile.reader import RowBlock
from faintlink.core.runfile.schema import GAP_DTYPE
from faintlink.core.runfile.tables import GrowingTable
from faintlink.core.tags import GapCause

EVENTS = "events"
"""Name of the NXevent_data group within the entry."""
_PS_INT64 = ("event_time_offset", "event_time_zero", "cue_timestamp_zero")


def write_nexus(path: Path, source: ExportSource, blocks: Iterable[RowBlock]) -> None:
    """Write blocks of tags as NeXus event data."""
    with h5py.File(path, "x", libver="v110") as file:
        _describe(file, source)
        group = file.create_group(f"entry/{EVENTS}")
        group.attrs["NX_class"] = "NXevent_data"
        tables = {name: GrowingTable(group, name, np.int64) for name in _PS_INT64}
        tables |= {name: GrowingTable(group, name, np.int64) for name in ("event_index", "cue_index")}
        tables["event_id"] = GrowingTable(group, "event_id", np.uint32)
        for name in _PS_INT64:
            tables[name].dataset.attrs["units"] = "ps"
        lost = _gap_tables(file["entry"])
        events = 0
        for block in blocks:
            times, channels = block.columns
            if times.size:
                for name in ("event_time_zero", "cue_timestamp_zero"):
                    tables[name].append(times[:1])
                for name in ("event_index", "cue_index"):
                    tables[name].append(np.array([events], np.int64))
                tables["event_time_offset"].append(times - times[0])
                tables["event_id"].append(channels.astype(np.uint32))
            events += int(times.size)
            for name, column in lost.items():
                column.append(gap_rows(block.gaps)[name])
        group.create_dataset("total_counts", data=events)


def _describe(file: h5py.File, source: ExportSource) -> None:
    facts = source.facts()
    file.attrs["NX_class"] = "NXroot"
    file.attrs["default"] = "entry"
    file.attrs["creator"] = f"faintlink {__version__}"
    file.attrs["file_time"] = datetime.now(UTC).isoformat(timespec="seconds")
    entry = file.create_group("entry")
    entry.attrs["NX_class"] = "NXentry"
    entry.attrs["default"] = EVENTS
    entry["title"] = f"{facts['party']} {facts['stream']} of run {facts['run_id']}"
    entry["entry_identifier"] = facts["run_id"]
    entry["start_time"] = facts["created_utc"]
    entry["program_name"] = "faintlink"
    entry["program_name"].attrs["version"] = facts["software_version"]
    notes = entry.create_group("source_facts")
    notes.attrs["NX_class"] = "NXcollection"
    for name, text in facts.items():
        notes[name] = text


def _gap_tables(entry: h5py.Group) -> dict[str, GrowingTable]:
    group = entry.create_group("gaps")
    group.attrs["NX_class"] = "NXcollection"
    tables = {name: GrowingTable(group, name, GAP_DTYPE[name]) for name in GAP_DTYPE.names or ()}
    for name in ("start_ps", "end_ps"):
        tables[name].dataset.attrs["units"] = "ps"
    tables["cause"].dataset.attrs["codes"] = ", ".join(f"{int(cause)} {cause.name.lower()}" for cause in GapCause)
    return tables
