"""A stream of a run as an xarray Dataset or a pandas DataFrame, in one line.

For notebooks: the whole stretch is held in memory. Times are int64 picoseconds, never floats or datetimes; units and
the facts of the source stand in ``attrs``. xarray and pandas are the extra ``notebook``.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from faintlink.core.exports.extras import required
from faintlink.core.exports.parquet import UNITS
from faintlink.core.exports.source import GAP_COLUMNS, ExportSource, gap_row, open_source

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

EXTRA = "notebook"


def open_xarray(
    run: str | Path,
    *,
    party: str | None = None,
    stream: str | None = None,
    start_s: str | float | None = None,
    stop_s: str | float | None = None,
) -> "xr.Dataset":
    """Return a stream as a Dataset.

    Parameters
    ----------
    run
        Run folder or run file.
    party, stream, start_s, stop_s
        As for `faintlink.core.exports.source.open_source`.

    Returns
    -------
    xarray.Dataset
        Along ``row``: the coordinate ``time_ps`` int64 and ``channel`` uint8, or ``slot`` int64 and ``setting``
        uint8. Along ``gap``: ``gap_start_ps``, ``gap_end_ps``, ``gap_lost`` int64 and ``gap_cause``.

    Raises
    ------
    ConfigError
        xarray is not installed, or the stretch is wrong.
    SchemaError
        No such run, party or stream.
    """
    xarray = required("xarray", extra=EXTRA)
    source = open_source(Path(run), party=party, stream=stream, start_s=start_s, stop_s=stop_s)
    columns, gaps = _load(source)
    key, value = source.column_names
    data: dict[str, Any] = {value: ("row", columns[1], {"units": UNITS[value]})}
    for name in GAP_COLUMNS:
        unit = "ps" if name.endswith("_ps") else "1"
        data[f"gap_{name}"] = ("gap", gaps[name], {} if name == "cause" else {"units": unit})
    dataset: xr.Dataset = xarray.Dataset(
        data, coords={key: ("row", columns[0], {"units": UNITS[key]})}, attrs=source.facts()
    )
    return dataset


def open_pandas(
    run: str | Path,
    *,
    party: str | None = None,
    stream: str | None = None,
    start_s: str | float | None = None,
    stop_s: str | float | None = None,
) -> "pd.DataFrame":
    """Return a stream as a DataFrame; arguments and errors as for `open_xarray`.

    Returns
    -------
    pandas.DataFrame
        Columns ``time_ps`` int64 and ``channel`` uint8, or ``slot`` and ``setting``. ``attrs`` holds the facts of
        the source, ``units`` by column, and ``gaps`` as a list of dictionaries.
    """
    pandas = required("pandas", extra=EXTRA)
    source = open_source(Path(run), party=party, stream=stream, start_s=start_s, stop_s=stop_s)
    columns, gaps = _load(source)
    frame: pd.DataFrame = pandas.DataFrame(dict(zip(source.column_names, columns, strict=True)), copy=False)
    rows = zip(*(gaps[name].tolist() for name in GAP_COLUMNS), strict=True)
    frame.attrs = {
        **source.facts(),
        "units": {name: UNITS[name] for name in source.column_names},
        "gaps": [dict(zip(GAP_COLUMNS, row, strict=True)) for row in rows],
    }
    return frame


def _load(source: ExportSource) -> tuple[list[npt.NDArray[Any]], dict[str, npt.NDArray[Any]]]:
    blocks = list(source.blocks())
    if blocks:
        columns = [np.concatenate(parts) for parts in zip(*(block.columns for block in blocks), strict=True)]
    else:
        columns = [np.empty(0, np.int64), np.empty(0, np.uint8)]
    rows = [gap_row(gap) for block in blocks for gap in block.gaps]
    gaps: dict[str, npt.NDArray[Any]] = {
        name: np.array([row[at] for row in rows], np.int64 if name != "cause" else np.str_)
        for at, name in enumerate(GAP_COLUMNS)
    }
    return columns, gaps
