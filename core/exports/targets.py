"""Files of an export: complete under their names, or not there at all; never in place of another.

Files are written in a hidden folder beside their place and get their names when they are complete. Their mode is
0600: raw detections are as secret as the key made from them.
"""

import contextlib
import csv
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from faintlink.core.errors import RunExistsError
from faintlink.core.exports.source import GAP_COLUMNS, gap_row
from faintlink.core.runfile.reader import RowBlock
from faintlink.core.runfile.schema import GAP_DTYPE
from faintlink.core.runfile.writer import publish
from faintlink.core.tags import GapRecord


@contextlib.contextmanager
def new_files(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Yield where to write files; they get their own names at the end, all or none.

    Raises
    ------
    RunExistsError
        One of them exists.
    """
    for path in paths:
        if path.exists():
            raise RunExistsError(f"{path} exists; nothing was overwritten", hint="choose another --out")
    folder = paths[0].parent
    folder.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{paths[0].name}.", dir=folder))
    published: list[Path] = []
    try:
        unfinished = [building / path.name for path in paths]
        yield unfinished
        for temporary, path in zip(unfinished, paths, strict=True):
            temporary.chmod(0o600)
            publish(temporary, path)
            published.append(path)
    except BaseException:
        for path in published:
            path.unlink(missing_ok=True)
        raise
    finally:
        shutil.rmtree(building, ignore_errors=True)


def gap_table_path(path: Path) -> Path:
    """Return the name of the gap table that stands beside an export."""
    return path.with_name(path.name + ".gaps.csv")


def with_gap_table(blocks: Iterable[RowBlock], path: Path) -> Iterator[RowBlock]:
    """Pass blocks on while writing their gaps into a CSV file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(GAP_COLUMNS)
        for block in blocks:
            table.writerows(gap_row(gap) for gap in block.gaps)
            yield block


def gap_rows(gaps: Sequence[GapRecord]) -> npt.NDArray[np.void]:
    """Return gaps as an array of `GAP_DTYPE`."""
    return np.array([(gap.start_ps, gap.end_ps, gap.lost, int(gap.cause)) for gap in gaps], GAP_DTYPE)
