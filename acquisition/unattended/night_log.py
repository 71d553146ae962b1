"""The log of unattended nights: one line of JSON for each run, calibration, failure and end.

`service` writes it; ``faintlink status`` reads its newest run.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from faintlink.acquisition.bringup.journal import append_json

FORMAT = "faintlink.unattended/1"
FILE = "unattended.jsonl"
MAX_BYTES = 16 << 20
"""Size from which a new file is begun: three days of runs of 12 s."""
KEPT = 4
"""Old files beside the one that is written."""
_TAIL_BYTES = 1 << 16


def note(folder: Path, entry: Mapping[str, Any], *, max_bytes: int = MAX_BYTES) -> None:
    """Append an entry with the time, into a new file when the old one is large."""
    path = folder / FILE
    if path.exists() and path.stat().st_size > max_bytes:
        _rotate(path)
    utc = datetime.now(UTC).isoformat(timespec="milliseconds")
    append_json(path, {"format": FORMAT, "utc": utc, **entry})


def _rotate(path: Path) -> None:
    names = [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, KEPT + 1))]
    for older, newer in zip(reversed(names), reversed(names[:-1]), strict=False):
        if newer.exists():
            newer.replace(older)


def newest_run(folder: Path) -> dict[str, Any] | None:
    """Return the entry of the newest run, or None if there is none among the newest entries."""
    path = folder / FILE
    if not path.exists():
        return None
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - _TAIL_BYTES, 0))
        lines = file.read().split(b"\n")
    for line in reversed(lines):
        try:
            entry = json.loads(line)
        except ValueError:
            # The tail begins within a line, and a crash ends within one.
            continue
        if isinstance(entry, dict) and entry.get("format") == FORMAT and entry.get("event") == "run":
            return entry
    return None
