"""Put records away that newer ones have superseded, so that a folder that fills every night stays quick to read.

Nothing is deleted: they go into the folder ``superseded`` beside, where a replay still finds them.
"""

from collections import defaultdict
from pathlib import Path

from faintlink.acquisition.calibration.in_force import HeldRecord, held_records
from faintlink.core.config.link import LinkConfig

FOLDER = "superseded"
KEPT = 4
"""Newest records of each routine that stay; the newest that passed stays in any case."""


def put_away(folder: Path, link: LinkConfig, *, kept: int = KEPT) -> list[Path]:
    """Move superseded records of a link, and return where they are now."""
    by_routine: dict[str, list[HeldRecord]] = defaultdict(list)
    for held in held_records(folder, link):
        by_routine[held.record.routine].append(held)
    moved = []
    for records in by_routine.values():
        records.sort(key=lambda held: held.started)
        in_force = next((held for held in reversed(records) if held.record.is_passed), None)
        for held in records[:-kept]:
            if held is not in_force:
                target = folder / FOLDER / held.path.name
                target.parent.mkdir(exist_ok=True, mode=0o700)
                held.path.rename(target)
                moved.append(target)
    return moved
