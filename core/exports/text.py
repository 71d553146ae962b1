"""CSV: exact integers as text, one row a tag, for every program there is.

The first line names the columns; no number is ever written as a float. Gaps stand in a second file.
"""

from collections.abc import Iterable
from pathlib import Path

from faintlink.core.exports.source import ExportSource
from faintlink.core.runfile.reader import RowBlock

_PIECE_ROWS = 65_536


def write_csv(path: Path, source: ExportSource, blocks: Iterable[RowBlock]) -> None:
    """Write blocks as comma-separated integers."""
    with path.open("x", encoding="ascii", newline="") as file:
        file.write(",".join(source.column_names) + "\n")
        for block in blocks:
            for first in range(0, block.columns[0].size, _PIECE_ROWS):
                keys, values = (column[first : first + _PIECE_ROWS].tolist() for column in block.columns)
                file.write("".join([f"{key},{value}\n" for key, value in zip(keys, values, strict=True)]))
