"""Save what the window shows: pictures as PNG, tables as CSV, never over an older file."""

import csv
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from faintlink.acquisition.live.model import LiveModel
from faintlink.acquisition.live.panels import Row
from faintlink.core.errors import RunfileError

_MAX_TWINS = 1000


def save_png(widget: Any, folder: Path, name: str) -> Path:
    """Save a widget as it is on the screen and return the file.

    Raises
    ------
    RunfileError
        The folder cannot be written to.
    """
    path = _new_file(folder, name, ".png")
    if not widget.grab().save(str(path)):
        raise RunfileError(f"{path} cannot be written", hint="name another folder with --save-to")
    return path


def save_csv(head: Row, rows: Sequence[Row], folder: Path, name: str) -> Path:
    """Save a table and return the file; raises as `save_png`."""
    path = _new_file(folder, name, ".csv")
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)
    return path


def history_table(model: LiveModel) -> tuple[Row, Sequence[Row]]:
    """Return the totals of each snapshot of a history."""
    names = list(model.current.clicks)
    counts = ("key_bits", "key_errors", "test_bits", "test_errors")
    head = ("elapsed_s", "tags", "lost", *counts, "clock_ppm", "key_rate_bps", *names, "state")
    rows = [
        (
            one.elapsed_s,
            one.tags,
            one.lost,
            one.counts.key.bits,
            one.counts.key.errors,
            one.counts.test.bits,
            one.counts.test.errors,
            "" if one.clock_ppm is None else one.clock_ppm,
            "" if one.key_rate_bps is None else one.key_rate_bps,
            *(one.clicks.get(name, 0) for name in names),
            one.state,
        )
        for one in model.history
    ]
    return head, rows


def _new_file(folder: Path, name: str, suffix: str) -> Path:
    # A link's name may come from a publisher; it must not lead out of the folder.
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", name)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for twin in range(_MAX_TWINS):
            path = folder / f"{stamp}-{name}{f'-{twin}' if twin else ''}{suffix}"
            if not path.exists():
                path.touch(exist_ok=False)
                return path
    except OSError as error:
        raise RunfileError(f"cannot write to {folder}: {error}", hint="name another folder with --save-to") from error
    raise RunfileError(f"{folder} has {_MAX_TWINS} files of {stamp}-{name}", hint="wait a second")
